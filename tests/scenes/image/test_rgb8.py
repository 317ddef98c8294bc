"""Photographs with cameras, frames and textures share one way to 8-bit sRGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from image_files import exr, png
from PIL import Image as pillow

import scenes
from scenes.image.color import srgb_to_linear
from scenes.image.decoded import DecodedImage
from scenes.image.rgb8 import read_rgb8, to_rgb8

# `[2, 3, 3]` uint8.
COLORS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [128, 128, 128], [255, 255, 255]]], np.uint8)


def premultiplied(dtype: type) -> DecodedImage:
    largest = np.iinfo(dtype).max
    pixels = np.dstack([COLORS / 255 * 0.5, np.full((2, 3), 0.5)]) * largest
    return DecodedImage(np.rint(pixels).astype(dtype), "srgb", premultiplied=True)


@pytest.mark.parametrize(
    "image",
    [
        DecodedImage(COLORS, "srgb"),
        DecodedImage(COLORS.astype(np.uint16) * 257, "srgb"),
        DecodedImage(COLORS.astype(np.float32) / 255, "srgb"),
        DecodedImage(srgb_to_linear(COLORS / 255), "linear"),
        premultiplied(np.uint8),
        premultiplied(np.uint16),
    ],
    ids=["8 bits", "16 bits", "display floats", "linear", "premultiplied 8", "premultiplied 16"],
)
def test_every_kind_of_pixels_becomes_the_same_picture(image: DecodedImage):
    pixels, changed = to_rgb8(image)
    assert pixels.dtype == np.uint8 and np.abs(pixels[..., :3].astype(int) - COLORS).max() <= 1
    assert bool(changed) == (image.pixels.dtype != np.uint8)


def test_light_above_1_is_clipped_and_grey_is_repeated():
    pixels, _ = to_rgb8(DecodedImage(np.array([[[9.0], [-1.0]]], np.float32), "linear"))
    assert pixels.tolist() == [[[255] * 3, [0] * 3]]


def test_textures_of_16_bits_and_cmyk_are_read_like_pictures():
    deep = np.full((4, 5, 1), 40000, np.uint16)
    assert (read_rgb8(png(deep)) == round(40000 / 257)).all()
    buffer = io.BytesIO()
    pillow.new("CMYK", (16, 16), (0, 255, 255, 0)).save(buffer, "JPEG", quality=95)
    assert np.abs(read_rgb8(buffer.getvalue())[8, 8].astype(int) - [255, 0, 0]).max() < 8
    with pytest.raises(scenes.BadInput):
        read_rgb8(b"nothing")


def test_a_folder_of_linear_frames_is_a_clip_and_arrays_are_no_frames(tmp_path: Path):
    for index in range(3):
        light = np.full((8, 10), 0.2140411 * (index + 1), np.float32)
        exr(tmp_path / f"{index}.exr", dict.fromkeys("RGB", light))
    np.save(tmp_path / "depth.npy", np.zeros((8, 10)))
    kind, description = scenes.recognise(tmp_path)
    assert (kind, description) == ("video", "a folder of 3 images")
    video = scenes.load(tmp_path)
    assert video.values()[0].mean() == pytest.approx(0.5, abs=0.01)
    assert "its values are clipped to 0 to 1 and rounded to 8 bits" in video.notes
