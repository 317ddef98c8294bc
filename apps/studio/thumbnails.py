"""Small images of fitted fields for the gallery. They show the field, never what it was fitted to."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from apps.studio.images import encode_webp
from apps.studio.view_renderer import OpenRun
from scenes.io.atomic import atomic_write

FILE = "thumbnail.webp"
# Longest side in pixels.
SIDE = 320


def write(path: Path, encoded: bytes) -> None:
    """Keep a small version of an encoded image of the field in its run's folder."""
    with Image.open(io.BytesIO(encoded)) as image:
        image.thumbnail((SIDE, SIDE))
        with atomic_write(path / FILE) as temporary:
            image.save(temporary, "webp", quality=82)


def current(path: Path) -> Path | None:
    """The thumbnail of a run; None where there is none of its present weights."""
    file, weights = path / FILE, path / "field.safetensors"
    try:
        fresh = not file.is_symlink() and file.stat().st_mtime_ns >= weights.stat().st_mtime_ns
    except OSError:
        return None
    return file if fresh else None


def draw(opened: OpenRun) -> Path:
    """Draw the field of a run that has no thumbnail yet, such as one that the command fitted."""
    viewer = opened.viewer
    if viewer.solid:
        image = viewer.orbit(30.0, 15.0, 1.9, SIDE // 2)
    else:
        width, height = viewer.aspect_ratio(opened.field.domain)
        # A long sound, or a strip: the middle of the thumbnail would be a line.
        height, width = max(height, width // 3), max(width, height // 3)
        scale = SIDE / max(width, height)
        sides = max(1, round(width * scale)), max(1, round(height * scale))
        image = viewer.window((0.0, 0.0, 1.0, 1.0), *sides)
    write(opened.run.path, encode_webp(image))
    return opened.run.path / FILE
