"""JPEG as cameras, scanners and phones write it: markers, depths, codings, orientations, missing ends."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import chunk, png
from PIL import Image as pillow

from scenes.errors import BadInput
from scenes.image.jpeg import parse_frame
from scenes.image.signal import open_image

imagecodecs = pytest.importorskip("imagecodecs")


@pytest.fixture
def picture(astronaut: np.ndarray) -> np.ndarray:
    """`[40, 56, 3]` uint8."""
    return np.ascontiguousarray(astronaut[60:100, 180:236])


def jpeg(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    pillow.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def markers(data: bytes) -> list[int]:
    """Positions of the markers before the first scan."""
    found, position = [], 2
    while data[position + 1] != 0xDA:
        found.append(position)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return [*found, position]


@given(st.integers(1, 300), st.integers(0, 9))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fill_bytes_before_any_marker_are_read(tmp_path: Path, picture: np.ndarray, count: int, which: int):
    data = jpeg(picture)
    at = markers(data)[which % len(markers(data))]
    (tmp_path / "a.jpg").write_bytes(data)
    (tmp_path / "b.jpg").write_bytes(data[:at] + b"\xff" * count + data[at:])
    right, image = open_image(tmp_path / "a.jpg"), open_image(tmp_path / "b.jpg")
    np.testing.assert_array_equal(image.pixels, right.pixels)
    assert image.notes == ()


@given(st.binary(min_size=2, max_size=80))
@settings(deadline=None)
def test_any_bytes_have_a_frame_or_are_refused(content: bytes):
    with contextlib.suppress(ValueError, BadInput):
        parse_frame(b"\xff\xd8" + content)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"keep_rgb": True}])
def test_codings_of_8_bits(tmp_path: Path, picture: np.ndarray, options: dict):
    (tmp_path / "a.jpg").write_bytes(jpeg(picture, quality=95, **options))
    image = open_image(tmp_path / "a.jpg")
    with pillow.open(tmp_path / "a.jpg") as reference:
        np.testing.assert_array_equal(image.pixels, np.asarray(reference.convert("RGB")))


@pytest.mark.parametrize("channels", [1, 3])
def test_12_bits_are_kept(tmp_path: Path, picture: np.ndarray, channels: int):
    deep = (picture[..., :channels].astype(np.uint32) * 4095 // 255).astype(np.uint16).squeeze()
    (tmp_path / "a.jpg").write_bytes(imagecodecs.jpeg8_encode(deep, level=98, bitspersample=12))
    image = open_image(tmp_path / "a.jpg")
    assert image.pixels.dtype == np.uint16 and image.notes == ("12-bit extended JPEG",)
    assert np.abs(image.values() - picture[..., :channels] / 255).mean() < 0.02


def test_lossless_jpeg_and_jpeg_ls_keep_every_bit(tmp_path: Path, picture: np.ndarray):
    deep = picture[..., 0].astype(np.uint16) * 257
    for name, data in (
        ("a.jpg", imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=16)),
        ("a.jls", imagecodecs.jpegls_encode(deep)),
    ):
        (tmp_path / name).write_bytes(data)
        image = open_image(tmp_path / name)
        np.testing.assert_array_equal(image.pixels[..., 0], deep)


def test_a_missing_end_marker_is_noted_where_all_pixels_are_there(tmp_path: Path, picture: np.ndarray):
    data = jpeg(picture, quality=90)
    (tmp_path / "a.jpg").write_bytes(data)
    right = open_image(tmp_path / "a.jpg").pixels
    (tmp_path / "a.jpg").write_bytes(data[:-2])
    image = open_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(image.pixels, right)
    assert image.notes == ("its end marker is missing, but all pixels are there",)
    for missing in (12, 100, 400):
        (tmp_path / "a.jpg").write_bytes(data[:-missing])
        with pytest.raises(BadInput, match="the end is missing"):
            open_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes(jpeg(picture, progressive=True)[:-2])
    with pytest.raises(BadInput, match="the end is missing"):
        open_image(tmp_path / "a.jpg")


def test_cmyk_of_photoshop_is_not_inverted(tmp_path: Path):
    """Photoshop writes inverted ink and a marker of its own; red must not become cyan."""
    inks = pillow.new("CMYK", (32, 32), (0, 255, 255, 0))
    inks.save(tmp_path / "a.jpg", quality=95)
    data = (tmp_path / "a.jpg").read_bytes()
    assert b"Adobe" in data
    image = open_image(tmp_path / "a.jpg")
    assert np.abs(image.values()[16, 16] - [1, 0, 0]).max() < 0.03


def test_hierarchical_jpeg_and_heights_behind_the_pixels_are_refused_by_name(tmp_path: Path, picture: np.ndarray):
    data = bytearray(jpeg(picture))
    frame = data.find(b"\xff\xc0")
    data[frame + 1] = 0xC5
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BadInput, match="a hierarchical JPEG"):
        open_image(tmp_path / "a.jpg")
    data[frame + 1], data[frame + 5 : frame + 7] = 0xC0, b"\0\0"
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(BadInput, match="its height is written behind its pixels"):
        open_image(tmp_path / "a.jpg")


def test_a_gain_map_is_left_out_and_said(tmp_path: Path, picture: np.ndarray):
    data = jpeg(picture)
    note = b"http://ns.adobe.com/xap/1.0/\0<x xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'/>"
    segment = b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note
    (tmp_path / "a.jpg").write_bytes(data[:2] + segment + data[2:] + jpeg(picture[::2, ::2]))
    image = open_image(tmp_path / "a.jpg")
    assert image.pixels.shape == picture.shape
    assert image.notes == ("its HDR gain map is left out: the picture of standard range is read",)


# Orientation in odd places.

EXIF_6 = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
XMP_6 = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def orientation_chunks(kind: str) -> tuple[bytes, bytes]:
    """Chunks before and behind the pixels of a PNG that turn it by a quarter."""
    if kind == "behind":
        return b"", chunk(b"eXIf", EXIF_6)
    if kind == "xmp":
        return chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP_6), b""
    if kind == "text":
        block = b"Exif\0\0" + EXIF_6
        text = b"\nexif\n%8d\n" % len(block) + block.hex().encode()
        return chunk(b"tEXt", b"Raw profile type exif\0" + text), b""
    return chunk(b"eXIf", EXIF_6), b""


@pytest.mark.parametrize("kind", ["before", "behind", "xmp", "text"])
def test_png_is_turned_wherever_its_orientation_is_written(tmp_path: Path, picture: np.ndarray, kind: str):
    before, behind = orientation_chunks(kind)
    data = png(picture, extra=before)
    (tmp_path / "a.png").write_bytes(data[:-12] + behind + data[-12:])
    np.testing.assert_array_equal(open_image(tmp_path / "a.png").pixels, np.rot90(picture, -1))


def test_jpeg_is_turned_by_xmp_alone_and_nonsense_turns_nothing(tmp_path: Path, picture: np.ndarray):
    data = jpeg(picture, quality=95)
    packet = b"http://ns.adobe.com/xap/1.0/\0" + XMP_6
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + data[2:])
    assert open_image(tmp_path / "a.jpg").pixels.shape == (56, 40, 3)
    for value in (0, 9, 60000):
        exif = pillow.Exif()
        exif[0x0112] = value
        (tmp_path / "a.jpg").write_bytes(jpeg(picture, exif=exif))
        assert open_image(tmp_path / "a.jpg").pixels.shape == (40, 56, 3)
