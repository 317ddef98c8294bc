"""Image files of every format are read with all their bits, upright and in sRGB or linear light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from image_files import ADAM7, chunk, exr, hdr, packed_png, png
from PIL import Image as pillow

from scenes.image.signal import Image, open_image

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")


@pytest.fixture
def small(astronaut: np.ndarray) -> np.ndarray:
    """`[30, 41, 3]` uint8; rows and columns differ, so they cannot be confused."""
    return np.ascontiguousarray(astronaut[80:110, 200:241])


def save(path: Path, image: pillow.Image, **options) -> Image:
    """Write a file with Pillow and open it."""
    image.save(path, **options)
    return open_image(path)


# PNG.


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_keeps_every_bit(tmp_path: Path, channels: int, dtype: type, interlaced: bool):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (13, 9, channels), dtype, endpoint=True)
    (tmp_path / "a.png").write_bytes(png(pixels, interlaced))
    image = open_image(tmp_path / "a.png")
    assert image.pixels.dtype == dtype and np.array_equal(image.pixels, pixels)
    assert image.channels.space == "srgb" and image.notes == ()


def test_the_interlaced_test_files_hold_every_pixel_once():
    seen = np.zeros((13, 9), int)
    for y, dy, x, dx in ADAM7:
        seen[y::dy, x::dx] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_png_of_few_bits_is_scaled_to_eight(tmp_path: Path, depth: int):
    values = np.arange(21).reshape(3, 7) % 2**depth
    (tmp_path / "a.png").write_bytes(packed_png(values, depth))
    assert np.array_equal(open_image(tmp_path / "a.png").pixels[..., 0], values * 255 // (2**depth - 1))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transparent_color_becomes_alpha(tmp_path: Path, dtype: type):
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], dtype)
    extra = chunk(b"tRNS", np.array([4, 5, 6], ">u2").tobytes())
    (tmp_path / "a.png").write_bytes(png(pixels, extra=extra))
    image = open_image(tmp_path / "a.png")
    assert image.pixels.tolist() == [[[1, 2, 3, np.iinfo(dtype).max], [4, 5, 6, 0]]]
    assert (image.values()[0, 1] == 0).all()


def test_palettes_become_rgb(tmp_path: Path, small: np.ndarray):
    palette = pillow.fromarray(small).quantize(20)
    colors = np.asarray(palette.convert("RGB"))
    assert np.array_equal(save(tmp_path / "a.png", palette).pixels, colors)
    assert np.array_equal(save(tmp_path / "a.gif", palette).pixels, colors)
    assert np.array_equal(save(tmp_path / "a.tif", palette).pixels, colors)
    index = int(np.asarray(palette)[0, 0])
    for ending in ("png", "gif"):
        image = save(tmp_path / f"t.{ending}", palette, transparency=index)
        assert image.channels.names[-1] == "alpha" and image.pixels[0, 0, 3] == 0
        assert np.array_equal(image.pixels[..., 3] == 0, np.asarray(palette) == index)


# Formats that Pillow writes and reads.


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_is_decoded_as_by_pillow(tmp_path: Path, small: np.ndarray, mode: str, options: dict):
    image = save(tmp_path / "a.jpg", pillow.fromarray(small).convert(mode), **options)
    with pillow.open(tmp_path / "a.jpg") as reference:
        assert np.array_equal(image.pixels.squeeze(), np.asarray(reference))


def test_cmyk_is_converted_to_rgb(tmp_path: Path, small: np.ndarray):
    cmyk = pillow.fromarray(small).convert("CMYK")
    for ending, tolerance in (("jpg", 12), ("tif", 0)):
        image = save(tmp_path / f"a.{ending}", cmyk)
        assert image.channels.names == ("red", "green", "blue")
        assert any("CMYK" in note and "approximate" in note for note in image.notes)
        assert np.abs(image.pixels.astype(int) - np.asarray(cmyk.convert("RGB"))).mean() <= tolerance


@pytest.mark.parametrize(
    "ending, options",
    [
        ("webp", {"lossless": True}),
        ("webp", {"quality": 95}),
        ("avif", {"quality": 95}),
        ("bmp", {}),
    ],
)
def test_webp_avif_and_bmp_are_read(tmp_path: Path, small: np.ndarray, ending: str, options: dict):
    image = save(tmp_path / f"a.{ending}", pillow.fromarray(small), **options)
    assert image.pixels.shape == small.shape and image.notes == ()
    error = np.abs(image.pixels.astype(int) - small)
    assert error.max() == 0 if options.get("lossless") or ending == "bmp" else error.mean() < 6


@pytest.mark.parametrize("ending", ["webp", "avif"])
def test_webp_and_avif_keep_alpha(tmp_path: Path, small: np.ndarray, ending: str):
    rgba = np.concatenate([small, np.full((30, 41, 1), 100, np.uint8)], axis=-1)
    image = save(tmp_path / f"a.{ending}", pillow.fromarray(rgba), quality=95)
    assert image.channels.names[-1] == "alpha" and np.abs(image.pixels[..., 3].astype(int) - 100).max() <= 2


def test_avif_of_more_than_8_bits_keeps_them(tmp_path: Path, small: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    deep = small.astype(np.uint16) * 4 + 1
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(deep, level=95, bitspersample=10))
    image = open_image(tmp_path / "a.avif")
    assert image.notes == () and image.pixels.dtype == np.uint16
    assert np.abs(image.pixels / 64 - deep).mean() < 20
    assert len(np.unique(image.pixels)) > 256
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert "10 bits per channel are rounded to 8: imagecodecs is not installed" in open_image(tmp_path / "a.avif").notes


@pytest.mark.parametrize("ending, word", [("gif", "frames"), ("webp", "frames"), ("png", "frames"), ("tif", "pages")])
def test_the_first_of_many_frames_is_used_and_noted(tmp_path: Path, small: np.ndarray, ending: str, word: str):
    first, second = pillow.fromarray(small), pillow.fromarray(255 - small)
    image = save(tmp_path / f"a.{ending}", first, save_all=True, append_images=[second, first])
    assert any(note.startswith(f"3 {word}, the first is used (`layer=2` takes the ") for note in image.notes)
    assert np.abs(image.pixels[..., :3].astype(int) - small).mean() < 12


def test_the_content_decides_and_a_wrong_name_is_noted(tmp_path: Path, small: np.ndarray):
    pillow.fromarray(small).save(tmp_path / "a.gif")
    (tmp_path / "a.gif").rename(tmp_path / "a.jpg")
    image = open_image(tmp_path / "a.jpg")
    assert image.pixels.shape == small.shape
    assert image.notes == ("named .jpg, but the content is GIF, and read as that",)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, ending: str, orientation: int):
    """An image of 3 x 2 squares: red at the top left, green at the top right, blue at the bottom left."""
    upright = np.repeat(
        np.repeat(
            np.array(
                [[[255, 0, 0], [255, 255, 255], [0, 255, 0]], [[0, 0, 255], [255, 255, 255], [0, 0, 0]]], np.uint8
            ),
            16,
            0,
        ),
        16,
        1,
    )
    flip = pillow.Transpose
    stored_as = [
        None,
        flip.FLIP_LEFT_RIGHT,
        flip.ROTATE_180,
        flip.FLIP_TOP_BOTTOM,
        flip.TRANSPOSE,
        flip.ROTATE_90,
        flip.TRANSVERSE,
        flip.ROTATE_270,
    ][orientation - 1]
    stored = pillow.fromarray(upright)
    stored = stored if stored_as is None else stored.transpose(stored_as)
    exif = pillow.Exif()
    exif[0x0112] = orientation
    image = save(tmp_path / f"a.{ending}", stored, exif=exif)
    assert image.pixels.shape == upright.shape
    centres = image.pixels[8::16, 8::16].astype(int)
    assert np.abs(centres - upright[8::16, 8::16]).max() < 30


@pytest.mark.parametrize("options", [{"compression": "tiff_lzw"}, {}])
def test_tiffs_that_pillow_reads_are_turned_upright(tmp_path: Path, small: np.ndarray, options: dict):
    """Pillow (13.0) garbles such files without compression when it is given their name."""
    exif = pillow.Exif()
    exif[0x0112] = 6
    palette = pillow.fromarray(small).quantize(20)
    image = save(tmp_path / "a.tif", palette.transpose(pillow.Transpose.ROTATE_90), exif=exif, **options)
    assert np.array_equal(image.pixels, np.asarray(palette.convert("RGB")))


# Colour profiles.


def gamma_profile(kind: str) -> bytes:
    """Adobe RGB's primaries, or grey, with a plain power curve."""
    if kind == "gray":
        return imagecodecs.cms_profile("gray", gamma=1.0)
    return imagecodecs.cms_profile(
        "rgb",
        whitepoint=[0.3127, 0.3290, 1.0],
        gamma=2.19921875,
        primaries=[0.64, 0.33, 1.0, 0.21, 0.71, 1.0, 0.15, 0.06, 1.0],
    )


def adobe_to_srgb(values: np.ndarray) -> np.ndarray:
    """The conversion by its definition. The two spaces share the primaries of red and blue, and white."""
    light = values**2.19921875
    to_xyz_adobe = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_xyz_srgb = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])
    light = np.clip(light @ (np.linalg.inv(to_xyz_srgb) @ to_xyz_adobe).T, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("dtype, tolerance", [(np.uint8, 2.2 / 255), (np.uint16, 0.6 / 255)])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_color_profiles_are_converted_to_srgb(tmp_path: Path, dtype: type, tolerance: float, ending: str):
    top = np.iinfo(dtype).max
    values = np.random.default_rng(0).uniform(0.2, 0.8, (20, 30, 3))
    pixels = np.concatenate([np.rint(values * top), np.full((20, 30, 1), top // 3)], axis=-1).astype(dtype)
    if ending == "png":
        import zlib

        extra = chunk(b"iCCP", b"adobe\0\0" + zlib.compress(gamma_profile("rgb")))
        (tmp_path / "a.png").write_bytes(png(pixels, extra=extra))
    else:
        tifffile.imwrite(
            tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unassalpha"], iccprofile=gamma_profile("rgb")
        )
    image = open_image(tmp_path / f"a.{ending}")
    assert len(image.notes) == 1 and image.notes[0].startswith("converted from the colour profile")
    reference = adobe_to_srgb(values)
    inside = ((reference > 0.15) & (reference < 0.98)).all(axis=-1)  # towards black the curve magnifies rounding
    assert inside.sum() > 200
    assert np.abs(image.pixels[..., :3] / top - reference)[inside].max() < tolerance
    assert (image.pixels[..., 3] == top // 3).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_profiles_are_converted_to_srgb(tmp_path: Path, dtype: type):
    top = np.iinfo(dtype).max
    pixels = np.array([[top // 4, top // 2]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", iccprofile=gamma_profile("gray"))
    image = open_image(tmp_path / "a.tif")
    assert image.channels.names == ("grey",)
    assert np.allclose(image.pixels[0, :, 0] / top, 1.055 * np.array([0.25, 0.5]) ** (1 / 2.4) - 0.055, atol=0.012)


def test_the_srgb_profile_changes_nothing(tmp_path: Path, small: np.ndarray):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = save(tmp_path / "a.png", pillow.fromarray(small), icc_profile=profile)
    assert np.array_equal(image.pixels, small) and image.notes == ()


@pytest.mark.parametrize("profile", [b"nonsense" * 40, None])
def test_profiles_that_cannot_be_used_are_noted_and_ignored(tmp_path: Path, small: np.ndarray, profile: bytes | None):
    image = save(tmp_path / "a.png", pillow.fromarray(small), icc_profile=profile or gamma_profile("gray"))
    assert np.array_equal(image.pixels, small)
    assert len(image.notes) == 1 and "profile" in image.notes[0] and "ignored" in image.notes[0]


def test_converting_a_profile_does_not_depend_on_the_size_of_strips(tmp_path: Path, astronaut: np.ndarray, monkeypatch):
    from scenes.image import storage

    save(tmp_path / "a.jpg", pillow.fromarray(astronaut), icc_profile=gamma_profile("rgb"))
    whole = open_image(tmp_path / "a.jpg").pixels
    monkeypatch.setattr(storage, "STRIP_PIXELS", 7000)
    assert np.array_equal(open_image(tmp_path / "a.jpg").pixels, whole)


# TIFF.


def write_tiff(path: Path, array: np.ndarray, **options) -> Image:
    options.setdefault("photometric", "rgb" if array.ndim == 3 else "minisblack")
    tifffile.imwrite(path, array, **options)
    return open_image(path)


VALUES = np.random.default_rng(1).integers(0, 2**16, (20, 33, 3), np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"rowsperstrip": 7},
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_keeps_every_bit(tmp_path: Path, dtype: type, options: dict):
    pixels = VALUES.astype(dtype) - (0 if dtype != np.float32 else 5000)
    image = write_tiff(tmp_path / "a.tif", pixels, **options)
    assert image.pixels.dtype == dtype and np.array_equal(image.pixels, pixels)
    assert image.channels.space == ("linear" if dtype == np.float32 else "srgb") and image.notes == ()


def test_tiff_of_separate_planes_is_interleaved(tmp_path: Path):
    image = write_tiff(tmp_path / "a.tif", np.ascontiguousarray(np.moveaxis(VALUES, -1, 0)), planarconfig="separate")
    assert np.array_equal(image.pixels, VALUES)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16])
def test_tiff_of_other_types_becomes_float(tmp_path: Path, dtype: type):
    pixels = (VALUES[..., 0] // 4).astype(dtype)
    image = write_tiff(tmp_path / "a.tif", pixels)
    assert image.pixels.dtype == np.float32 and image.channels.space == "linear"
    assert np.array_equal(image.pixels[..., 0], pixels.astype(np.float32))
    assert bool(image.notes) == (dtype == np.int16)


def test_tiff_of_other_depths_is_scaled_to_8_or_16_bits(tmp_path: Path):
    twelve = VALUES[..., 0] >> 4
    image = write_tiff(tmp_path / "a.tif", twelve, bitspersample=12)
    assert np.array_equal(image.pixels[..., 0], np.rint(twelve * (65535 / 4095)))
    bits = VALUES[..., 0] > 30000
    assert np.array_equal(write_tiff(tmp_path / "b.tif", bits).pixels[..., 0], bits * 255)
    wide = VALUES.astype(np.uint32) * 65537
    image = write_tiff(tmp_path / "c.tif", wide)
    assert np.array_equal(image.pixels, VALUES) and any("32-bit" in note for note in image.notes)


def test_tiff_with_white_as_zero_is_inverted(tmp_path: Path):
    grey = VALUES[..., 0]
    assert np.array_equal(write_tiff(tmp_path / "a.tif", grey, photometric="miniswhite").pixels[..., 0], 65535 - grey)


@pytest.mark.parametrize("meaning, premultiplied", [("unassalpha", False), ("assocalpha", True)])
def test_tiff_alpha_is_straight_or_premultiplied_as_its_tag_says(tmp_path: Path, meaning: str, premultiplied: bool):
    pixels = np.array([[[1000, 2000, 3000, 6553]]], np.uint16)
    values = write_tiff(tmp_path / "a.tif", pixels, extrasamples=[meaning]).values()[0, 0]
    color = pixels[0, 0, :3] / 65535 * (1 if premultiplied else 6553 / 65535)
    assert np.allclose(values, [*color, 6553 / 65535], rtol=1e-5)


def test_tiff_with_more_channels_ignores_and_notes_them(tmp_path: Path):
    five = np.concatenate([VALUES, VALUES[..., :2]], axis=-1)
    image = write_tiff(tmp_path / "a.tif", five)
    assert np.array_equal(image.pixels, VALUES) and "ignored: 2 more channels" in image.notes


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "group4", "packbits"])
def test_tiff_compressed_as_by_scanners_is_read(tmp_path: Path, small: np.ndarray, compression: str):
    scan = pillow.fromarray(small).convert("1" if compression == "group4" else "RGB")
    image = save(tmp_path / "a.tif", scan, compression=compression)
    reference = np.asarray(scan.convert("L"))[..., None] if compression == "group4" else small
    assert np.abs(image.pixels.astype(int) - reference).mean() <= (6 if compression == "jpeg" else 0)


# EXR.

PLANE = (np.random.default_rng(2).normal(size=(17, 23)) * 50).astype(np.float32)


@pytest.mark.parametrize("names", [["Y"], ["Y", "A"], ["R", "G", "B"], ["R", "G", "B", "A"]])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_exr_keeps_every_bit(tmp_path: Path, names: list[str], dtype: type):
    planes = {name: (PLANE + index).astype(dtype) for index, name in enumerate(names)}
    image = open_image(exr(tmp_path / "a.exr", planes))
    assert image.pixels.dtype == np.float32 and image.channels.space == "linear"
    for index, name in enumerate(names):
        assert np.array_equal(image.values()[..., index], planes[name].astype(np.float32))
    assert (
        image.channels.names
        == {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}[
            len(names)
        ]
    )
    assert image.notes == ()


def test_exr_colors_are_premultiplied_already(tmp_path: Path):
    image = open_image(exr(tmp_path / "a.exr", {"R": PLANE, "G": PLANE, "B": PLANE, "A": np.full_like(PLANE, 0.5)}))
    assert np.array_equal(image.values()[..., 0], PLANE)


def test_exr_of_one_channel_is_grey(tmp_path: Path):
    image = open_image(exr(tmp_path / "a.exr", {"depth.Z": PLANE}))
    assert np.array_equal(image.pixels[..., 0], PLANE) and "the channel depth.Z is read as grey" in image.notes


def test_tiled_exr_is_read(tmp_path: Path):
    import OpenEXR

    path = exr(
        tmp_path / "a.exr", dict.fromkeys("RGB", PLANE), type=OpenEXR.tiledimage, tiles=OpenEXR.TileDescription()
    )
    assert np.array_equal(open_image(path).pixels[..., 1], PLANE)


def test_reading_exr_does_not_depend_on_the_size_of_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from scenes.image import storage

    monkeypatch.setattr(storage, "STRIP_PIXELS", 100)
    assert np.array_equal(open_image(exr(tmp_path / "a.exr", {"Y": PLANE})).pixels[..., 0], PLANE)


# HDR.

LIGHT = np.exp(np.random.default_rng(3).normal(size=(12, 20, 3)) * 3).astype(np.float32)


def test_hdr_is_exact_within_its_precision(tmp_path: Path):
    (tmp_path / "a.hdr").write_bytes(hdr(LIGHT))
    image = open_image(tmp_path / "a.hdr")
    assert image.pixels.dtype == np.float32 and image.channels.space == "linear" and image.notes == ()
    assert (np.abs(image.pixels - LIGHT) <= LIGHT.max(axis=-1, keepdims=True) / 127).all()


@pytest.mark.parametrize(
    "resolution, undo",
    [
        ("-Y 12 +X 20", lambda a: a),
        ("-Y 12 -X 20", lambda a: a[:, ::-1]),
        ("+Y 12 +X 20", lambda a: a[::-1]),
        ("+Y 12 -X 20", lambda a: a[::-1, ::-1]),
        ("+X 12 -Y 20", lambda a: a.transpose(1, 0, 2)),
        ("-X 12 -Y 20", lambda a: a.transpose(1, 0, 2)[:, ::-1]),
        ("+X 12 +Y 20", lambda a: a.transpose(1, 0, 2)[::-1]),
        ("-X 12 +Y 20", lambda a: a.transpose(1, 0, 2)[::-1, ::-1]),
    ],
)
def test_hdr_of_every_orientation_is_turned_upright(tmp_path: Path, resolution: str, undo):
    (tmp_path / "a.hdr").write_bytes(hdr(LIGHT))
    (tmp_path / "b.hdr").write_bytes(hdr(LIGHT, resolution))
    assert np.array_equal(open_image(tmp_path / "b.hdr").pixels, undo(open_image(tmp_path / "a.hdr").pixels))


def test_hdr_is_divided_by_its_exposure_which_is_noted(tmp_path: Path):
    (tmp_path / "a.hdr").write_bytes(hdr(LIGHT))
    (tmp_path / "b.hdr").write_bytes(hdr(LIGHT, lines="EXPOSURE=2\n# a remark\nFORMAT=32-bit_rle_rgbe\nEXPOSURE= 2.0"))
    image = open_image(tmp_path / "b.hdr")
    assert np.allclose(image.pixels * 4, open_image(tmp_path / "a.hdr").pixels) and "exposure of 4" in image.notes[0]


# Sizes.


@pytest.mark.parametrize("height, width", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif", "tif", "gif", "bmp", "exr", "hdr"])
def test_images_of_one_row_or_column_are_read(tmp_path: Path, ending: str, height: int, width: int):
    from scenes.domain import Channels
    from scenes.image.signal import write_image

    pixels = np.full((height, width, 3), 128, np.uint8)
    path = tmp_path / f"a.{ending}"
    if ending in ("exr", "hdr"):
        write_image(path, pixels / np.float32(255), Channels(("red", "green", "blue"), "linear"))
    else:
        pillow.fromarray(pixels).save(path)
    image = open_image(path)
    assert image.pixels.shape == (height, width, 3)
    assert np.allclose(image.values(), 128 / 255, atol=0.01)
    coords, values = image.batch(0, 1000, 0)
    assert len(coords) == height * width and image.preview().shape == (height, width, 3)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "exr", "webp"])
def test_a_mapped_image_equals_one_in_ram(tmp_path: Path, astronaut: np.ndarray, ending: str):
    path = tmp_path / f"a.{ending}"
    if ending == "exr":
        exr(path, {name: astronaut[..., index].astype(np.float32) for index, name in enumerate("RGB")})
    else:
        pillow.fromarray(astronaut).save(path)
    in_ram, mapped = open_image(path), open_image(path, memory=1000)
    assert isinstance(mapped.pixels, np.memmap) and not isinstance(in_ram.pixels, np.memmap)
    assert np.array_equal(in_ram.pixels, mapped.pixels)
    assert all(np.array_equal(a, b) for a, b in zip(in_ram.batch(2, 1000, 0), mapped.batch(2, 1000, 0)))
    assert np.array_equal(in_ram.preview(64), mapped.preview(64))


def test_a_mapped_image_leaves_no_file(tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    image = open_image(photograph, memory=0)
    assert isinstance(image.pixels, np.memmap) and list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_memory_of_a_mapped_image_is_bounded(tmp_path: Path, ending: str):
    """A process that may take 18 MB more than it has opens, samples and previews an image of 27 MB."""
    y, x = np.mgrid[:3000, :3000]
    pixels = np.stack([x >> 4, y >> 4, (x + y) >> 5], axis=-1).astype(np.uint8)
    path = tmp_path / f"a.{ending}"
    pillow.fromarray(pixels).save(path, **{"compress_level": 1} if ending == "png" else {})
    code = f"""
import resource, sys
import imagecodecs, tifffile, PIL.Image, PIL.PngImagePlugin, PIL.JpegImagePlugin, scenes.image.read
from scenes.image.signal import open_image
from scenes.errors import BadInput
data = int(open('/proc/self/status').read().split('VmData:')[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + 18 * 2**20,) * 2)
image = open_image({str(path)!r}, memory=2**20)
image.batch(0, 65536, 0); image.preview(256)
print('bounded')
try: open_image({str(path)!r}, memory=2**30)
except BadInput as error: print(error)
"""
    root = Path(__file__).resolve().parents[3]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout
    assert out.startswith("bounded\n") and "does not fit into memory" in out


# Without the optional codecs.


def test_8_bit_images_open_without_imagecodecs(tmp_path: Path, small: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    from scenes.errors import BadInput

    (tmp_path / "a16.png").write_bytes(png(VALUES))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert np.array_equal(save(tmp_path / "a.png", pillow.fromarray(small)).pixels, small)
    assert save(tmp_path / "a.jpg", pillow.fromarray(small)).pixels.shape == small.shape
    with pytest.raises(BadInput, match="a16.png: .*needs the package imagecodecs"):
        open_image(tmp_path / "a16.png")


# Real files.


@pytest.mark.parametrize(
    "name, shape, dtype, space",
    [
        ("kodim05.png", (512, 768, 3), np.uint8, "srgb"),
        ("kodim19.png", (768, 512, 3), np.uint8, "srgb"),
        ("flower_foveon.png", (1512, 2268, 3), np.uint8, "srgb"),
        ("wikipedia_008_chapel.png", (858, 1152, 3), np.uint8, "srgb"),
        ("earth_day_5400x2700.jpg", (2700, 5400, 3), np.uint8, "srgb"),
        ("albert.exr", (1024, 1024, 4), np.float32, "linear"),
        ("Desk.exr", (874, 644, 4), np.float32, "linear"),
    ],
)
def test_real_images_have_their_size_type_and_space(
    shared: Path, name: str, shape: tuple[int, ...], dtype: type, space: str
):
    image = open_image(shared / "images" / name)
    assert image.pixels.shape == shape and image.pixels.dtype == dtype and image.channels.space == space
    assert image.notes == ()


def test_a_real_hdr_image_keeps_its_range(shared: Path):
    values = open_image(shared / "images" / "Desk.exr").values()
    assert values.max() > 200 and -0.02 < values.min() < 0
