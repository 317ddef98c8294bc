"""Divergence: a fit goes back to its last good state with half of the rates, says so, and gives up with advice."""

import json

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

    guard, trainer = DivergenceGuard(), Losses(Siren())
    trainer.watched_by(guard, [0.1] * 64 + [1e-7] * 64 + [5e-4] * 64)
    assert guard.rate == 1.0
    trainer.watched_by(guard, [0.05] * 32)
    assert guard.rate == 0.5


def test_states_are_kept_ever_more_rarely():
    from fields.methods.siren import Siren

    guard, trainer = DivergenceGuard(), Losses(Siren())
    kept = []
    guard._save = lambda trainer: (kept.append(trainer.index), setattr(guard, "_saved_at", trainer.index))[0]
    guard._saved = ({}, {})
    trainer.watched_by(guard, [1.0 / (1 + step) for step in range(4096)])
    assert kept == [32, 64, 128, 256, 512, 1024, 2048, 4096]
