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
    assert (
        main(
            [
                "fit",
                str(folder),
                "--out",
                str(out),
                "--steps",
                "60",
                *(word for s in SETTINGS for word in ("--set", s)),
                "--json",
            ]
        )
        == 0
    )
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


def test_evaluate_on_views_as_people_have_them(run, tmp_path, capsys):
    """Turned by EXIF, with a lens for twice the size and OpenCV's axes, the same views have the same scores."""
    plain = write_scene(tmp_path / "plain", train=7, test=2)
    assert main(["evaluate", str(run), "--data", str(plain), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)["metrics"]
    changed = Path(shutil.copytree(plain, tmp_path / "changed"))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("transforms_train.json", "transforms_test.json"):
        content = json.loads((changed / name).read_text()) | {"w": 48, "h": 48}
        for frame in content["frames"]:
            frame["transform_matrix"] = (np.array(frame["transform_matrix"]) * [1, -1, -1, 1]).tolist()
            frame["file_path"] = frame["file_path"].replace("/", "\\")
        (changed / name).write_text(json.dumps(content), encoding="utf-8-sig")
    for file in changed.glob("*/*.png"):
        Image.open(file).save(file, exif=exif)
    assert main(["evaluate", str(run), "--data", str(changed), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["metrics"] == pytest.approx(scores, abs=1e-4)
    for said in ("9 of 9 photographs have an EXIF orientation", "written for 48 x 48", "--pose-convention opengl"):
        assert said in captured.err or said.replace("--pose-convention ", "pose_convention=") in captured.err


def test_evaluate_on_other_views(run, tmp_path, capsys):
    other = write_scene(tmp_path / "other", train=5, test=2)
    assert main(["evaluate", str(run), "--data", str(other), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > 10


def test_evaluate_scores_what_the_run_was_not_fitted_to(run, folder, tmp_path, capsys):
    known, new = (json.loads((folder / f"transforms_{split}.json").read_text()) for split in ("train", "test"))
    scores = {view["name"]: view["psnr"] for view in json.loads((run / "metrics.json").read_text())["views"]}
    # One file without splits: all of its views but the three that the run was fitted to, whichever every eighth would
    # be.
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)
    for split in ("train", "test"):
        (mixed / f"transforms_{split}.json").unlink()
    (mixed / "transforms.json").write_text(json.dumps(new | {"frames": known["frames"][:3] + new["frames"]}))
    assert main(["evaluate", str(run), "--data", str(mixed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] == pytest.approx(
        np.mean(list(scores.values())), abs=1e-3
    )
    (mixed / "transforms.json").write_text(json.dumps(known))
    assert main(["evaluate", str(run), "--data", str(mixed)]) == 2
    assert "fitted to all of its 12 views" in capsys.readouterr().err


def test_evaluate_scores_all_of_a_scene_with_test_views_only(run, folder, tmp_path, capsys):
    """A folder, or a file, that has only the views for testing of a larger data set."""
    scores = json.loads((run / "metrics.json").read_text())["metrics"]
    shutil.copytree(folder, tmp_path / "only")
    (tmp_path / "only" / "transforms_train.json").unlink()
    for source in (tmp_path / "only", tmp_path / "only" / "transforms_test.json", folder / "transforms_test.json"):
        assert main(["evaluate", str(run), "--data", str(source), "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out)["metrics"]["psnr"] == pytest.approx(scores["psnr"], abs=1e-3)
        assert "held out" not in captured.err


@pytest.mark.parametrize("what", ["color", "depth", "normal"])
def test_pictures(run, tmp_path, what):
    out = tmp_path / "view.png"
    assert main(["render", str(run), "--view", "1", "--what", what, "--size", "40x30", "--out", str(out)]) == 0
    assert Image.open(out).size == (40, 30)
    assert main(["render", str(run), "--view", "1", "--what", what, "--out", str(tmp_path / "view.exr")]) == 0


def test_a_run_without_cameras_has_none_to_draw(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "cameras.json").unlink()
    assert main(["info", str(copy), "--plot"]) == 2
    error = capsys.readouterr().err.strip()
    assert (
        error.startswith("error: ") and "there are none in this run's folder" in error and len(error.splitlines()) == 1
    )


def test_the_end_of_a_fit_has_the_scores_of_each_view(folder, tmp_path, capsys):
    assert (
        main(
            [
                "fit",
                str(folder),
                "--out",
                str(tmp_path / "run"),
                "--steps",
                "2",
                *(word for s in SETTINGS for word in ("--set", s)),
                "--json",
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    views = json.loads((tmp_path / "run" / "metrics.json").read_text())["views"]
    assert json.loads(said.out.splitlines()[-1])["views"] == views and len(views) == 3
    rows = [line.split() for line in said.err.splitlines() if line.strip().startswith("./test/")]
    assert rows == [[view["name"], f"{view['psnr']:.4g}", f"{view['ssim']:.4g}"] for view in views]


def test_of_many_views_the_worst_and_the_best_are_printed():
    from rich.console import Console

    from apps.cli.progress import _table

    views = [{"name": f"photo [{i}]", "psnr": 20 + i * 7 % 40 / 10} for i in range(40)]
    console = Console(width=60)
    with console.capture() as printed:
        console.print(_table(views))
    lines = printed.get().splitlines()
    shown = [float(line.split()[-1]) for line in lines if line.strip().startswith("photo [")]
    assert (
        shown == [20.0, 20.1, 20.2, 20.3, 20.4, 23.5, 23.6, 23.7, 23.8, 23.9]
        and lines[6].strip() == "... 30 more in metrics.json"
    )


def test_other_views_are_scored_on_the_background_of_the_run(folder, tmp_path, capsys):
    out = tmp_path / "run"
    assert (
        main(
            [
                "fit",
                str(folder),
                "--out",
                str(out),
                "--steps",
                "10",
                "--background",
                "black",
                *(word for s in SETTINGS for word in ("--set", s)),
            ]
        )
        == 0
    )
    copy = shutil.copytree(folder, tmp_path / "copy")
    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(
        json.loads((out / "metrics.json").read_text())["metrics"], abs=1e-4
    )


def test_a_background_that_was_found_to_be_black_is_rendered_black(tmp_path):
    source, out = write_moving(tmp_path / "moving.npz"), tmp_path / "run"
    assert (
        main(["fit", str(source), "--out", str(out), "--steps", "20", *(w for s in SETTINGS for w in ("--set", s))])
        == 0
    )
    assert main(["render", str(out), "--box=8,8,8,9,9,9", "--out", str(tmp_path / "nothing.png")]) == 0
    assert not np.asarray(Image.open(tmp_path / "nothing.png").convert("RGB")).any()
    # (what was found is no flag that somebody gave: the run can be repeated)
    assert main(["fit", str(out), "--out", str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / "run.json").read_text())["source"]["options"] == {"background": "black"}


def test_films(run, tmp_path, capsys):
    path = tmp_path / "path.json"
    path.write_text(
        json.dumps(
            {
                "camera_angle_x": 0.6,
                "w": 16,
                "h": 12,
                "frames": [{"transform_matrix": pose(a, 20).tolist()} for a in (0, 10, 20)],
            }
        )
    )
    assert main(["render", str(run), "--path", str(path), "--out", str(tmp_path / "path.mp4"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 3 and (report["width"], report["height"]) == (16, 12)
    assert main(["render", str(run), "--turntable", "--size", "16x16", "--out", str(tmp_path / "around.gif")]) == 0
    assert Image.open(tmp_path / "around.gif").n_frames > 20


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--view", "99"], "views 0 to 14"),
        (["--time", "0.5"], "stands still"),
        (["--crop", "0,0,1,1"], "is not for runs of the kind radiance"),
        (["--path", "nothing.json"], "cannot be opened"),
        (["--turntable", "--path", "x.json"], "one of the two"),
        (["--view", "20,10"], "number of one"),
    ],
)
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


@pytest.mark.parametrize(
    "change, message",
    [
        (edit(2, "file_path", "./train/none"), "no such image"),
        (edit(3, "transform_matrix", np.full((4, 4), np.nan).tolist()), "./train/3: "),
        (edit(3, "transform_matrix", np.diag([2.0, 1.0, 1.0, 1.0]).tolist()), "no rotation"),
        (edit(4, "fl_x", 1e9), "not plausible"),
        (lambda content, split: content["frames"][1].update(w=7, h=20), "24 x 24"),
    ],
)
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
    assert (
        main(
            [
                "fit",
                str(source),
                "--out",
                str(out),
                "--steps",
                "20",
                "--background",
                "black",
                *(w for s in SETTINGS for w in ("--set", s)),
                "--json",
            ]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["kind"] == "radiance"
    assert main(["render", str(out), "--time", "0.7", "--out", str(tmp_path / "later.png")]) == 0
    assert main(["render", str(out), "--time", "1.7", "--out", str(tmp_path / "later.png")]) == 2
