"""Any picture file to numbers: looks at the content, never at the name, and lets the right library read it."""

from __future__ import annotations

from pathlib import Path

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.orientation import upright
from scenes.image.profile import convert_to_srgb
from scenes.image.storage import Storage
from scenes.io.files import read_head
from scenes.io.silence import silence_libraries

# How a file of each format begins: (offset, bytes) pairs that must all hold.
SIGNATURES = {
    "PNG": [[(0, b"\x89PNG\r\n\x1a\n")]],
    "JPEG": [[(0, b"\xff\xd8\xff")]],
    "GIF": [[(0, b"GIF87a")], [(0, b"GIF89a")]],
    "WEBP": [[(0, b"RIFF"), (8, b"WEBP")]],
    "AVIF": [[(4, b"ftypavif")], [(4, b"ftypavis")], [(4, b"ftypmif1"), (16, b"avif")]],
    "TIFF": [[(0, b"II*\0")], [(0, b"MM\0*")], [(0, b"II+\0")], [(0, b"MM\0+")]],
    "BMP": [[(0, b"BM"), (6, b"\0\0\0\0")]],
    "EXR": [[(0, b"\x76\x2f\x31\x01")]],
    "HDR": [[(0, b"#?RADIANCE")], [(0, b"#?RGBE")]],
}
ENDINGS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "EXR": (".exr",),
    "HDR": (".hdr", ".pic", ".rgbe"),
}
SUPPORTED = "PNG, JPEG, WebP, AVIF, TIFF, GIF, BMP, EXR and HDR"


def sniff(head: bytes) -> str | None:
    """The format that a file's first bytes (64 will do) announce, or None."""
    for name, alternatives in SIGNATURES.items():
        if any(all(head.startswith(mark, offset) for offset, mark in marks) for marks in alternatives):
            return name
    return None


def read_image(path: Path, storage: Storage = Storage()) -> DecodedImage:
    """The picture in a file, upright, in sRGB where it is of integers.

    Animations and multi-page files give their first frame. Raises BadInput, one line that begins with the path, for a
    file that is damaged, cut short, too large (see `Storage`) or no picture; libraries' own words go no further.
    """
    head = read_head(path)
    format = sniff(head)
    if format is None:
        raise BadInput(f"{path}: {_what_else(head)}; pictures that can be read are {SUPPORTED}")
    try:
        with silence_libraries():
            decoded = _decode(path, format, storage)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except ImportError as error:
        raise BadInput(
            f"{path}: reading this {format} file wants the package {error.name}: pip install {error.name}"
        ) from error
    except MemoryError as error:
        raise BadInput(f"{path}: the picture does not fit into memory; give a smaller one") from error
    except Exception as error:  # every library complains in types of its own, and all of it is about this file
        raise BadInput(
            f"{path}: the {format} file is damaged or cut short{_reason(error)}; get a fresh copy"
        ) from error
    if path.suffix.lower() not in ENDINGS[format]:
        name = path.suffix or "without an ending"
        decoded.notes.insert(0, f"named {name}, but the content is {format}, and read as that")
    return decoded


def _decode(path: Path, format: str, storage: Storage) -> DecodedImage:
    if format == "PNG":
        from scenes.image.codecs import read_png

        decoded = read_png(path, storage)
    elif format == "JPEG":
        from scenes.image.codecs import read_jpeg

        decoded = read_jpeg(path, storage)
    elif format == "TIFF":
        from scenes.image.tiff import read_tiff

        decoded = read_tiff(path, storage)
    elif format == "EXR":
        from scenes.image.exr import read_exr

        decoded = read_exr(path, storage)
    elif format == "HDR":
        from scenes.image.hdr import read_hdr

        decoded = read_hdr(path, storage)
    else:
        from scenes.image.pillow import read_pillow

        decoded = read_pillow(path, format, storage)
    if decoded.profile and (note := convert_to_srgb(decoded.pixels, decoded.profile)):
        decoded.notes.append(note)
    decoded.pixels = upright(decoded.pixels, decoded.orientation, storage)
    return decoded


def _what_else(head: bytes) -> str:
    """What a file is that is not a picture, as far as its first bytes tell."""
    if head.startswith((b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1"), 4):
        return "a HEIC picture, which is not read: export it as JPEG or PNG"
    if head.startswith(b"\x93NUMPY"):
        return "a numpy array, not a picture file (in Python: scenes.image.signal.Image.from_array)"
    try:
        text = head.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode("utf-8") if error.start >= len(head) - 3 else "\0"
    if all(character.isprintable() or character.isspace() for character in text):
        return "holds text, not a picture"
    return "its content is not a picture's"


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    # The words of a KeyError, say, mean something only to the author of the library.
    meant_for_people = isinstance(error, (OSError, RuntimeError, SyntaxError, ValueError))
    if not meant_for_people or isinstance(error, UnidentifiedImageError):
        return ""
    line = str(error).strip().partition("\n")[0]
    return f" ({line})" if line else ""
