"""Results of the parts as they come, in files that survive whatever a later part does. The standard library alone."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.gpu.machine import ROOT, Here

# What became of a part. Those that are DONE are not done again in the same folder.
DONE, HERE, NEEDS_GPU, FAILED, LATER = "done", "done on this machine", "needs a GPU", "failed", "left for the next run"


class Record:
    """States and rows of the parts in `folder`, each written whole or not at all.

    `parts.json` has the states of this commit on this machine, and `gpu-NAME.json` the rows of all parts that ran on
    the GPU of that name, in the form of every benchmark's report. Without a GPU there is no such file.
    """

    def __init__(self, folder: Path, here: Here) -> None:
        self.folder, self.here = folder, here
        folder.mkdir(parents=True, exist_ok=True)
        self._states = folder / "parts.json"
        self._key = f"{commit()} {here.gpu.slug if here.gpu and not here.why_no_gpu else 'no GPU'}"
        kept = _read(self._states)
        self.states: dict[str, dict] = kept["parts"] if kept.get("key") == self._key else {}

    @property
    def rows_file(self) -> Path | None:
        """File of the rows; None without a GPU."""
        usable = self.here.gpu if self.here.why_no_gpu is None else None
        return None if usable is None else self.folder / f"gpu-{usable.slug}.json"

    def is_done(self, part: str) -> bool:
        """Whether a part ran to its end in an earlier run of this commit on this machine."""
        return self.states.get(part, {}).get("state") == DONE

    def note(self, part: str, state: str, detail: str, seconds: float) -> None:
        """Write what became of a part."""
        self.states[part] = {"state": state, "detail": detail, "seconds": round(seconds, 1)}
        _write(self._states, {"key": self._key, "parts": self.states})

    def add_rows(self, rows: list[dict]) -> None:
        """Write rows of a part that ran on the GPU; those of the same id and peer are replaced."""
        if self.rows_file is None or self.here.gpu is None or not rows:
            return
        kept = _read(self.rows_file).get("rows", [])
        merged = {(row["id"], row.get("against")): row for row in [*kept, *rows]}
        _write(
            self.rows_file,
            {
                "benchmark": f"gpu-{self.here.gpu.slug}",
                "machine": {"cpu": _processor(), "threads": os.cpu_count(), "gpu": self.here.gpu.name},
                "versions": {
                    "field-studio": commit(),
                    "python": platform.python_version(),
                    "torch": self.here.torch,
                    "driver": self.here.gpu.driver,
                },
                "rows": list(merged.values()),
            },
        )


def commit() -> str:
    """Short name of the commit that is checked out; "unknown" where git does not tell."""
    try:
        run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return run.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _read(file: Path) -> dict:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write(file: Path, content: dict) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)
