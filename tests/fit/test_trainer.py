"""Tests of the trainer: time budgets and steps, resuming, stopping, divergence."""

import time

import numpy as np
import pytest
import torch

import fields
from fields.fit.fit import finish, prepare, resume
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


def test_time_budget_fixes_the_steps_and_the_schedule_follows(image):
    trainer, _ = prepare(image, "hashgrid", seconds=1.5, settings=OPTIONS)
    begun = time.perf_counter()
    totals = []
    result = finish(trainer, None, [lambda t: totals.append(t.total)])
    assert time.perf_counter() - begun < 3.0
    fixed = [total for total in totals if total]
    assert set(fixed) == {result.steps}
    assert trainer.done
    rates = [trainer.method.rate_factor(step, trainer.total) for step in range(trainer.total)]
    assert rates[0] == 1.0
    assert rates[-1] < 0.01
    assert all(a >= b for a, b in zip(rates, rates[1:]))
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


@pytest.mark.parametrize("step_cost_varies", [True, False])
def test_steps_of_varying_cost_are_planned_again_half_way(image, monkeypatch, step_cost_varies):
    monkeypatch.setattr("fields.fit.objectives.base.Objective.step_cost_varies", step_cost_varies)
    trainer, _ = prepare(image, "hashgrid", seconds=100, settings=OPTIONS)
    monkeypatch.setattr(trainer.objective, "evaluation_seconds", lambda field: 0.0)
    clock, plans = [0.0], []
    monkeypatch.setattr("fields.fit.trainer.time.perf_counter", lambda: trainer._started + clock[0])

    def tick(trainer):
        clock[0] += 0.1 if trainer.total is None else 0.2  # twice as long after the first plan
        plans.append(trainer.total)

    trainer.callbacks = [tick]
    trainer.run()
    first, last = next(plan for plan in plans if plan), trainer.total
    assert len({plan for plan in plans if plan}) == 1 + step_cost_varies
    assert clock[0] == pytest.approx(97.5 if step_cost_varies else 182, rel=0.02)
    assert last < 0.7 * first if step_cost_varies else last == first


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


def test_resumed_time_budget_keeps_its_number_of_steps(image, tmp_path):
    trainer, run = prepare(image, "hashgrid", seconds=1.0, settings=OPTIONS, out=tmp_path / "run")
    finish(trainer, run, [lambda t: t.stop() if t.total and t.index >= t.total // 2 else None])
    continued = resume(image, Run.open(tmp_path / "run"))
    assert continued.total == trainer.total
    assert continued.elapsed >= trainer.state()["elapsed"] - 1.0
    assert finish(continued, run).steps == trainer.total


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
