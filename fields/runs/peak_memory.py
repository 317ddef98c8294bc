"""Peak memory of a piece of work: the largest resident size while it runs, above the size before."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

# Files of Linux about this process: its sizes, and the switch that resets the largest one.
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


class PeakMemory:
    """Context that measures the peak memory of the whole process: `with PeakMemory() as peak: ...`, then `peak.bytes`.

    `bytes` is None on systems other than Linux, which do not report it.
    """

    def __init__(self) -> None:
        self.bytes: int | None = None
        self._before: int | None = None

    def __enter__(self) -> PeakMemory:
        try:
            # Resets the high-water mark, see proc_pid_clear_refs(5).
            RESET.write_text("5")
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
    """An entry of the status file, in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {name}")
