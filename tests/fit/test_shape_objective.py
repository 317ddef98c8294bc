"""Tests of fits of shapes: metrics against known surfaces, losses, default options, resuming."""

import numpy as np
import pytest
import torch
import trimesh

import fields
from fields.fit.fit import finish, prepare, resume
from fields.fit.metrics.shape import MatchedSamples, intersection_over_union, surface_metrics
from fields.fit.objectives import shape as objective_module
from fields.fit.objectives.shape import ShapeObjective
from fields.methods.registry import make_method
from fields.models.field import PointField
from fields.runs.run import Run, load_field
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.shape.geometry import Mesh, MeshColors
from scenes.shape.signal import Shape

OPTIONS = {"table_size": 8192, "levels": 4, "growth": 1.6, "base_resolution": 8, "width": 16, "batch": 4096}
RADIUS = 0.5 / 1.1


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A part of the points, and a coarser mesh: the definitions do not depend on the number."""
    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")
    monkeypatch.setattr(objective_module, "VOLUME_POINTS", 20000)
    monkeypatch.setattr(objective_module, "SURFACE_POINTS", 4000)
    monkeypatch.setattr(objective_module, "RESOLUTION", 64)
    monkeypatch.setattr(objective_module, "PANEL_SIDE", 48)


def ball(quantity: str = "auto", samples: int = 30000, subdivisions: int = 5) -> Shape:
    mesh = trimesh.creation.icosphere(subdivisions)
    return Shape.from_mesh(mesh.vertices, mesh.faces, quantity, samples)


def colored_ball(samples: int = 30000) -> Shape:
    mesh = trimesh.creation.icosphere(3)
    vertices, faces = np.array(mesh.vertices), np.array(mesh.faces, np.int64)
    colors = MeshColors((vertices * 0.5 + 0.5)[faces])
    return Shape(Mesh(vertices, faces, colors), {"path": "array", "sha256": "colored", "options": {}}, samples=samples)


class Ball(PointField):
    """The exact field of a ball, a little displaced."""

    def __init__(self, shape: Shape, radius: float = RADIUS, shift: float = 0.0) -> None:
        super().__init__(shape.domain, shape.channels)
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.radius, self.middle = radius, torch.tensor([0.5 + shift, 0.5, 0.5])

    def forward(self, coords):
        distance = (coords - self.middle).norm(dim=-1, keepdim=True) - self.radius
        if self.channels.space == "occupancy":
            return torch.sigmoid(-distance * 200)
        return distance.abs() if self.channels.space == "unsigned_distance" else distance


def test_a_perfect_field_scores_perfectly():
    shape = ball()
    scores = ShapeObjective(shape, "l1").evaluate(Ball(shape))
    assert (
        scores["iou"] > 0.996 and scores["chamfer"] < 1e-3 and scores["f_score"] == 1.0 and scores["normal_angle"] < 2.5
    )


def test_a_smaller_ball_scores_as_computed_by_hand():
    """Radius 0.9 of the source's: IoU 0.9^3; the surfaces are 5 % of the longest side apart, which is beyond 1 %."""
    shape = ball()
    scores = ShapeObjective(shape, "l1").evaluate(Ball(shape, 0.9 * RADIUS))
    assert scores["iou"] == pytest.approx(0.9**3, abs=0.015)
    assert scores["chamfer"] == pytest.approx(0.05, abs=0.001)
    assert scores["f_score"] == 0.0


@pytest.mark.parametrize("quantity", ["occupancy", "unsigned"])
def test_perfect_fields_of_occupancy_and_unsigned_distance_score_perfectly(quantity: str):
    shape = ball(quantity)
    scores = ShapeObjective(shape, "l1").evaluate(Ball(shape))
    assert ("iou" in scores) == (quantity == "occupancy")
    assert scores["chamfer"] < 2e-3 and scores["f_score"] > 0.99 and scores["normal_angle"] < 8


def test_field_without_a_surface_scores_zero():
    shape = ball()
    scores = ShapeObjective(shape, "l1").evaluate(Ball(shape, radius=-1.0))
    assert scores == {"iou": 0.0, "f_score": 0.0}


def test_surface_metrics_match_values_computed_by_hand():
    assert intersection_over_union(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)) == pytest.approx(1 / 3)
    x, tilted = np.array([[1.0, 0, 0]]), np.array([[np.cos(0.2), np.sin(0.2), 0]])
    one = MatchedSamples(np.array([0.0, 0.02]), np.repeat(x, 2, 0), np.repeat(tilted, 2, 0))
    other = MatchedSamples(np.array([0.005]), x, -tilted)
    scores = surface_metrics(one, other, oriented=False)
    assert scores == {
        "chamfer": pytest.approx(0.0075),
        "f_score": pytest.approx(2 / 3),
        "normal_angle": pytest.approx(np.degrees(0.2)),
    }
    assert surface_metrics(one, other, oriented=True)["normal_angle"] == pytest.approx(90)


def test_default_options_of_a_shape_differ_from_those_of_images():
    method = make_method("hashgrid").prepare(ball())
    assert (method.loss, method.batch, method.levels, method.table_size) == ("l1", 1 << 15, 12, 1 << 16)
    assert make_method("hashgrid", {"levels": 8}).prepare(ball()).levels == 8
    count = make_method("hashgrid").prepare(ball()).sized(3, 1, 200_000).parameters(3, 1)
    assert abs(count / 200_000 - 1) < 0.03


@pytest.mark.parametrize("quantity", ["signed", "occupancy", "unsigned"])
def test_short_fit_of_each_quantity_finds_the_surface(quantity: str):
    fit = fields.fit_field(ball(quantity, subdivisions=3), steps=120, settings=OPTIONS)
    limit = {"signed": 0.95, "occupancy": 0.85}.get(quantity)
    assert limit is None or fit.metrics["iou"] > limit
    assert fit.metrics["f_score"] > 0.5, fit.metrics


def test_colors_are_fitted_without_loss_of_shape(tmp_path):
    shape = colored_ball()
    fit = fields.fit_field(shape, steps=120, settings=OPTIONS, out=tmp_path / "run")
    assert (tmp_path / "run" / "preview.png").is_file()
    assert shape.channels == Channels(("distance", "red", "green", "blue"), "signed_distance")
    assert fit.metrics["iou"] > 0.93 and fit.metrics["psnr"] > 25, fit.metrics


def test_fused_and_autograd_training_agree_on_weights_and_units():
    """The same gradients in the first step: fused, samples are weighed and colours counted in their units."""
    shape = colored_ball(5000)
    grads = []
    for fused in ("auto", "off"):
        trainer, _ = prepare(shape, "hashgrid", steps=1, settings={**OPTIONS, "fused": fused})
        assert trainer.fused == (fused == "auto")
        batch = trainer.objective.batch(0, 1024, 0, trainer.device)
        if fused == "auto":
            loss = trainer._fused(*batch)
        else:
            loss = trainer.objective.loss(trainer.field, batch)
            loss.backward()
        grads.append((loss.item(), [p.grad.clone() for p in trainer.field.parameters()]))
    assert grads[0][0] == pytest.approx(grads[1][0], rel=1e-5)
    for a, b in zip(grads[0][1], grads[1][1]):
        assert (a - b).norm() <= 1e-5 * b.norm() + 1e-9


@pytest.mark.parametrize("quantity", ["signed", "unsigned"])
def test_gradient_terms_match_their_equations(quantity: str):
    """Added to the loss as computed here by hand, and differentiable to the table through the second order."""
    shape = ball(quantity, samples=3000, subdivisions=3)
    terms = {"eikonal": "0.5", "normals": "0.25"}
    trainer, _ = prepare(shape, "hashgrid", steps=2, settings={**OPTIONS, **terms})
    assert not trainer.fused and trainer.objective.gradient_terms == {"eikonal": 0.5, "normals": 0.25}
    field = trainer.field
    with torch.no_grad():
        field.encoder.table.uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(0))
    batch = trainer.objective.batch(0, 1024, 0, trainer.device)
    loss = trainer.objective.loss(field, batch)
    coords, _, _, points, normals = batch
    assert len(points) <= 256 and torch.allclose(normals.norm(dim=-1), torch.ones(len(normals)), atol=1e-5)

    def gradient(at):
        at = at.clone().requires_grad_()
        return torch.autograd.grad(field(at)[:, 0].sum(), at)[0]

    where = points if quantity == "signed" else points + objective_module.OUTSIDE * normals
    expected = (
        ShapeObjective(shape, "l1").loss(field, batch[:3])
        + 0.5 * ((gradient(coords[::4]).norm(dim=-1) - 1) ** 2).mean()
        + 0.25 * (1 - torch.nn.functional.cosine_similarity(gradient(where), normals, dim=-1)).mean()
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    table = field.encoder.table
    assert table.grad.isfinite().all()
    # Along the gradient the loss falls by its squared length.
    step = 1e-5 / table.grad.norm()
    with torch.no_grad():
        table -= step * table.grad
    fallen = loss.item() - trainer.objective.loss(field, batch).item()
    assert fallen > 0
    trainer.step()
    assert all(p.isfinite().all() for p in field.parameters())


def test_refuses_gradient_terms_for_signals_that_are_no_distances(astronaut):
    from scenes.image.signal import Image

    for signal in (Image.from_array(astronaut[:32, :32]), ball("occupancy", subdivisions=2)):
        with pytest.raises(BadInput, match="eikonal: is of the gradient of a distance"):
            make_method("hashgrid", {"eikonal": "0.1"}).prepare(signal)


def test_previews_during_a_fit_are_small_and_take_a_fraction_of_the_time(tmp_path, monkeypatch):
    """At most 0.1 megapixel; after one that took a while, the next comes when that is 2 % of the time."""
    from PIL import Image

    from fields.fit import callbacks

    trainer, run = prepare(
        ball(samples=3000, subdivisions=2),
        "hashgrid",
        steps=1000,
        settings={**OPTIONS, "batch": 256},
        out=tmp_path / "run",
    )
    trainer.step()
    clock = [100.0]
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: clock[0])
    previewer, made = callbacks.Previewer(run), []
    preview = trainer.objective.preview

    def slow(field, side):
        made.append(clock[0])
        clock[0] += 1.0
        return preview(field, side)

    monkeypatch.setattr(trainer.objective, "preview", slow)
    for _ in range(200):
        previewer(trainer)
        clock[0] += 1.0
    assert [round(time - made[0]) for time in made] == [0, 51, 102, 153]
    with Image.open(tmp_path / "run" / "preview.png") as seen:
        assert seen.width * seen.height <= 100_000


def test_resumed_fit_has_bit_identical_weights(tmp_path):
    mesh = trimesh.creation.icosphere(2)
    path = tmp_path / "ball.ply"
    mesh.export(path)
    from scenes.shape.signal import open_shape

    options = {**OPTIONS, "batch": 1024}
    trainer, run = prepare(open_shape(path), "hashgrid", steps=20, settings=options, out=tmp_path / "whole")
    finish(trainer, run)
    trainer, run = prepare(open_shape(path), "hashgrid", steps=20, settings=options, out=tmp_path / "cut")
    trainer.callbacks.append(lambda t: t.stop() if t.index == 9 else None)
    finish(trainer, run)
    kept = Run.open(tmp_path / "cut")
    import scenes

    trainer = resume(scenes.reopen("shape", kept.header["source"]), kept)
    finish(trainer, kept)
    whole, cut = (load_field(tmp_path / name).state_dict() for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
