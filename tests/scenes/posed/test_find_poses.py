"""Cameras found by COLMAP, against known ones, and refusals of sources without cameras to find."""

import sys

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.find import _SharpestFrames, find_poses, normalized
from scenes.posed.pose import look_at
from scenes.posed.view import PosedViews, View


def similarity(mine, theirs):
    """Points `theirs` [N, 3] moved, rotated and scaled onto `mine` (Umeyama 1991)."""
    a, b = mine - mine.mean(0), theirs - theirs.mean(0)
    u, s, v = np.linalg.svd(a.T @ b)
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    return (s @ np.diag(d)) / (b**2).sum() * b @ (u @ d @ v).T + mine.mean(0)


@pytest.mark.slow
def test_known_cameras_are_found(shared, tmp_path):
    pytest.importorskip("pycolmap")
    from scenes.posed.read import open_posed

    known = {view.image.name: view for view in open_posed(shared / "nerf" / "fox").views[:12]}
    (tmp_path / "photos").mkdir()
    for name, view in known.items():
        (tmp_path / "photos" / name).symlink_to(view.image)
    lines = []
    found = find_poses(tmp_path / "photos", tmp_path / "work", max_side=480, progress=lines.append)
    assert (
        found.num_images == 12
        and len(found.scene.views) >= 10
        and 0.1 < found.error < 1.0
        and not found.warnings
        and lines
    )
    positions = np.stack([view.pose[:, 3] for view in found.scene.views])
    right = np.stack([known[view.image.name].pose[:, 3] for view in found.scene.views])
    span = np.linalg.norm(right - right.mean(0), axis=1).max()
    assert np.abs(similarity(right, positions) - right).max() < 0.06 * span
    intrinsics = found.scene.views[0].intrinsics
    assert intrinsics.fl_x == pytest.approx(687.5 / 2, rel=0.08) and max(intrinsics.width, intrinsics.height) == 480
    up = np.mean([view.pose[2, 1] for view in found.scene.views])
    assert up > 0.7 and len(found.scene.points) > 300


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(BadInput, match=r"install it with: pip install 'field-studio\[poses\]'"):
        find_poses(tmp_path, tmp_path / "work")


def test_sources_without_enough_images_are_refused(tmp_path):
    pytest.importorskip("pycolmap")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match="holds no images"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "a.png")
    with pytest.raises(BadInput, match="1 images are too few"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    for name in "bcd":
        Image.new("RGB", (60, 40)).save(tmp_path / "photos" / f"{name}.png")
    with pytest.raises(BadInput, match="no cameras could be found"):
        find_poses(tmp_path / "photos", tmp_path / "other")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(BadInput, match="is neither a video"):
        find_poses(tmp_path / "text.mp4", tmp_path / "third")


def test_the_sharpest_frame_of_each_stretch_is_kept(tmp_path, astronaut):
    from scipy.ndimage import gaussian_filter

    chosen = _SharpestFrames(4, tmp_path, 256)
    for index in range(10):
        sigma = 0.0 if index in (2, 5, 9) else 2.0
        chosen.add(gaussian_filter(astronaut, (sigma, sigma, 0)) // 2 + index)
    chosen.frames()
    assert chosen.count == 10 and chosen.sizes == [(256, 256)] * 3
    darkest = [np.asarray(Image.open(tmp_path / f"{i:05}.jpg")).astype(float).mean() for i in range(3)]
    assert darkest == pytest.approx([astronaut.mean() / 2 + i for i in (2, 5, 9)], abs=0.6)


def test_a_video_becomes_images(tmp_path, astronaut):
    from scenes.posed.find import _save_frames
    from scenes.video.write import write_video

    frames = [np.roll(astronaut[::2, ::2], 3 * i, axis=1) for i in range(20)]
    write_video(tmp_path / "video.mp4", frames, 10.0)
    (tmp_path / "images").mkdir()
    assert _save_frames(tmp_path / "video.mp4", tmp_path / "images", 128, 5) == [(128, 128)] * 5
    assert sorted(file.name for file in (tmp_path / "images").iterdir()) == [f"{i:05}.jpg" for i in range(5)]


def test_normalized_scenes_have_z_up_and_look_at_the_origin():
    from scipy.spatial.transform import Rotation

    turn = Rotation.random(random_state=3).as_matrix()
    intrinsics = Intrinsics.pinhole(12, 8, 10.0)
    views, points = [], np.random.default_rng(0).normal(size=(10, 3))
    for i in range(14):
        pose = look_at((3 * np.cos(i), 3 * np.sin(i), 1.2), (0, 0, 0.3))
        pose = np.concatenate([turn @ pose[:, :3], (7 * turn @ pose[:, 3] + (5, 6, 7))[:, None]], axis=1)
        views.append(View(pose=pose, intrinsics=intrinsics, name=str(i), split="train"))
    found = normalized(PosedViews(tuple(views), points=7 * points @ turn.T + (5, 6, 7)))
    positions = np.stack([view.pose[:, 3] for view in found.views])
    np.testing.assert_allclose(np.ptp(positions[:, 2]), 0, atol=0.02)
    assert all(view.pose[2, 1] > 0.9 for view in found.views) and np.linalg.norm(
        positions, axis=1
    ).mean() == pytest.approx(4.0)
    assert positions[0, 2] > 0
    scale = 4.0 / np.linalg.norm([3.0, 0.9])
    np.testing.assert_allclose(
        np.linalg.norm(found.points, axis=1), scale * np.linalg.norm(points - (0, 0, 0.3), axis=1), rtol=0.02
    )
