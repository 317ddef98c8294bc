"""How much memory a piece of work takes: the highest resident size while it runs, above what it was before."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """`with PeakMemory() as peak: ...`, then `peak.bytes`: of the whole process, None where the system does not tell (only Linux does)."""

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._before: int | None = None

    def __enter__(self) -> PeakMemory:
        try:
            RESET.write_text("5")  # the high-water mark starts anew, see proc_pid_clear_refs(5)
            self._before = _read("VmRSS")
        except OSError:
            self._before = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            self.bytes = max(0, _read("VmHWM") - self._before)


def _read(name: str) -> int:
    for line in STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {name}")
