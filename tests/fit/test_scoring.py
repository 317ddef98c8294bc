"""Scoring within a time, on a simulated clock: as large a part as fits, spread evenly, and said."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from posed_scene import write_scene

import fields
import scenes
from fields.fit import scoring
from fields.fit.metrics.samples import psnr
from fields.fit.objectives import image as image_module
from fields.fit.objectives import shape as shape_module
from fields.fit.objectives import view_scores
from fields.fit.objectives.audio import AudioObjective
from fields.fit.objectives.image import ImageObjective
from fields.fit.objectives.radiance import RadianceObjective
from fields.fit.objectives.shape import ShapeObjective
from fields.fit.objectives.volume import VolumeObjective
from fields.fit.scoring import Deadline, OutOfTime, ScoredPart, estimated_seconds, parts_within
from fields.models.field import PointField
from fields.render import raster
from scenes.audio.signal import Audio
from scenes.image.signal import Image


class Clock:
    """A clock that only goes on when it is told to."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (scoring, image_module, shape_module, view_scores):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Slow(PointField):
    """Zero everywhere, at a cost in seconds for each point."""

    def __init__(self, signal, clock, cost):
        super().__init__(signal.domain, signal.channels)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.clock, self.cost = clock, cost

    def forward(self, coords):
        self.clock.pass_(self.cost * len(coords))
        return coords[:, :1].repeat(1, len(self.channels))


def test_parts_are_spread_and_end_before_the_time_does(clock):
    taken = []
    for index in parts_within(64, seconds=8.5):
        clock.pass_(1.0)
        taken.append(index)
    assert sorted(taken) == list(range(0, 64, 8))


def test_all_parts_are_taken_where_time_suffices_and_one_where_it_does_not(clock):
    assert sorted(parts_within(10, math.inf)) == list(range(10))
    for _ in parts_within(10, seconds=1.0):
        clock.pass_(5.0)
    assert clock.now == 5.0


def test_what_parts_cost_later_counts(clock):
    taken = 0
    for _ in parts_within(16, seconds=8.0, later=lambda: 1.0):
        clock.pass_(1.0)
        taken += 1
    assert taken == 4


def test_estimate_grows_the_part_until_it_can_be_measured(clock):
    parts = []

    def work(count):
        parts.append(count)
        clock.pass_(0.001 * count)

    assert estimated_seconds(work, total=10_000, first=4) == pytest.approx(10.0)
    assert parts == [4, 16, 64]


def test_deadline_refuses_what_would_pass_it(clock):
    deadline = Deadline(2.0)
    deadline.check(1.5)
    clock.pass_(1.0)
    with pytest.raises(OutOfTime):
        deadline.check(1.5)


@pytest.fixture
def picture(monkeypatch):
    monkeypatch.setattr(raster, "TILE_POINTS", 64 * 4)
    return Image.from_array(np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8))


def test_image_is_scored_whole_where_time_suffices(picture, clock):
    objective = ImageObjective(picture, "l2")
    field = Slow(picture, clock, 1e-3)
    whole = objective.evaluate(field)
    assert objective.evaluate(field, seconds=5.0) == whole and {"psnr", "ssim"} == set(whole)
    assert objective.scored is None and "scored" not in objective.details()


def test_image_that_takes_too_long_is_scored_in_part(picture, clock):
    objective = ImageObjective(picture, "l2")
    field = Slow(picture, clock, 1e-3)
    scores = objective.evaluate(field, seconds=2.05)
    assert clock.now <= 2.05
    assert str(objective.scored) == "50 % of the pixels"
    assert objective.details() == {"scored": {"fraction": 0.5, "of": "pixels"}}
    rows = [row for top in range(0, 64, 8) for row in range(top, top + 4)]
    known = picture.values()[rows]
    fitted = np.broadcast_to(((np.arange(64) + 0.5) / 64)[:, None], known.shape)
    assert set(scores) == {"psnr"} and scores["psnr"] == pytest.approx(psnr(fitted, known), abs=1e-4)


def test_held_out_pixels_and_audio_are_scored_in_part(clock):
    sound = Audio.from_array(np.random.default_rng(0).normal(size=300_000).astype(np.float32) / 8, 8000)
    objective = AudioObjective(sound, "l2")
    field = Slow(sound, clock, 1e-5)
    assert set(objective.evaluate(field)) == {"snr", "spectral_error", "log_spectral_error"}
    assert objective.scored is None
    clock.now = 0.0
    assert set(objective.evaluate(field, seconds=2.0)) == {"snr"}
    assert clock.now < 2.0 and 0.5 < objective.scored.fraction < 0.7 and objective.scored.of == "samples"


def test_volume_is_scored_by_some_slices(clock):
    volume = _volume()
    objective = VolumeObjective(volume, "l2")
    field = Slow(volume, clock, 1e-3)
    whole = objective.evaluate(field)["psnr"]
    clock.now = 0.0
    assert objective.evaluate(field, seconds=8 * 8 * 8 * 1e-3 / 2 + 1e-6)["psnr"] == pytest.approx(whole, abs=1.0)
    assert objective.scored == ScoredPart(0.5, "slices")


def _volume():
    from scenes.volume.signal import Volume

    return Volume.from_array(np.random.default_rng(0).random((8, 8, 8), dtype=np.float32))


class Noise(PointField):
    """Distances of noise: a surface everywhere."""

    def __init__(self, signal, clock, cost):
        super().__init__(signal.domain, signal.channels)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.clock, self.cost = clock, cost

    def forward(self, coords):
        self.clock.pass_(self.cost * len(coords))
        phase = (coords * torch.tensor([311.0, 173.0, 229.0])).sum(-1, keepdim=True)
        return 0.05 * torch.sin(phase) * torch.cos(coords[:, :1] * 97.0)


@pytest.fixture
def ball(monkeypatch):
    import trimesh

    from scenes.shape.signal import Shape

    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")
    monkeypatch.setattr(shape_module, "VOLUME_POINTS", 1 << 14)
    monkeypatch.setattr(shape_module, "SURFACE_POINTS", 1 << 12)
    monkeypatch.setattr(shape_module, "RESOLUTION", 64)
    mesh = trimesh.creation.icosphere(3)
    return Shape.from_mesh(mesh.vertices, mesh.faces, "auto", 4096)


def test_noise_is_scored_on_fewer_points_and_a_coarser_mesh(ball, clock):
    objective = ShapeObjective(ball, "l1")
    field = Noise(ball, clock, 1e-5)
    whole = objective.evaluate(field)
    cost, clock.now = clock.now, 0.0
    assert objective.scored is None
    part = objective.evaluate(field, seconds=cost / 3)
    assert clock.now < cost / 3
    assert objective.scored is not None and objective.scored.fraction <= 1 / 4 and objective.scored.of == "points"
    assert set(part) == set(whole) and part["iou"] == pytest.approx(whole["iou"], abs=0.1)
    assert objective.evaluate(field, seconds=20 * cost) == whole and objective.scored is None


def test_time_of_a_shape_is_estimated_from_coarse_evaluations(ball, clock):
    objective = ShapeObjective(ball, "l1")
    field = Noise(ball, clock, 1e-5)
    objective.evaluate(field)
    cost, clock.now = clock.now, 0.0
    assert 0.3 * cost < objective.evaluation_seconds(field) < 3 * cost
    assert clock.now < 0.4 * cost


@pytest.fixture
def views(tmp_path, monkeypatch, clock):
    """A scene of eight test views, whose images cost 0.001 s a pixel."""
    scene = scenes.load(write_scene(tmp_path / "scene", train=4, test=8))

    def view_colors(scene, field, view, stride=1, rays=1):
        image = scene.image(view)[::stride, ::stride]
        clock.pass_(1e-3 * image.shape[0] * image.shape[1])
        return np.clip(image + 0.1, 0, 1)

    monkeypatch.setattr(view_scores, "view_colors", view_colors)
    monkeypatch.setattr("fields.fit.objectives.radiance.camera_remarks", lambda scene, field: [])
    pixels = scene.test[0].num_pixels
    return SimpleNamespace(objective=RadianceObjective(scene, "l2"), seconds=1e-3 * pixels, scene=scene)


def test_as_many_views_are_scored_as_fit(views, clock):
    scores = views.objective.evaluate(None, seconds=6.5 * views.seconds)
    assert views.objective.scored == ScoredPart(6 / 8, "views")
    assert set(scores) == {"psnr", "ssim"} and clock.now < 6.5 * views.seconds
    assert len(views.objective.details()["views"]) == 6
    views.objective.evaluate(None)
    assert views.objective.scored is None


def test_pixels_of_views_are_scored_where_four_views_do_not_fit(views, clock):
    whole = views.objective.evaluate(None)["psnr"]
    clock.now = 0.0
    scores = views.objective.evaluate(None, seconds=1.5 * views.seconds)
    assert clock.now < 1.6 * views.seconds
    assert set(scores) == {"psnr"} and scores["psnr"] == pytest.approx(whole, abs=1.0)
    assert views.objective.scored.of == "pixels of the views" and views.objective.scored.fraction < 0.2


def test_first_look_at_a_fog_is_a_small_one(views, clock):
    views.objective._field = object()
    views.objective.running_quality(0.1)
    assert clock.now < 0.3 * 4 * views.seconds


def test_partial_scores_are_said(tmp_path, picture, monkeypatch, capsys):
    from apps.cli import main

    class Little(ImageObjective):
        def evaluate(self, field, seconds=math.inf):
            assert seconds < 2.0
            scores = super().evaluate(field, seconds)
            self.scored = ScoredPart(0.4, "pixels")
            return scores

    monkeypatch.setattr("fields.fit.fit.objective_for", lambda signal, field, loss, terms=None: Little(signal, loss))
    from PIL import Image as Pillow

    Pillow.fromarray((picture.values() * 255).astype(np.uint8)).save(tmp_path / "a.png")
    command = ["fit", str(tmp_path / "a.png"), "--seconds", "1", "--out", str(tmp_path / "run"), "--json"]
    assert main.main(command) == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1])["scored"] == {"fraction": 0.4, "of": "pixels"}
    assert " of 40 % of the pixels   after" in err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["scored"]["fraction"] == 0.4


def test_a_budget_of_steps_scores_the_whole(picture):
    seen = []

    class Watched(ImageObjective):
        def evaluate(self, field, seconds=math.inf):
            seen.append(seconds)
            return super().evaluate(field, seconds)

    trainer, _ = fields.fit.fit.prepare(picture, "hashgrid", steps=2, settings={"batch": 256, "table_size": 256})
    trainer.objective = Watched(picture, "l2")
    assert fields.fit.fit.finish(trainer, None).scored is None
    assert seen == [math.inf]


def test_image_of_a_fog_is_drawn_in_larger_squares(views, clock, monkeypatch):
    from fields.fit.objectives import view_images

    scene, drawn = views.scene, []

    def view_colors(scene, field, view, stride=1):
        image = scene.image(view)[::stride, ::stride]
        drawn.append(image.shape[0] * image.shape[1])
        clock.pass_(1e-2 * drawn[-1])
        return image

    monkeypatch.setattr(view_images, "view_colors", view_colors)
    view = scene.test[0]
    image = view_images.quick_view_colors(scene, None, view, 1)
    assert image.shape == scene.image(view).shape and max(drawn) <= 150 and clock.now < 2.0
    np.testing.assert_array_equal(image[:2, :2], np.broadcast_to(scene.image(view)[:1, :1], (2, 2, 3)))
    drawn.clear()
    whole = view_images.quick_view_colors(scene, None, view, 1, seconds=100.0)
    np.testing.assert_array_equal(whole, scene.image(view))


def test_picture_of_noise_is_drawn_in_larger_squares(ball, clock, monkeypatch):
    # Tests of exports make it smaller.
    monkeypatch.setattr(shape_module, "PANEL_SIDE", 64)
    field = Noise(ball, clock, 1e-4)
    image = ShapeObjective(ball, "l1").preview(field, 64)
    slow = clock.now
    assert image.shape == (64, 64, 3)
    field.cost, clock.now = 0.0, 0.0
    whole = ShapeObjective(ball, "l1").preview(field, 64)
    assert whole.shape == image.shape and (whole != image).any() and slow < 12
