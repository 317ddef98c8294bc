"""Scenes through the command line: from a folder of posed views to scores, pictures and films."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import main

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fit"))
from posed_scene import SMALL_GRID, pose, write_moving, write_scene  # noqa: E402

SETTINGS = [f"{name}={value}" for name, value in SMALL_GRID.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("ball") / "scene")


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["fit", str(folder), "--out", str(out), "--steps", "60", *(word for s in SETTINGS for word in ("--set", s)), "--json"]) == 0
    return out


def test_fit(run, capsys):
    stored = json.loads((run / "metrics.json").read_text())
    header = json.loads((run / "run.json").read_text())
    assert header["kind"] == "radiance" and stored["metrics"]["psnr"] > 12 and len(stored["views"]) == 3
    assert stored["metrics"]["psnr"] == pytest.approx(np.mean([view["psnr"] for view in stored["views"]]), abs=1e-3)
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert rows and all("test_psnr" in row for row in rows)
    assert np.asarray(Image.open(run / "preview.png")).shape == (3 * 30 - 6, 3 * 30 - 6, 3)
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(stored["metrics"], abs=1e-4)
    assert main(["info", str(run)]) == 0


def test_evaluate_on_other_views(run, tmp_path, capsys):
    other = write_scene(tmp_path / "other", train=5, test=2)
    assert main(["evaluate", str(run), "--data", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > 10


def test_evaluate_scores_what_the_run_was_not_fitted_to(run, folder, tmp_path, capsys):
    known, new = (json.loads((folder / f"transforms_{split}.json").read_text()) for split in ("train", "test"))
    scores = {view["name"]: view["psnr"] for view in json.loads((run / "metrics.json").read_text())["views"]}
    # One file without splits: all of its views but the three that the run was fitted to, whichever every eighth would be.
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    for split in ("train", "test"):
        (mixed / f"transforms_{split}.json").unlink()
    (mixed / "transforms.json").write_text(json.dumps(new | {"frames": known["frames"][:3] + new["frames"]}))
    assert main(["evaluate", str(run), "--data", str(mixed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] == pytest.approx(np.mean(list(scores.values())), abs=1e-3)
    (mixed / "transforms.json").write_text(json.dumps(known))
    assert main(["evaluate", str(run), "--data", str(mixed)]) == 2
    assert "fitted to all of its 12 views" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["color", "depth", "normal"])
def test_pictures(run, tmp_path, what):
    out = tmp_path / "view.png"
    assert main(["render", str(run), "--view", "1", "--what", what, "--size", "40x30", "--out", str(out)]) == 0
    assert Image.open(out).size == (40, 30)
    assert main(["render", str(run), "--view", "1", "--what", what, "--out", str(tmp_path / "view.exr")]) == 0


def test_films(run, tmp_path, capsys):
    path = tmp_path / "path.json"
    path.write_text(json.dumps({"camera_angle_x": 0.6, "w": 16, "h": 12, "frames": [{"transform_matrix": pose(a, 20).tolist()} for a in (0, 10, 20)]}))
    assert main(["render", str(run), "--path", str(path), "--out", str(tmp_path / "path.mp4"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 3 and (report["width"], report["height"]) == (16, 12)
    assert main(["render", str(run), "--turntable", "--size", "16x16", "--out", str(tmp_path / "around.gif")]) == 0
    assert Image.open(tmp_path / "around.gif").n_frames > 20


@pytest.mark.parametrize("flags, message", [
    (["--view", "99"], "views 0 to 14"), (["--time", "0.5"], "stands still"), (["--crop", "0,0,1,1"], "is not for runs of the kind radiance"),
    (["--path", "nothing.json"], "cannot be opened"), (["--turntable", "--path", "x.json"], "one of the two"), (["--view", "20,10"], "number of one"),
])
def test_requests_that_are_wrong(run, capsys, flags, message):
    assert main(["render", str(run), *flags]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and message in error and len(error.splitlines()) == 1


def broken(folder: Path, change) -> Path:
    for split in ("train", "test"):
        file = folder / f"transforms_{split}.json"
        content = json.loads(file.read_text())
        change(content, split)
        file.write_text(json.dumps(content))
    return folder


def edit(index, key, value, split="train"):
    def change(content, which):
        if which == split:
            content["frames"][index][key] = value
    return change


@pytest.mark.parametrize("change, message", [
    (edit(2, "file_path", "./train/none"), "no such picture"),
    (edit(3, "transform_matrix", np.full((4, 4), np.nan).tolist()), "./train/3: "),
    (edit(3, "transform_matrix", (2 * np.eye(4)).tolist()), "no rotation"),
    (edit(4, "fl_x", 1e9), "absurd"),
    (edit(1, "w", 7), "the picture is 24 x 24"),
])
def test_scenes_that_are_wrong(folder, tmp_path, capsys, change, message):
    copy = shutil.copytree(folder, tmp_path / "copy")
    broken(copy, change)
    assert main(["fit", str(copy), "--steps", "1", "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and message in error and not (tmp_path / "run").exists()


def test_transparent_view(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    Image.fromarray(np.zeros((24, 24, 4), np.uint8)).save(copy / "train" / "0.png")
    assert main(["fit", str(copy), "--steps", "1", "--out", str(tmp_path / "run")]) == 2
    assert "transparent all over" in capsys.readouterr().err


def test_moving_scene(tmp_path, capsys):
    source = write_moving(tmp_path / "moving.npz")
    out = tmp_path / "run"
    assert main(["fit", str(source), "--out", str(out), "--steps", "20", "--backdrop", "black", *(w for s in SETTINGS for w in ("--set", s)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kind"] == "radiance"
    assert main(["render", str(out), "--time", "0.7", "--out", str(tmp_path / "later.png")]) == 0
    assert main(["render", str(out), "--time", "1.7", "--out", str(tmp_path / "later.png")]) == 2
