"""Images of textures: beside a file, or in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from scenes.image.rgb8 import read_rgb8

# The folder or the unpacked archive in which files that a shape names are looked for too.
_ROOT: ContextVar[Path | None] = ContextVar("root", default=None)


@contextmanager
def looking_in(root: Path | None) -> Iterator[None]:
    """Look for files that a shape names anywhere in this folder too, as archives have textures beside its folder."""
    token = _ROOT.set(root)
    try:
        yield
    finally:
        _ROOT.reset(token)


class BesideImage(NamedTuple):
    """An image that was found beside a file, `[H, W, 3]` uint8 sRGB."""

    path: Path
    pixels: np.ndarray


def beside_image(path: Path, name: str) -> tuple[BesideImage | None, str | None]:
    """An image that a shape's file names, or None and a note."""
    file = beside(path, name)
    if file is None:
        return None, f"the texture {name} is not beside the file: fitted without it"
    try:
        return BesideImage(file, decoded(file.read_bytes())), None
    except Exception as error:  # noqa: BLE001  (Pillow raises many types for damaged bytes)
        return None, f"the texture {name} cannot be read ({str(error)[:200]}): fitted without it"


def beside(path: Path, name: str) -> Path | None:
    """The file that a shape's file names, in its folder or below; None where it is not there.

    Names may have backslashes, quotes, another case, or a folder of the computer on which they were written. What leads
    out of the folder, or of that of `looking_in`, is not followed, as a shape may come from anyone.
    """
    written = PurePosixPath(name.strip().strip('"').replace("\\", "/"))
    parts = [part for part in written.parts if part not in ("..", ".", "/", "//") and not part.endswith(":")]
    tails = [parts[start:] for start in range(len(parts))]
    for tail in tails:
        exact = path.parent.joinpath(*tail)
        if exact.is_file():
            return exact
    for tail in tails:
        found: Path | None = path.parent
        for part in tail:
            entries = sorted(found.iterdir()) if found is not None and found.is_dir() else []
            found = next((entry for entry in entries if entry.name.lower() == part.lower()), None)
        if found is not None and found.is_file():
            return found
    root = _ROOT.get()
    if root is None or not parts:
        return None
    named = (file for file in sorted(root.rglob("*")) if file.name.lower() == parts[-1].lower() and file.is_file())
    return next(named, None)


def decoded(content: bytes) -> np.ndarray:
    """An image as `[H, W, 3]` uint8 sRGB; wider ones are rounded, transparency is dropped."""
    return read_rgb8(content)
