"""A picture as a signal: samples, tiles, previews, holes, and opening it again."""

from __future__ import annotations

import os
import subprocess
import sys
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
    """A picture whose pixels all differ (up to the type's range)."""
    return np.arange(height * width * channels).reshape(height, width, channels).astype(dtype)


def whole_epoch(image: Image, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    usable = image.height * image.width if image.valid is None else np.count_nonzero(image.valid)
    batches = [image.batch(step, count, seed) for step in range(-(-usable // count))]
    return np.concatenate([coords for coords, _ in batches]), np.concatenate([values for _, values in batches])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 4), st.integers(1, 700), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_an_epoch_is_the_picture(height: int, width: int, channels: int, count: int, seed: int):
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
def test_an_epoch_of_a_picture_with_holes_is_what_is_left(height: int, width: int, count: int, random):
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


def test_domain_and_channels():
    image = Image.from_array(ramp(3, 5, 2))
    x, y = image.domain.axes
    assert (x.name, x.lower, x.upper, x.unit, x.samples) == ("x", 0.0, 5.0, "px", 5)
    assert (y.name, y.lower, y.upper, y.unit, y.samples) == ("y", 0.0, 3.0, "px", 3)
    assert image.channels.names == ("grey", "alpha") and image.channels.premultiplied
    assert Image.from_array(ramp(3, 5, 3)).channels.names == ("red", "green", "blue")
    assert not Image.from_array(ramp(3, 5, 3)).channels.premultiplied


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_become_their_share_of_the_largest(dtype: type):
    top = np.iinfo(dtype).max
    image = Image.from_array(np.array([[0, 1, top // 2, top]], dtype))
    assert np.array_equal(image.values()[0, :, 0], (np.array([0, 1, top // 2, top]) / top).astype(np.float32))
    assert image.values()[0, 3, 0] == 1


def test_tiles_are_cut_from_the_whole():
    image = Image.from_array(ramp(20, 30, 3))
    assert np.array_equal(image.values(3, 9, 5, 30), image.values()[3:9, 5:30])
    assert image.values(19, 25).shape == (1, 30, 3)


def test_values_are_the_callers_own():
    pixels = np.ones((2, 2, 1), np.float32)
    image = Image.from_array(pixels, "linear")
    image.values()[:] = 7
    assert (pixels == 1).all()


def test_hidden_colors_of_transparent_pixels_are_nothing():
    image = Image.from_array(np.array([[[200, 100, 50, 0], [200, 100, 50, 51], [200, 100, 50, 255]]], np.uint8))
    values = image.values()[0]
    assert (values[0] == 0).all()
    assert np.allclose(values[1], [200 / 255 / 5, 100 / 255 / 5, 50 / 255 / 5, 0.2])
    assert np.allclose(values[2], [200 / 255, 100 / 255, 50 / 255, 1])
    _, batch = image.batch(0, 3, 0)
    assert np.array_equal(batch, values)


def test_premultiplied_files_are_taken_as_they_are():
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
def test_arrays_that_are_no_picture(array: np.ndarray, space: str | None, words: str):
    with pytest.raises(BadInput, match=words):
        Image.from_array(array, space)


def test_arrays_of_other_kinds():
    assert np.array_equal(Image.from_array(np.array([[True, False]])).values()[0, :, 0], [1, 0])
    assert Image.from_array(np.full((2, 2), 0.25), "srgb").values()[0, 0, 0] == np.float32(0.25)


# Held out, masks, holes.


def test_held_out_pixels_are_never_trained_on_and_all_scored():
    pixels = ramp(50, 40, 1, np.float32)
    image = Image.from_array(pixels, "linear", held_out=0.25, seed=3)
    trained = whole_epoch(image, 128)[1][:, 0]
    parts = list(image.held_out_samples())
    scored = np.concatenate([values for _, values in parts])[:, 0]
    assert 400 < len(scored) < 600
    assert np.array_equal(np.sort(np.concatenate([trained, scored])), pixels.reshape(-1))
    coords = np.concatenate([coords for coords, _ in parts])
    assert np.array_equal(pixels[(coords[:, 1] * 50).astype(int), (coords[:, 0] * 40).astype(int), 0], scored)


def test_held_out_pixels_come_in_bounded_parts(monkeypatch: pytest.MonkeyPatch):
    image = Image.from_array(ramp(50, 40, 1), held_out=0.5)
    whole = np.concatenate([values for _, values in image.held_out_samples()])
    monkeypatch.setattr(image_module, "CHUNK_SAMPLES", 64)
    parts = [values for _, values in image.held_out_samples()]
    assert max(map(len, parts)) == 64 and np.array_equal(np.concatenate(parts), whole)


def test_nothing_held_out_gives_nothing_to_score():
    image = Image.from_array(ramp(5, 4, 1))
    assert image.valid is None and image.held_out is None and list(image.held_out_samples()) == []


def test_held_out_choice_follows_the_seed_alone():
    def choice(seed: int) -> np.ndarray:
        return Image.from_array(ramp(50, 40, 1), held_out=0.25, seed=seed).held_out

    assert np.array_equal(choice(3), choice(3)) and not np.array_equal(choice(3), choice(4))


def test_held_out_pixels_lie_where_the_mask_is_white():
    mask = np.zeros((50, 40), bool)
    mask[:, :20] = True
    image = Image.from_array(ramp(50, 40, 1), mask=mask, held_out=0.5)
    assert not image.held_out[:, 20:].any() and image.held_out.any()
    assert np.array_equal(image.valid | image.held_out, mask) and not (image.valid & image.held_out).any()


def test_what_is_held_out_does_not_help_to_guess_a_hole():
    pixels = np.zeros((40, 40, 1), np.float32)
    mask = np.ones((40, 40), bool)
    mask[10:30, 10:30] = False
    scored = Image.from_array(pixels, "linear", mask=mask, held_out=0.5, seed=1).held_out
    pixels[scored] = 1.0
    image = Image.from_array(pixels, "linear", mask=mask, held_out=0.5, seed=1)
    assert np.array_equal(image.held_out, scored)
    assert all(image.batch(step, 256, 0)[1].max() == 0.0 for step in range(10))


@pytest.mark.parametrize("share", [1.0, 1.5, -0.1, float("nan")])
def test_impossible_shares(share: float):
    with pytest.raises(BadInput, match="between 0 and 1"):
        Image.from_array(ramp(5, 4, 1), held_out=share)


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_shares_that_leave_nothing(share: float):
    with pytest.raises(BadInput, match="leaves none"):
        Image.from_array(ramp(1, 1, 1), held_out=share)


def test_a_mask_file_says_where_to_fit(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    mask = np.zeros((6, 5, 1), np.uint8)
    mask[2:4] = 255
    mask[5] = 127  # not quite white
    (tmp_path / "m.png").write_bytes(png(mask))
    image = open_image(tmp_path / "p.png", mask=tmp_path / "m.png")
    assert np.array_equal(image.valid, (mask == 255)[..., 0])
    assert np.array_equal(np.sort(whole_epoch(image, 4)[1][:, 0] * 255), np.arange(0, 90, 3)[10:20])


def test_a_transparent_mask_is_black_there(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(1, 2, 3)))
    (tmp_path / "m.png").write_bytes(png(np.array([[[255, 255, 255, 255], [255, 255, 255, 0]]], np.uint8)))
    assert open_image(tmp_path / "p.png", mask=tmp_path / "m.png").valid.tolist() == [[True, False]]


def test_a_mask_of_another_size(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    (tmp_path / "m.png").write_bytes(png(np.full((5, 6, 1), 255, np.uint8)))
    with pytest.raises(BadInput, match="the mask is 6 x 5 and the image 5 x 6"):
        open_image(tmp_path / "p.png", mask=tmp_path / "m.png")
    with pytest.raises(BadInput, match="the mask is 6 x 5 and the image 5 x 6"):
        Image.from_array(ramp(6, 5, 3), mask=np.ones((5, 6), bool))


def test_a_black_mask(tmp_path: Path):
    (tmp_path / "p.png").write_bytes(png(ramp(6, 5, 3)))
    (tmp_path / "m.png").write_bytes(png(np.zeros((6, 5, 1), np.uint8)))
    with pytest.raises(BadInput, match="m.png: the mask is black everywhere"):
        open_image(tmp_path / "p.png", mask=tmp_path / "m.png")


def with_holes() -> np.ndarray:
    pixels = ramp(4, 5, 3, np.float32)
    pixels[1, 3, 0], pixels[2, 0, 2], pixels[2, 0, 1] = np.nan, np.inf, -np.inf
    return pixels


def test_numbers_that_are_none_are_counted_and_located(tmp_path: Path):
    planes = {name: with_holes()[..., index].copy() for index, name in enumerate("RGB")}
    path = exr(tmp_path / "holes.exr", planes)
    words = "holes.exr: 2 of 20 pixels hold NaN or infinity, the first at x 3, y 1; ignore_invalid "
    with pytest.raises(BadInput, match=words):
        open_image(path)
    image = open_image(path, ignore_invalid=True)
    assert any("2 pixels" in note and "holes" in note for note in image.notes)
    assert np.argwhere(~image.valid).tolist() == [[1, 3], [2, 0]]
    assert np.isfinite(image.values()).all() and (image.values()[1, 3] == 0).all()
    assert np.isfinite(whole_epoch(image, 7)[1]).all() and len(whole_epoch(image, 7)[1]) == 18


def test_holes_leave_the_callers_array_alone():
    pixels = with_holes()
    Image.from_array(pixels, "linear", ignore_invalid=True)
    assert np.isnan(pixels[1, 3, 0])


def test_a_picture_of_holes_only():
    with pytest.raises(BadInput, match="no pixel is left to fit"):
        Image.from_array(np.full((2, 2), np.nan, np.float32), "linear", ignore_invalid=True)


# Previews.


def test_a_small_picture_is_shown_as_it_is(astronaut: np.ndarray):
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
def test_a_preview_fits_its_frame(astronaut: np.ndarray, height: int, width: int, side: int, shape: tuple[int, int]):
    shown = Image.from_array(astronaut[:height, :width]).preview(side)
    assert shown.shape == (*shape, 3) and shown.dtype == np.uint8


@pytest.mark.parametrize("side", [100, 170, 300])
def test_a_preview_is_the_picture_made_smaller(astronaut: np.ndarray, side: int):
    shown = Image.from_array(astronaut).preview(side).astype(float)
    judge = np.asarray(pillow.fromarray(astronaut).resize((side, side), pillow.Resampling.LANCZOS)).astype(float)
    assert np.abs(shown - judge).mean() < 2


def test_far_edges_are_averaged_over_what_is_there():
    shown = Image.from_array(np.full((103, 59, 3), 200, np.uint8)).preview(20)
    assert (shown == 200).all()


def test_a_preview_is_not_stretched():
    """500 columns in blocks of 12 end within a block; a ramp shows where they went."""
    ramp = np.repeat(np.linspace(0, 1, 500, dtype=np.float32)[None, :], 40, axis=0)
    shown = Image.from_array(ramp, "srgb").preview(20)[0, :, 0]
    assert np.abs(shown - (np.arange(20) + 0.5) / 20 * 255)[1:-1].max() < 0.75


def test_strips_do_not_show(astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    rgba = np.concatenate([astronaut, astronaut[..., :1]], axis=-1)
    whole = Image.from_array(rgba).preview(100)
    monkeypatch.setattr(image_module, "STRIP_PIXELS", 5000)
    assert np.array_equal(Image.from_array(rgba).preview(100), whole)


def test_linear_light_is_tone_mapped():
    shown = Image.from_array(np.array([[-1, 0, 1, 1e30]], np.float32), "linear").preview()
    assert shown[0, :, 0].tolist() == [0, 0, round(255 * 0.5 ** (1 / 2.2)), 255]


def test_transparency_shows_a_checkerboard():
    clear = np.zeros((32, 32, 4), np.uint8)
    clear[..., 0] = 255  # hidden colour
    shown = Image.from_array(clear).preview()
    assert shown[0, 0].tolist() == [204, 204, 204] and shown[0, 8].tolist() == [153, 153, 153]
    assert shown[8, 8].tolist() == [204, 204, 204] and shown[7, 7].tolist() == [204, 204, 204]
    half = np.full((8, 8, 4), [255, 0, 0, 128], np.uint8)
    assert Image.from_array(half).preview()[0, 0].tolist() == [230, 102, 102]


# The source.


def test_source_says_what_was_read(photograph: Path):
    source = scenes.load(photograph).source
    assert source["path"] == str(photograph) and source["bytes"] == photograph.stat().st_size
    assert source["mtime_ns"] == photograph.stat().st_mtime_ns and source["options"] == {}
    import hashlib
    import json

    assert source["sha256"] == hashlib.sha256(photograph.read_bytes()).hexdigest()
    assert json.loads(json.dumps(source)) == source


def test_reopening_gives_the_same_signal(tmp_path: Path, photograph: Path):
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


def test_an_array_cannot_be_reopened():
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

    whole = read.read_image

    def slow(path: Path, storage) -> object:
        decoded = whole(path, storage)
        path.write_bytes(path.read_bytes() + b"more")
        if damage:
            raise BadInput("cut short")
        return decoded

    monkeypatch.setattr(read, "read_image", slow)
    with pytest.raises(BadInput, match="photo.png: the file changed while it was read"):
        scenes.load(photograph)


# `scenes.load`, and what importing costs.


def test_load_opens_samples_and_files(photograph: Path, astronaut: np.ndarray):
    assert np.array_equal(scenes.load("skimage:astronaut").pixels, astronaut)
    assert scenes.load("skimage:astronaut").source["path"] == "skimage:astronaut"
    assert np.array_equal(scenes.load(str(photograph), "image", held_out=0.5).pixels, astronaut[60:124, 180:276])


def test_load_refuses_what_it_does_not_know(photograph: Path):
    with pytest.raises(BadInput, match="no kind of signal called film; there are image"):
        scenes.load(photograph, "film")
    with pytest.raises(BadInput, match="no option color; it has .*held_out"):
        scenes.load(photograph, color="red")
    with pytest.raises(BadInput, match="skimage:nobody: .*astronaut"):
        scenes.load("skimage:nobody")


def test_importing_brings_nothing_heavy():
    code = (
        "import sys, scenes, scenes.image.signal; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('torch', 'fields', 'PIL', 'OpenEXR', 'tifffile', 'skimage', 'imagecodecs')])"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "[]\n"


def test_loading_a_picture_never_imports_torch(photograph: Path):
    code = (
        f"import sys, scenes; scenes.load({str(photograph)!r}).preview(); "
        "print('torch' in sys.modules, 'fields' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout
    assert out == "False False\n"
