"""Pictures as other programs write them: public reports rebuilt small, one parameter each (see tests/reported)."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import chunk, exr, gamma, icc, png
from PIL import Image as Pillow

from scenes.errors import BadInput
from scenes.image.encoding import PRIMARIES
from scenes.image.signal import Image, open_image

imagecodecs = pytest.importorskip("imagecodecs")

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Smooth, so that JPEG keeps it to within a few levels.
SMOOTH = np.stack(np.meshgrid(np.linspace(20, 230, 48), np.linspace(40, 200, 40)), axis=-1).astype(np.uint8)
SMOOTH = np.concatenate([SMOOTH, np.full((40, 48, 1), 90, np.uint8)], axis=2)


def jpeg(mode: str = "RGB", **options) -> bytes:
    content = io.BytesIO()
    Pillow.fromarray(SMOOTH).convert(mode).save(content, "JPEG", quality=98, subsampling=0, **options)
    return content.getvalue()


def segments(data: bytes) -> list[bytes]:
    """The segments of a JPEG before the scan, and the rest."""
    found, at = [data[:2]], 2
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append(data[at : at + size])
        at += size
    return [*found, data[at:]]


def without(data: bytes, marker: int) -> bytes:
    return b"".join(part for part in segments(data) if part[1] != marker)


def app(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def opened(tmp_path: Path, name: str, content: bytes) -> Image:
    (tmp_path / name).write_bytes(content)
    return open_image(tmp_path / name)


def adobe(data: bytes, version: int, transform: int) -> bytes:
    """With Adobe's segment in place of JFIF's."""
    head, *rest = segments(without(data, 0xE0))
    return head + app(0xEE, b"Adobe" + struct.pack(">HHHB", version, 0, 0, transform)) + b"".join(rest)


JPEGS = {
    "libjpeg 92": adobe(jpeg(keep_rgb=True), 101, 0),
    "zignal 431": adobe(jpeg(keep_rgb=True), 100, 0),
    "pdf.js 11794": jpeg(restart_marker_blocks=1),
    "jpeg-compressor 4": jpeg(restart_marker_rows=1, progressive=True),
    "libyami 801": jpeg()[:-2],
    "ImageSharp 721": jpeg().replace(b"JFIF\0", b"JFIX\0"),
    "stb 424": jpeg()[:2] + app(0xEF, b"unknown") + app(0xE9, b"") + jpeg()[2:],
    "Pillow's trailing bytes": jpeg() + b"\0" * 40 + b"not a picture",
}


@pytest.mark.parametrize("report", JPEGS)
def test_jpeg(tmp_path, report):
    image = opened(tmp_path, "a.jpg", JPEGS[report])
    assert np.abs(image.pixels.astype(int) - SMOOTH).max() <= 4


@pytest.mark.parametrize("report", ["WeasyPrint 2179", "jpeg-decoder 224"])
def test_cmyk_jpeg_with_and_without_the_segment_of_adobe(tmp_path, report):
    """Adobe's inks are inverted, and those of a file that does not name Adobe are not."""
    data = jpeg("CMYK")
    if report == "jpeg-decoder 224":
        inks = 255 - np.asarray(Pillow.fromarray(SMOOTH).convert("CMYK"))  # what Pillow stores, as Adobe does
        content = io.BytesIO()
        Pillow.frombytes("CMYK", SMOOTH.shape[1::-1], inks.tobytes()).save(content, "JPEG", quality=98, subsampling=0)
        data = without(content.getvalue(), 0xEE)
    image = opened(tmp_path, "a.jpg", data)
    assert np.abs(image.pixels.astype(int) - SMOOTH).max() <= 6 and "approximate" in image.notes[0]


def test_jpeg_without_a_frame_is_refused(tmp_path):
    """jpeg-decoder 39."""
    with pytest.raises(BadInput, match="a.jpg"):
        opened(tmp_path, "a.jpg", without(jpeg(), 0xC0))


def packed(color_type: int, depth: int, rows: list[bytes], *chunks: bytes, size: tuple[int, int] = (8, 2)) -> bytes:
    """A PNG of rows of packed bits."""
    head = struct.pack(">IIBBBBB", *size, depth, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return SIGNATURE + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


GREYS = [bytes(range(0, 80, 10)), bytes(range(80, 160, 10))]
BITS = [bytes([0b01100101]), bytes([0b10000001])]
PALETTE = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
ALPHA_OF_GREY = np.array([[255] * 3 + [0] + [255] * 4, [255] * 8])
# Report: the file, alpha `[2, 8]` that it has, or None.
PNGS = {
    "fast-png 31": (packed(0, 8, GREYS, chunk(b"tRNS", struct.pack(">H", 30))), ALPHA_OF_GREY),
    "w3c/png 29": (packed(0, 8, GREYS, chunk(b"tRNS", struct.pack(">H", 0xFF00 | 30))), ALPHA_OF_GREY),
    "zune-image 97": (
        packed(0, 1, BITS, chunk(b"tRNS", struct.pack(">H", 1))),
        255 - 255 * np.array([[0, 1, 1, 0, 0, 1, 0, 1], [1, 0, 0, 0, 0, 0, 0, 1]]),
    ),
    "imageformats 32": (
        packed(3, 8, [bytes([0, 1, 2, 0, 1, 2, 0, 1]), bytes(8)], PALETTE, chunk(b"tRNS", bytes([10, 20]))),
        np.array([[10, 20, 255, 10, 20, 255, 10, 20], [10] * 8]),
    ),
    "imagefmt 3": (packed(3, 2, [bytes([0b00011000, 0b01000110]), bytes(2)], PALETTE), None),
    "libspng 14": (packed(0, 8, GREYS, chunk(b"tEXt", b"a\0b")[:-1] + b"?"), None),
    "crengine 43": (packed(0, 8, GREYS, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))), None),
}  # fmt: skip


@pytest.mark.parametrize("report", PNGS)
def test_png(tmp_path, report):
    content, alpha = PNGS[report]
    pixels = opened(tmp_path, "a.png", content).pixels
    if alpha is None:
        assert pixels.shape[:2] == (2, 8) and pixels.shape[2] in (1, 3)
    else:
        np.testing.assert_array_equal(pixels[..., -1], alpha)
    if report == "imagefmt 3":
        np.testing.assert_array_equal(pixels[0, :4], np.eye(3, dtype=int)[[0, 1, 2, 0]] * 255)


def test_png_with_transparency_beside_alpha(tmp_path):
    """libspng 118: the alpha channel counts."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 4), np.uint8)
    image = opened(tmp_path, "a.png", png(pixels, extra=chunk(b"tRNS", bytes(6))))
    np.testing.assert_array_equal(image.pixels, pixels)


def test_png_that_is_transparent_all_over_keeps_its_alpha(tmp_path):
    """image-png 346: all entries of the palette are transparent, and so is the picture."""
    image = opened(tmp_path, "a.png", packed(3, 8, [bytes(8), bytes(8)], PALETTE, chunk(b"tRNS", bytes(3))))
    assert image.pixels.shape[2] == 4 and (image.pixels[..., 3] == 0).all() and (image.values() == 0).all()


def test_png_with_a_damaged_picture_is_refused(tmp_path):
    """libspng 14: a wrong sum of what is no picture is passed over, that of the picture is not."""
    content = bytearray(png(SMOOTH))
    content[content.index(b"IDAT") + 40] ^= 0xFF
    with pytest.raises(BadInput, match="damaged"):
        opened(tmp_path, "a.png", bytes(content))


def avif(**options) -> bytes:
    given = {
        "level": 100,
        "bitspersample": 8,
        "pixelformat": "444",
        "primaries": 1,
        "transfer": 13,
        "matrix": 6,
    } | options
    return imagecodecs.avif_encode(SMOOTH, **given)


@pytest.mark.parametrize(
    "report, options",
    [
        ("libheif 1417", {"primaries": 2, "transfer": 2, "matrix": 2}),
        ("libavif 243", {"matrix": 0}),
        ("libheif 279", {"matrix": 1}),
        ("libheif 288", {"matrix": 9, "primaries": 1}),
    ],
)
def test_avif_whose_colors_are_srgb(tmp_path, report, options):
    image = opened(tmp_path, "a.avif", avif(**options))
    assert np.abs(image.pixels.astype(int) - SMOOTH).max() <= 3 and image.notes == ()


@pytest.mark.parametrize(
    "report, primaries, transfer, words",
    [
        ("libvips 3731", 6, 13, "Rec. 601 (525 lines)"),
        ("libavif 98", 12, 13, "Display P3"),
        ("ImageMagick 7715", 9, 18, "Rec. 2020 HLG"),
        ("libvips 3912", 9, 16, "Rec. 2020 PQ"),
    ],
)
def test_avif_whose_colors_are_others(tmp_path, report, primaries, transfer, words):
    image = opened(tmp_path, "a.avif", avif(primaries=primaries, transfer=transfer))
    assert words in image.notes[0]
    assert image.channels.space == ("linear" if transfer in (16, 18) else "srgb")


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("name", ["a.avif", "a.webp"])
def test_avif_and_webp_are_turned_once(tmp_path, name, orientation):
    """libheif's irot and imir, EXIF in WebP: not turned twice, and not left as they lie."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    form = {"quality": 100, "subsampling": "4:4:4"} if name == "a.avif" else {"lossless": True}
    Pillow.fromarray(SMOOTH).save(tmp_path / name, exif=exif, **form)
    turned = np.rot90(SMOOTH, {3: 2, 6: -1, 8: 1}[orientation])
    image = open_image(tmp_path / name)
    assert image.pixels.shape == turned.shape and np.abs(image.pixels.astype(int) - turned).max() <= 6


def test_webp_keeps_hidden_colors_away_and_profiles_are_converted(tmp_path):
    """libwebp's `exact`: what transparent pixels hide is fitted as nothing; a wide profile is converted."""
    pixels = np.dstack([SMOOTH, np.where(np.arange(48) < 24, 0, 255)[None].repeat(40, 0).astype(np.uint8)])
    profile = icc(gamma(2.2), PRIMARIES[12][1])
    Pillow.fromarray(pixels).save(tmp_path / "a.webp", lossless=True, exact=True, icc_profile=profile)
    image = open_image(tmp_path / "a.webp")
    assert (image.values()[:, :24] == 0).all() and "converted from the colour profile" in image.notes[0]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("names", ["R", "RG", "RGBA", "Y", "YA"])
def test_exr_channels(tmp_path, names, kind):
    """OpenUSD 2800: one, two and four channels; two that are no picture are refused by name."""
    values = {name: np.full((4, 6), 0.25 * (place + 1), kind) for place, name in enumerate(names)}
    path = exr(tmp_path / "a.exr", values)
    if names == "RG":
        with pytest.raises(BadInput, match="its channels are G, R"):
            open_image(path)
        return
    found = open_image(path).pixels[0, 0]
    if names in ("RGBA", "YA"):
        assert found[-1] == pytest.approx(0.25 * len(names)) and len(found) == len(names)
    assert found[0] == pytest.approx(0.25) and np.isfinite(found).all()


def test_an_unfinished_exr_is_refused(tmp_path):
    """OpenImageIO 4734: a render that was stopped; the lines that are there are no picture."""
    path = exr(tmp_path / "a.exr", {name: np.random.default_rng(0).random((64, 64), np.float32) for name in "RGB"})
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadInput, match="damaged or cut short"):
        open_image(path)


@pytest.mark.parametrize(
    "options", [{}, {"tile": (16, 16)}, {"planarconfig": "separate"}, {"byteorder": ">"}, {"bigtiff": True}]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_predictors(tmp_path, dtype, options):
    """TwelveMonkeys 77 and 972, geotiff.js 27 and 111, TiffImages.jl 144, RawTherapee 4377 and others."""
    tifffile = pytest.importorskip("tifffile")
    pixels = (
        np.random.default_rng(0).random((40, 48, 3)) * (1 if dtype == np.float32 else np.iinfo(dtype).max)
    ).astype(dtype)
    stored = pixels.transpose(2, 0, 1) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", compression="zlib", predictor=True, **options)
    np.testing.assert_array_equal(open_image(tmp_path / "a.tif").pixels, pixels)
