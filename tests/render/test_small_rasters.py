import numpy as np
import pytest
import torch

from fields.models.field import PointField
from fields.render.raster import evaluate_image, evaluate_lattice, sample_centers
from fields.render.video_frame import render_frame
from scenes.domain import Axis, Channels, Domain

SHAPE = (24, 18, 12)


class Noise(PointField):
    """Nothing like its neighbours anywhere; counts the points that it is asked for."""

    def __init__(self, dimensions: int, samples=SHAPE) -> None:
        axes = zip("xyz", samples[:dimensions])
        super().__init__(Domain(tuple(Axis(name, 0.0, 1.0, "", n) for name, n in axes)), Channels(("grey",), "srgb"))
        self.register_buffer("state", torch.zeros(1))
        self.asked = 0

    def forward(self, coords):
        self.asked += len(coords)
        rates = torch.tensor([901.0, 701.0, 503.0], dtype=torch.float64)[: coords.shape[-1]]
        return torch.sin(coords.double() @ rates).float()[..., None]

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")


def whole(field):
    return evaluate_lattice(field, *(sample_centers(axis.samples) for axis in field.domain.axes))


@pytest.mark.parametrize("by", [2, 3, 6])
def test_a_small_image_is_the_box_filtered_large_one(by):
    field = Noise(2)
    wanted = whole(field).reshape(18 // by, by, 24 // by, by, 1).mean((1, 3))
    assert np.allclose(evaluate_image(field, 24 // by, 18 // by), wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(24, 18), (30, 40), (11, 7), (5, 18), (1, 1)])
@pytest.mark.parametrize("window", [(0.0, 0.0, 1.0, 1.0), (0.2, 0.1, 0.9, 0.6), (-0.3, 0.0, 1.2, 1.5)])
def test_an_image_is_the_field_asked_with_its_pixels(size, window):
    field, (width, height), (x0, y0, x1, y1) = Noise(2), size, window
    x, y = sample_centers(width, x0, x1), sample_centers(height, y0, y1)
    coords = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    pixel = torch.tensor([(x1 - x0) / width, (y1 - y0) / height])
    # A float32 coordinate is rounded, and this field changes by 1e-4 for it.
    assert np.allclose(evaluate_image(field, width, height, window), field(coords, pixel.expand_as(coords)), atol=1e-3)


def test_points_are_what_they_were():
    field = Noise(2)
    x, y = sample_centers(7), sample_centers(5)
    points = field(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)).reshape(5, 7, 1).numpy()
    assert np.array_equal(evaluate_image(field, 7, 5, most=1), points)
    assert np.array_equal(evaluate_lattice(field, x, y), points)
    x, y = sample_centers(31), sample_centers(29)
    points = field(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)).reshape(29, 31, 1).numpy()
    assert np.array_equal(evaluate_image(field, 31, 29), points)


def test_each_sample_is_evaluated_once_and_of_many_only_some(monkeypatch):
    field = Noise(2, (480, 360))
    evaluate_image(field, 48, 36)
    assert field.asked == 480 * 360
    field.asked = 0
    evaluate_image(field, 48, 36, most=2)
    assert field.asked == 4 * 48 * 36
    field.asked = 0
    evaluate_image(field, 4, 3)
    assert field.asked == 4 * 3 * 16 * 16
    whole_at_once = evaluate_image(field, 48, 36)
    monkeypatch.setattr("fields.render.raster.LATTICE_POINTS", 5000)
    assert np.allclose(evaluate_image(field, 48, 36), whole_at_once, atol=1e-6)


def test_lattices_of_volumes_and_frames_of_films():
    field = Noise(3)
    found = evaluate_lattice(field, *(sample_centers(n // 3) for n in SHAPE), footprint=[3 / n for n in SHAPE])
    assert np.allclose(found, whole(field).reshape(4, 3, 6, 3, 8, 3, 1).mean((1, 3, 5)), atol=1e-5)
    # A frame is of a moment.
    moment = float(sample_centers(12)[5])
    wanted = whole(field)[5].reshape(9, 2, 12, 2, 1).mean((1, 3))
    assert np.allclose(render_frame(field, moment, 12, 9), wanted, atol=1e-5)
    assert not np.allclose(render_frame(field, moment, 12, 9, most=1), wanted, atol=1e-2)
