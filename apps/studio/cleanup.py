"""Delete uploads that no run, comparison or job refers to, and deleted runs, one day after they were last used."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from apps.studio.folders import TOKEN, TRASH, Folders
from apps.studio.reconstruct_job import RECORD
from fields.compare.comparison import HEADER

# Seconds for which an upload is kept after its last use.
KEPT_SECONDS = 86_400.0
# Seconds after which nobody sends the rest of a file: only a studio that was killed leaves its part.
PART_SECONDS = 600.0


def mark_used(path: str | Path, folders: Folders) -> None:
    """Note that a signal is in use, if it is an upload."""
    folder = _upload_of(Path(path), folders)
    if folder is not None and folder.is_dir():
        os.utime(folder)


def delete_unused(folders: Folders, used: Iterable[str | Path] = ()) -> int:
    """Delete old uploads, old files that have arrived, and runs in the trash. Returns how many were deleted.

    An upload stays if `used` (paths of signals) or the header of a run, comparison or reconstruction names it. Nothing
    is deleted where one of the headers cannot be read.
    """
    try:
        references = "\n".join(
            file.read_text(encoding="utf-8", errors="replace")
            for name in ("run.json", HEADER, RECORD)
            for place in ("*", f"{TRASH}/*/*")
            for file in folders.runs.glob(f"{place}/{name}")
        )
    except OSError:
        return 0
    references += "\n".join(map(str, used))
    uploads = [path for path in folders.uploads.iterdir() if TOKEN.fullmatch(path.name) and path.name not in references]
    arrived = list(folders.arriving.iterdir()) if folders.arriving.is_dir() else []
    deleted = list(folders.trash.iterdir()) if folders.trash.is_dir() else []
    now = time.time()
    old = [path for path in (*uploads, *deleted) if now - _modified(path) > KEPT_SECONDS]
    # Whole files lie in folders of their own; what lies beside them is the part of one.
    old += [path for path in arrived if now - _modified(path) > (PART_SECONDS if path.is_file() else KEPT_SECONDS)]
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)


def _upload_of(path: Path, folders: Folders) -> Path | None:
    """The folder in which an upload is kept; None for anything else."""
    if not path.is_relative_to(folders.uploads):
        return None
    folder = folders.uploads / path.relative_to(folders.uploads).parts[0]
    return folder if TOKEN.fullmatch(folder.name) else None


def _modified(path: Path) -> float:
    """Time at which a path was created or marked as used, or at which something was put into it."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")
