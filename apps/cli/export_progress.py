"""Show on standard error what an export tells while it works: its messages, and a bar with the time left."""

from __future__ import annotations

import argparse
import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from apps.cli.messages import with_flags
from fields.export.base import Progress


class ExportProgress(Progress):
    """Shows messages as lines and, on a terminal, the fraction done as a bar. A context manager."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        console = Console(stderr=True)
        columns = (TextColumn("exporting"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("export", total=1.0, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def message(self, text: str) -> None:
        print(with_flags(text, self._options), file=sys.stderr)

    def fraction(self, done: float) -> None:
        self._bar.update(self._task, completed=done, visible=True)
