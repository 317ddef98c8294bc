"""Posed scenes as signals: refusals before a fit, masks, and the options and the digest that a run records."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import scenes
from scenes.errors import BadInput
from scenes.posed.pose import look_at
from scenes.posed.view import View

WIDTH, HEIGHT = 12, 8
NUM_PIXELS = 9 * WIDTH * HEIGHT


@pytest.fixture
def folder(tmp_path):
    """Nine views of something grey, 12 x 8 with some alpha; 0 and 8 are for testing."""
    (tmp_path / "scene" / "images").mkdir(parents=True)
    frames = []
    for i in range(9):
        pixels = np.full((HEIGHT, WIDTH, 4), 120, np.uint8)
        pixels[1:-1, 1:-1, 3] = 255
        Image.fromarray(pixels).save(tmp_path / "scene" / "images" / f"{i}.png")
        frames.append(
            {
                "file_path": f"images/{i}.png",
                "transform_matrix": [*look_at((3.0, i - 4.0, 1.0), (0, 0, 0)).tolist(), [0, 0, 0, 1]],
            }
        )
    (tmp_path / "scene" / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    return tmp_path / "scene"


def cut_short(path):
    path.write_bytes(path.read_bytes()[:60])


def transparent(path):
    Image.new("RGBA", (WIDTH, HEIGHT)).save(path)


@pytest.mark.parametrize("index", [4, 8])  # for training and for testing
@pytest.mark.parametrize(
    "harm, message",
    [(cut_short, "cut short"), (transparent, "transparent all over")],
)
def test_a_damaged_view_is_refused_when_the_scene_is_opened(folder, index, harm, message):
    harm(folder / "images" / f"{index}.png")
    with pytest.raises(BadInput, match=rf"{index}\.png: .*{message}"):
        scenes.load(folder)


def masked(folder, masks):
    """The same scene with these masks `[H, W]` bool, by the numbers of the views."""
    content = json.loads((folder / "transforms.json").read_text())
    for i, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"mask_{i}.png")
        content["frames"][i]["mask_path"] = f"mask_{i}.png"
    (folder / "transforms.json").write_text(json.dumps(content))
    return folder


def test_masked_pixels_are_never_drawn(folder):
    masks = {i: np.random.default_rng(i).random((HEIGHT, WIDTH)) < 0.3 for i in (1, 2, 3, 4, 8)}
    for i, mask in masks.items():
        pixels = np.asarray(Image.open(folder / "images" / f"{i}.png")).copy()
        pixels[~mask, :3] = (255, 0, 0)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
    scene = scenes.load(masked(folder, masks))
    for step in range(5):
        rays = scene.rays(step, 2000, 0)
        assert len(rays.colors) == 2000 and (rays.colors[:, 0] < 0.5).all()
        drawn = np.bincount(rays.views, minlength=7) / 2000  # (views 1 to 7 are for training)
        kept = np.array([masks[i].sum() if i in masks else WIDTH * HEIGHT for i in range(1, 8)])
        np.testing.assert_allclose(drawn, kept / kept.sum(), atol=0.05)
    assert np.array_equal(scene.mask(scene.test[1]), masks[8]) and scene.mask(scene.test[0]) is None


@pytest.mark.parametrize("index", [4, 8])
@pytest.mark.parametrize(
    "mask, message",
    [(np.zeros((HEIGHT, WIDTH), bool), "masks out all"), (np.ones((WIDTH, HEIGHT), bool), "the mask is 8 x 12")],
)
def test_wrong_masks_are_refused(folder, index, mask, message):
    with pytest.raises(BadInput, match=rf"mask_{index}\.png: .*{message}"):
        scenes.load(masked(folder, {index: mask}))


@pytest.mark.parametrize("packed", [False, True])
def test_large_scenes_are_refused_before_they_are_read(folder, packed, monkeypatch):
    source = shutil.make_archive(str(folder), "zip", folder) if packed else folder
    kept = scenes.load(source, max_pixels=NUM_PIXELS).source
    assert kept["options"]["max_pixels"] == NUM_PIXELS and scenes.reopen("radiance", kept).source == kept
    monkeypatch.setattr(View, "read_image", None)
    with pytest.raises(BadInput, match=f"9 views are .* megapixels in all, .* `max_pixels={NUM_PIXELS}`"):
        scenes.load(source, max_pixels=NUM_PIXELS - 1)


def bundle(path, **change):
    poses = np.stack([look_at((3.0, i - 4.0, 1.0), (0, 0, 0)) for i in range(9)])
    np.savez_compressed(
        path, **{"images": np.zeros((9, 400, 500, 3), np.uint8), "poses": poses, "focal": np.array(500.0)} | change
    )
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        ({}, "9 views are 1.8 megapixels in all"),
        ({"poses": np.zeros((9, 700, 700))}, "not .views, 3 or 4, 4"),
        ({"focal": np.zeros((1000, 1000))}, "focal is not one number"),
        ({"times": np.zeros(10**6)}, "each view needs one of each"),
        ({"poses": np.zeros((9, 3, 4), dtype=[("a", "V9999")])}, "plain arrays"),
    ],
)
def test_archives_that_unpack_to_much_are_refused_before_they_are_unpacked(tmp_path, monkeypatch, change, message):
    path = bundle(tmp_path / "zeros.npz", **change)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(BadInput, match=message):
        scenes.load(path, max_pixels=10**6)


def test_the_background_that_was_found_is_recorded(tmp_path):
    images = np.zeros((9, 16, 16, 3), np.uint8)
    images[:, 6:10, 6:10] = 200
    for level, name in ((0, "black"), (255, "white")):
        images[:, [0, -1]], images[:, :, [0, -1]] = level, level
        scene = scenes.load(bundle(tmp_path / f"{name}.npz", images=images, focal=np.array(16.0)))
        assert scene.background == name and scene.source["options"] == {"background": name}
        assert scenes.reopen("radiance", scene.source).source == scene.source


def test_the_digest_of_a_scene_is_that_of_earlier_versions(monkeypatch, tmp_path):
    """Runs record it, and are continued and scored only on a scene with the same digest."""
    from scenes.procedural import still_life

    monkeypatch.setattr(still_life, "SIDE", 16)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path))
    digest = scenes.load("procedural:duck").source["sha256"]
    assert digest == "e48645b24bf13f1c1d246685448a91a5cac3a47dfb17e8ec5174fa4794713905"
