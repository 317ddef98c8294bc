"""Runs that were written before options, modules and tensors were renamed still load, and give the same values."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from fields.compare.comparison import Comparison
from fields.distill.request import DistillRequest
from fields.fit.fit import finish, reopen, resume
from fields.fit.plan import Plan
from fields.fit.request import FitRequest
from fields.models.field import FrameField, RadianceField
from fields.runs import small_file
from fields.runs.run import Run, load_field
from scenes.errors import BadInput

RUNS = Path(__file__).parents[1] / "fixtures" / "runs"
VALUES = json.loads((RUNS / "values.json").read_text())
COMPRESSED = tuple(name for name in VALUES if name.endswith(".fsq"))
FOLDERS = tuple(name for name in VALUES if name not in COMPRESSED)
# Values are of one machine; others round differently in the last digits.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def stored(name: str, key: str) -> torch.Tensor:
    return torch.tensor(VALUES[name][key])


@pytest.mark.parametrize("name", VALUES)
@torch.no_grad()
def test_field_of_an_old_run_gives_its_stored_values(name):
    field = Run.open(RUNS / name).load_field()
    assert field.num_parameters == VALUES[name]["parameters"]
    if isinstance(field, FrameField):
        means = field.frames(stored(name, "times")).mean(dim=(2, 3))
        torch.testing.assert_close(means, stored(name, "frame_means"), **TOLERANCE)
    elif isinstance(field, RadianceField):
        time = None if VALUES[name]["times"] is None else stored(name, "times")
        density, feature = field.density(stored(name, "coords"), time)
        torch.testing.assert_close(density, stored(name, "density"), **TOLERANCE)
        color = field.color(feature, stored(name, "directions"))
        torch.testing.assert_close(color, stored(name, "color"), **TOLERANCE)
    else:
        torch.testing.assert_close(field(stored(name, "coords")), stored(name, "values"), **TOLERANCE)


@pytest.mark.parametrize("name", FOLDERS)
def test_file_of_an_old_field_loads_without_its_run(name, tmp_path):
    shutil.copy(RUNS / name / "field.safetensors", tmp_path)
    assert load_field(tmp_path / "field.safetensors").num_parameters == VALUES[name]["parameters"]


@pytest.mark.parametrize("name", [name for name in FOLDERS if not name.startswith("distilled")])
def test_signal_of_an_old_run_opens_again_and_the_run_can_be_repeated(name, monkeypatch):
    monkeypatch.chdir(RUNS)
    run = Run.open(RUNS / name)
    signal = reopen(run)
    assert signal.kind == run.header["kind"]
    request = FitRequest.from_header(run.header)
    assert request.steps == run.header["steps"] and request.settings == run.header["options"]
    assert request.load().source["sha256"] == signal.source["sha256"]


@pytest.mark.parametrize("name", [name for name in FOLDERS if (RUNS / name / "checkpoint").is_dir()])
def test_old_checkpoint_continues(name, tmp_path, monkeypatch):
    """With renamed options and tensors, but the same sizes and moments: a few more steps run."""
    monkeypatch.chdir(RUNS)
    shutil.copytree(RUNS / name, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    trainer = resume(reopen(run), run)
    assert trainer.index > 0
    trainer.plan = Plan([(0, trainer.index + 2)])
    finish(trainer, run)
    assert Run.open(tmp_path / "run").header["status"] == "finished"


def test_interrupted_old_run_reaches_the_scores_of_the_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.chdir(RUNS)
    shutil.copytree(RUNS / "image-interrupted", tmp_path / "run")
    run = Run.open(tmp_path / "run")
    before = run.header["steps_done"]
    result = finish(resume(reopen(run), run), run)
    ended = VALUES["image-interrupted"]["ended"]
    assert before < result.steps == ended["steps"]
    assert result.metrics["psnr"] == pytest.approx(ended["metrics"]["psnr"], abs=0.2)
    assert result.metrics["ssim"] == pytest.approx(ended["metrics"]["ssim"], abs=0.005)


def test_old_comparison_opens_and_lists_its_fits():
    comparison = Comparison.open(RUNS / "comparison")
    assert comparison.rows and not comparison.missing
    for row in comparison.rows:
        assert Run.open(RUNS / "comparison" / row["run"]).load_field().num_parameters == row["parameters"]


def test_old_distillation_can_be_repeated():
    header = Run.open(RUNS / "distilled-siren").header
    request = DistillRequest.from_header(header)
    assert request.into == "siren" and request.stages.feature_fraction == header["stages"]["feature_fraction"]


@pytest.mark.parametrize("file", ["run.json", "field.safetensors", "checkpoint/state.safetensors"])
def test_files_of_a_newer_version_are_refused_with_the_reason(file, tmp_path, monkeypatch):
    monkeypatch.chdir(RUNS)
    shutil.copytree(RUNS / "image-interrupted", tmp_path / "run")
    target = tmp_path / "run" / file
    content = target.read_bytes()
    known = b'"format": 1' if file == "run.json" else b'\\"format\\": 1'
    assert content.count(known) == 1
    target.write_bytes(content.replace(known, known[:-1] + b"7"))
    with pytest.raises(BadInput, match=r"newer Field Studio \(format 7; this one reads up to 1\); update it"):
        run = Run.open(tmp_path / "run")
        run.load_field()
        resume(reopen(run), run)


def test_compressed_files_of_a_newer_version_are_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(small_file, "FORMAT", 1)
    with pytest.raises(BadInput, match="newer Field Studio"):
        Run.open(RUNS / COMPRESSED[0]).load_field()
