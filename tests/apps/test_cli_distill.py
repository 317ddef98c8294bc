"""Tests of the command `distill`."""

import json
from pathlib import Path

import pytest

from apps.cli.main import main


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, astronaut) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("distill")
    Image.fromarray(astronaut[60:108, 180:236]).save(folder / "photo.png")
    out = folder / "teacher"
    assert (
        main(
            [
                "fit",
                str(folder / "photo.png"),
                "--steps",
                "60",
                "--set",
                "table_size=1024",
                "width=16",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    return out


def test_student_is_a_run_that_can_be_scored_and_rendered(teacher, tmp_path, capsys):
    out, photo = tmp_path / "student", teacher.parent / "photo.png"
    assert (
        main(
            [
                "distill",
                str(teacher),
                "--into",
                "siren",
                "--steps",
                "20",
                "--set",
                "width=32",
                "batch=1024",
                "feature_fraction=0.5",
                "--data",
                str(photo),
                "--out",
                str(out),
                "--json",
            ]
        )
        == 0
    )
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert report["method"] == "siren"
    assert report["teacher"]["method"] == "hashgrid"
    assert report["stages"]["feature_fraction"] == 0.5
    assert report["shared"] == []
    assert report["metrics"]["psnr"] > 5
    assert abs(report["data"]["metrics"]["psnr"] - report["metrics"]["psnr"]) < 6
    assert "stages: features, values" in captured.err
    assert main(["evaluate", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == report["data"]["metrics"]
    assert main(["render", str(out), "--out", str(tmp_path / "a.png")]) == 0
    assert main(["info", str(out)]) == 0
    assert "hashgrid" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--into", "siern"], "siren"),
        ([], "--into"),
        (["--into", "siren", "--set", "feature_shar=0.5"], "feature_shar"),
        (["--into", "siren", "--set", "feature_fraction=2"], "feature_fraction=2"),
        (["--into", "siren", "--set", "feature_fraction=0.8", "value_fraction=0.7"], "together at most 1"),
        (["--into", "triplane"], "dimensions"),
        (["--into", "siren", "--share-heads"], "share-heads"),
        (["--into", "siren", "--steps", "3", "--seconds", "3"], "--steps and --seconds"),
        (["--resume"], "--out"),
        (["--resume", "--into", "siren", "--out", "x"], "leave out --into"),
        (["--into", "hashgrid", "--data", "nowhere.png", "--steps", "1"], "nowhere.png"),
    ],
)
def test_refuses_wrong_options_with_one_line(teacher, arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["distill", str(teacher), *arguments]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_refuses_to_repeat_or_resume_a_distilled_run_as_a_fit(teacher, tmp_path, capsys):
    out = tmp_path / "student"
    assert (
        main(
            [
                "distill",
                str(teacher),
                "--into",
                "hashgrid",
                "--steps",
                "3",
                "--set",
                "table_size=256",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert main(["fit", str(out)]) == 2
    assert "distill" in capsys.readouterr().err
    assert main(["distill", str(teacher), "--resume", "--out", str(teacher)]) == 0
    assert "finished already" in capsys.readouterr().err
