"""Reports of an export as the command line shows them."""

from __future__ import annotations

from apps.cli.work_progress import WorkProgress
from fields.export.base import Progress


class ExportProgress(Progress):
    """Hands the messages of an export, and the fraction that is done, to what the command line shows."""

    def __init__(self, shown: WorkProgress) -> None:
        self.message = shown.message
        self.fraction = shown.fraction
        self.stage = shown.stage
