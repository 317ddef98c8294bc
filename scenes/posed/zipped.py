"""Scenes that come as one zip, unpacked beside."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from scenes.io.unpack import Limits, unpack

# Beyond this a zip is refused unopened: what is meant as a scene has less.
MOST = Limits(files=20_000, size=8 << 30)


def is_zipped_folder(path: str | os.PathLike) -> bool:
    """Whether a file that begins like a zip is more than the arrays of an `.npz`."""
    try:
        with zipfile.ZipFile(path) as packed:
            return any(not name.endswith(".npy") for name in packed.namelist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return False


def unpacked(source: str | os.PathLike) -> tuple[Path, tempfile.TemporaryDirectory]:
    """The folder that a zip holds, and what deletes it again once nobody holds that. BadInput as `scenes.io.unpack.unpack`."""
    kept = tempfile.TemporaryDirectory(prefix="field-studio-")
    unpack(source, Path(kept.name), MOST)
    return Path(kept.name), kept
