"""Written images are read back as exactly as their format allows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_disk import file_size_limit

from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import quantize, srgb_to_linear, to_display, tone_map, unpremultiply
from scenes.image.signal import Image, check_image_writable, open_image, write_image

pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def channels(count: int, space: str) -> Channels:
    return Channels(NAMES[count], space, premultiplied=count in (2, 4))


def integers(count: int, top: int, height: int = 9, width: int = 14, seed: int = 0) -> np.ndarray:
    """Integers up to `top` with straight alpha, some pixels wholly and some partly transparent."""
    whole = np.random.default_rng(seed).integers(0, top, (height, width, count), np.uint16, endpoint=True)
    if count in (2, 4):
        whole[..., -1] = np.maximum(whole[..., -1], top // 3)
        whole[0] = 0
    return whole


@pytest.mark.parametrize(
    "ending, bits, dtype",
    [
        (".png", None, np.uint8),
        (".png", 8, np.uint8),
        (".png", 16, np.uint16),
        (".tif", None, np.uint8),
        (".tiff", 16, np.uint16),
        (".webp", None, np.uint8),
    ],
)
@given(count=st.integers(1, 4), height=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_integers_are_read_back_exactly(
    tmp_path: Path, ending: str, bits: int | None, dtype: type, count: int, height: int, width: int, seed: int
):
    whole = integers(count, np.iinfo(dtype).max, height, width, seed).astype(dtype)
    values = Image.from_array(whole).values()
    notes = write_image(tmp_path / f"a{ending}", values, channels(count, "srgb"), bits=bits, quality=100)
    back = open_image(tmp_path / f"a{ending}")
    if ending == ".webp" and count <= 2:  # has no grey
        whole = whole[..., [0, 0, 0, 1][: count + 2]]
    assert notes == [] and np.array_equal(back.pixels, whole)


@pytest.mark.parametrize(
    "ending, bits, tolerance",
    [
        (".exr", None, 0),
        (".exr", 32, 0),
        (".exr", 16, 1e-3),
        (".tif", None, 0),
        (".tif", 16, 1e-3),
    ],
)
@given(count=st.integers(1, 4), height=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_linear_light_is_read_back_exactly_or_as_half_floats(
    tmp_path: Path, ending: str, bits: int | None, tolerance: float, count: int, height: int, width: int, seed: int
):
    values = (np.random.default_rng(seed).normal(size=(height, width, count)) * 100).astype(np.float32)
    notes = write_image(tmp_path / f"a{ending}", values, channels(count, "linear"), bits=bits)
    back = open_image(tmp_path / f"a{ending}")
    assert notes == [] and back.channels == channels(count, "linear")
    assert (np.abs(back.values() - values) <= tolerance * np.abs(values)).all()


@given(count=st.integers(1, 4), height=st.integers(1, 12), width=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hdr_is_read_back_within_its_precision(tmp_path: Path, count: int, height: int, width: int, seed: int):
    values = np.exp(np.random.default_rng(seed).normal(size=(height, width, count)) * 3).astype(np.float32)
    notes = write_image(tmp_path / "a.hdr", values, channels(count, "linear"))
    back = open_image(tmp_path / "a.hdr").values()
    colors = values[..., : count - (count in (2, 4))]
    assert (np.abs(back - colors) <= np.maximum(colors.max(axis=-1, keepdims=True), 1e-9) / 127).all()
    assert bool(notes) == (count in (2, 4))


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("count", [1, 3])
def test_lossy_formats_are_read_back_closely(tmp_path: Path, astronaut: np.ndarray, ending: str, count: int):
    image = Image.from_array(astronaut[:100, 100:250, :count])
    assert write_image(tmp_path / f"a{ending}", image.values(), image.channels, quality=95) == []
    back = open_image(tmp_path / f"a{ending}")
    assert back.pixels.shape[:2] == (100, 150) and (back.pixels.shape[2] == count or ending == ".webp")
    assert np.abs(back.values()[..., :count] - image.values()).mean() < 0.015


def test_values_beyond_the_range_are_clipped(tmp_path: Path):
    values = np.array([[[-0.5], [0.5], [1.5], [np.nan], [np.inf]]], np.float32)
    for bits, expected in ((8, [0, 128, 255, 0, 255]), (16, [0, 32768, 65535, 0, 65535])):
        write_image(tmp_path / "a.png", values, channels(1, "srgb"), bits=bits)
        assert open_image(tmp_path / "a.png").pixels.ravel().tolist() == expected


def test_linear_light_is_tone_mapped_in_integer_formats(tmp_path: Path):
    values = np.array([[[-1.0, 0.0, 1.0], [100.0, 3.0, 0.25]]], np.float32)
    for ending in (".png", ".tif", ".jpg"):
        notes = write_image(tmp_path / f"a{ending}", values, channels(3, "linear"), quality=100)
        back = open_image(tmp_path / f"a{ending}")
        if ending == ".tif":
            assert back.pixels.dtype == np.float32 and notes == []
            continue
        assert notes == ["linear light is tone-mapped; EXR would keep it"]
        if ending == ".png":
            assert np.array_equal(back.pixels, quantize(tone_map(values), np.uint8))


def test_transparency_in_jpeg_is_composited_on_white(tmp_path: Path):
    values = np.zeros((16, 16, 4), np.float32)
    values[:, 8:] = [0.5, 0, 0, 0.5]  # premultiplied: half a bright red
    notes = write_image(tmp_path / "a.jpg", values, channels(4, "srgb"))
    back = open_image(tmp_path / "a.jpg").pixels.astype(int)
    assert notes == ["JPEG has no transparency: composited on white"]
    assert np.abs(back[4, 2] - 255).max() < 4 and np.abs(back[4, 13] - [255, 128, 128]).max() < 6


def test_exr_of_display_values_is_linear(tmp_path: Path):
    values = np.array([[[0.5, 0.25, 0.0, 0.5]]], np.float32)
    notes = write_image(tmp_path / "a.exr", values, channels(4, "srgb"))
    assert notes == ["sRGB is converted to linear light"]
    light = np.array([1.0, srgb_to_linear(np.float32(0.5)), 0.0]) * 0.5
    assert np.allclose(open_image(tmp_path / "a.exr").values()[0, 0], [*light, 0.5], atol=1e-6)


def test_values_beyond_half_floats_are_clipped(tmp_path: Path):
    write_image(tmp_path / "a.exr", np.full((1, 1, 1), 1e9, np.float32), channels(1, "linear"), bits=16)
    assert open_image(tmp_path / "a.exr").values().item() == 65504


def test_the_srgb_curve_has_its_defined_values():
    light = srgb_to_linear(np.array([0, 0.04045, 0.5, 1, -0.5]))
    assert np.allclose(light, [0, 0.0031308, 0.2140411, 1, -0.2140411], atol=1e-6)


def test_unpremultiplying_transparent_pixels_gives_zero():
    values = np.array([[0.0, 0.0], [0.1, 0.0], [0.1, -0.1], [0.2, 0.4]], np.float32)
    assert np.allclose(unpremultiply(values)[:, 0], [0, 0, 0, 0.5])


def test_to_display_repeats_grey_and_composites_on_the_background():
    shown = to_display(np.array([[[0.2, 0.5]]], np.float32), channels(2, "srgb"), 1.0)
    assert shown.shape == (1, 1, 3) and np.allclose(shown, 0.7)


def test_a_real_hdr_image_is_read_back_exactly_from_exr(tmp_path: Path, shared: Path):
    image = open_image(shared / "images" / "Desk.exr")
    write_image(tmp_path / "a.exr", image.values(), image.channels)
    assert np.array_equal(open_image(tmp_path / "a.exr").values(), image.values())


# Refusals.

VALUES = np.zeros((300, 300, 3), np.float32)
VALUES[...] = np.random.default_rng(0).random((300, 300, 3), np.float32)
ENDINGS = [".png", ".jpg", ".webp", ".tif", ".exr", ".hdr"]


@pytest.mark.parametrize("name", ["a.gif", "a.txt", "a", "png"])
def test_refuses_unknown_endings(tmp_path: Path, name: str):
    for attempt in (
        lambda: write_image(tmp_path / name, VALUES, channels(3, "srgb")),
        lambda: check_image_writable(tmp_path / name, channels(3, "srgb")),
    ):
        with pytest.raises(BadInput, match="images are not written as .*use .png"):
            attempt()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "ending, bits",
    [
        (".png", 12),
        (".jpg", 16),
        (".webp", 16),
        (".exr", 8),
        (".hdr", 16),
        (".tif", 32),
    ],
)
def test_refuses_bits_that_a_format_does_not_have(tmp_path: Path, ending: str, bits: int):
    with pytest.raises(BadInput, match=f"a{ending}: {bits} bits per channel cannot be written here"):
        write_image(tmp_path / f"a{ending}", VALUES, channels(3, "srgb"), bits=bits)
    assert os.listdir(tmp_path) == []


def test_refuses_values_that_do_not_match_the_channels(tmp_path: Path):
    with pytest.raises(ValueError, match=r"\[H, W, 4\]"):
        write_image(tmp_path / "a.png", VALUES, channels(4, "srgb"))


@pytest.mark.parametrize("ending, side, longest", [(".webp", 16384, 16383), (".jpg", 65536, 65535)])
def test_refuses_sides_longer_than_a_format_allows(tmp_path: Path, ending: str, side: int, longest: int):
    with pytest.raises(BadInput, match=f"a{ending}: this format has at most {longest} pixels per side"):
        write_image(tmp_path / f"a{ending}", np.zeros((1, side, 3), np.float32), channels(3, "srgb"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_refuses_missing_folders(tmp_path: Path, ending: str):
    (tmp_path / "file").write_bytes(b"")
    for attempt in (
        lambda path: write_image(path, VALUES, channels(3, "srgb")),
        lambda path: check_image_writable(path, channels(3, "srgb")),
    ):
        with pytest.raises(BadInput, match="folder does not exist"):
            attempt(tmp_path / "missing" / f"a{ending}")
        with pytest.raises(BadInput, match="is a file, not a folder"):
            attempt(tmp_path / "file" / f"a{ending}")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_size_limit_leaves_the_earlier_image(tmp_path: Path, ending: str, capfd: pytest.CaptureFixture):
    path = tmp_path / f"a{ending}"
    write_image(path, VALUES[:4, :4], channels(3, "srgb"))
    before = path.read_bytes()
    with file_size_limit(4000), pytest.raises(BadInput, match=f"cannot write .*a{ending}") as caught:
        write_image(path, VALUES, channels(3, "srgb"))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]
    assert capfd.readouterr() == ("", "")


def test_names_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(BadInput, match="a.hdr: writing this needs the package imagecodecs"):
        write_image(tmp_path / "a.hdr", VALUES, channels(3, "linear"))
    assert os.listdir(tmp_path) == []
