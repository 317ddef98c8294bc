"""Cameras found by COLMAP, against known ones, and refusals of sources without cameras to find."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from skimage import data

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.find import WORK, find_poses, normalized
from scenes.posed.pose import look_at
from scenes.posed.read import is_posed, open_posed
from scenes.posed.view import PosedViews, View
from tests.scenes.posed.textured_cube import TexturedCube, circle

INTRINSICS = Intrinsics.pinhole(240, 180, 250.0)


def similarity(mine, theirs):
    """Points `theirs` [N, 3] moved, rotated and scaled onto `mine` (Umeyama 1991)."""
    a, b = mine - mine.mean(0), theirs - theirs.mean(0)
    u, s, v = np.linalg.svd(a.T @ b)
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    return (s @ np.diag(d)).sum() / (b**2).sum() * b @ (u @ d @ v).T + mine.mean(0)


def position_errors(known, scene):
    """Distances of found cameras from the known ones, relative to the mean distance from their middle."""
    right = np.stack([known[view.image.stem][:, 3] for view in scene.views])
    moved = similarity(right, np.stack([view.pose[:, 3] for view in scene.views]))
    return np.linalg.norm(moved - right, axis=1) / np.linalg.norm(right - right.mean(0), axis=1).mean()


@pytest.fixture(scope="module")
def cube():
    return TexturedCube()


def photographs(cube, folder, poses, alpha=False, mirror=False):
    """Write photographs and return the pose of each by its name."""
    folder.mkdir()
    known = {}
    for index, pose in enumerate(poses):
        pixels = cube.photograph(pose, INTRINSICS, mirror)
        Image.fromarray(pixels if alpha else pixels[..., :3]).save(folder / f"view_{len(known):02}.png")
        known[f"view_{index:02}"] = pose
    return known


def save(folder, pictures):
    folder.mkdir()
    for index, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def found(cube, tmp_path_factory):
    """Nine photographs of a cube and one of something else, and the cameras that are found."""
    pytest.importorskip("pycolmap")
    folder = tmp_path_factory.mktemp("found")
    known = photographs(cube, folder / "photos", circle(9, degrees=135))
    Image.fromarray(data.hubble_deep_field()[:180, :240]).save(folder / "photos" / "view_04b.png")
    shutil.copyfile(folder / "photos" / "view_02.png", folder / "photos" / "view_02b.png")
    reports = []
    result = find_poses(folder / "photos", folder / "scene", progress=lambda *report: reports.append(report))
    return folder, known, result, reports


@pytest.mark.slow
def test_rendered_photographs_get_their_cameras(found):
    folder, known, result, reports = found
    assert len(result.scene.views) == 9 and result.mapper == "incremental" and result.reprojection_error < 0.4
    assert position_errors(known, result.scene).max() < 0.02
    assert result.scene.views[0].intrinsics.fl_x == pytest.approx(250, rel=0.05)
    stages = list(dict.fromkeys(stage for stage, _ in reports))
    assert stages[:4] == ["pictures", "features", "matching", "cameras"] and stages[-1] == "writing"
    assert all(0 <= fraction <= 1 for _, fraction in reports)
    assert set(result.seconds) >= {"pictures", "features", "matching", "cameras", "second tries", "writing"}


@pytest.mark.slow
def test_what_is_left_out_is_listed_and_kept(found):
    folder, _, result, _ = found
    reasons = dict(result.left_out)
    assert set(reasons) == {"view_02b.png", "view_04b.png"} and len(result.used) == 9
    assert reasons["view_02b.png"] in ("nearly the same as view_02.png",)
    assert "nothing in common" in reasons["view_04b.png"] or "features" in reasons["view_04b.png"]
    stored = json.loads((folder / "scene" / "poses.json").read_text())
    assert stored["left_out"] == [{"name": name, "reason": reason} for name, reason in result.left_out]
    notes = open_posed(folder / "scene").notes
    assert any(note.startswith("2 of 11 pictures are not used") and "1 doubled" in note for note in notes)


@pytest.mark.slow
def test_a_second_call_reads_what_the_first_one_wrote(found):
    folder, _, result, _ = found
    reports = []
    again = find_poses(folder / "photos", folder / "scene", progress=lambda *report: reports.append(report))
    assert not reports and again.summary() == result.summary() and is_posed(folder / "scene")
    for a, b in zip(again.scene.views, result.scene.views, strict=True):
        np.testing.assert_array_equal(a.pose, b.pose)
    with pytest.raises(BadInput, match="holds the cameras of other pictures"):
        find_poses(folder / "photos", folder / "scene", longest=100)
    assert not (folder / "scene" / WORK).exists()


@pytest.mark.slow
def test_what_alpha_hides_has_no_part(cube, tmp_path):
    """The background stands still with the camera, as on a turntable: without the masks it would be the scene."""
    pytest.importorskip("pycolmap")
    (tmp_path / "photos").mkdir()
    behind = data.coffee()[:180, :240]
    poses = circle(9, degrees=120, radius=2.2)
    for index, pose in enumerate(poses):
        pixels = cube.photograph(pose, INTRINSICS)
        pixels[..., :3] = np.where(pixels[..., 3:] > 0, pixels[..., :3], behind)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"view_{index:02}.png")
    result = find_poses(tmp_path / "photos", tmp_path / "scene")
    known = {f"view_{index:02}": pose for index, pose in enumerate(poses)}
    assert len(result.scene.views) >= 8 and position_errors(known, result.scene).max() < 0.05
    assert result.scene.views[0].read_image().shape[2] == 4 and result.scene.views[0].mask is None


@pytest.mark.slow
def test_a_turntable_in_front_of_a_wall_needs_no_masks(cube, tmp_path):
    pytest.importorskip("pycolmap")
    poses = circle(9, degrees=120, radius=2.2)
    seen = [cube.photograph(pose, INTRINSICS) for pose in poses]
    behind = data.coffee()[:180, :240]
    save(tmp_path / "photos", [np.where(pixels[..., 3:] > 0, pixels[..., :3], behind) for pixels in seen])
    result = find_poses(tmp_path / "photos", tmp_path / "scene")
    known = {str(index): pose for index, pose in enumerate(poses)}
    assert len(result.scene.views) >= 8 and position_errors(known, result.scene).max() < 0.05
    assert any("the background stands still" in warning for warning in result.warnings)


@pytest.mark.slow
def test_a_mirror_ends_in_cameras(cube, tmp_path):
    pytest.importorskip("pycolmap")
    known = photographs(cube, tmp_path / "photos", circle(9, degrees=120), mirror=True)
    result = find_poses(tmp_path / "photos", tmp_path / "scene")
    assert len(result.scene.views) >= 7 and position_errors(known, result.scene).max() < 0.05


@pytest.mark.slow
def test_three_photographs_end_in_cameras_and_warnings(cube, tmp_path):
    pytest.importorskip("pycolmap")
    photographs(cube, tmp_path / "photos", circle(3, degrees=45))
    result = find_poses(tmp_path / "photos", tmp_path / "scene")
    assert len(result.scene.views) == 3
    text = " ".join(result.warnings)
    assert "3 pictures are few" in text and "from one side" in text


@pytest.mark.slow
def test_of_two_groups_the_larger_is_used(cube, tmp_path):
    """Mirrored photographs show another scene, in which nothing of the first one is found."""
    pytest.importorskip("pycolmap")
    pictures = [cube.photograph(pose, INTRINSICS)[..., :3] for pose in circle(9, degrees=120)]
    save(tmp_path / "photos", [*pictures[:6], *(np.fliplr(picture) for picture in pictures[5:])])
    result = find_poses(tmp_path / "photos", tmp_path / "scene")
    assert result.used == tuple(f"{i}.png" for i in range(6))
    assert [name for name, _ in result.left_out] == [f"{i}.png" for i in range(6, 10)]
    reasons = " ".join(reason for _, reason in result.left_out)
    assert "that group not with the rest" in reasons or "nothing in common" in reasons
    assert any("6 of 10 pictures only" in warning for warning in result.warnings)


@pytest.mark.slow
def test_pictures_that_cannot_work_end_in_one_line(cube, tmp_path):
    pytest.importorskip("pycolmap")
    apart = [f()[:180, :240, :3] for f in (data.astronaut, data.coffee, data.chelsea, data.rocket)]
    plain = [
        np.full((180, 240, 3), 90, np.uint8) + np.arange(240, dtype=np.uint8)[:, None] // (3 + i) for i in range(4)
    ]
    turning = [look_at((2.6, 0, 1), (0, np.sin(a), 0.5 * np.cos(a) - 0.3)) for a in np.linspace(0, 5, 5)]
    turned = [cube.photograph(pose, INTRINSICS)[..., :3] for pose in turning]
    cases = {
        "apart": (apart, "no two pictures show the same thing"),
        "plain": (plain, "too little texture"),
        "turned": (turned, "turning the camera"),
        "same": ([apart[0]] * 4, "1 picture is too few .* nearly the same as"),
    }
    for name, (pictures, words) in cases.items():
        with pytest.raises(BadInput, match=words) as caught:
            find_poses(save(tmp_path / name, pictures), tmp_path / "scene")
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)
        assert not (tmp_path / "scene").exists()


@pytest.mark.slow
def test_ctrl_c_ends_both_processes_and_a_second_call_goes_on(cube, tmp_path):
    pytest.importorskip("pycolmap")
    photographs(cube, tmp_path / "photos", circle(8, degrees=90))
    command = [
        sys.executable,
        "-m",
        "apps.cli.main",
        "poses",
        str(tmp_path / "photos"),
        "--out",
        str(tmp_path / "scene"),
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A test run in the background of a shell ignores Ctrl-C, and its children would too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    work = tmp_path / "scene" / WORK
    limit = time.monotonic() + 120
    while not (work / "database.db").exists() and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.rstrip().endswith("interrupted")
    running = [entry for entry in os.listdir("/proc") if entry.isdecimal() and _names(entry, str(work))]
    assert not running and (work / "pictures.json").is_file()
    stages = []
    result = find_poses(tmp_path / "photos", tmp_path / "scene", progress=lambda stage, _: stages.append(stage))
    assert "pictures" not in stages and len(result.used) >= 4 and not work.exists()


def _names(process, text):
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return text.encode() in file.read()
    except OSError:
        return False


@pytest.mark.slow
def test_known_cameras_are_found(shared, tmp_path):
    pytest.importorskip("pycolmap")
    known = {view.image.stem: view.pose for view in open_posed(shared / "nerf" / "fox").views[:12]}
    (tmp_path / "photos").mkdir()
    for name in known:
        (tmp_path / "photos" / f"{name}.jpg").symlink_to(shared / "nerf" / "fox" / "images" / f"{name}.jpg")
    found = find_poses(tmp_path / "photos", tmp_path / "work", longest=480)
    assert found.num_images == 12 and len(found.scene.views) >= 10 and 0.1 < found.reprojection_error < 1.0
    assert position_errors(known, found.scene).max() < 0.06
    intrinsics = found.scene.views[0].intrinsics
    assert intrinsics.fl_x == pytest.approx(687.5 / 2, rel=0.08) and max(intrinsics.width, intrinsics.height) == 480
    up = np.mean([view.pose[2, 1] for view in found.scene.views])
    assert up > 0.7 and len(found.scene.points) > 300


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(BadInput, match=r"install it with: pip install 'field-studio\[poses\]'"):
        find_poses(tmp_path, tmp_path / "work")


def test_a_process_that_fails_is_reported_in_its_last_words(tmp_path):
    from scenes.posed.find_child import ChildFailed, run_colmap

    pytest.importorskip("pycolmap")
    with pytest.raises(ChildFailed, match=r"COLMAP ended with status 1: TypeError: "):
        run_colmap({"no such": "job"}, tmp_path, lambda stage, fraction: None)


def test_progress_is_reported_while_the_process_is_silent():
    from scenes.posed.find_child import _follow

    code = 'import time; print(\'{"stage": "matching", "fraction": 0.5}\', flush=True); time.sleep(1.8)'
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    reports = []
    _follow(process.stdout, lambda *report: reports.append(report))
    process.wait()
    process.stdout.close()
    assert reports.count(("matching", 0.5)) >= 3


def test_sources_without_enough_images_are_refused(tmp_path):
    pytest.importorskip("pycolmap")
    with pytest.raises(BadInput, match="no such file or folder"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    (tmp_path / "photos").mkdir()
    with pytest.raises(BadInput, match="holds no images"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    Image.new("RGB", (60, 40)).save(tmp_path / "photos" / "a.png")
    with pytest.raises(BadInput, match="1 picture is too few"):
        find_poses(tmp_path / "photos", tmp_path / "work")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="is not empty"):
        find_poses(tmp_path / "photos", tmp_path / "other")
    assert (tmp_path / "other" / "notes.txt").exists() and not (tmp_path / "work").exists()


def test_a_zip_has_cameras_only_where_it_has_a_file_of_them(tmp_path):
    import zipfile

    for name, members in {"photos": ["a/1.jpg"], "scene": ["a/1.jpg", "a/transforms.json"]}.items():
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as packed:
            for member in members:
                packed.writestr(member, "x")
    assert not is_posed(tmp_path / "photos.zip") and is_posed(tmp_path / "scene.zip")


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
