"""Uploads that nobody needs any more are dropped: those that no run, comparison or waiting fit speaks of, a day after their last use."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from apps.studio.folders import TOKEN, Folders
from fields.compare.comparison import HEADER

KEPT_SECONDS = 86_400.0


def touch(path: str | Path, folders: Folders) -> None:
    """Notes that a signal is in use, if it is an upload."""
    folder = _upload_of(Path(path), folders)
    if folder is not None and folder.is_dir():
        os.utime(folder)


def clear(folders: Folders, used: Iterable[str | Path] = ()) -> int:
    """Deletes uploads that are older than a day and spoken of neither in `used` (paths of signals) nor in a run, and what has arrived or
    was made for a download as long ago; returns how many. Nothing is deleted where it cannot be told what runs speak of."""
    try:
        words = "\n".join(
            file.read_text(encoding="utf-8", errors="replace")
            for name in ("run.json", HEADER)
            for file in folders.runs.glob(f"*/{name}")
        )
    except OSError:
        return 0
    words += "\n".join(map(str, used))
    before = time.time() - KEPT_SECONDS
    old = [
        path
        for path in folders.uploads.iterdir()
        if TOKEN.fullmatch(path.name) and path.name not in words and _changed(path) < before
    ]
    if folders.arriving.is_dir():
        old += [path for path in folders.arriving.iterdir() if _changed(path) < before]
    for path in old:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(old)


def _upload_of(path: Path, folders: Folders) -> Path | None:
    """The folder in which an upload is kept; None for what is no upload."""
    if not path.is_relative_to(folders.uploads):
        return None
    folder = folders.uploads / path.relative_to(folders.uploads).parts[0]
    return folder if TOKEN.fullmatch(folder.name) else None


def _changed(path: Path) -> float:
    """When a folder was made, touched, or last had something put into it."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return float("inf")
