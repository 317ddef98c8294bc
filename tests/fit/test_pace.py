"""Batch and learning rates for the time of a fit: the rule, and what it is told."""

import pytest

import fields.fit.fit as fitting
import scenes
from fields.fit.pace import pace_of, paced, scene_step_cost, step_cost
from fields.kinds import objective_for
from fields.methods.pace import Pace
from fields.methods.registry import make_method
from scenes.image.signal import Image
from tests.fit.posed_scene import write_scene

PACE = Pace(steps=1000, min_batch=512, rate_power=0.5)


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def test_batch_leaves_time_for_the_steps():
    # 1 ms a step and 1 microsecond a sample: 30 s are 1,000 steps of 29,000 samples.
    assert PACE.batch(16384, fixed=1e-3, per_sample=1e-6, seconds=30) == 16384
    assert PACE.batch(16384, fixed=1e-3, per_sample=1e-5, seconds=30) == 2048
    assert PACE.batch(16384, fixed=1e-3, per_sample=1e-5, seconds=60) == 4096
    assert PACE.batch(16384, fixed=1e-3, per_sample=1e-3, seconds=30) == 512
    assert PACE.batch(300, fixed=1e-3, per_sample=1e-3, seconds=30) == 256
    assert PACE.batch(20000, fixed=0, per_sample=1e-9, seconds=30) == 20000


def test_rates_follow_the_batch():
    assert PACE.rate_factor(16384, 16384) == 1.0
    assert PACE.rate_factor(4096, 16384) == pytest.approx(0.5)


def prepared(image, name, **settings):
    method = make_method(name, settings).prepare(image)
    field = method.build_field(image.domain, image.channels, 0)
    return method, field, objective_for(image, field, "l2", {})


def test_open_options_are_paced_and_given_ones_kept(image, monkeypatch):
    monkeypatch.setattr("fields.fit.pace.step_cost", lambda *args: (0.0, 1e-3))
    method, field, objective = prepared(image, "cam", width=16)
    short = paced(method, field, objective, seconds=1.0, given=())
    factor = short.batch / method.batch
    assert short.batch == method.present_pace.min_batch and factor < 1
    assert short.learning_rate == pytest.approx(
        method.learning_rate * method.present_pace.rate_factor(short.batch, 16384)
    )
    assert short.grid_rate / short.learning_rate == pytest.approx(method.grid_rate / method.learning_rate)
    assert short.final_rate == method.final_rate
    kept = paced(method, field, objective, seconds=1.0, given=("learning_rate",))
    assert kept.learning_rate == method.learning_rate and kept.grid_rate == short.grid_rate
    assert paced(method, field, objective, seconds=1.0, given=("batch",)) is method
    monkeypatch.setattr("fields.fit.pace.step_cost", lambda *args: (0.0, 1e-9))
    long = paced(method, field, objective, seconds=600.0, given=())
    assert (long.batch, long.learning_rate) == (method.batch, method.learning_rate)


def test_multiples_of_a_rate_are_kept_as_they_follow_it(image, monkeypatch):
    monkeypatch.setattr("fields.fit.pace.step_cost", lambda *args: (0.0, 1e-3))
    method, field, objective = prepared(image, "nstr", width=16)
    short = paced(method, field, objective, seconds=1.0, given=())
    assert short.learning_rate < 0.7 * method.learning_rate
    assert (short.wave_rate, short.state_rate) == (method.wave_rate, method.state_rate)


def test_methods_of_tables_are_not_paced(image):
    method, field, objective = prepared(image, "hashgrid", table_size=256)
    assert paced(method, field, objective, seconds=1.0, given=()) is method


def test_cost_of_a_step_is_measured_within_its_time(image, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("fields.fit.pace.time.perf_counter", lambda: now[0])
    method, field, objective = prepared(image, "siren", width=16)
    drawn = []

    def batch(step, count, seed, device):
        drawn.append(count)
        # The first step of all is slow, another program disturbs one.
        now[0] += 0.01 + 1e-5 * count + (5.0 if len(drawn) == 1 else 0.1 * (len(drawn) == 3))
        return type(objective).batch(objective, step, count, seed, device)

    monkeypatch.setattr(objective, "batch", batch)
    fixed, per_sample = step_cost(method, field, objective, seconds=100.0)
    assert (fixed, per_sample) == (pytest.approx(0.01), pytest.approx(1e-5))
    drawn.clear()
    fixed, per_sample = step_cost(method, field, objective, seconds=0.001)
    assert drawn == [1024] and fixed == 0.0 and per_sample > 1e-5


def test_choice_is_kept_with_the_run_and_repeated(image, tmp_path, monkeypatch):
    monkeypatch.setattr("fields.fit.pace.step_cost", lambda *args: (0.0, 1e-4))
    settings = {"width": 16, "hidden_layers": 1}
    trainer, run = fitting.prepare(image, "siren", seconds=1.0, settings=settings, out=tmp_path / "run")
    assert trainer.method.batch < 16384 and trainer.method.learning_rate < 1e-3
    assert run.header["options"]["batch"] == trainer.method.batch
    in_steps, _ = fitting.prepare(image, "siren", steps=10, settings=settings)
    assert in_steps.method.batch == 16384
    config, _ = fitting.prepare(image, in_steps.method, seconds=1.0)
    assert config.method.batch == 16384


def test_scenes_have_a_rule_of_their_own(monkeypatch, tmp_path):
    scene = scenes.load(str(write_scene(tmp_path / "scene")))
    method = make_method("hashgrid", {"table_size": 256, "levels": 4}).prepare(scene)
    field = method.build_field(scene.domain, scene.channels, 0)

    def objective():
        return objective_for(scene, field, "l2", {})

    # The cost is that of steps of the smallest batch, which are really made.
    before = [parameter.clone() for parameter in field.parameters()]
    assert 0 < scene_step_cost(method, field, objective(), 64) < 10
    assert any((old != new).any() for old, new in zip(before, field.parameters()))
    smallest = method.scene_pace.min_batch
    for cost, batch in ((1e-9, method.batch), (10.0, smallest)):
        monkeypatch.setattr("fields.fit.pace.scene_step_cost", lambda *args, cost=cost: cost)
        assert paced(method, field, objective(), seconds=60.0, given=()).batch == batch
    assert paced(method, field, objective(), seconds=60.0, given=("batch",)) is method
    assert method.batch > smallest and pace_of(make_method("tensorf"), scene) is None
