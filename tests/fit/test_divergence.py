"""Divergence: a fit goes back to its last good state with half of the rates, says so, and gives up with advice."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import fields
from fields.fit.fit import finish, prepare, resume
from fields.fit.guard import DivergenceGuard
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.image.signal import Image

OPTIONS = {"batch": 1024, "table_size": 1024, "width": 16}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def blow_up(at):
    """A callback that makes a fit diverge after these steps."""

    def callback(trainer):
        if trainer.index in at:
            with torch.no_grad():
                for parameter in trainer.field.parameters():
                    parameter.mul_(30.0)

    return callback


def test_diverged_fit_goes_back_and_says_so(image, tmp_path):
    plain = fields.fit_field(image, "hashgrid", steps=400, settings=OPTIONS)
    trainer, run = prepare(image, "hashgrid", steps=400, settings=OPTIONS, out=tmp_path / "run")
    rates = []
    result = finish(trainer, run, [blow_up({200}), lambda t: rates.append(t.optimizer.param_groups[0]["lr"])])
    assert result.metrics["psnr"] > plain.metrics["psnr"] - 5
    assert rates[223] > 1.8 * rates[224]
    (remark,) = json.loads((tmp_path / "run" / "metrics.json").read_text())["remarks"]
    assert "diverged at step 224" in remark and "went back to step 128" in remark and "`learning_rate=" in remark
    assert "0.5 times the learning rates" in remark


def test_field_that_became_nan_goes_back(image):
    def poison(trainer):
        if trainer.index == 100:
            with torch.no_grad():
                next(iter(trainer.field.parameters())).fill_(float("nan"))

    result = fields.fit_field(image, "siren", steps=200, settings={"batch": 512, "width": 32}, callbacks=[poison])
    assert np.isfinite(result.metrics["psnr"]) and result.metrics["psnr"] > 12


def test_fit_that_diverges_again_and_again_is_refused_with_advice(image):
    at = set(range(40, 2000, 32))
    with pytest.raises(BadInput, match=r"halved 3 times; .*`learning_rate=.*`batch=4096`"):
        fields.fit_field(image, "hashgrid", steps=2000, settings=OPTIONS, callbacks=[blow_up(at)])


def test_rates_stay_halved_in_a_resumed_fit(image, tmp_path):
    trainer, run = prepare(image, "hashgrid", steps=400, settings=OPTIONS, out=tmp_path / "run")
    finish(trainer, run, [blow_up({100}), lambda t: t.stop() if t.index == 150 else None])
    continued = resume(image, Run.open(tmp_path / "run"))
    assert continued._guard.rate == 0.5 and continued.remarks == trainer.remarks != []


class Losses:
    """What a guard needs of a trainer, with the losses of a list."""

    def __init__(self, method):
        self.index, self.method = 0, method
        self.field = torch.nn.Linear(2, 2)
        self.optimizer = torch.nn.Linear(2, 2)

    def watched_by(self, guard, losses):
        for loss in losses:
            self.index += 1
            guard.watch(self, torch.tensor(loss))


def test_noise_of_a_loss_near_zero_is_no_divergence():
    from fields.methods.siren import Siren

    guard, trainer = DivergenceGuard(), Losses(Siren(learning_rate=1e-4))
    trainer.watched_by(guard, [0.1] * 64 + [1e-7] * 64 + [5e-4] * 64)
    assert guard.rate == 1.0
    trainer.watched_by(guard, [0.05] * 32)
    assert guard.rate == 0.5


def test_states_are_kept_ever_more_rarely():
    from fields.methods.siren import Siren

    guard, trainer = DivergenceGuard(), Losses(Siren(learning_rate=1e-4))
    kept = []
    guard._save = lambda trainer: (kept.append(trainer.index), setattr(guard, "_saved_at", trainer.index))[0]
    guard._saved = ({}, {})
    trainer.watched_by(guard, [1.0 / (1 + step) for step in range(4096)])
    assert kept == [32, 64, 128, 256, 512, 1024, 2048, 4096]


def poisoned(at):
    """A callback that makes a weight of a field NaN after a step."""

    def callback(trainer):
        if trainer.index == at:
            with torch.no_grad():
                next(iter(trainer.field.parameters())).view(-1)[0] = float("nan")

    return callback


@pytest.mark.parametrize("at", [199, 200])
def test_fit_that_diverges_in_its_last_steps_has_its_last_good_result(image, tmp_path, at):
    trainer, run = prepare(image, "siren", steps=200, settings={"batch": 512, "width": 32}, out=tmp_path / "run")
    result = finish(trainer, run, [poisoned(at)])
    assert np.isfinite(result.metrics["psnr"]) and result.metrics["psnr"] > 12
    assert "in its last steps" in trainer.remarks[-1] and "`learning_rate=" in trainer.remarks[-1]
    assert all(torch.isfinite(value).all() for value in Run.open(tmp_path / "run").load_field().state_dict().values())


def test_weights_that_are_not_finite_are_neither_kept_nor_checkpointed(image, tmp_path, monkeypatch):
    from fields.fit import callbacks

    monkeypatch.setattr(callbacks, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(callbacks, "CHECKPOINT_FRACTION", 1e9)
    trainer, run = prepare(image, "siren", steps=200, settings={"batch": 512, "width": 32}, out=tmp_path / "run")
    callback = callbacks.Checkpointer(run)
    for _ in range(64):
        trainer.step()
        callback(trainer)
    before = run.checkpoint.read_bytes()
    poisoned(64)(trainer)
    trainer._guard._save(trainer)
    callback(trainer)
    assert run.checkpoint.read_bytes() == before
    assert all(torch.isfinite(value).all() for value in trainer._guard._saved[0].values())


@pytest.mark.slow
def test_a_seed_gives_the_same_field_in_every_process(tmp_path, photograph):
    """Whatever order Python gives to sets and hashes."""
    code = (
        "import sys, fields, scenes; r = fields.fit_field(scenes.load(sys.argv[1]), 'hashgrid', steps=60, seed=3,"
        "settings={'levels': 4, 'table_size': 1024});"
        "print(r.metrics['psnr'], [float(p.double().sum()) for p in r.field.parameters()])"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code, str(photograph)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
