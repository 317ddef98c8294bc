"""TIFF in the layouts, depths and color models that scanners, cameras, satellites and image editors write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import plain_tiff
from PIL import Image as pillow

import scenes
from scenes.errors import BadInput
from scenes.image.signal import Image, open_image

pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

# `[32, 48, 3]` smooth, so that JPEG and subsampling change little.
SMOOTH = np.stack(np.broadcast_arrays(*np.ogrid[40:200:32j, 30:220:48j], 90.0), axis=-1)
TYPES = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}


def smooth(dtype: type) -> np.ndarray:
    return (np.rint(SMOOTH) * TYPES[dtype]).astype(dtype)


def opened(path: Path) -> Image:
    """The file as `scenes.load` recognises it, which has to be as an image."""
    assert scenes.recognise(path)[0] == "image"
    signal = scenes.load(path)
    assert isinstance(signal, Image)
    return signal


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "zlib", "predictor": True}])
@pytest.mark.parametrize("alpha", [None, "unassalpha", "assocalpha"])
def test_planes_of_one_page_are_a_picture_and_no_volume(tmp_path: Path, dtype: type, options: Any, alpha: str | None):
    pixels = smooth(dtype)
    if alpha:
        pixels = np.concatenate([pixels, np.full((32, 48, 1), pixels.max(), dtype)], axis=-1)
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    extra = {"extrasamples": [alpha]} if alpha else {}
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate", **extra, **options)
    image = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.channels.space == ("linear" if dtype == np.float32 else "srgb") and image.notes == ()


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bands", [3, 4, 5, 8])
def test_bands_without_a_meaning_are_red_green_and_blue(tmp_path: Path, bands: int, planar: str):
    pixels = np.random.default_rng(0).integers(0, 65535, (20, 30, bands), np.uint16)
    stored = pixels if planar == "contig" else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", planarconfig=planar, metadata=None)
    image = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels[..., :3])
    assert image.notes == (f"{bands} bands without a meaning: the first three are taken as red, green and blue",)


def test_alpha_behind_an_unnamed_channel_is_found(tmp_path: Path):
    pixels = np.concatenate(
        [smooth(np.uint8), np.full((32, 48, 1), 9, np.uint8), np.full((32, 48, 1), 200, np.uint8)], -1
    )
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["unspecified", "unassalpha"])
    image = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, pixels[..., [0, 1, 2, 4]])
    assert image.notes == ("ignored: 1 more channel",)


@pytest.mark.parametrize("indices", [np.uint8, np.uint16])
@pytest.mark.parametrize("tile", [{}, {"tile": (16, 16)}])
@pytest.mark.parametrize("depth", [8, 16])
def test_palettes_keep_their_depth(tmp_path: Path, indices: type, tile: dict, depth: int):
    generator, count = np.random.default_rng(1), np.iinfo(indices).max + 1
    colors = generator.integers(0, 2**depth, (3, count), np.uint16, endpoint=False)
    index = generator.integers(0, count, (20, 30), indices, endpoint=False)
    table = colors if depth == 16 else colors * np.uint16(257)
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=table, **tile)
    image = opened(tmp_path / "a.tif")
    assert image.pixels.dtype == (np.uint8 if depth == 8 else np.uint16)
    np.testing.assert_array_equal(image.pixels, colors.T[index])


def test_palettes_of_4_bits(tmp_path: Path):
    """Two indices in each byte, the first in its upper half."""
    table = tuple(int(value) * 257 for value in [*range(16), *range(100, 116), *range(200, 216)])
    data = plain_tiff(6, 2, 1, bytes([0x01, 0x23, 0x45, 0xFE, 0xDC, 0xBA]), {258: (4,), 262: (3,), 320: table})
    (tmp_path / "a.tif").write_bytes(data)
    right = [[[i, i + 100, i + 200] for i in row] for row in ([0, 1, 2, 3, 4, 5], [15, 14, 13, 12, 11, 10])]
    assert opened(tmp_path / "a.tif").pixels.tolist() == right


def test_palettes_of_8_bit_numbers_are_not_black(tmp_path: Path):
    """Old programs write 0 to 255 where the format has 16 bits."""
    table = np.tile(np.arange(256, dtype=np.uint16), (3, 1))
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 5), 200, np.uint8), photometric="palette", colormap=table)
    assert (opened(tmp_path / "a.tif").pixels == 200).all()


def test_white_as_zero_of_one_bit_and_with_alpha(tmp_path: Path):
    bits = np.random.default_rng(2).random((20, 30)) < 0.5
    tifffile.imwrite(tmp_path / "a.tif", bits, photometric="miniswhite")
    np.testing.assert_array_equal(opened(tmp_path / "a.tif").pixels[..., 0], np.where(bits, 0, 255))
    grey = np.dstack([np.full((8, 8), 50, np.uint8), np.full((8, 8), 200, np.uint8)])
    tifffile.imwrite(
        tmp_path / "b.tif", grey, photometric="miniswhite", extrasamples=["unassalpha"], planarconfig="contig"
    )
    assert opened(tmp_path / "b.tif").pixels[0, 0].tolist() == [205, 200]


@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate", "tiff_lzw"])
@pytest.mark.parametrize("imagecodecs", [True, False])
def test_ycbcr_is_converted_with_and_without_jpeg(
    tmp_path: Path, compression: str, imagecodecs: bool, monkeypatch: pytest.MonkeyPatch
):
    ycbcr = pillow.fromarray(smooth(np.uint8)).convert("YCbCr")
    ycbcr.save(tmp_path / "a.tif", compression=compression)
    if not imagecodecs:
        monkeypatch.setitem(sys.modules, "imagecodecs", None)
    image = opened(tmp_path / "a.tif")
    assert image.pixels.shape == (32, 48, 3)
    assert np.abs(image.pixels.astype(float) - np.rint(SMOOTH)).mean() < 3


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_plain_ycbcr_of_every_subsampling(tmp_path: Path, across: int, down: int, monkeypatch: pytest.MonkeyPatch):
    """Grey steps, whose chroma is constant, and a colored half."""
    luma = np.broadcast_to(np.arange(60, 60 + 48, dtype=np.uint8), (32, 48))
    blue = np.repeat(np.array([128, 150], np.uint8), 24 // across)
    units = [
        luma[y : y + down, x : x + across].tobytes() + bytes([blue[x // across], 128])
        for y in range(0, 32, down)
        for x in range(0, 48, across)
    ]
    tags = {262: (6,), 530: (across, down)}
    (tmp_path / "a.tif").write_bytes(plain_tiff(48, 32, 3, b"".join(units), tags))
    pixels = opened(tmp_path / "a.tif").pixels.astype(int)
    assert np.abs(pixels[:, :22] - luma[:, :22, None]).max() <= 1
    right = luma[:, 26:] + np.array([0, -0.344 * 22, 1.772 * 22])[:, None, None]
    assert np.abs(np.moveaxis(pixels[:, 26:], -1, 0) - right).max() <= 2
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(BadInput, match="needs the package imagecodecs"):
        opened(tmp_path / "a.tif")


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("tile", [{}, {"tile": (16, 16)}])
def test_jpeg_in_tiff_of_every_subsampling(tmp_path: Path, subsampling: tuple[int, int], tile: dict):
    tifffile.imwrite(
        tmp_path / "a.tif",
        smooth(np.uint8),
        photometric="rgb",  # which is stored as YCbCr
        compression="jpeg",
        subsampling=subsampling,
        compressionargs={"level": 95},
        **tile,
    )
    assert np.abs(opened(tmp_path / "a.tif").pixels.astype(float) - np.rint(SMOOTH)).mean() < 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}])
def test_cmyk_of_8_and_16_bits_and_with_alpha(tmp_path: Path, dtype: type, options: Any):
    top = np.iinfo(dtype).max
    inks = np.zeros((20, 30, 4), dtype)
    inks[:10, :, 0], inks[10:, :, 3] = top, top // 2
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated", **options)
    image = opened(tmp_path / "a.tif")
    assert image.pixels.dtype == dtype and image.notes[0].startswith("converted from CMYK without a colour profile")
    assert image.values()[0, 0] == pytest.approx([0, 1, 1]) and image.values()[15, 0] == pytest.approx(
        [0.5] * 3, abs=0.01
    )
    five = np.concatenate([inks, np.full((20, 30, 1), top // 4, dtype)], axis=-1)
    tifffile.imwrite(tmp_path / "b.tif", five, photometric="separated", extrasamples=["unassalpha"], **options)
    assert opened(tmp_path / "b.tif").pixels[0, 0].tolist() == [0, top, top, top // 4]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("photometric", ["cielab", "icclab"])
def test_cie_lab_is_converted(tmp_path: Path, dtype: type, photometric: str):
    """Mid grey, and the red, green and blue of sRGB, as Lab under D50."""
    lab = np.array([[[53.39, 0, 0], [54.29, 80.80, 69.89], [87.82, -79.27, 80.99], [29.57, 68.30, -112.03]]])
    top = float(np.iinfo(dtype).max)
    chroma = lab[..., 1:] / 256 * (top + 1) + (0 if photometric == "cielab" else (top + 1) / 2)
    signed = (
        np.rint(chroma).astype(np.int8 if dtype == np.uint8 else np.int16).view(dtype)
        if photometric == "cielab"
        else None
    )
    stored = np.dstack(
        [np.rint(lab[..., :1] / 100 * top).astype(dtype), np.rint(chroma).astype(dtype) if signed is None else signed]
    )
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric=photometric)
    right = [[0.5, 0.5, 0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert np.abs(opened(tmp_path / "a.tif").values()[0] - right).max() < 0.06


def test_more_pages_are_noted_and_layer_takes_another(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shade in (10, 20, 30):
            file.write(np.full((8, 9, 3), shade, np.uint8), photometric="rgb", metadata=None)
    image = opened(tmp_path / "a.tif")
    assert (image.pixels == 10).all()
    assert image.notes == ("3 pages, the first is used (`layer=2` takes the next, `kind=video` all as a clip)",)
    third = scenes.load(tmp_path / "a.tif", layer="3")
    assert isinstance(third, Image) and (third.pixels == 30).all() and third.notes == ()
    for wrong in ("4", "0", "x"):
        with pytest.raises(BadInput, match=f"`layer={wrong}`: it has the pages 1 to 3"):
            open_image(tmp_path / "a.tif", layer=wrong)


def test_a_smaller_copy_before_the_picture_is_passed_over(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((4, 4, 3), np.uint8), photometric="rgb", subfiletype=1, metadata=None)
        file.write(smooth(np.uint8), photometric="rgb", metadata=None)
    image = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels, smooth(np.uint8))
    assert image.notes == ()


@pytest.mark.parametrize("photometric", [32803, 34892])
def test_raw_of_cameras_is_refused_although_its_first_page_is_a_thumbnail(tmp_path: Path, photometric: int):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb", subifds=1, subfiletype=1, metadata=None)
        file.write(np.zeros((32, 48), np.uint16), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset = file.pages.first.pages[0].tags["PhotometricInterpretation"].valueoffset
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[offset : offset + 2] = photometric.to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(BadInput, match="a camera raw file, which is not read: develop it"):
        open_image(tmp_path / "a.tif")


def test_the_value_for_no_measurement_is_a_hole(tmp_path: Path):
    heights = np.full((8, 9), 100.0, np.float32)
    heights[2, 3] = -9999
    tifffile.imwrite(tmp_path / "a.tif", heights, extratags=[(42113, 2, 0, "-9999", True)])
    image = open_image(tmp_path / "a.tif")
    assert any("1 of 72 pixels hold NaN" in note for note in image.notes)
    assert image.values().min() == 0 and (image.values() == 100).sum() == 71


def test_wide_integers_that_fit_into_16_bits_are_not_rounded_away(tmp_path: Path):
    counts = np.random.default_rng(3).integers(0, 4000, (8, 9), np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", counts)
    image = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[..., 0], counts)
    assert image.notes == ("32-bit integers are taken as 16 bits, which hold them",)
