"""Scenes that come as one zip: unpacked where nothing is at risk."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from scenes.errors import BadInput

# Beyond this a zip is refused unopened: what is meant as a scene has less, and a small file can say that it holds much more.
MOST_BYTES, MOST_ENTRIES = 8 << 30, 20_000
# What packing programs leave beside what was packed.
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")


def is_zipped_folder(path: str | os.PathLike) -> bool:
    """Whether a file that begins like a zip is more than the arrays of an `.npz`."""
    try:
        with zipfile.ZipFile(path) as packed:
            return any(not name.endswith(".npy") for name in packed.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def unpacked(source: str | os.PathLike) -> tuple[Path, tempfile.TemporaryDirectory]:
    """The folder that a zip holds, and what deletes it again once nobody holds that.

    BadInput where an entry's name leads out of the folder, an entry is a link or has a password, or there is too much of it all.
    """
    source = Path(source)
    try:
        with zipfile.ZipFile(source) as packed:
            entries = [entry for entry in packed.infolist() if not set(PurePosixPath(entry.filename).parts) & set(LITTER)]
            _check(source, entries)
            kept = tempfile.TemporaryDirectory(prefix="field-studio-")
            for entry in entries:
                target = Path(kept.name) / entry.filename
                if entry.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as inside, open(target, "xb") as out:
                    shutil.copyfileobj(inside, out, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{source}: is damaged or packed in a way that is not known here; pack the folder again") from error
    except OSError as error:
        raise BadInput(f"{source}: cannot be unpacked: {error.strerror or error}") from error
    return Path(kept.name), kept


def _check(source: Path, entries: list[zipfile.ZipInfo]) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or total > MOST_BYTES:
        raise BadInput(f"{source}: holds {len(entries):,} entries of {total:,} bytes, more than {MOST_ENTRIES:,} or {MOST_BYTES:,}; unpack it and name the folder")
    for entry in entries:
        name = PurePosixPath(entry.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in entry.filename or ":" in entry.filename or "\0" in entry.filename:
            raise BadInput(f"{source}: its entry {entry.filename!r} leads out of the folder; do not trust this file")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BadInput(f"{source}: its entry {entry.filename!r} is a link; pack the file itself")
        if entry.flag_bits & 1:
            raise BadInput(f"{source}: its entry {entry.filename!r} has a password; pack the folder without")
