"""Distillation of radiance fields: shared samples, stages, the student's own occupancy grid, and no photographs."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import scenes
from apps.cli.main import main
from fields.distill import distill_field
from fields.distill.distill import prepare, resume, score_on_data
from fields.distill.hard_samples import heaviest_samples
from fields.distill.sample_losses import MAX_LOG_DENSITY, MIN_LOG_DENSITY, density_difference, pixel_colors
from fields.distill.stages import FEATURES, RENDERED, VALUES, Stages
from fields.distill.teacher import teacher_signal
from fields.distill.views import poses_between
from fields.fit.fit import finish, fit_field, score
from fields.fit.objectives.radiance import RadianceObjective
from fields.fit.objectives.view_images import view_colors
from fields.kinds import objective_for
from fields.methods.registry import make_method
from fields.ops.packed import Samples
from fields.render.volume import render_rays
from fields.runs.run import Run
from scenes.errors import BadInput

sys.path.insert(0, str(Path(__file__).parents[1] / "fit"))
from posed_scene import SMALL, SMALL_GRID, pose, write_moving, write_scene  # noqa: E402

NETWORK = {**SMALL, "width": 32, "hidden_layers": 2, "color_width": 16, "color_layers": 1, "learning_rate": 5e-3}
PLANES = {**SMALL, "resolution": 24, "width": 16, "color_width": 16, "color_layers": 1}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("ball")
    fit_field(
        scenes.load(write_scene(folder / "scene")), "hashgrid", steps=150, settings=SMALL_GRID, out=folder / "teacher"
    )
    return Run.open(folder / "teacher")


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(("into", "options"), [("hashgrid", SMALL_GRID), ("densegrid", PLANES), ("nerf", NETWORK)])
def test_students_look_like_the_teacher(teacher, into, options, tmp_path):
    result = distill_field(teacher, into, steps=250, settings=options, out=tmp_path / "student")
    assert result.metrics["psnr"] > {"hashgrid": 24, "densegrid": 19, "nerf": 14}[into]
    student = Run.open(tmp_path / "student")
    assert len(student.cameras()) == len(teacher.cameras())  # so that it may become a teacher
    # Where the teacher's cells and their neighbours are empty, so are the student's.
    near = (
        torch.nn.functional.max_pool3d(teacher.load_field().grid.occupancy.cells().float(), 3, stride=1, padding=1) > 0
    )
    assert not (result.field.grid.occupancy.cells() & ~near).any()


def test_each_stage_trains_its_part_of_the_student(teacher):
    trainer, _ = prepare(
        teacher, "densegrid", steps=30, settings=PLANES, stages=Stages(feature_fraction=0.3, value_fraction=0.3)
    )
    field, taught = trainer.field, trainer.objective.teacher
    before = {name: tensor.clone() for name, tensor in taught.state_dict().items()}
    head = field.head.output.weight.clone()
    seen = []
    trainer.callbacks.append(lambda t: seen.append((t.objective.stage, torch.equal(field.head.output.weight, head))))
    trainer.run()
    assert seen[:9] == [(FEATURES, True)] * 9
    assert seen[9:] == [(VALUES, False)] * 9 + [(RENDERED, False)] * 12
    assert same(before, taught.state_dict()) and all(p.grad is None for p in taught.parameters())


@pytest.mark.parametrize(
    ("into", "options", "batch"), [("hashgrid", SMALL_GRID, 1 << 14), ("frequency", NETWORK, 1 << 12)]
)
def test_students_have_a_smaller_default_batch_than_fits(teacher, into, options, batch):
    without_batch = {name: value for name, value in options.items() if name != "batch"}
    assert make_method(into, without_batch).prepare(teacher_signal(teacher, teacher.load_field())).batch > batch
    assert prepare(teacher, into, steps=1, settings=without_batch)[0].method.batch == batch
    assert prepare(teacher, into, steps=1, settings={**without_batch, "batch": 30000})[0].method.batch == 30000


def test_features_of_two_sizes_are_compared_through_a_learned_map(teacher):
    trainer, _ = prepare(
        teacher,
        "densegrid",
        steps=10,
        settings={**PLANES, "ray_features": 9},
        stages=Stages(feature_fraction=1.0, value_fraction=0.0),
    )
    assert trainer.objective.map.weight.shape == (15, 8)
    before = trainer.objective.map.weight.clone()
    trainer.run()
    assert not torch.equal(trainer.objective.map.weight, before)
    same_size, _ = prepare(teacher, "densegrid", steps=1, settings=PLANES)
    assert same_size.objective.map is None


def test_heads_are_copied_only_if_they_are_shared(teacher):
    initial, _ = prepare(teacher, "hashgrid", steps=1, settings=SMALL_GRID)
    taught = teacher.load_field()
    assert not torch.equal(initial.field.head.output.weight, taught.head.output.weight)
    shared, _ = prepare(teacher, "nerf", steps=1, settings=NETWORK, share_heads=True)
    assert torch.equal(shared.field.head.output.weight, taught.head.output.weight)


def test_a_grid_of_harmonics_is_student_and_teacher_without_a_feature_stage(teacher, tmp_path):
    options = {
        **SMALL,
        "resolution": 12,
        "levels": 1,
        "features": 28,
        "head": "linear",
        "color": "harmonics",
        "direction_degree": 3,
        "table_rate": 0.2,
    }
    stages = Stages(feature_fraction=0.3, value_fraction=0.3)
    student = distill_field(teacher, "densegrid", steps=60, settings=options, stages=stages, out=tmp_path / "student")
    assert student.field.head is None and student.metrics["psnr"] > 14
    for run, into, how in (
        (teacher, "densegrid", options),
        (Run.open(tmp_path / "student"), "hashgrid", {**SMALL_GRID, "ray_features": 28}),
    ):
        trainer, _ = prepare(run, into, steps=4, settings=how, stages=stages)
        assert trainer.objective.map is None and FEATURES not in trainer.objective.available
        trainer.run()
    with pytest.raises(BadInput, match="share_heads.: no tensor"):
        prepare(teacher, "densegrid", steps=1, settings=options, share_heads=True)


def test_densities_are_compared_within_bounds_only():
    def features(*logs):
        return torch.tensor(logs)[:, None]

    taught = features(-30.0, 3.0, 30.0, -30.0, 30.0)
    mine = features(-10.0, 2.0, 9.0, 0.0, 3.0).requires_grad_()
    difference = density_difference(mine, taught)
    torch.testing.assert_close(difference, torch.tensor([0.0, -1.0, 0.0, -MIN_LOG_DENSITY, 3.0 - MAX_LOG_DENSITY]))
    # A student beyond the wrong bound has a gradient back.
    astray = features(-10.0).requires_grad_()
    density_difference(astray, features(3.0)).sum().backward()
    assert astray.grad.item() == 1.0


def test_poses_between_two_move_on_a_line_and_turn_the_shortest_way():
    a, b = pose(0, 10), pose(40, 30)
    first, last, middle = poses_between(np.stack([a] * 3), np.stack([b] * 3), np.array([0.0, 1.0, 0.5]))
    np.testing.assert_allclose(first, a, atol=1e-9)
    np.testing.assert_allclose(last, b, atol=1e-9)
    np.testing.assert_allclose(middle[:, :3].T @ middle[:, :3], np.eye(3), atol=1e-9)
    np.testing.assert_allclose(middle[:, 3], (a[:, 3] + b[:, 3]) / 2)
    # Half of the rotation from one to the other.
    np.testing.assert_allclose(a[:, :3].T @ middle[:, :3], middle[:, :3].T @ b[:, :3], atol=1e-9)


def test_rays_are_a_pure_function_of_the_step(teacher):
    signal = prepare(teacher, "hashgrid", steps=1, settings=SMALL_GRID)[0].objective.signal
    a, b, c = signal.rays(4, 320, 0), signal.rays(4, 320, 0), signal.rays(5, 320, 0)
    assert (
        np.array_equal(a.origins, b.origins)
        and np.array_equal(a.directions, b.directions)
        and not np.array_equal(a.directions, c.directions)
    )
    assert np.allclose(np.linalg.norm(a.directions, axis=1), 1, atol=1e-6)


def test_photographs_are_not_read(tmp_path):
    scene = write_scene(tmp_path / "scene")
    fit_field(scenes.load(scene), "hashgrid", steps=40, settings=SMALL_GRID, out=tmp_path / "teacher")
    with_data = distill_field(tmp_path / "teacher", "densegrid", steps=12, settings=PLANES)
    shutil.rmtree(scene)
    without = distill_field(tmp_path / "teacher", "densegrid", steps=12, settings=PLANES)
    assert same(with_data.field.state_dict(), without.field.state_dict())


def test_a_student_is_scored_on_views_that_its_teacher_was_not_fitted_to(tmp_path):
    scene = scenes.load(write_scene(tmp_path / "scene"))
    fit_field(scene, "hashgrid", steps=5, settings=SMALL_GRID, out=tmp_path / "teacher")
    student = distill_field(tmp_path / "teacher", "densegrid", steps=5, settings=PLANES, out=tmp_path / "student")
    assert score_on_data(student.run, student.field, scene) == score(
        student.run, student.field, scene, exclude_training_views=False
    )
    objective = objective_for(scene, student.field, "l2")
    objective.exclude_training_views(student.run)
    objective.evaluate(student.field)
    assert [view["name"] for view in objective.scores.per_view] == [view.name for view in scene.test]


def test_a_resumed_distillation_is_bit_identical(teacher, tmp_path):
    stages = Stages(
        feature_fraction=0.3, value_fraction=0.3, hard_ray_fraction=0.2, hard_camera_fraction=0.2, sample_fraction=0.5
    )
    options = {**PLANES, "ray_features": 9}
    whole = distill_field(teacher, "densegrid", steps=40, settings=options, stages=stages)
    for stop in (9, 35):
        trainer, run = prepare(
            teacher, "densegrid", steps=40, settings=options, stages=stages, out=tmp_path / str(stop)
        )
        assert not finish(trainer, run, [lambda t: t.stop() if t.index == stop else None]).finished  # noqa: B023
        assert same(finish(resume(Run.open(run.path)), run).field.state_dict(), whole.field.state_dict())


def test_hard_rays_return(teacher):
    trainer, _ = prepare(
        teacher,
        "densegrid",
        steps=6,
        settings=PLANES,
        stages=Stages(feature_fraction=0, value_fraction=0, hard_ray_fraction=0.25),
    )
    trainer.run()
    objective = trainer.objective
    batch = objective.batch(6, 4096, 0, torch.device("cpu"))
    pool = {tuple(ray.tolist()) for ray in objective._hard_rays.pool[:, 3:6]}
    again = [tuple(ray.tolist()) in pool for ray in batch.directions]
    assert len(pool) > 4
    assert sum(again) == int(0.25 * len(again)) and all(again[: sum(again)])


def test_hard_rays_belong_to_no_camera_of_the_step(teacher):
    trainer, _ = prepare(
        teacher,
        "densegrid",
        steps=6,
        settings=PLANES,
        stages=Stages(feature_fraction=0, value_fraction=0, hard_ray_fraction=0.25, hard_camera_fraction=0.5),
    )
    trainer.run()
    views = trainer.objective.batch(6, 4096, 0, torch.device("cpu")).views
    again = int(0.25 * len(views))
    assert (views[:again] < 0).all() and (views[again:] >= 0).all()


def test_samples_go_where_light_goes_in_the_teacher(teacher):
    # A student with an empty grid is still queried there, and the samples make up the teacher's whole pixels.
    trainer, _ = prepare(
        teacher, "densegrid", steps=40, settings=PLANES, stages=Stages(feature_fraction=0, value_fraction=0)
    )
    objective, field = trainer.objective, trainer.field
    field.before_step(0, 40)
    objective.before_step(field, 0, 40)
    objective.enter(RENDERED)
    grid = objective.occupancy.grid
    grid.words = torch.zeros_like(grid.words)
    field.occupied = grid.words
    batch = objective.batch(0, 4096, 0, torch.device("cpu"))
    cached = objective.drop_weightless(field, objective.query_teacher(field, batch)[0])
    taught = objective.teacher
    whole = render_rays(taught, batch.origins, batch.directions, background=batch.background, seed=batch.jitter)
    features, samples = cached.teacher_features, cached.samples
    colors = taught.color_of_volume_features(features, batch.directions[samples.ray_indices])
    pixels = pixel_colors(taught, batch, samples, features=features, colors=colors)
    assert len(samples) > 0 and float((pixels - whole.color).abs().max()) < 0.02


def test_samples_without_weight_are_dropped_once_pixels_are_compared(teacher):
    trainer, _ = prepare(
        teacher, "densegrid", steps=40, settings=PLANES, stages=Stages(feature_fraction=0, value_fraction=0)
    )
    objective, field = trainer.objective, trainer.field
    objective.before_step(field, 0, 40)
    batch = objective.batch(0, 4096, 0, torch.device("cpu"))
    cached, queried = objective.query_teacher(field, batch)
    fog = objective.drop_weightless(field, cached)  # an untrained student is fog everywhere, which stays
    grid = objective.occupancy.grid
    grid.words = torch.zeros_like(grid.words)
    clear = objective.drop_weightless(field, cached)
    assert len(clear.samples) < 0.7 * len(fog.samples) and len(fog.samples) == len(cached.samples) < queried


def test_each_stage_begins_with_zero_moments_and_does_not_return(teacher):
    trainer, _ = prepare(
        teacher, "densegrid", steps=20, settings=PLANES, stages=Stages(feature_fraction=0.2, value_fraction=0.2)
    )
    steps = []
    trainer.callbacks.append(lambda t: steps.append((t.stage, int(t.optimizer.state[0]["steps"]))))
    trainer.callbacks.append(lambda t: t.plan.decide(t.index, 60) if t.index == 10 else None)
    trainer.callbacks.append(lambda t: t.stop() if t.index == 14 else None)
    trainer.run()
    assert steps[:4] == [(FEATURES, n) for n in (1, 2, 3, 4)] and steps[4:8] == [(VALUES, n) for n in (1, 2, 3, 4)]
    assert steps[8:] == [(RENDERED, n) for n in range(1, 7)]


def test_the_number_of_steps_is_corrected_in_the_last_stage(teacher, monkeypatch):
    import time

    now, costs = [100.0], {FEATURES: 0.01, VALUES: 0.02, RENDERED: 0.1}
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    trainer, _ = prepare(
        teacher, "densegrid", seconds=10.0, settings=PLANES, stages=Stages(feature_fraction=0.2, value_fraction=0.2)
    )
    monkeypatch.setattr(trainer.objective, "evaluation_seconds", lambda field: 0.0)
    monkeypatch.setattr(trainer, "_step_seconds", lambda stage: costs[stage])
    monkeypatch.setattr(
        trainer.objective,
        "loss",
        lambda field, batch: (now.__setitem__(0, now[0] + 1.3 * costs[trainer.stage]), field.head.output.weight.sum())[
            1
        ],
    )
    trainer.run()
    # Steps took a third longer than estimated, and the time is kept all the same.
    assert trainer.done and 9.0 < now[0] - 100.0 < 10.2


def test_a_student_has_the_learned_background_of_its_teacher(tmp_path):
    scene = scenes.load(write_scene(tmp_path / "scene"))
    taught = fit_field(
        scene, "hashgrid", steps=5, settings={**SMALL_GRID, "background": "learned"}, out=tmp_path / "teacher"
    )
    taught.field.background.data.copy_(torch.tensor([2.0, -2.0, 0.0]))
    taught.run.save_field(taught.field, taught.method)
    trainer, _ = prepare(
        taught.run, "densegrid", steps=3, settings=PLANES, stages=Stages(feature_fraction=0, value_fraction=0)
    )
    torch.testing.assert_close(trainer.field.background_color(), taught.field.background_color())
    trainer.run()
    view = trainer.objective.signal.test[0]
    corners = [
        trainer.objective.signal.image(view)[0, 0],
        view_colors(trainer.objective.signal, trainer.field, view)[0, 0],
    ]
    assert np.abs(corners[0] - corners[1]).max() < 0.2 and corners[1][0] > 0.7 > 0.3 > corners[1][1]
    with pytest.raises(BadInput, match="leave background out"):
        prepare(taught.run, "densegrid", steps=1, settings={**PLANES, "background": "white"})


@pytest.mark.parametrize(("option", "value"), [("cascades", 2), ("background", "learned")])
def test_refuses_what_a_student_cannot_have_before_its_folder_is_made(teacher, option, value, tmp_path):
    with pytest.raises(BadInput, match=f"leave {option} out"):
        prepare(teacher, "densegrid", steps=1, settings={**PLANES, option: value}, out=tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_empty_cells_are_known_at_any_resolution(teacher):
    signal = prepare(teacher, "densegrid", steps=1, settings=PLANES)[0].objective.signal
    cells = teacher.load_field().grid.occupancy.cells()[0]
    assert not (cells & torch.from_numpy(signal.empty_cells(32))).any() and signal.empty_cells(32).any()
    coarse = torch.nn.functional.max_pool3d(cells.float()[None], 2)[0] > 0
    assert not (coarse & torch.from_numpy(signal.empty_cells(16))).any() and signal.empty_cells(16).any()
    signal._teacher.occupied = torch.zeros_like(signal._teacher.occupied)
    signal._teacher.occupied[0, 37] = 1 << 13  # a single cell is not lost
    assert not signal.empty_cells(12).all() and not signal.empty_cells(16).all() and not signal.empty_cells(48).all()


def test_errors_of_hard_rays_do_not_count_for_cameras(teacher):
    stages = Stages(feature_fraction=0, value_fraction=0, hard_ray_fraction=0.3, hard_camera_fraction=0.3)
    trainer, _ = prepare(teacher, "densegrid", steps=4, settings=PLANES, stages=stages)
    trainer.run()
    batch = trainer.objective.batch(4, 4096, 0, torch.device("cpu"))
    others = batch.views < 0
    assert others.sum() == int(0.3 * len(others))
    hard = trainer.objective._hard_cameras
    hard.record(batch, 9.0 * others + (batch.views == 11))
    np.testing.assert_allclose(hard.pool[0, :12].numpy().reshape(3, 4), hard._cameras[11].pose)


def test_hard_cameras_return_turned_a_little(teacher):
    trainer, _ = prepare(
        teacher,
        "densegrid",
        steps=6,
        settings=PLANES,
        stages=Stages(feature_fraction=0, value_fraction=0, hard_camera_fraction=0.5),
    )
    trainer.run()
    hard, signal = trainer.objective._hard_cameras, trainer.objective.signal
    assert len(hard.pool) == 6  # the worst of each step's sixteen
    drawn = signal.draw_cameras(6, 0)
    mixed = hard.mix_in(drawn, 6)
    assert len(mixed) == len(drawn) and mixed[6:] == drawn[6:]
    for camera in mixed[:6]:
        row = hard.pool[[np.allclose(camera.pose[:, 3], row[:12].reshape(3, 4)[:, 3]) for row in hard.pool.numpy()]][
            0
        ].numpy()
        turn = np.arccos((np.trace(camera.pose[:, :3].T @ row[:12].reshape(3, 4)[:, :3]) - 1) / 2)
        assert 0 < turn < 3 * np.pi / 20
    # The camera whose rays have errors enters the pool.
    batch = trainer.objective.batch(7, 4096, 0, torch.device("cpu"))
    hard.record(batch, (batch.views == 9).float())
    np.testing.assert_allclose(hard.pool[0, :12].numpy().reshape(3, 4), hard._cameras[9].pose)


def test_the_heaviest_samples_of_each_ray():
    offsets = torch.tensor([0, 4, 4, 5, 10])
    rays = torch.repeat_interleave(torch.arange(4), offsets.diff())
    weights = torch.tensor([0.1, 0.4, 0.3, 0.2, 0.0, 0.5, 0.1, 0.2, 0.05, 0.15])
    samples = Samples(torch.zeros(10), torch.ones(10), rays, offsets)
    assert heaviest_samples(weights, samples, 0.3).nonzero().flatten().tolist() == [1, 2, 4, 5, 7]
    assert heaviest_samples(weights, samples, 1.0).all()


SCENES = {
    "hashgrid": SMALL_GRID,
    "nerf": NETWORK,
    "tensorf": {**PLANES, "resolution": 16},
    "densegrid": PLANES,
    "triplane": PLANES,
    "neurbf": {**SMALL, "kernels": 64, "table_size": 256, "growth": 1.3, "width": 16},
    "rbf": SMALL,
    "cam": {**SMALL, "width": 32},
}


@pytest.mark.slow
@pytest.mark.parametrize("taught", SCENES)
def test_every_architecture_into_every_other(taught, tmp_path):
    fit_field(
        scenes.load(write_scene(tmp_path / "scene")),
        taught,
        steps=3,
        settings={**SCENES[taught], "batch": 512},
        out=tmp_path / "teacher",
    )
    for into in SCENES:
        trainer, _ = prepare(
            Run.open(tmp_path / "teacher"),
            into,
            steps=6,
            settings={**SCENES[into], "batch": 512},
            stages=Stages(feature_fraction=0.34, value_fraction=0.34),
        )
        seen = []
        trainer.callbacks.append(lambda t, seen=seen: seen.append((t.stage, t.loss)))
        trainer.run()
        assert np.isfinite([loss for _, loss in seen]).all(), into
        assert [stage for stage, _ in seen[1::2]] == [FEATURES, VALUES, RENDERED], into


def test_a_moving_scene_is_distilled(tmp_path):
    fit_field(
        scenes.load(write_moving(tmp_path / "moving.npz")),
        "hashgrid",
        steps=60,
        settings=SMALL_GRID,
        out=tmp_path / "teacher",
    )
    assert distill_field(tmp_path / "teacher", "hashgrid", steps=60, settings=SMALL_GRID).metrics["psnr"] > 16


def test_refuses_a_run_without_cameras(teacher, tmp_path):
    shutil.copytree(teacher.path, tmp_path / "run")
    (tmp_path / "run" / "cameras.json").unlink()
    with pytest.raises(BadInput, match="cameras.json"):
        prepare(Run.open(tmp_path / "run"), "hashgrid", steps=1)


def test_cached_steps_are_replayed_in_a_cycle(teacher, tmp_path, monkeypatch):
    import fields.distill.radiance as module

    stages = Stages(feature_fraction=0.2, value_fraction=0.2, cache=1)
    whole, _ = prepare(teacher, "densegrid", steps=60, settings=PLANES, stages=stages)
    queried = []
    query = module.volume_features_at

    def recorded(field, *rest):
        if field is whole.objective.teacher:
            queried.append(whole.index)
        return query(field, *rest)

    monkeypatch.setattr(module, "volume_features_at", recorded)
    whole.run()
    cache = whole.objective._cache
    # The teacher was queried once in each of the first steps, and never again.
    assert 2 <= cache._length < 50 and queried == list(range(cache._length))
    assert cache._bytes < 2 << 20
    for stop in (cache._length // 2, cache._length + 5):
        trainer, run = prepare(teacher, "densegrid", steps=60, settings=PLANES, stages=stages, out=tmp_path / str(stop))
        finish(trainer, run, [lambda t, stop=stop: t.stop() if t.index == stop else None])
        again = finish(resume(run), run)
        assert same(again.field.state_dict(), finish(whole, None).field.state_dict()), stop
    assert RadianceObjective(scenes.load(write_scene(tmp_path / "scene")), "l2").evaluate(whole.field)["psnr"] > 12
    with pytest.raises(ValueError, match="one of the two"):
        Stages(cache=1, hard_ray_fraction=0.1)


def test_a_single_small_file_is_a_teacher(teacher, tmp_path):
    assert main(["export", str(teacher.path), str(tmp_path / "teacher.fsq")]) == 0
    small = Run.open(tmp_path / "teacher.fsq")
    assert len(small.cameras()) == len(teacher.cameras()) and small.cameras()[0].same_as(teacher.cameras()[0])
    student = distill_field(small, "hashgrid", steps=60, settings=SMALL_GRID, out=tmp_path / "student")
    assert (
        student.metrics["psnr"] > 15
        and student.run.header["teacher"]["bytes"] == (tmp_path / "teacher.fsq").stat().st_size
    )
    assert main(["render", str(tmp_path / "teacher.fsq"), "--view", "1", "--out", str(tmp_path / "view.png")]) == 0


def test_a_teacher_that_samples_by_proposals_has_students_that_do(teacher, tmp_path):
    scene = scenes.load(write_scene(tmp_path / "scene"), unbounded=True)
    taught = fit_field(scene, "hashgrid", steps=200, settings=SMALL_GRID, out=tmp_path / "teacher")
    assert taught.method.sampling == "proposal" and taught.metrics["psnr"] > 14
    student = distill_field(taught.run, "densegrid", steps=200, settings=PLANES)
    assert student.method.sampling == "proposal" and student.metrics["psnr"] > 17
    with pytest.raises(BadInput, match="sampling=cells; leave sampling out"):
        prepare(teacher, "hashgrid", steps=1, settings={**SMALL_GRID, "sampling": "proposal"})
    with pytest.raises(BadInput, match="sampling=proposal; leave sampling out"):
        prepare(taught.run, "hashgrid", steps=1, settings={**SMALL_GRID, "sampling": "cells"})
