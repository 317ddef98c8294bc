"""Images as signals: samples, tiles, held-out pixels, masks, holes, previews, and opening them again."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import exr, png
from PIL import Image as pillow

import scenes
from scenes.errors import BadInput
from scenes.image import signal as image_module
from scenes.image.signal import Image, open_image


def ramp(height: int, width: int, channels: int, dtype=np.uint8) -> np.ndarray:
    """An image whose values all differ, up to the range of the type."""
    return np.arange(height * width * channels).reshape(height, width, channels).astype(dtype)


def whole_epoch(image: Image, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    usable = image.height * image.width if image.valid is None else np.count_nonzero(image.valid)
    batches = [image.batch(step, count, seed) for step in range(-(-usable // count))]
    return np.concatenate([coords for coords, _ in batches]), np.concatenate([values for _, values in batches])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 700), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_an_epoch_gives_every_pixel_once(height: int, width: int, channels: int, count: int, seed: int):
    pixels = ramp(height, width, channels, np.float32)
    coords, values = whole_epoch(Image.from_array(pixels, "linear", premultiplied=True), count, seed)
    assert coords.dtype == values.dtype == np.float32
    x, y = np.floor(coords.astype(float) * [width, height]).astype(int).T
    assert len(np.unique(y * width + x)) == len(values) == height * width
    assert np.array_equal(values, pixels[y, x])
    assert np.array_equal(coords[:, 0], ((x + 0.5) / width).astype(np.float32))
    assert np.array_equal(coords[:, 1], ((y + 0.5) / height).astype(np.float32))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 700), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_an_epoch_of_a_masked_image_gives_every_valid_pixel_once(height: int, width: int, count: int, random):
    mask = np.array([random.random() < 0.5 for _ in range(height * width)]).reshape(height, width)
    mask[random.randrange(height), random.randrange(width)] = True
    pixels = ramp(height, width, 1, np.float32)
    image = Image.from_array(pixels, "linear", mask=mask)
    known = count - min(int(count / 8), np.count_nonzero(~mask))
    batches = [image.batch(step, count, 0) for step in range(-(-np.count_nonzero(mask) // known))]
    coords, values = (np.concatenate(parts) for parts in zip(*batches))
    x, y = np.floor(coords.astype(float) * [width, height]).astype(int).T
    fitted = mask[y, x]
    assert np.array_equal(np.sort(values[fitted, 0]), pixels[mask][:, 0])
    assert (
        pixels[mask].min() <= values[~fitted].min(initial=np.inf)
        and values[~fitted].max(initial=-np.inf) <= pixels[mask].max()
    )
    assert all(len(coords) <= count for coords, _ in batches)


def test_the_domain_is_in_pixels_and_alpha_is_premultiplied():
    image = Image.from_array(ramp(3, 5, 2))
    x, y = image.domain.axes
    assert (x.name, x.lower, x.upper, x.unit, x.samples) == ("x", 0.0, 5.0, "px", 5)
    assert (y.name, y.lower, y.upper, y.unit, y.samples) == ("y", 0.0, 3.0, "px", 3)
    assert image.channels.names == ("grey", "alpha") and image.channels.premultiplied
    assert Image.from_array(ramp(3, 5, 3)).channels.names == ("red", "green", "blue")
    assert not Image.from_array(ramp(3, 5, 3)).channels.premultiplied


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_divided_by_the_largest_one(dtype: type):
    top = np.iinfo(dtype).max
    image = Image.from_array(np.array([[0, 1, top // 2, top]], dtype))
    assert np.array_equal(image.values()[0, :, 0], (np.array([0, 1, top // 2, top]) / top).astype(np.float32))
    assert image.values()[0, 3, 0] == 1


def test_a_tile_equals_the_same_part_of_the_whole():
    image = Image.from_array(ramp(20, 30, 3))
    assert np.array_equal(image.values(3, 9, 5, 30), image.values()[3:9, 5:30])
    assert image.values(19, 25).shape == (1, 30, 3)


def test_writing_to_values_leaves_the_pixels_alone():
    pixels = np.ones((2, 2, 1), np.float32)
    image = Image.from_array(pixels, "linear")
    image.values()[:] = 7
    assert (pixels == 1).all()


def test_hidden_colors_of_transparent_pixels_are_zero():
    image = Image.from_array(np.array([[[200, 100, 50, 0], [200, 100, 50, 51], [200, 100, 50, 255]]], np.uint8))
    values = image.values()[0]
    assert (values[0] == 0).all()
    assert np.allclose(values[1], [200 / 255 / 5, 100 / 255 / 5, 50 / 255 / 5, 0.2])
    assert np.allclose(values[2], [200 / 255, 100 / 255, 50 / 255, 1])
    _, batch = image.batch(0, 3, 0)
    assert np.array_equal(batch, values)


def test_premultiplied_values_are_kept():
    values = np.array([[[0.3, 0.5]]], np.float32)
    assert np.array_equal(Image.from_array(values, "linear", premultiplied=True).values(), values)


@pytest.mark.parametrize(
    "array, space, words",
    [
        (np.zeros((2, 2, 5), np.uint8), None, "not an image"),
        (np.zeros((2,), np.uint8), None, "not an image"),
        (np.zeros((0, 4), np.uint8), None, "not an image"),
        (np.zeros((2, 2), np.int32), None, "give uint8, uint16 or floats"),
        (np.zeros((2, 2), object), None, "give uint8, uint16 or floats"),
        (np.zeros((2, 2), np.float32), None, "say what the floats are"),
        (np.zeros((2, 2), np.uint8), "linear", "integers are"),
    ],
)
def test_refuses_arrays_that_are_no_image(array: np.ndarray, space: str | None, words: str):
    with pytest.raises(BadInput, match=words):
        Image.from_array(array, space)


def test_takes_arrays_of_bools_and_of_doubles():
    assert np.array_equal(Image.from_array(np.array([[True, False]])).values()[0, :, 0], [1, 0])
    assert Image.from_array(np.full((2, 2), 0.25), "srgb").values()[0, 0, 0] == np.float32(0.25)


# Held-out pixels, masks, holes.


def test_held_out_pixels_are_never_drawn_and_all_of_them_are_scored():
    pixels = ramp(50, 40, 1, np.float32)
    image = Image.from_array(pixels, "linear", held_out=0.25, seed=3)
    trained = whole_epoch(image, 128)[1][:, 0]
    parts = list(image.held_out_samples())
    scored = np.concatenate([values for _, values in parts])[:, 0]
    assert 400 < len(scored) < 600
    assert np.array_equal(np.sort(np.concatenate([trained, scored])), pixels.reshape(-1))
    coords = np.concatenate([coords for coords, _ in parts])
    assert np.array_equal(pixels[(coords[:, 1] * 50).astype(int), (coords[:, 0] * 40).astype(int), 0], scored)


def test_held_out_pixels_come_in_chunks(monkeypatch: pytest.MonkeyPatch):
    image = Image.from_array(ramp(50, 40, 1), held_out=0.5)
    whole = np.concatenate([values for _, values in image.held_out_samples()])
    monkeypatch.setattr(image_module, "CHUNK_SAMPLES", 64)
    parts = [values for _, values in image.held_out_samples()]
    assert max(map(len, parts)) == 64 and np.array_equal(np.concatenate(parts), whole)


def test_without_held_out_pixels_there_are_none_to_score():
    image = Image.from_array(ramp(5, 4, 1))
    assert image.valid is None and image.held_out is None and list(image.held_out_samples()) == []


def test_held_out_pixels_follow_the_seed():
    def choice(seed: int) -> np.ndarray:
        return Image.from_array(ramp(50, 40, 1), held_out=0.25, seed=seed).held_out

    assert np.array_equal(choice(3), choice(3)) and not np.array_equal(choice(3), choice(4))


def test_held_out_pixels_lie_where_the_mask_is_white():
    mask = np.zeros((50, 40), bool)
    mask[:, :20] = True
    image = Image.from_array(ramp(50, 40, 1), mask=mask, held_out=0.5)
    assert not image.held_out[:, 20:].any() and image.held_out.any()
    assert np.array_equal(image.valid | image.held_out, mask) and not (image.valid & image.held_out).any()


def test_the_guess_of_a_hole_does_not_use_held_out_pixels():
    pixels = np.zeros((40, 40, 1), np.float32)
    mask = np.ones((40, 40), bool)
    mask[10:30, 10:30] = False
    scored = Image.from_array(pixels, "linear", mask=mask, held_out=0.5, seed=1).held_out
    pixels[scored] = 1.0
    image = Image.from_array(pixels, "linear", mask=mask, held_out=0.5, seed=1)
    assert np.array_equal(image.held_out, scored)
    assert all(image.batch(step, 256, 0)[1].max() == 0.0 for step in range(10))


@pytest.mark.parametrize("fraction", [1.0, 1.5, -0.1, float("nan")])
def test_refuses_fractions_outside_of_0_to_1(fraction: float):
    with pytest.raises(BadInput, match="between 0 and 1"):
        Image.from_array(ramp(5, 4, 1), held_out=fraction)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_refuses_fractions_that_leave_nothing(fraction: float):
    with pytest.raises(BadInput, match="leaves none"):
        Image.from_array(ramp(1, 1, 1), held_out=fraction)


def test_samples_come_from_where_the_mask_is_white(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    mask = np.zeros((6, 5, 1), np.uint8)
    mask[2:4] = 255
    mask[5] = 127  # not quite white
    (tmp_path / "m.png").write_bytes(png(mask))
    image = open_image(tmp_path / "p.png", mask=tmp_path / "m.png")
    assert np.array_equal(image.valid, (mask == 255)[..., 0])
    assert np.array_equal(np.sort(whole_epoch(image, 4)[1][:, 0] * 255), np.arange(0, 90, 3)[10:20])


def test_a_mask_is_black_where_it_is_transparent(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(1, 2, 3)))
    (tmp_path / "m.png").write_bytes(png(np.array([[[255, 255, 255, 255], [255, 255, 255, 0]]], np.uint8)))
    assert open_image(tmp_path / "p.png", mask=tmp_path / "m.png").valid.tolist() == [[True, False]]


def test_refuses_a_mask_of_another_size(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    (tmp_path / "m.png").write_bytes(png(np.full((5, 6, 1), 255, np.uint8)))
    with pytest.raises(BadInput, match="the mask is 6 x 5 and the image 5 x 6"):
        open_image(tmp_path / "p.png", mask=tmp_path / "m.png")
    with pytest.raises(BadInput, match="the mask is 6 x 5 and the image 5 x 6"):
        Image.from_array(ramp(6, 5, 3), mask=np.ones((5, 6), bool))


def test_refuses_a_black_mask(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    (tmp_path / "m.png").write_bytes(png(np.zeros((6, 5, 1), np.uint8)))
    with pytest.raises(BadInput, match="m.png: the mask is black everywhere"):
        open_image(tmp_path / "p.png", mask=tmp_path / "m.png")


def with_holes() -> np.ndarray:
    pixels = ramp(4, 5, 3, np.float32)
    pixels[1, 3, 0], pixels[2, 0, 2], pixels[2, 0, 1] = np.nan, np.inf, -np.inf
    return pixels


def test_nan_and_infinite_pixels_are_holes_counted_and_located(tmp_path: Path):
    planes = {name: with_holes()[..., index].copy() for index, name in enumerate("RGB")}
    path = exr(tmp_path / "holes.exr", planes)
    words = "2 of 20 pixels hold NaN or infinity, the first at x 3, y 1"
    with pytest.raises(BadInput, match=f"holes.exr: {words}"):
        open_image(path, refuse_invalid=True)
    image = open_image(path)
    assert any(words in note and "holes" in note and "`refuse_invalid`" in note for note in image.notes)
    assert np.argwhere(~image.valid).tolist() == [[1, 3], [2, 0]]
    assert np.isfinite(image.values()).all() and (image.values()[1, 3] == 0).all()
    assert np.isfinite(whole_epoch(image, 7)[1]).all() and len(whole_epoch(image, 7)[1]) == 18


def test_filling_invalid_pixels_leaves_the_array_alone():
    pixels = with_holes()
    Image.from_array(pixels, "linear")
    assert np.isnan(pixels[1, 3, 0])


def test_refuses_an_image_of_invalid_pixels_only():
    with pytest.raises(BadInput, match="no pixel is left to fit"):
        Image.from_array(np.full((2, 2), np.nan, np.float32), "linear")


# Previews.


def test_the_preview_of_a_small_image_equals_it(astronaut: np.ndarray):
    assert np.array_equal(Image.from_array(astronaut).preview(512), astronaut)
    assert np.array_equal(Image.from_array(astronaut[..., 0]).preview(9999), np.repeat(astronaut[..., :1], 3, axis=-1))


@pytest.mark.parametrize(
    "height, width, side, shape",
    [
        (512, 512, 100, (100, 100)),
        (300, 512, 200, (117, 200)),
        (512, 7, 64, (64, 1)),
        (1, 500, 40, (1, 40)),
        (1, 1, 8, (1, 1)),
    ],
)
def test_a_preview_is_at_most_as_large_as_asked(
    astronaut: np.ndarray, height: int, width: int, side: int, shape: tuple[int, int]
):
    shown = Image.from_array(astronaut[:height, :width]).preview(side)
    assert shown.shape == (*shape, 3) and shown.dtype == np.uint8


@pytest.mark.parametrize("side", [100, 170, 300])
def test_a_preview_is_close_to_a_lanczos_reduction(astronaut: np.ndarray, side: int):
    shown = Image.from_array(astronaut).preview(side).astype(float)
    reference = np.asarray(pillow.fromarray(astronaut).resize((side, side), pillow.Resampling.LANCZOS)).astype(float)
    assert np.abs(shown - reference).mean() < 2


def test_blocks_at_the_far_edges_are_averaged_over_fewer_pixels():
    shown = Image.from_array(np.full((103, 59, 3), 200, np.uint8)).preview(20)
    assert (shown == 200).all()


def test_a_preview_is_not_stretched():
    """500 columns end within a block of 12; a gradient shows where each column went."""
    ramp = np.repeat(np.linspace(0, 1, 500, dtype=np.float32)[None, :], 40, axis=0)
    shown = Image.from_array(ramp, "srgb").preview(20)[0, :, 0]
    assert np.abs(shown - (np.arange(20) + 0.5) / 20 * 255)[1:-1].max() < 0.75


def test_a_preview_does_not_depend_on_the_size_of_strips(astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    rgba = np.concatenate([astronaut, astronaut[..., :1]], axis=-1)
    whole = Image.from_array(rgba).preview(100)
    monkeypatch.setattr(image_module, "STRIP_PIXELS", 5000)
    assert np.array_equal(Image.from_array(rgba).preview(100), whole)


def test_a_preview_of_linear_light_is_tone_mapped():
    shown = Image.from_array(np.array([[-1, 0, 1, 1e30]], np.float32), "linear").preview()
    assert shown[0, :, 0].tolist() == [0, 0, round(255 * 0.5 ** (1 / 2.2)), 255]


def test_a_preview_shows_a_checkerboard_behind_transparency():
    clear = np.zeros((32, 32, 4), np.uint8)
    clear[..., 0] = 255  # hidden colour
    shown = Image.from_array(clear).preview()
    assert shown[0, 0].tolist() == [204, 204, 204] and shown[0, 8].tolist() == [153, 153, 153]
    assert shown[8, 8].tolist() == [204, 204, 204] and shown[7, 7].tolist() == [204, 204, 204]
    half = np.full((8, 8, 4), [255, 0, 0, 128], np.uint8)
    assert Image.from_array(half).preview()[0, 0].tolist() == [230, 102, 102]


# The source.


def test_the_source_records_path_size_time_and_digest(photograph: Path):
    source = scenes.load(photograph).source
    assert source["path"] == str(photograph) and source["bytes"] == photograph.stat().st_size
    assert source["mtime_ns"] == photograph.stat().st_mtime_ns and source["options"] == {}
    import hashlib
    import json

    assert source["sha256"] == hashlib.sha256(photograph.read_bytes()).hexdigest()
    assert json.loads(json.dumps(source)) == source


def test_reopening_gives_the_same_signal_or_notices_a_change(tmp_path: Path, photograph: Path):
    mask = np.zeros((64, 96, 1), np.uint8)
    mask[:, 20:] = 255
    (tmp_path / "m.png").write_bytes(png(mask))
    first = open_image(photograph, mask=tmp_path / "m.png", held_out=0.2, seed=5)
    again = scenes.reopen("image", first.source)
    assert np.array_equal(first.valid, again.valid) and np.array_equal(first.held_out, again.held_out)
    assert all(np.array_equal(a, b) for a, b in zip(first.batch(3, 500, 1), again.batch(3, 500, 1)))
    assert again.source == first.source

    (tmp_path / "m.png").write_bytes(png(np.full((64, 96, 1), 255, np.uint8)))
    with pytest.raises(BadInput, match="m.png: the mask has changed"):
        scenes.reopen("image", first.source)
    photograph.write_bytes(png(ramp(64, 96, 3)))
    with pytest.raises(BadInput, match="photo.png: the content has changed"):
        scenes.reopen("image", first.source)


def test_refuses_to_reopen_an_array():
    image = Image.from_array(ramp(2, 2, 1))
    image.check_unchanged()
    with pytest.raises(BadInput, match="an array"):
        scenes.reopen("image", image.source)


def test_a_change_after_reading_is_noticed(photograph: Path):
    image = scenes.load(photograph)
    image.check_unchanged()
    os.utime(photograph)  # touched, with the same content
    image.check_unchanged()
    photograph.write_bytes(png(ramp(64, 96, 3)))
    with pytest.raises(BadInput, match="photo.png: the file has changed since"):
        image.check_unchanged()
    photograph.unlink()
    with pytest.raises(BadInput, match="no such file"):
        image.check_unchanged()


@pytest.mark.parametrize("damage", [False, True])
def test_a_change_while_reading_is_noticed(photograph: Path, monkeypatch: pytest.MonkeyPatch, damage: bool):
    from scenes.image import read

    original = read.read_image

    def changing(path: Path, storage, **options) -> object:
        decoded = original(path, storage, **options)
        path.write_bytes(path.read_bytes() + b"more")
        if damage:
            raise BadInput("cut short")
        return decoded

    monkeypatch.setattr(read, "read_image", changing)
    with pytest.raises(BadInput, match="photo.png: the file changed while it was read"):
        scenes.load(photograph)
