"""Find and identify input files before a loader reads them."""

from __future__ import annotations

import difflib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from scenes.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

# "skimage:NAME" is a photograph that comes with scikit-image.
SKIMAGE_PREFIX = "skimage:"
# "procedural:NAME" is a computed scene with known cameras.
PROCEDURAL_PREFIX = "procedural:"


def input_file(source: str | os.PathLike[str]) -> Path:
    """Path of the file that a source names, checked to be present, readable and not empty.

    Args:
        source: a path, or "skimage:NAME" for a photograph that comes with scikit-image.

    Raises:
        BadInput: there is no such file, or it cannot be read. For a missing file, the message suggests similar names
            in the same folder.
    """
    if str(source).startswith(SKIMAGE_PREFIX):
        return _skimage_file(str(source))
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise BadInput(f"{source}: is a folder; name a file")
        if not path.exists():
            raise BadInput(f"{source}: no such file{_suggestion(path)}")
        if not path.is_file():
            raise BadInput(f"{source}: is not a regular file; copy its content into a file first")
        with open(path, "rb") as file:
            if not file.read(1):
                raise BadInput(f"{source}: the file is empty; get a fresh copy")
    except OSError as error:
        raise BadInput(
            f"{source}: cannot be opened: {error.strerror or error}; check its permissions and the disk"
        ) from error
    return path


def read_head(path: str | os.PathLike[str], count: int = 64) -> bytes:
    """The first `count` bytes of a file, or all of a shorter one."""
    with open(path, "rb") as file:
        return file.read(count)


def file_state(path: Path) -> dict[str, int]:
    """Size `bytes` and modification time `mtime_ns`. While both stay equal, the file has most likely not changed."""
    state = path.stat()
    return {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content in hexadecimal. Memory does not grow with the file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def array_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's bytes in C order, in hexadecimal."""
    # Imported here: the command line reads this module for `--help`, which has to be quick.
    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data).hexdigest()


def _suggestion(path: Path) -> str:
    """End of the message about a missing file: what may be meant."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f": the folder {path.parent} does not exist"
    if near := difflib.get_close_matches(path.name, names, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(str(path.parent / name) for name in near)}?"
    return "; check the name"


def _skimage_file(source: str) -> Path:
    """Path of the photograph "skimage:NAME"."""
    import skimage

    name = source.removeprefix(SKIMAGE_PREFIX)
    folder = Path(skimage.__file__).parent / "data"
    photographs = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix in (".png", ".jpg")}
    if name not in photographs:
        raise BadInput(f"{source}: scikit-image has no such image; it has {', '.join(photographs)}")
    return photographs[name]
