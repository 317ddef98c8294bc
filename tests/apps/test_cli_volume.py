"""Tests of the command line on volumes, from file to metrics to slices, projections and files."""

import json

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import main


@pytest.fixture
def ball(tmp_path):
    """A bright ball in the dark, off the middle: `[12, 16, 20]`."""
    z, y, x = np.mgrid[:12, :16, :20]
    volume = np.exp(-((x - 14) ** 2 + (y - 5) ** 2 + (z - 6) ** 2) / 8) * 500 - 100
    np.save(tmp_path / "ball.npy", volume.astype(np.float32))
    return tmp_path / "ball.npy"


@pytest.fixture
def run(tmp_path, ball, capsys):
    assert (
        main(
            [
                "fit",
                str(ball),
                "--out",
                str(tmp_path / "run"),
                "--steps",
                "300",
                "--set",
                "batch=2048",
                "levels=4",
                "--json",
            ]
        )
        == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "volume" and report["metrics"]["psnr"] > 30
    return tmp_path / "run"


def test_evaluate_repeats_the_score_and_a_preview_exists(run, capsys):
    stored = json.loads((run / "metrics.json").read_text())["metrics"]
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(stored, abs=1e-3)
    assert np.asarray(Image.open(run / "preview.png")).shape == (3 * 246 - 6, 4 * 246 - 6, 3)


def test_slices_show_the_ball_where_it_is(run, tmp_path):
    for flags, size, place in (
        (["--slice", "z=0.54"], (20, 16), (14, 5)),
        (["--slice", "y=0.34", "--scale", "2"], (40, 24), (28, 12)),
        (["--slice", "x=0.72"], (16, 12), (5, 6)),
    ):
        assert main(["render", str(run), *flags, "--out", str(tmp_path / "slice.png")]) == 0
        image = Image.open(tmp_path / "slice.png").convert("L")
        assert image.size == size
        row, column = np.unravel_index(np.argmax(np.asarray(image)), image.size[::-1])
        assert abs(column - place[0]) <= 2 and abs(row - place[1]) <= 2


def test_renders_the_whole_volume_in_its_own_units(run, ball, tmp_path, capsys):
    assert main(["render", str(run), "--out", str(tmp_path / "again.nrrd")]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(tmp_path / "again.nrrd"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["psnr"] > 80
    assert main(["render", str(run), "--out", str(tmp_path / "large.npy"), "--scale", "2"]) == 0
    large = np.load(tmp_path / "large.npy")
    assert large.shape == (24, 32, 40)
    assert large.max() == pytest.approx(400, abs=120)


def test_projection_shows_the_ball_in_the_middle(run, tmp_path):
    assert main(["render", str(run), "--size", "60x60", "--out", str(tmp_path / "seen.png")]) == 0
    seen = np.asarray(Image.open(tmp_path / "seen.png").convert("L"))
    assert seen.max() > 100 and seen[0].max() < 30


def test_refuses_options_that_do_not_apply(run, tmp_path, capsys):
    for flags in (
        ["--rate", "5"],
        ["--slice", "w=3"],
        ["--size", "5x6"],
        ["--slice", "z=0.5", "--size", "5x6", "--scale", "2"],
        ["--out", str(tmp_path / "x.mp3")],
    ):
        assert main(["render", str(run), *flags]) == 2
        assert capsys.readouterr().err.startswith("error: ")
