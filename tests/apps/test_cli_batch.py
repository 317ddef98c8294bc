"""`batch` and `learn` on the command line: what they print, their exit status, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh

from apps.cli.main import main

BATCH = [
    "batch",
    "procedural:parts",
    "--items=32",
    "--steps=2",
    "--points=64",
    "--samples=512",
    "--set=resolution=8",
    "--set=features=4",
    "--set=width=16",
]
LEARN = ["--epochs=2", "--width=8", "--layers=1"]


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "fields"
    assert main([*BATCH, "--quiet", f"--out={out}"]) == 0
    return out


def test_batch_reports_and_continues(fields, capsys):
    assert main([*BATCH, f"--out={fields}", "--json"]) == 0
    report = answer(capsys)
    assert report["items"] == report["fitted"] == 32 and report["not_fitted"] == []
    assert set(report["scores"]["iou"]) == {"median", "min", "max"}
    assert main([*BATCH, f"--out={fields}"]) == 0
    printed = capsys.readouterr()
    assert "32 of 32 fitted" in printed.out and "learn classify" in printed.out
    assert "32 of 32 items are done already" in printed.err


def test_a_bad_file_does_not_fail_the_batch(tmp_path, capsys):
    (tmp_path / "shapes").mkdir()
    trimesh.creation.box().export(tmp_path / "shapes" / "box.ply")
    (tmp_path / "shapes" / "bad.obj").write_text("v 1 2 3\n")
    command = ["batch", str(tmp_path / "shapes"), *BATCH[3:], "--out", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    report = answer(capsys)
    assert report["fitted"] == 1 and [entry["name"] for entry in report["not_fitted"]] == ["bad.obj"]


def test_batch_refuses_in_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["batch", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert "the folder is empty" in error(capsys)
    assert not (tmp_path / "out").exists()
    assert main(["batch", str(tmp_path), "--method", "tripane", "--out", str(tmp_path / "out")]) == 2
    assert "triplane" in error(capsys)
    assert main(["batch", str(tmp_path), "--steps", "5", "--seconds", "5", "--out", str(tmp_path / "out")]) == 2
    assert "--steps" in error(capsys)


def test_learns_predicts_and_embeds(fields, tmp_path, capsys):
    model = str(tmp_path / "model")
    assert main(["learn", "classify", str(fields), *LEARN, "--out", model, "--json"]) == 0
    report = answer(capsys)
    assert len(report["classes"]) == 8 and report["chance"] == 0.125
    assert set(report["scores"]) >= {"accuracy", "nll"}
    trimesh.creation.box().export(tmp_path / "box.ply")
    assert main(["learn", "predict", model, str(tmp_path / "box.ply"), "--json"]) == 0
    report = answer(capsys)
    assert report["class"] in report["probabilities"] and 0 < report["probability"] <= 1
    out = tmp_path / "vectors.npz"
    assert main(["learn", "embed", model, str(fields), "--out", str(out), "--json"]) == 0
    assert answer(capsys)["items"] == 32 and out.is_file()


def test_learn_refuses_in_one_line(fields, tmp_path, capsys):
    assert main(["learn", "classify", str(tmp_path), "--out", str(tmp_path / "model")]) == 2
    assert "not a dataset of fields" in error(capsys)
    assert main(["learn", "predict", str(tmp_path)]) == 2
    assert "takes MODEL and FILE" in error(capsys)
    assert main(["learn", "predict", str(tmp_path), "box.ply"]) == 2
    assert "not a model" in error(capsys)
    assert main(["learn", "segment", str(fields), "--on", "weights", "--out", str(tmp_path / "model")]) == 2
    assert "--on" in error(capsys)
    assert main(["learn", "classify", str(fields), "more"]) == 2
    assert "takes one folder" in error(capsys)
    names = ["chair-00000", "mug-00005"]
    assert main(["learn", "between", str(fields), *names, "--out", str(tmp_path / "film.gif")]) == 2
    assert "--shared-decoder" in error(capsys)
    assert main(["learn", "between", str(fields), "chair_00000", "mug-00005"]) == 2
    assert "did you mean" in (said := error(capsys)) and "chair-00000" in said
