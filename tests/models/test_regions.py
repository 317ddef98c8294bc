import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.methods.registry import make_method
from fields.models.field import PointField
from fields.models.regions import region_means, region_points
from scenes.domain import Axis, Channels, Domain
from scenes.image.signal import Image


def domain(*samples):
    return Domain(tuple(Axis(name, 0.0, 1.0, "", count) for name, count in zip("xyz", samples)))


class Formula(PointField):
    """A field of one formula over axes with so many samples."""

    def __init__(self, function, *samples):
        super().__init__(domain(*samples), Channels(("grey",), "srgb"))
        self.function = function

    def forward(self, coords):
        return self.function(coords)[..., None]


def linear(*samples):
    slopes = torch.tensor([1.0, -2.0, 0.5])[: len(samples)].double()
    return Formula(lambda coords: coords.double() @ slopes + 0.25, *samples)


def noise(*samples):
    """Nothing like its neighbours anywhere."""
    return Formula(
        lambda coords: torch.sin(coords.double() @ torch.tensor([9e3, 7e3, 5e3])[: len(samples)].double()), *samples
    )


sizes = st.one_of(st.none(), st.integers(1, 40))


@settings(max_examples=30, deadline=None)
@given(samples=st.tuples(sizes, sizes, sizes), dimensions=st.integers(1, 3), seed=st.integers(0, 99))
def test_forms_of_footprints_agree_and_none_is_a_point(samples, dimensions, seed):
    field = noise(*samples[:dimensions])
    random = torch.Generator().manual_seed(seed)
    coords = torch.rand(4, 3, dimensions, generator=random)
    assert torch.equal(field(coords, 0.0), field(coords))
    size = float(torch.rand((), generator=random))
    wanted = field(coords, size)
    assert wanted.shape == (4, 3, 1)
    assert torch.allclose(field(coords, torch.full((4, 3), size)), wanted)
    assert torch.allclose(field(coords, torch.full((4, 3, dimensions), size)), wanted)
    # Every region is on its own, whatever else is asked.
    mixed = torch.rand(4, 3, generator=random)
    mixed[1, 2] = size
    assert torch.allclose(field(coords, mixed)[1, 2], wanted[1, 2])
    assert torch.allclose(field(coords[1, 2], mixed[1, 2]), wanted[1, 2])


@settings(max_examples=30, deadline=None)
@given(samples=st.tuples(sizes, sizes))
def test_the_whole_domain_gives_the_mean_of_a_linear_field(samples):
    field = linear(*samples)
    assert field(torch.full((2,), 0.5).double(), 1.0).item() == pytest.approx(0.5 - 1.0 + 0.25, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    most=st.just(16),
    middle=st.floats(0, 1),
    size=st.floats(0, 1),
)
def test_a_mean_is_the_integral_of_the_samples_cells(count, most, middle, size):
    values = np.random.default_rng(count).random(3 * count)
    points, weights, number = region_points(torch.tensor([middle]).double(), torch.tensor([size]).double(), count, most)
    found = sum(float(w) * values[math.floor(float(p) * count) + count] for p, w in zip(points[0], weights[0]) if w)
    assert int(number[0]) <= most + 1 and float(weights.sum()) == pytest.approx(1.0)
    if size * count <= 1.002 or size * count > most:
        return
    integral = np.concatenate([[0], np.cumsum(values)])
    low, high = ((middle + side * size / 2) * count + count for side in (-1, 1))
    mean = (
        np.interp(high, np.arange(3 * count + 1), integral) - np.interp(low, np.arange(3 * count + 1), integral)
    ) / (high - low)
    assert found == pytest.approx(mean, abs=2e-3)


def test_a_region_of_one_sample_or_less_is_a_point():
    field, coords = noise(32, 16), torch.rand(20, 2)
    assert torch.equal(field(coords, torch.tensor([1 / 32, 1 / 16]).expand(20, 2)), field(coords))
    assert not torch.allclose(field(coords, torch.tensor([2 / 32, 1 / 16]).expand(20, 2)), field(coords))


def test_scattered_axes_are_averaged_unless_the_encoding_answers():
    field, coords = noise(None, None), torch.rand(1, 2).double()
    offsets = (torch.arange(4).double() + 0.5) / 4 - 0.5
    lattice = coords + 0.3 * torch.cartesian_prod(offsets, offsets)
    assert torch.allclose(field(coords, 0.3), field(lattice).mean(0))
    image = Image.from_array(np.zeros((8, 8, 3), np.uint8))
    fourier = make_method("fourier", {"width": 16}).prepare(image).build(domain(None, None), image.channels, 0)
    coords = coords.float()
    assert torch.equal(fourier(coords, 0.3), fourier.faded(coords, torch.full_like(coords, 0.3)))
    assert not torch.allclose(fourier(coords, 0.3), fourier(coords), atol=1e-4)


@pytest.mark.parametrize("name", ["hashgrid", "densegrid", "fourier", "nerf", "cam", "siren"])
def test_methods_answer_for_regions(name):
    image = Image.from_array(np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8))
    field = make_method(name, {}).prepare(image).build(image.domain, image.channels, 0)
    for parameter in field.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    line = (torch.arange(12) + 0.5) / 12
    coords = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    means = field(coords).reshape(4, 3, 4, 3, 3).mean((1, 3))
    assert torch.allclose(field(coords[1::3, 1::3], 3 / 12), means, atol=1e-5)
    if field.fades:
        nothing = torch.zeros(12, 12, 2)
        assert torch.allclose(field.faded(coords, nothing), field(coords), atol=1e-5)
        assert not torch.allclose(field.faded(coords, nothing + 0.5), field(coords), rtol=0, atol=1e-6)


def test_gradients_of_means():
    field = Formula(lambda coords: torch.sin(3 * coords).sum(-1), None, 8)
    coords = torch.tensor([[0.41, 0.55], [0.2, 0.37]]).double().requires_grad_()
    sizes = torch.tensor([[0.1, 0.31], [0.0, 0.43]]).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: field(c, sizes.detach()), (coords,))
    assert torch.autograd.gradcheck(lambda f: field(coords.detach()[:1], f), (sizes[:1].detach().requires_grad_(),))


def test_nothing_asked_nothing_answered():
    assert noise(4, 4)(torch.zeros(0, 2), 0.5).shape == (0, 1)
    with pytest.raises(ValueError, match="footprint"):
        noise(4, 4)(torch.zeros(3, 2), torch.zeros(2))


def test_few_points_are_evaluated_at_once(monkeypatch):
    monkeypatch.setattr("fields.models.regions.CHUNK", 50)
    largest = 0

    def values(points):
        nonlocal largest
        largest = max(largest, len(points))
        return points.sum(-1, keepdim=True)

    coords = torch.rand(30, 2, generator=torch.Generator().manual_seed(0))
    found = region_means(values, coords, torch.full((30, 2), 0.4), (10, 10))
    assert largest <= 50 and torch.allclose(found, coords.sum(-1, keepdim=True), atol=0.06)
