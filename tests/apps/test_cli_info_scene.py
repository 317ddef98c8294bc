"""`fit-a-scene info` of posed scenes, and refusals of scenes that cannot be fitted."""

import json

import pytest

from apps.cli.main import main
from scenes.procedural import still_life


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(still_life, "SIDE", 16)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_scene_is_reported_and_drawn(tmp_path, capsys):
    assert main(["info", "procedural:duck", "--plot", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["train"], report["test"], report["sizes"], report["lenses"]) == (
        40,
        8,
        [[16, 16]],
        ["pinhole"],
    )
    assert report["box"]["bounded"] and report["distances"][0] > 3 and report["plot"] == "duck-cameras.png"
    assert (tmp_path / "duck-cameras.png").stat().st_size > 10_000
    assert main(["info", "procedural:duck", "--plot", "mine.png"]) == 0
    assert (tmp_path / "mine.png").is_file() and "drawn in" in capsys.readouterr().out


def test_sources_that_are_neither_run_nor_scene_are_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "nowhere", "procedural:goose"):
        assert main(["info", source]) == 2
        assert capsys.readouterr().err.count("\n") == 1


POSE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]


def scene(folder, count=9, alpha=255, **change):
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    frames = []
    for i in range(count):
        Image.new("RGBA", (12, 8), (90, 90, 90, alpha)).save(folder / "images" / f"{i}.png")
        frames.append(
            {"file_path": f"images/{i}.png", "transform_matrix": POSE} | (change if i == 3 or count == 1 else {})
        )
    (folder / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    return folder


@pytest.mark.parametrize(
    "how, message",
    [
        ({"file_path": "images/gone.png"}, "transforms.json, images/gone.png: no such image"),
        (
            {"w": 13, "h": 20},
            "images/3.png: the image is 12 x 8, but its camera is given for 13 x 20, which is another shape",
        ),
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "images/3.png: its camera has values that are infinite"),
        ({"transform_matrix": [[2, 0, 0, 0], *POSE[1:]]}, "images/3.png: its camera's axes are no rotation"),
        ({"fl_x": 1e7}, "images/3.png: focal lengths of 1e+07"),
        ({"count": 1}, "needs two views or more"),
        ({"alpha": 0}, "transparent all over"),
    ],
)
def test_scenes_that_cannot_be_fitted_are_refused(tmp_path, capsys, how, message):
    assert main(["fit", str(scene(tmp_path / "scene", **how)), "--steps", "2"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.splitlines()[-1].startswith("error: ") and not (tmp_path / "runs").exists()


def test_sources_without_cameras_are_sent_to_fit_a_scene_poses(tmp_path, capsys):
    (tmp_path / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    folder = scene(tmp_path / "scene")
    for source in (tmp_path / "video.mp4", folder / "images"):
        assert main(["fit", str(source), "--kind", "radiance", "--steps", "2"]) == 2
        assert "fit-a-scene poses" in capsys.readouterr().err


def test_another_held_out_fraction_is_used_and_recorded(tmp_path, capsys):
    from scenes.posed.pose import look_at

    folder = scene(tmp_path / "scene")
    content = json.loads((folder / "transforms.json").read_text())
    for i, frame in enumerate(content["frames"]):
        frame["transform_matrix"] = [*look_at((3.0, i - 4.0, 1.0), (0, 0, 0)).tolist(), [0, 0, 0, 1]]
    (folder / "transforms.json").write_text(json.dumps(content))
    small = ["--set", "table_size=1024", "levels=3", "batch=2048", "cells=16", "ray_step=0.05"]
    assert main(["fit", str(folder), "--steps", "2", "--held-out", "0.25", "--out", str(tmp_path / "run"), *small]) == 0
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["source"]["options"]["held_out"] == 0.25
    cameras = json.loads((tmp_path / "run" / "cameras.json").read_text())["frames"]
    assert [camera["split"] for camera in cameras] == ["test"] * 3 + ["train"] * 6
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert main(["fit", str(folder), "--steps", "2", "--held-out", "0.9"]) == 2
    assert "at most 0.5" in capsys.readouterr().err
