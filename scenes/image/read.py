"""Read image files: the content decides which library reads a file, never its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.orientation import apply_orientation
from scenes.image.profile import convert_profile
from scenes.image.storage import Storage
from scenes.io.files import read_head
from scenes.io.silence import silence_libraries

# First bytes of each format: alternatives of (offset, bytes) pairs that must all match.
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
# Names of the formats in messages.
SUPPORTED = "PNG, JPEG, WebP, AVIF, TIFF, GIF, BMP, EXR and HDR"
# First bytes of HEIC files, from the fifth on.
HEIC_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1")
DEFAULT_STORAGE = Storage()


def detect_format(head: bytes) -> str | None:
    """The format that a file's first bytes (64 are enough) announce, a key of `SIGNATURES`, or None."""
    for name, alternatives in SIGNATURES.items():
        if any(all(head.startswith(mark, offset) for offset, mark in marks) for marks in alternatives):
            return name
    return None


def read_image(path: Path, storage: Storage = DEFAULT_STORAGE, *, upright: bool = True) -> DecodedImage:
    """Read the image in a file, upright, and in sRGB where its values are integers.

    Animations and multi-page files give their first frame.

    Args:
        path: the file.
        storage: limit of pixels, and where they go.
        upright: turn the image as its EXIF orientation says. False: the pixels as they are stored.

    Raises:
        BadInput: the file is damaged, cut short, too large or no image. The message is one line that begins with the
            path; the libraries' own messages are not printed.
    """
    head = read_head(path)
    format = detect_format(head)
    if format is None:
        raise BadInput(f"{path}: {_describe_other(head)}; images that can be read are {SUPPORTED}")
    try:
        with silence_libraries():
            decoded = _decode(path, format, storage, upright)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except ImportError as error:
        raise BadInput(
            f"{path}: reading this {format} file needs the package {error.name}: pip install {error.name}"
        ) from error
    except MemoryError as error:
        raise BadInput(f"{path}: the image does not fit into memory; give a smaller one") from error
    except Exception as error:  # noqa: BLE001  (the libraries raise many types for damaged bytes)
        raise BadInput(
            f"{path}: the {format} file is damaged or cut short{_reason(error)}; get a fresh copy"
        ) from error
    if path.suffix.lower() not in ENDINGS[format]:
        name = path.suffix or "without an ending"
        decoded.notes.insert(0, f"named {name}, but the content is {format}, and read as that")
    return decoded


def _decode(path: Path, format: str, storage: Storage, upright: bool) -> DecodedImage:
    decoded = _reader(format)(path, storage)
    if decoded.profile and (note := convert_profile(decoded, decoded.profile, storage)):
        decoded.notes.append(note)
    # The order of an HDR file's rows and columns is part of its format.
    if upright or format == "HDR":
        decoded.pixels = apply_orientation(decoded.pixels, decoded.orientation, storage)
    return decoded


def _reader(format: str) -> Callable[[Path, Storage], DecodedImage]:
    """The reader of a format; its libraries are imported only now."""
    if format == "PNG":
        from scenes.image.png import read_png

        return read_png
    if format == "JPEG":
        from scenes.image.jpeg import read_jpeg

        return read_jpeg
    if format == "TIFF":
        from scenes.image.tiff import read_tiff

        return read_tiff
    if format == "EXR":
        from scenes.image.exr import read_exr

        return read_exr
    if format == "HDR":
        from scenes.image.hdr import read_hdr

        return read_hdr
    from scenes.image.pillow import read_pillow

    return lambda path, storage: read_pillow(path, format, storage)


def _describe_other(head: bytes) -> str:
    """Describe a file that is not an image, as far as its first bytes tell."""
    if head.startswith(HEIC_BRANDS, 4):
        return "a HEIC image, which is not supported: export it as JPEG or PNG"
    if head.startswith(b"\x93NUMPY"):
        return "a numpy array, not an image file (in Python: scenes.image.signal.Image.from_array)"
    try:
        text = head.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        # The last character may be cut off.
        text = head[: error.start].decode("utf-8") if error.start >= len(head) - 3 else "\0"
    if all(character.isprintable() or character.isspace() for character in text):
        return "holds text, not an image"
    return "its content is not an image"


def _reason(error: Exception) -> str:
    """A library's message in brackets where it is written for users, else an empty string."""
    from PIL import UnidentifiedImageError

    # The message of a KeyError, say, means something only to the author of the library.
    for_users = isinstance(error, (OSError, RuntimeError, SyntaxError, ValueError))
    if not for_users or isinstance(error, UnidentifiedImageError):
        return ""
    line = str(error).strip().partition("\n")[0]
    return f" ({line})" if line else ""
