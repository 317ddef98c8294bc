"""Tests of the trainer: time budgets and steps, resuming, stopping, divergence."""

import time

import numpy as np
import pytest
import torch

import fields
from fields.fit.fit import finish, prepare, prepare_request, resume
from fields.fit.request import FitRequest
from fields.runs.run import Run, load_field
from scenes.errors import BadInput
from scenes.image.signal import Image

OPTIONS = {"batch": 1024, "table_size": 1024, "width": 16}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def weights(field):
    return {name: tensor.clone() for name, tensor in field.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_python_fit_gives_a_field_that_can_be_queried(image):
    result = fields.fit_field(image, steps=400, settings={"table_size": 4096})
    assert result.finished
    assert result.metrics["psnr"] > 30
    value = result.field.at(10.5, 20.5)
    np.testing.assert_allclose(value.numpy(), image.values()[20, 10], atol=0.2)


def test_weights_depend_on_the_seed_alone(image):
    a = fields.fit_field(image, steps=5, settings=OPTIONS, seed=7)
    b = fields.fit_field(image, steps=5, settings=OPTIONS, seed=7)
    c = fields.fit_field(image, steps=5, settings=OPTIONS, seed=8)
    assert same(weights(a.field), weights(b.field))
    assert not same(weights(a.field), weights(c.field))


def test_time_budget_is_met_and_the_schedule_ends_with_it(image):
    trainer, _ = prepare(image, "hashgrid", seconds=1.5, settings=OPTIONS)
    begun = time.perf_counter()
    factors = []
    result = finish(trainer, None, [lambda t: factors.append(t.optimizer.param_groups[0]["lr"])])
    assert time.perf_counter() - begun < 3.0
    assert trainer.done and result.steps == trainer.total == len(factors)
    assert all(a >= b for a, b in zip(factors, factors[1:]))
    assert factors[-1] < 0.02 * factors[0]
    assert all(trainer.method.rate_factor(step, None) == 1.0 for step in (0, 1, 1000))


def test_excluded_time_does_not_count_towards_the_rate(image):
    totals = {}
    for told in (True, False):

        def once(trainer, told=told):
            if trainer.index == 3:
                time.sleep(0.5)
                if told:
                    trainer.exclude_time(0.5)
            elif trainer.total is not None:
                totals[told] = trainer.total
                trainer.stop()

        fields.fit_field(image, "hashgrid", seconds=2, settings=OPTIONS, callbacks=[once])
    assert totals[True] > 1.5 * totals[False]


class Clock:
    """A simulated clock, on which each step takes what `cost` says of the time."""

    def __init__(self, monkeypatch, trainer, cost, scoring=0.0):
        self.now, self.cost, self.factors = 0.0, cost, []
        monkeypatch.setattr("fields.fit.trainer.time.perf_counter", lambda: self.now)
        monkeypatch.setattr(trainer.objective, "evaluation_seconds", lambda field: scoring)
        trainer._started = 0.0
        trainer.callbacks = [self.tick]

    def tick(self, trainer):
        self.now += self.cost(self.now)
        self.factors.append(trainer.optimizer.param_groups[0]["lr"])


def for_a_while(now):
    return 0.4 if 30 < now < 60 else 0.1


LOADS = {
    "steady": lambda now: 0.1,
    "four times slower half-way": lambda now: 0.1 if now < 50 else 0.4,
    "four times faster half-way": lambda now: 0.4 if now < 50 else 0.1,
    "slower at the end": lambda now: 0.1 if now < 90 else 0.4,
    "slower for a while": for_a_while,
    "falling": lambda now: 0.4 / (1 + now / 20),
    "slow steps": lambda now: 3.0,
}


@pytest.mark.parametrize("load", LOADS)
def test_budget_is_met_whatever_the_load_does(image, monkeypatch, load):
    trainer, _ = prepare(image, "hashgrid", seconds=100, settings=OPTIONS)
    clock = Clock(monkeypatch, trainer, LOADS[load], scoring=5.0)
    trainer.run()
    assert 91 < clock.now + 5.0 < 102
    assert trainer.done and trainer.index == trainer.total
    assert all(a >= b - 1e-12 for a, b in zip(clock.factors, clock.factors[1:]))
    assert clock.factors[-1] < 0.02 * clock.factors[0]
    assert len(trainer.plan.decisions) < 80


def test_schedule_follows_the_share_of_the_time_that_is_spent(image, monkeypatch):
    trainer, _ = prepare(image, "hashgrid", seconds=100, settings=OPTIONS)
    clock = Clock(monkeypatch, trainer, LOADS["four times slower half-way"])
    seen = []
    trainer.callbacks.append(lambda t: seen.append((clock.now / 100, t.plan.progress(t.index))))
    trainer.run()
    assert max(abs(spent - progress) for spent, progress in seen if spent > 0.1) < 0.1


def test_evaluation_that_became_slower_with_the_steps_keeps_its_time(image, monkeypatch):
    trainer, _ = prepare(image, "hashgrid", seconds=100, settings=OPTIONS)
    clock = Clock(monkeypatch, trainer, LOADS["four times slower half-way"])
    monkeypatch.setattr(trainer.objective, "evaluation_seconds", lambda field: 2.0 if clock.now < 50 else 8.0)
    trainer.run()
    assert clock.now == pytest.approx(100 - 8, abs=2)
    clock.now = 99.0
    assert trainer.scoring_seconds == pytest.approx(4.0)


@pytest.mark.parametrize(("seconds", "trained"), [(10, 7), (20, 15), (100, 90)])
def test_evaluation_gets_at_most_its_share_of_the_time(image, monkeypatch, seconds, trained):
    trainer, _ = prepare(image, "hashgrid", seconds=seconds, settings=OPTIONS)
    clock = Clock(monkeypatch, trainer, lambda now: 0.1, scoring=1e4)
    trainer.run()
    assert clock.now == pytest.approx(trained, abs=0.02 * seconds)


def test_run_in_time_is_repeated_to_the_bit_from_its_header(image, tmp_path, monkeypatch):
    trainer, run = prepare(image, "hashgrid", seconds=10, settings=OPTIONS, out=tmp_path / "run")
    clock = Clock(monkeypatch, trainer, lambda now: 0.1 if now < 5 else 0.4)
    finish(trainer, run)
    monkeypatch.undo()
    header = Run.open(tmp_path / "run").header
    assert len(header["plan"]) > 2 and header["plan"][-1][1] == header["steps"] == trainer.index
    assert clock.now < 10.5
    request = FitRequest.from_header(header)
    again, _ = prepare_request(image, request.model_copy(update={"out": tmp_path / "again"}))
    finish(again, Run.open(tmp_path / "again"))
    assert again.plan.decisions == trainer.plan.decisions
    assert same(weights(again.field), weights(trainer.field))
    third = FitRequest.from_header(Run.open(tmp_path / "again").header)
    assert third.plan == request.plan and third.steps == request.steps and third.seconds is None


def test_resumed_run_in_time_has_the_decisions_of_its_checkpoint(image, tmp_path, monkeypatch):
    trainer, run = prepare(image, "hashgrid", seconds=10, settings=OPTIONS, out=tmp_path / "run")
    Clock(monkeypatch, trainer, lambda now: 0.1 if now < 4 else 0.2)
    finish(trainer, run, [lambda t: t.stop() if t.elapsed > 6 else None])
    monkeypatch.undo()
    continued = resume(image, Run.open(tmp_path / "run"))
    assert continued.plan.decisions == trainer.plan.decisions and continued.index == trainer.index
    assert [continued.plan.total_at(n) for n in range(trainer.index)] == [
        trainer.plan.total_at(n) for n in range(trainer.index)
    ]
    clock = Clock(monkeypatch, continued, lambda now: 0.4)
    clock.now = 6.0
    continued.run()
    assert continued.done and clock.now == pytest.approx(10, abs=0.5)


def test_stopped_and_resumed_run_has_bit_identical_weights(image, tmp_path):
    whole = fields.fit_field(image, steps=60, settings=OPTIONS, seed=1)
    trainer, run = prepare(image, "hashgrid", steps=60, settings=OPTIONS, seed=1, out=tmp_path / "run")
    result = finish(trainer, run, [lambda t: t.stop() if t.index == 23 else None])
    assert not result.finished
    assert result.steps == 23
    kept = Run.open(tmp_path / "run")
    assert kept.header["status"] == "stopped"
    continued = resume(image, kept)
    assert continued.index == 23
    again = finish(continued, kept)
    assert again.finished
    assert same(weights(again.field), weights(whole.field))
    assert same(weights(load_field(tmp_path / "run")), weights(whole.field))


def test_fused_and_autograd_training_agree(image):
    fused = fields.fit_field(image, steps=30, settings=OPTIONS)
    plain = fields.fit_field(image, steps=30, settings=OPTIONS | {"fused": "off"})
    a, b = weights(fused.field), weights(plain.field)
    for name in a:
        assert (a[name] - b[name]).abs().max() < 2e-3 * b[name].abs().max(), name
    assert fused.metrics["psnr"] == pytest.approx(plain.metrics["psnr"], abs=0.05)


def test_refuses_a_diverging_fit_and_names_a_smaller_rate(image):
    poisoned = Image.from_array(np.zeros((8, 8, 3), np.uint8))
    clean = poisoned.batch
    poisoned.batch = lambda step, *rest: (
        clean(step, *rest)[0],
        clean(step, *rest)[1] * np.float32(np.nan if step >= 5 else 1),
    )
    with pytest.raises(BadInput, match="diverged.*learning_rate"):
        fields.fit_field(poisoned, steps=64, settings=OPTIONS)


@pytest.mark.parametrize("method", ["hashgrid", "frequency", "fourier", "siren"])
def test_every_method_learns_a_photograph(image, method):
    options = {"batch": 4096} | ({} if method == "hashgrid" else {"width": 64, "learning_rate": 2e-3})
    result = fields.fit_field(image, method, steps=250, settings=options)
    mean = np.mean(image.values(), (0, 1))
    blank = -10 * np.log10(np.mean((image.values() - mean) ** 2))
    assert result.metrics["psnr"] > blank + 8


def test_field_file_loads_without_its_run(image, tmp_path):
    result = fields.fit_field(image, steps=5, settings=OPTIONS, out=tmp_path / "run")
    moved = tmp_path / "only.safetensors"
    (tmp_path / "run" / "field.safetensors").rename(moved)
    field = load_field(moved)
    assert field.domain == image.domain
    assert field.channels == image.channels
    coords = torch.rand(3, 5, 2)
    with torch.no_grad():
        assert torch.equal(field(coords), result.field(coords))


def test_trainer_wants_either_steps_or_seconds(image):
    trainer, _ = prepare(image, "siren", steps=1)
    with pytest.raises(ValueError, match="steps or seconds"):
        fields.Trainer(trainer.field, trainer.objective, trainer.method)
