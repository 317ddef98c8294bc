"""Cameras found by COLMAP: those of photographs whose cameras are known, and what cannot be found."""

import sys

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.find import _Sharpest, find_poses, upright
from scenes.posed.path import looking_at
from scenes.posed.view import Intrinsics, PosedViews, View


def similarity(mine, theirs):
    """Places `theirs` [N, 3] moved, turned and scaled onto `mine` (Umeyama 1991)."""
    a, b = mine - mine.mean(0), theirs - theirs.mean(0)
    u, s, v = np.linalg.svd(a.T @ b)
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    return (s @ np.diag(d)) / (b**2).sum() * b @ (u @ d @ v).T + mine.mean(0)


@pytest.mark.slow
def test_the_cameras_of_known_photographs(shared, tmp_path):
    pytest.importorskip("pycolmap")
    from scenes.posed.read import open_posed

    known = {view.picture.name: view for view in open_posed(shared / "nerf" / "fox").views[:12]}
    (tmp_path / "photos").mkdir()
    for name, view in known.items():
        (tmp_path / "photos" / name).symlink_to(view.picture)
    told = []
    found = find_poses(tmp_path / "photos", tmp_path / "work", longest=480, tell=told.append)
    assert (
        found.given == 12 and len(found.scene.views) >= 10 and 0.1 < found.error < 1.0 and not found.warnings and told
    )
    places = np.stack([view.pose[:, 3] for view in found.scene.views])
    right = np.stack([known[view.picture.name].pose[:, 3] for view in found.scene.views])
    span = np.linalg.norm(right - right.mean(0), axis=1).max()
    assert np.abs(similarity(right, places) - right).max() < 0.06 * span
    intrinsics = found.scene.views[0].intrinsics
    assert intrinsics.fl_x == pytest.approx(687.5 / 2, rel=0.08) and max(intrinsics.width, intrinsics.height) == 480
    up = np.mean([view.pose[2, 1] for view in found.scene.views])
    assert up > 0.7 and len(found.scene.points) > 300


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(BadInput, match=r"install it with: pip install 'field-studio\[poses\]'"):
        find_poses(tmp_path, tmp_path / "work")


def test_too_few_and_none(tmp_path):
    pytest.importorskip("pycolmap")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match="holds no pictures"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "a.png")
    with pytest.raises(BadInput, match="1 pictures are too few"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    for name in "bcd":
        Image.new("RGB", (60, 40)).save(tmp_path / "photos" / f"{name}.png")
    with pytest.raises(BadInput, match="no cameras could be found"):
        find_poses(tmp_path / "photos", tmp_path / "other")
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(BadInput, match="is no film"):
        find_poses(tmp_path / "text.mp4", tmp_path / "third")


def test_the_sharpest_of_each_stretch(tmp_path, astronaut):
    from scipy.ndimage import gaussian_filter

    chosen = _Sharpest(4, tmp_path, 256)
    for index in range(10):
        sigma = 0.0 if index in (2, 5, 9) else 2.0
        chosen.add(gaussian_filter(astronaut, (sigma, sigma, 0)) // 2 + index)
    chosen.frames()
    assert chosen.count == 10 and chosen.sizes == [(256, 256)] * 3
    darkest = [np.asarray(Image.open(tmp_path / f"{i:05}.jpg")).astype(float).mean() for i in range(3)]
    assert darkest == pytest.approx([astronaut.mean() / 2 + i for i in (2, 5, 9)], abs=0.6)


def test_a_film_becomes_pictures(tmp_path, astronaut):
    from scenes.posed.find import _film
    from scenes.video.write import write_clip

    frames = [np.roll(astronaut[::2, ::2], 3 * i, axis=1) for i in range(20)]
    write_clip(tmp_path / "film.mp4", frames, 10.0)
    (tmp_path / "images").mkdir()
    assert _film(tmp_path / "film.mp4", tmp_path / "images", 128, 5) == [(128, 128)] * 5
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == [f"{i:05}.jpg" for i in range(5)]


def test_upright(tmp_path):
    """Whatever the axes were that cameras were found in, z is up, and what they look at at the origin."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.random(random_state=3).as_matrix()
    intrinsics = Intrinsics(12, 8, 10.0, 10.0, 6.0, 4.0)
    views, points = [], np.random.default_rng(0).normal(size=(10, 3))
    for i in range(14):
        pose = looking_at((3 * np.cos(i), 3 * np.sin(i), 1.2), (0, 0, 0.3))
        pose = np.concatenate([turn @ pose[:, :3], (7 * turn @ pose[:, 3] + (5, 6, 7))[:, None]], axis=1)
        views.append(View(str(i), None, pose, intrinsics, "train"))
    found = upright(PosedViews(tuple(views), points=7 * points @ turn.T + (5, 6, 7)))
    places = np.stack([view.pose[:, 3] for view in found.views])
    np.testing.assert_allclose(np.ptp(places[:, 2]), 0, atol=0.02)
    assert all(view.pose[2, 1] > 0.9 for view in found.views) and np.linalg.norm(
        places, axis=1
    ).mean() == pytest.approx(4.0)
    assert places[0, 2] > 0
    scale = 4.0 / np.linalg.norm([3.0, 0.9])
    np.testing.assert_allclose(
        np.linalg.norm(found.points, axis=1), scale * np.linalg.norm(points - (0, 0, 0.3), axis=1), rtol=0.02
    )
