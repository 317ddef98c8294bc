"""What every loader asks of a file before it looks inside."""

from __future__ import annotations

import difflib
import hashlib
import os
from pathlib import Path

from scenes.errors import BadInput

# `skimage:NAME` is a photograph that comes with scikit-image.
SKIMAGE_PREFIX = "skimage:"
# `procedural:NAME` is a posed scene made of formulas.
PROCEDURAL_PREFIX = "procedural:"


def input_file(source: str | os.PathLike) -> Path:
    """The file of a SOURCE argument, known to be there, readable and not empty.

    `source` is a path, or skimage:NAME for a photograph that comes with scikit-image. Raises BadInput; for a file that
    is missing, the message offers names in the same folder that are near.
    """
    if str(source).startswith(SKIMAGE_PREFIX):
        return _sample(str(source))
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            raise BadInput(f"{source}: is a folder; name a file")
        if not path.exists():
            raise BadInput(f"{source}: no such file{_nearby(path)}")
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


def read_head(path: Path, count: int = 64) -> bytes:
    with open(path, "rb") as file:
        return file.read(count)


def file_state(path: Path) -> dict:
    """`bytes` and `mtime_ns`: equal twice, the file has most likely not changed between."""
    state = path.stat()
    return {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}


def file_digest(path: Path) -> str:
    """SHA-256 of the content, in hexadecimal; memory does not grow with the file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nearby(path: Path) -> str:
    try:
        names = os.listdir(path.parent)
    except OSError:
        return f": the folder {path.parent} does not exist"
    if near := difflib.get_close_matches(path.name, names, n=3, cutoff=0.6):
        return f"; did you mean {' or '.join(str(path.parent / name) for name in near)}?"
    return "; check the name"


def _sample(source: str) -> Path:
    import skimage

    name = source.removeprefix(SKIMAGE_PREFIX)
    folder = Path(skimage.__file__).parent / "data"
    photographs = {file.stem: file for file in sorted(folder.iterdir()) if file.suffix in (".png", ".jpg")}
    if name not in photographs:
        raise BadInput(f"{source}: scikit-image brings no such picture; there are {', '.join(photographs)}")
    return photographs[name]
