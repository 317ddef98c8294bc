"""Unpack zip archives from untrusted sources."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scenes.errors import BadInput

# Folders and files that packing programs add; they are left out.
IGNORED_NAMES = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class ZipLimits:
    """What an archive may hold.

    Attributes:
        max_files: number of files.
        max_bytes: size of all files together, unpacked.
        endings: endings in lower case of the files that are unpacked; others are left out. None: all are unpacked.
        advice: what the user can do with a larger archive.
    """

    max_files: int
    max_bytes: int
    endings: tuple[str, ...] | None = None
    advice: str = "unpack it and name the folder"


def unpack_zip(archive: str | os.PathLike[str], folder: Path, limits: ZipLimits, *, shown: str | None = None) -> None:
    """Write the files of a zip archive under `folder`, which exists and is empty.

    On an error, some of the files may be there. Sizes in an archive's directory may be wrong, so bytes are also counted
    while they are unpacked.

    Args:
        archive: path of the archive.
        folder: where to unpack it.
        limits: what it may hold.
        shown: name of the archive in messages; its path by default.

    Raises:
        BadInput: an entry's path leads out of the folder; an entry is a link, a device or encrypted; the archive holds
            too much; or it is damaged.
    """
    shown = shown or str(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _files(opened)
            _check_entries(entries, limits, shown)
            if limits.endings is not None:
                entries = [(entry, path) for entry, path in entries if path.suffix.lower() in limits.endings]
            left = limits.max_bytes
            for entry, path in entries:
                left = _unpack_entry(opened, entry, folder.joinpath(*path.parts), left)
                if left < 0:
                    raise BadInput(
                        f"{shown}: holds more than it says, and more than {limits.max_bytes:,} bytes; "
                        "do not trust this file"
                    )
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise BadInput(
            f"{shown}: is damaged or packed in an unknown way; pack the folder again as a plain zip"
        ) from error
    except OSError as error:
        raise BadInput(f"{shown}: cannot be unpacked: {error.strerror or error}") from error


def _files(archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The entries that are files, without those of packing programs, and their paths."""
    entries = [(entry, PurePosixPath(entry.filename.replace("\\", "/"))) for entry in archive.infolist()]
    return [
        (entry, path)
        for entry, path in entries
        if not set(path.parts) & set(IGNORED_NAMES) and not entry.filename.endswith(("/", "\\"))
    ]


def _unpack_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write one file. Returns how many of the `left` bytes remain; stops as soon as that is negative."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, open(target, "xb") as out:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                break
            out.write(chunk)
    return left


def _check_entries(entries: list[tuple[zipfile.ZipInfo, PurePosixPath]], limits: ZipLimits, shown: str) -> None:
    """Raise BadInput where the archive's directory shows something that is not allowed."""
    total = sum(entry.file_size for entry, _ in entries)
    if len(entries) > limits.max_files or total > limits.max_bytes:
        raise BadInput(
            f"{shown}: holds {len(entries):,} files, {total / 1e6:,.0f} MB once unpacked; at most "
            f"{limits.max_files:,} files and {limits.max_bytes / 1e6:,.0f} MB are taken; {limits.advice}"
        )
    for entry, path in entries:
        name = entry.filename
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
            raise BadInput(f"{shown}: its entry {name!r} leads out of the folder; do not trust this file")
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise BadInput(f"{shown}: its entry {name!r} is a link or a device; pack the file itself")
        if entry.flag_bits & 1:
            raise BadInput(f"{shown}: its entry {name!r} has a password; pack the folder without one")
