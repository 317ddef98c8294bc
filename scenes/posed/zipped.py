"""Scenes that come as one zip."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from scenes.io.unpack import ZipLimits, unpack_zip

# A zip with more files or more bytes than this is refused before it is unpacked; scenes have less.
ZIP_LIMITS = ZipLimits(max_files=20_000, max_bytes=8 << 30)
# Files with the cameras of a scene; names are compared without regard to case.
TRANSFORMS_FILES = ("transforms.json", "transforms_train.json", "transforms_test.json", "transforms_val.json")
CAMERA_FILES = (*TRANSFORMS_FILES, "poses_bounds.npy", "cameras.bin", "cameras.txt")


def is_zipped_folder(path: str | os.PathLike) -> bool:
    """Whether a zip holds more than the arrays of an `.npz`. False for a file that is not a zip."""
    try:
        with zipfile.ZipFile(path) as packed:
            return any(not name.endswith(".npy") for name in packed.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def camera_files(path: str | os.PathLike) -> list[str]:
    """Names of the files with cameras in a zip, without their folders; none for a file that is not a zip."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = [name.replace("\\", "/").rpartition("/")[2].lower() for name in packed.namelist()]
    except (OSError, zipfile.BadZipFile, ValueError):
        return []
    return [name for name in CAMERA_FILES if name in names]


def holds_cameras(path: str | os.PathLike) -> bool:
    """Whether a zip has a file with cameras in it, by the names of its members. False for a file that is not a zip."""
    return bool(camera_files(path))


def unpacked(source: str | os.PathLike) -> tuple[Path, tempfile.TemporaryDirectory]:
    """Unpack a zip. Returns the folder, and an object that deletes the folder once nothing refers to that object.

    Raises BadInput as `scenes.io.unpack.unpack_zip` does.
    """
    temporary = tempfile.TemporaryDirectory(prefix="field-studio-")
    unpack_zip(source, Path(temporary.name), ZIP_LIMITS)
    return Path(temporary.name), temporary
