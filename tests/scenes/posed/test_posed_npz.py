"""Posed views in an `.npz`, the images of views, and which reader a source goes to."""

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.npz import open_bundle
from scenes.posed.read import open_posed
from scenes.posed.view import View


def arrays(count=9, channels=3, **change):
    images = np.random.default_rng(0).integers(0, 255, (count, 8, 12, channels)).astype(np.uint8)
    return {"images": images, "poses": np.tile(np.eye(4), (count, 1, 1)), "focal": np.array(10.0)} | change


@pytest.fixture
def bundle(tmp_path):
    def write(**held):
        np.savez(tmp_path / "scene.npz", **held)
        return tmp_path / "scene.npz"

    return write


def test_bundle_gives_images_poses_focal_length_and_times(bundle):
    held = arrays(times=np.linspace(0, 1, 9))
    found = open_bundle(bundle(**held))
    assert [i for i, view in enumerate(found.views) if view.split == "test"] == [0, 8]
    view = found.views[4]
    assert view.time == 0.5 and np.array_equal(view.read_image(), held["images"][4]) and view.pose.shape == (3, 4)
    assert (view.intrinsics.width, view.intrinsics.height, view.intrinsics.fl_x, view.intrinsics.cx) == (
        12,
        8,
        10.0,
        6.0,
    )
    floating = open_bundle(bundle(**arrays(images=held["images"] / 255.0)))
    assert np.array_equal(floating.views[4].read_image(), held["images"][4]) and floating.views[4].time is None


@pytest.mark.parametrize(
    "held, message",
    [
        (arrays(poses=np.full((9, 4, 4), np.nan)), "view 0: .*NaN"),
        (arrays(poses=np.eye(4)[None]), "9 images, 1 poses"),
        (arrays(times=np.zeros(3)), "each view needs one of each"),
        (arrays(times=np.full(9, 2.0)), "between 0 and 1"),
        (arrays(focal=np.array(1e9)), "not plausible"),
        (arrays(focal=np.zeros(2)), "focal is not one number"),
        (arrays(count=1), "two views or more"),
        (arrays(images=np.zeros((9, 8, 12))), "not .views, height"),
        (arrays(images=np.full((9, 8, 12, 3), 7.0)), "from 0 to 1"),
        (arrays(channels=4, images=np.zeros((9, 8, 12, 4), np.uint8)), "view 0: is transparent"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8)}, "no poses and no focal"),
    ],
)
def test_wrong_bundles_are_refused(bundle, held, message):
    with pytest.raises(BadInput, match=message):
        open_bundle(bundle(**held))


def test_files_that_are_not_posed_views_are_refused(bundle, tmp_path):
    path = bundle(**arrays())
    path.write_bytes(path.read_bytes()[:200])
    for source, message in [
        (path, "not an .npz"),
        (tmp_path / "nothing", "no such file"),
        (tmp_path, "no transforms.json"),
    ]:
        with pytest.raises(BadInput, match=message):
            open_posed(source)
    objects = bundle(**arrays(focal=np.array([{}], dtype=object)))
    with pytest.raises(BadInput, match="plain arrays"):
        open_posed(objects)


def view_of(path, width=6, height=4):
    return View(pose=np.eye(3, 4), intrinsics=Intrinsics(width, height, fl_x=5.0, fl_y=5.0, cx=3.0, cy=2.0), image=path)


def test_images_of_views_are_read_as_rgb_or_rgba(tmp_path):
    path = tmp_path / "a.png"
    for mode, channels in (("RGB", 3), ("RGBA", 4), ("L", 3), ("LA", 4)):
        Image.new(mode, (6, 4), 200 if mode == "L" else (200,) * len(mode)).save(path)
        pixels = view_of(path).read_image()
        assert pixels.shape == (4, 6, channels) and pixels.dtype == np.uint8 and (pixels == 200).all()
    Image.new("RGBA", (6, 4), (9, 9, 9, 0)).save(path)
    with pytest.raises(BadInput, match="transparent all over"):
        view_of(path).read_image()
    Image.new("RGB", (6, 4)).save(path)
    with pytest.raises(BadInput, match="its camera is for 4 x 6"):
        view_of(path, 4, 6).read_image()


def test_real_scenes_of_each_kind_open(shared):
    moving = open_posed(shared / "nerf" / "tiny_dnerf_lego" / "tiny_dnerf_lego.npz")
    assert (
        len(moving.views) == 72
        and moving.views[5].read_image().shape == (100, 100, 3)
        and moving.views[5].time is not None
    )
    assert open_posed(shared / "nerf" / "lego_200").views[0].read_image().shape == (200, 200, 4)
    assert open_posed(shared / "nerf" / "fox").views[0].read_image().shape == (960, 540, 3)
