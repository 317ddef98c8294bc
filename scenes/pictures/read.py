"""Opens any picture file: looks at the content, picks the reader."""

from __future__ import annotations

from pathlib import Path

from scenes.errors import BadInput
from scenes.pictures.decoded import Decoded

MAX_PIXELS = 200_000_000

# How a file of each format begins: (offset, bytes) pairs that must all hold.
SIGNATURES = {
    "PNG": [(0, b"\x89PNG\r\n\x1a\n")],
    "JPEG": [(0, b"\xff\xd8\xff")],
    "EXR": [(0, b"\x76\x2f\x31\x01")],
}


def sniff(head: bytes) -> str | None:
    """The format that the first bytes (64 will do) announce, or None."""
    for name, marks in SIGNATURES.items():
        if all(head[offset:offset + len(mark)] == mark for offset, mark in marks):
            return name
    return None


def read_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Decoded:
    with open(path, "rb") as file:
        head = file.read(64)
    format = sniff(head)
    if format == "EXR":
        from scenes.pictures.exr import read_exr
        return read_exr(path, max_pixels)
    if format is None:
        raise BadInput(f"{path}: not a picture that can be read; save it as PNG, JPEG or EXR")
    from scenes.pictures.pillow import read_pillow
    return read_pillow(path, format, max_pixels)
