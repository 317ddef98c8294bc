"""Folders that come as one zip from somebody: unpacked where nothing is at risk."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scenes.errors import BadInput

# What packing programs leave beside what was packed.
LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Limits:
    """How much is taken: files, bytes in all, and files' endings (lower case; None: any). `instead` says what to do with more."""

    files: int
    size: int
    endings: tuple[str, ...] | None = None
    instead: str = "unpack it and name the folder"


def unpack(archive: str | os.PathLike, folder: Path, limits: Limits, shown: str | None = None) -> None:
    """Writes the files of a zip under `folder`, which exists and is empty; on an error some of them may be there.

    Raises BadInput, with `shown` (by default the archive's path) as its name, where an entry's name leads out of the folder, an entry
    is a link or a device or has a password or another ending, there is too much of it all, or it is damaged. A small file can say that
    it holds little and hold much: bytes are counted as they come, too.
    """
    shown = shown or str(archive)
    try:
        with zipfile.ZipFile(archive) as packed:
            entries = [(entry, PurePosixPath(entry.filename.replace("\\", "/"))) for entry in packed.infolist()]
            entries = [
                (entry, path)
                for entry, path in entries
                if not set(path.parts) & set(LITTER) and not entry.filename.endswith(("/", "\\"))
            ]
            _check(entries, limits, shown)
            left = limits.size
            for entry, path in entries:
                target = folder.joinpath(*path.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as inside, open(target, "xb") as out:
                    while chunk := inside.read(1 << 20):
                        left -= len(chunk)
                        if left < 0:
                            raise BadInput(
                                f"{shown}: holds more than it says, and more than {limits.size:,} bytes; do not trust this file"
                            )
                        out.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise BadInput(
            f"{shown}: is damaged or packed in a way that is not known here; pack the folder again as a plain zip"
        ) from error
    except OSError as error:
        raise BadInput(f"{shown}: cannot be unpacked: {error.strerror or error}") from error


def _check(entries: list[tuple[zipfile.ZipInfo, PurePosixPath]], limits: Limits, shown: str) -> None:
    total = sum(entry.file_size for entry, _ in entries)
    if len(entries) > limits.files or total > limits.size:
        raise BadInput(
            f"{shown}: holds {len(entries):,} files of {total:,} bytes, more than {limits.files:,} or {limits.size:,}; {limits.instead}"
        )
    for entry, path in entries:
        name = entry.filename
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise BadInput(f"{shown}: its entry {name!r} leads out of the folder; do not trust this file")
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BadInput(f"{shown}: its entry {name!r} is a link or a device; pack the file itself")
        if entry.flag_bits & 1:
            raise BadInput(f"{shown}: its entry {name!r} has a password; pack the folder without")
        if limits.endings is not None and path.suffix.lower() not in limits.endings:
            raise BadInput(
                f"{shown}: its entry {name!r} is neither a picture nor a file of cameras or a mesh; leave it out"
            )
