"""Read image files: the content decides which library reads a file, never its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.orientation import apply_orientation
from scenes.image.profile import convert_colors
from scenes.image.refused import RAW_ADVICE, describe_other, raw_name
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
    "HEIC": [[(4, b"ftyphe")], [(4, b"ftypmif1")], [(4, b"ftypmsf1")]],
    "TIFF": [[(0, b"II*\0")], [(0, b"MM\0*")], [(0, b"II+\0")], [(0, b"MM\0+")]],
    "BMP": [[(0, b"BM"), (6, b"\0\0\0\0")], [(0, b"BM"), (12, b"\0\0"), (15, b"\0\0\0")]],
    "EXR": [[(0, b"\x76\x2f\x31\x01")]],
    "HDR": [[(0, b"#?RADIANCE")], [(0, b"#?RGBE")], [(0, b"#?AUTOPANO")]],
    "JXL": [[(0, b"\xff\x0a")], [(0, b"\0\0\0\x0cJXL \r\n\x87\n")]],
    "JPEG2000": [[(0, b"\0\0\0\x0cjP  \r\n\x87\n")], [(0, b"\xff\x4f\xff\x51")]],
    "JPEG-XR": [[(0, b"II\xbc")]],
    "PNM": [[(0, b"P%d%c" % (kind, blank))] for kind in range(1, 8) for blank in b"\n\r\t #"],
    "PFM": [[(0, kind + blank)] for kind in (b"PF", b"Pf", b"PF4") for blank in (b"\n", b"\r", b" ", b"\t")],
    "NPY": [[(0, b"\x93NUMPY")]],
    "PSD": [[(0, b"8BPS\0\1")]],
    "DDS": [[(0, b"DDS ")]],
    "KTX2": [[(0, b"\xabKTX 20\xbb\r\n\x1a\n")]],
    "QOI": [[(0, b"qoif")]],
    "ICO": [[(0, b"\0\0\1\0"), (5, b"\0")]],
    "CUR": [[(0, b"\0\0\2\0"), (5, b"\0")]],
    "ICNS": [[(0, b"icns")]],
    "SGI": [[(0, b"\x01\xda\0")], [(0, b"\x01\xda\1")]],
    "SUN": [[(0, b"\x59\xa6\x6a\x95")]],
    "XPM": [[(0, b"/* XPM */")]],
    "DPX": [[(0, b"SDPX")], [(0, b"XPDS")]],
    "PCX": [
        [(0, b"\n" + version + b"\1" + bits)]
        for version in (b"\0", b"\2", b"\3", b"\5")
        for bits in (b"\1", b"\2", b"\4", b"\x08")
    ],
}
# Formats without a signature, which their ending has to name.
UNSIGNED = {
    ".tga": "TGA",
    ".icb": "TGA",
    ".vda": "TGA",
    ".vst": "TGA",
    ".xbm": "XBM",
    ".xwd": "XWD",
    ".pict": "PICT",
    ".dib": "DIB",
}
ENDINGS = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jls", ".mpo"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "HEIC": (".heic", ".heif", ".hif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "DIB": (".dib",),
    "EXR": (".exr",),
    "HDR": (".hdr", ".pic", ".rgbe"),
    "JXL": (".jxl",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
    "JPEG-XR": (".jxr", ".wdp"),
    "PNM": (".ppm", ".pgm", ".pbm", ".pnm", ".pam"),
    "PFM": (".pfm",),
    "NPY": (".npy",),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "KTX2": (".ktx2",),
    "QOI": (".qoi",),
    "ICO": (".ico",),
    "CUR": (".cur",),
    "ICNS": (".icns",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras", ".sun"),
    "XPM": (".xpm",),
    "DPX": (".dpx",),
    "PCX": (".pcx",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "XBM": (".xbm",),
    "XWD": (".xwd",),
    "PICT": (".pict",),
}
# Readers of our own as "module:function" within `scenes.image`; `read_other` reads the rest.
READERS = {
    "PNG": "png:read_png",
    "JPEG": "jpeg:read_jpeg",
    "TIFF": "tiff:read_tiff",
    "EXR": "exr:read_exr",
    "HDR": "hdr:read_hdr",
    "AVIF": "modern:read_avif",
    "HEIC": "modern:read_heic",
    "JXL": "modern:read_jpegxl",
    "JPEG2000": "modern:read_jpeg2000",
    "JPEG-XR": "modern:read_jpegxr",
    "PNM": "portable:read_pnm",
    "PFM": "portable:read_pfm",
    "KTX2": "ktx:read_ktx2",
    "NPY": "portable:read_npy",
}
# Formats in which `layer` chooses a layer, part, page or frame.
LAYERED = ("EXR", "TIFF", "PNG", "JPEG", "GIF", "WEBP", "AVIF", "HEIC", "PSD")
# Names of the formats in messages.
SUPPORTED = "PNG, JPEG, WebP, AVIF, TIFF, GIF, BMP, EXR, HDR and others"
DEFAULT_STORAGE = Storage()

Reader = Callable[[Path, Storage, str | None], DecodedImage]


def detect_format(head: bytes) -> str | None:
    """The format that a file's first bytes (64 are enough) announce, a key of `SIGNATURES`, or None."""
    for name, alternatives in SIGNATURES.items():
        if any(all(head.startswith(mark, offset) for offset, mark in marks) for marks in alternatives):
            return name
    return None


def read_image(
    path: Path,
    storage: Storage = DEFAULT_STORAGE,
    *,
    layer: str | None = None,
    ignore_profile: bool = False,
    upright: bool = True,
) -> DecodedImage:
    """Read the image in a file, upright, and in sRGB where its values are integers.

    Animations and multi-page files give their first frame. HDR curves (PQ, HLG) become linear light.

    Args:
        path: the file.
        storage: limit of pixels, and where they go.
        layer: name of an EXR file's layer or part; number from 1 of a page or frame. None: the usual one.
        ignore_profile: leave the colours as they are stored, without the file's profile, gamma or primaries.
        upright: turn the image as its orientation tag says; else the pixels stay as they are stored.

    Raises:
        BadInput: the file is damaged, cut short, too large or no image. The message is one line that begins with the
            path; the libraries' own messages are not printed.
    """
    head = read_head(path)
    format = detect_format(head)
    if format in (None, "ICO", "CUR"):  # the first bytes of TGA may be theirs
        format = UNSIGNED.get(path.suffix.lower(), format)
    if name := raw_name(head, path):
        raise BadInput(f"{path}: a camera raw file ({name}), which is not read: {RAW_ADVICE}")
    if format is None:
        raise BadInput(f"{path}: {describe_other(head)}; images that can be read are {SUPPORTED}")
    if layer is not None and format not in LAYERED:
        raise BadInput(f"{path}: `layer={layer}`: {format} files have no layers or pages; leave it out")
    try:
        with silence_libraries():
            decoded = _reader(format)(path, storage, layer)
            # The order of an HDR file's rows and columns is part of its format.
            _finish(decoded, storage, ignore_profile, upright or format == "HDR")
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


def _finish(decoded: DecodedImage, storage: Storage, ignore_profile: bool, upright: bool) -> None:
    """Convert the colors and turn the image, and add notes on that."""
    note = None if ignore_profile else convert_colors(decoded, storage)
    if note:
        decoded.notes.append(note if "ignored" in note else f"{note} (`ignore_profile` takes the values as stored)")
    if upright:
        decoded.pixels = apply_orientation(decoded.pixels, decoded.orientation, storage)


def _reader(format: str) -> Reader:
    """The reader of a format; its libraries are imported only now."""
    if format in READERS:
        module, _, function = READERS[format].partition(":")
        return getattr(import_module(f"scenes.image.{module}"), function)
    from scenes.image.other import read_other

    return lambda path, storage, layer: read_other(path, format, storage, layer)


def _reason(error: Exception) -> str:
    """A library's message in brackets where it is written for users, else an empty string."""
    from PIL import UnidentifiedImageError

    # The message of a KeyError, say, means something only to the author of the library.
    for_users = isinstance(error, (OSError, RuntimeError, SyntaxError, ValueError))
    if not for_users or isinstance(error, UnidentifiedImageError):
        return ""
    line = str(error).strip().partition("\n")[0]
    return f" ({line})" if line else ""
