"""Formats without a chapter of their own are read with all their bits, or refused with what to do."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import hdr
from PIL import Image as pillow

import scenes
from scenes.errors import BadInput
from scenes.image.signal import Image, open_image

imagecodecs = pytest.importorskip("imagecodecs")

FIXTURES = Path(__file__).parents[2] / "fixtures" / "images"


@pytest.fixture
def picture(astronaut: np.ndarray) -> np.ndarray:
    """`[32, 48, 3]` uint8."""
    return np.ascontiguousarray(astronaut[80:112, 200:248])


def opened(path: Path) -> Image:
    assert scenes.recognise(path)[0] == "image"
    signal = scenes.load(path)
    assert isinstance(signal, Image)
    return signal


@pytest.mark.parametrize("ending", ["tga", "pcx", "ppm", "sgi", "qoi", "dds", "bmp", "jp2", "ico", "icns", "dib"])
def test_formats_of_pillow_are_read(tmp_path: Path, picture: np.ndarray, ending: str):
    path = tmp_path / f"a.{ending}"
    square = picture[:, :32] if ending in ("ico", "icns") else picture
    options = {"irreversible": False} if ending == "jp2" else {"sizes": [(32, 32)]} if ending == "ico" else {}
    pillow.fromarray(square).save(path, **options)
    image = opened(path)
    colors = image.pixels[..., :3]
    assert colors.shape == square.shape or ending == "icns"
    assert ending == "icns" or np.array_equal(colors, square)


def test_the_largest_picture_of_an_icon_is_read(tmp_path: Path, astronaut: np.ndarray):
    pillow.fromarray(astronaut[:256, :256]).save(tmp_path / "a.ico", sizes=[(16, 16), (128, 128), (32, 32)])
    assert opened(tmp_path / "a.ico").pixels.shape[:2] == (128, 128)


def test_alpha_that_is_zero_everywhere_is_no_alpha(tmp_path: Path, picture: np.ndarray):
    """Programs that know no alpha leave the fourth byte of BMP and TGA at zero."""
    rgba = np.concatenate([picture, np.zeros((32, 48, 1), np.uint8)], -1)
    pillow.fromarray(rgba).save(tmp_path / "a.tga")
    image = opened(tmp_path / "a.tga")
    np.testing.assert_array_equal(image.pixels, picture)
    assert image.notes == ("its alpha is zero everywhere: read as opaque",)


def test_xbm_and_xpm_which_are_text_are_read(tmp_path: Path):
    pillow.fromarray(np.eye(16, dtype=bool)).save(tmp_path / "a.xbm")
    np.testing.assert_array_equal(opened(tmp_path / "a.xbm").pixels[..., 0] == 0, ~np.eye(16, dtype=bool))
    (tmp_path / "a.xpm").write_text(
        '/* XPM */\nstatic char *a[] = {\n"2 1 2 1",\n"a c #FF0000",\n"b c #0000FF",\n"ab"\n};\n'
    )
    assert opened(tmp_path / "a.xpm").pixels[..., :3].tolist() == [[[255, 0, 0], [0, 0, 255]]]


# Portable formats.


@pytest.mark.parametrize("kind", ["P1", "P2", "P3", "P4", "P5", "P6"])
@given(st.sampled_from([1, 100, 255, 1000, 65535]), st.integers(1, 19), st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_netpbm_keeps_every_value(tmp_path: Path, kind: str, largest: int, width: int, height: int, seed: int):
    channels = 3 if kind in ("P3", "P6") else 1
    largest = 1 if kind in ("P1", "P4") else largest
    values = np.random.default_rng(seed).integers(0, largest, (height, width, channels), endpoint=True)
    head = f"{kind}\n# a remark\n{width} {height}" + ("" if kind in ("P1", "P4") else f"\n{largest}") + "\n"
    if kind == "P4":
        body = np.packbits(values[..., 0].astype(bool), axis=1).tobytes()
    elif kind in ("P1", "P2", "P3"):
        body = " ".join(map(str, values.ravel())).encode()
    else:
        body = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    (tmp_path / "a.pnm").write_bytes(head.encode() + body)
    image = opened(tmp_path / "a.pnm")
    right = 1 - values if kind in ("P1", "P4") else values
    assert image.pixels.dtype == (np.uint16 if largest > 255 else np.uint8)
    full = np.iinfo(image.pixels.dtype).max
    np.testing.assert_array_equal(image.pixels, np.rint(right * (full / largest)))
    (tmp_path / "a.pnm").write_bytes(head.encode())
    with pytest.raises(BadInput, match="damaged or cut short"):
        open_image(tmp_path / "a.pnm")


def test_pam_keeps_alpha_and_16_bits(tmp_path: Path):
    values = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 2000
    head = b"P7\nWIDTH 3\nHEIGHT 2\nDEPTH 4\nMAXVAL 65535\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    (tmp_path / "a.pam").write_bytes(head + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(opened(tmp_path / "a.pam").pixels, values)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind, channels", [("PF", 3), ("Pf", 1)])
def test_pfm_of_both_orders_is_upright_linear_light(tmp_path: Path, order: str, kind: str, channels: int):
    light = np.random.default_rng(0).uniform(0, 90, (4, 5, channels)).astype(np.float32)
    head = f"{kind}\n5 4\n{'-' if order == '<' else ''}1.0\n".encode()
    (tmp_path / "a.pfm").write_bytes(head + light[::-1].astype(f"{order}f4").tobytes())
    image = opened(tmp_path / "a.pfm")
    assert image.channels.space == "linear"
    np.testing.assert_array_equal(image.values(), light)


@pytest.mark.parametrize(
    ("array", "dtype", "space"),
    [
        (np.full((6, 7, 3), 200, np.uint8), np.uint8, "srgb"),
        (np.full((6, 7, 3), 40000, ">u2"), np.uint16, "srgb"),
        (np.full((6, 7), 200, np.int64), np.uint8, "srgb"),
        (np.full((6, 7, 3), 300, np.int32), np.uint16, "srgb"),
        (np.ones((6, 7), bool), np.uint8, "srgb"),
        (np.full((6, 7, 3), 0.5, np.float16), np.float32, "srgb"),
        (np.full((6, 7, 4), 8.0, ">f8"), np.float32, "linear"),
        (np.full((6, 7, 3), -3, np.int16), np.float32, "linear"),
    ],
)
def test_arrays_of_odd_types_are_pictures(tmp_path: Path, array: np.ndarray, dtype: type, space: str):
    np.save(tmp_path / "a.npy", array)
    image = opened(tmp_path / "a.npy")
    assert image.pixels.dtype == dtype and image.channels.space == space
    right = array.astype(np.float64) * (255 if array.dtype == bool else 1)
    np.testing.assert_array_equal(image.pixels.squeeze(), right.squeeze())


def test_arrays_of_volumes_stay_volumes_and_others_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros((8, 9, 10), np.float32))
    assert scenes.recognise(tmp_path / "a.npy")[0] == "volume"
    with pytest.raises(BadInput, match="is no image; an image is"):
        scenes.load(tmp_path / "a.npy", "image")
    np.save(tmp_path / "a.npy", np.zeros((8, 9), complex))
    with pytest.raises(BadInput, match="complex128"):
        scenes.load(tmp_path / "a.npy")


# Radiance.

LIGHT = np.exp(np.random.default_rng(3).normal(size=(6, 20, 3)) * 2).astype(np.float32)


def rgbe_of(data: bytes) -> np.ndarray:
    """Stored pixels `[6, 20, 4]` of a file without run lengths."""
    return np.frombuffer(data[-480:], np.uint8).reshape(6, 20, 4)


def test_old_run_lengths_of_hdr_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs of one pixel by 1, 1, 1, N, and by two such pixels of which the second counts 256-fold."""
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 3 +X 400\n"
    first, second = bytes([100, 50, 25, 130]), bytes([10, 20, 30, 129])
    body = first + bytes([1, 1, 1, 99]) + second + bytes([1, 1, 1, 43, 1, 1, 1, 1]) + second + bytes([1, 1, 1, 255])
    body += first + bytes([1, 1, 1, 31, 1, 1, 1, 2])
    (tmp_path / "a.hdr").write_bytes(head + body)
    pixels = opened(tmp_path / "a.hdr").pixels.reshape(-1, 3)
    one, other = np.array([100, 50, 25]) / 64, np.array([10, 20, 30]) / 128
    np.testing.assert_allclose(pixels[:100], np.tile(one, (100, 1)))
    np.testing.assert_allclose(pixels[100:656], np.tile(other, (556, 1)))
    np.testing.assert_allclose(pixels[656:], np.tile(one, (1200 - 656, 1)))
    (tmp_path / "a.hdr").write_bytes(head + body[:-8])
    with pytest.raises(BadInput, match="it holds 657 of 1200 pixels"):
        open_image(tmp_path / "a.hdr")


def test_hdr_lines_may_end_as_on_windows(tmp_path: Path):
    data = hdr(LIGHT)
    (tmp_path / "a.hdr").write_bytes(data)
    body = data[-480:]
    (tmp_path / "b.hdr").write_bytes(data[:-480].replace(b"\n", b"\r\n") + body)
    np.testing.assert_array_equal(opened(tmp_path / "b.hdr").pixels, opened(tmp_path / "a.hdr").pixels)


def test_hdr_of_xyz_and_of_other_primaries_is_converted(tmp_path: Path):
    white = np.full((6, 20, 3), 0.5, np.float32)
    (tmp_path / "a.hdr").write_bytes(hdr(white, lines="FORMAT=32-bit_rle_xyze"))
    image = opened(tmp_path / "a.hdr")
    np.testing.assert_allclose(image.values(), 0.5, rtol=0.02)
    assert "CIE XYZ" in image.notes[0]
    lines = "FORMAT=32-bit_rle_rgbe\nPRIMARIES=0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290"
    (tmp_path / "b.hdr").write_bytes(hdr(LIGHT, lines=lines))
    (tmp_path / "c.hdr").write_bytes(hdr(LIGHT))
    image = opened(tmp_path / "b.hdr")
    assert "other than Rec. 709" in image.notes[0]
    assert np.abs(image.values() - opened(tmp_path / "c.hdr").values()).max() > 0.1


# Modern formats.


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_jpeg_xl_and_jpeg_2000_keep_every_bit(tmp_path: Path, picture: np.ndarray, dtype: type, channels: int):
    four = np.concatenate([picture, picture[..., :1]], -1)[..., :channels]
    pixels = four.astype(dtype) * dtype(1 if dtype == np.uint8 else 257)
    squeezed = pixels.squeeze()
    (tmp_path / "a.jxl").write_bytes(imagecodecs.jpegxl_encode(squeezed, lossless=True))
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(squeezed, codecformat="jp2", reversible=True, level=0))
    for name in ("a.jxl", "a.jp2"):
        np.testing.assert_array_equal(opened(tmp_path / name).pixels, pixels)


@pytest.mark.parametrize("name, deep", [("small.heic", False), ("deep.heic", True)])
def test_heic_of_8_and_10_bits_is_read(name: str, deep: bool, picture: np.ndarray):
    pytest.importorskip("pi_heif")
    image = opened(FIXTURES / name)
    assert image.pixels.dtype == (np.uint16 if deep else np.uint8)
    assert np.abs(image.values() - picture / 255).mean() < 0.03


def test_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with pytest.raises(BadInput, match=r"pip install 'field-studio\[heif\]'"):
        open_image(FIXTURES / "small.heic")


# What goes through imageio.


def ffmpeg_image(path: Path, codec: str, pixel_format: str, pixels: np.ndarray) -> Path:
    import av

    source = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream(codec, rate=1)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], pixel_format
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=source)))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("ending", "codec", "pixel_format", "dtype"),
    [
        ("dpx", "dpx", "rgb48be", np.uint16),
        ("sgi", "sgi", "rgb24", np.uint8),
        ("sgi", "sgi", "rgb48be", np.uint16),
        ("xwd", "xwd", "bgr24", np.uint8),
        ("ras", "sunrast", "bgr24", np.uint8),
    ],
)
def test_formats_that_pillow_lacks_or_rounds_go_through_imageio(
    tmp_path: Path, picture: np.ndarray, ending: str, codec: str, pixel_format: str, dtype: type
):
    pytest.importorskip("av")
    pixels = picture.astype(dtype) * dtype(1 if dtype == np.uint8 else 257)
    image = opened(ffmpeg_image(tmp_path / f"a.{ending}", codec, pixel_format, pixels))
    np.testing.assert_array_equal(image.pixels, pixels)


def psd(pixels: np.ndarray, resources: bytes = b"") -> bytes:
    """A Photoshop file with a merged picture only, without compression."""
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, height, width, bits, 3 if channels >= 3 else 1)
    planes = np.moveaxis(pixels, -1, 0).astype(pixels.dtype.newbyteorder(">")).tobytes()
    return head + bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(4) + bytes(2) + planes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_merged_picture_of_photoshop_keeps_its_bits_and_profile(tmp_path: Path, picture: np.ndarray, dtype: type):
    pixels = picture.astype(dtype) * dtype(1 if dtype == np.uint8 else 257)
    (tmp_path / "a.psd").write_bytes(psd(pixels))
    np.testing.assert_array_equal(opened(tmp_path / "a.psd").pixels, pixels)
    profile = imagecodecs.cms_profile("rgb", whitepoint=[0.3127, 0.3290, 1.0], gamma=1.0,
                                      primaries=[0.64, 0.33, 1.0, 0.30, 0.60, 1.0, 0.15, 0.06, 1.0])  # fmt: skip
    block = b"8BIM" + struct.pack(">HHI", 1039, 0, len(profile)) + profile + bytes(len(profile) % 2)
    (tmp_path / "b.psd").write_bytes(psd(pixels, block))
    image = opened(tmp_path / "b.psd")
    assert "converted from the colour profile" in image.notes[-1]
    assert image.values().mean() > pixels.mean() / np.iinfo(dtype).max + 0.1


def test_the_first_frame_of_an_animation_or_another(tmp_path: Path, picture: np.ndarray):
    buffer = io.BytesIO()
    frames = [pillow.fromarray(picture), pillow.fromarray(255 - picture)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True, duration=100)
    (tmp_path / "a.webp").write_bytes(buffer.getvalue())
    assert scenes.recognise(tmp_path / "a.webp") == ("video", "a WebP of 2 frames")
    np.testing.assert_array_equal(open_image(tmp_path / "a.webp", layer="2").pixels[..., :3], 255 - picture)
    with pytest.raises(BadInput, match="`layer=3`: it has the frames 1 to 2"):
        open_image(tmp_path / "a.webp", layer="3")
    (tmp_path / "a.ppm").write_bytes(b"P6 1 1 255 abc")
    with pytest.raises(BadInput, match="PNM files have no layers or pages"):
        open_image(tmp_path / "a.ppm", layer="2")
