"""Tests of the command line on videos, from file to metrics to file."""

import json

import numpy as np
import pytest
from PIL import Image

import scenes
from apps.cli.main import main
from scenes.video.write import write_video

QUICK = ["--steps", "200", "--set", "batch=4096", "table_size=4096", "--json"]


@pytest.fixture
def film(tmp_path):
    """Eight frames of a disc that grows on a slope of colours, as a folder."""
    y, x = np.mgrid[:36, :48]
    frames = np.stack(
        [
            np.stack([x * 4, y * 5, np.where((x - 24) ** 2 + (y - 18) ** 2 < (4 + 1.5 * i) ** 2, 220, 40)], -1)
            for i in range(8)
        ]
    )
    write_video(tmp_path / "film", frames.astype(np.uint8), 24.0)
    return tmp_path / "film"


@pytest.fixture
def run(tmp_path, film, capsys):
    assert main(["fit", str(film), "--out", str(tmp_path / "run"), "--rate", "8", *QUICK]) == 0
    captured = capsys.readouterr()
    assert "taken for video, as it is a folder of 8 images" in captured.err
    report = json.loads(captured.out)
    assert report["kind"] == "video" and set(report["metrics"]) == {"psnr", "ssim"}
    assert report["metrics"]["psnr"] > 24
    return tmp_path / "run"


def test_evaluate_repeats_the_score_and_a_preview_exists(run, capsys):
    stored = json.loads((run / "metrics.json").read_text())["metrics"]
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(stored, abs=1e-3)
    assert np.asarray(Image.open(run / "preview.png")).shape == (3 * 42 - 6, 4 * 54 - 6, 3)


@pytest.mark.parametrize(
    ("flags", "name", "size", "frames"),
    [
        ([], "a.mp4", (48, 36), 8),
        (["--rate", "16", "--scale", "2"], "a.gif", (96, 72), 16),
        (["--part", "0.25,0.75", "--size", "20x14"], "a", (20, 14), 4),
    ],
)
def test_renders_videos_gifs_and_folders_of_frames(run, tmp_path, flags, name, size, frames):
    out = tmp_path / "out" / name
    out.parent.mkdir()
    assert main(["render", str(run), "--out", str(out), *flags]) == 0
    video = scenes.load(out)
    assert video.domain.shape == (*size, frames)


def test_time_renders_the_frame_of_that_time(run, film, tmp_path):
    assert main(["render", str(run), "--time", "0.9375", "--out", str(tmp_path / "last.png")]) == 0
    last = np.asarray(Image.open(tmp_path / "last.png")).astype(int)
    errors = [np.abs(last - np.asarray(Image.open(film / f"{i + 1:05d}.png"))).mean() for i in range(8)]
    assert np.argmin(errors) == 7


def test_held_out_frames_are_scored(tmp_path, film, capsys):
    assert main(["fit", str(film), "--out", str(tmp_path / "run"), "--held-out", "0.5", *QUICK]) == 0
    assert "4 frames held out" not in capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > 10


def test_refuses_options_that_do_not_go_together(run, tmp_path, capsys):
    for flags in (
        ["--time", "9"],
        ["--time", "0.5", "--rate", "3"],
        ["--part", "0,9"],
        ["--slice", "z=0.5"],
        ["--out", str(tmp_path / "a.wav")],
        ["--rate", "1e9"],
    ):
        assert main(["render", str(run), *flags]) == 2
        assert capsys.readouterr().err.startswith("error: ")
