"""Kernels placed by a signal: weights of candidates, centres and shapes."""

import numpy as np
import pytest
import torch

from fields.init.placement import (
    Candidates,
    gradient_weights,
    grid_candidates,
    kernel_candidates,
    place_kernels,
    radiance_weights,
)
from fields.ops.rbf_gather import full_shapes, unpack_shapes
from scenes.image.signal import Image
from scenes.shape.signal import Shape


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def placed(found, count, *, spacing, kernel, shape, placement):
    """Centres and shapes in a cube whose sides are 1."""
    return place_kernels(
        found,
        count,
        extents=torch.ones(len(spacing)),
        spacing=spacing,
        kernel=kernel,
        shape=shape,
        placement=placement,
        generator=seeded(),
    )


@pytest.mark.parametrize("kernel", ["inverse_quadratic", "inverse_multiquadric", "gaussian", "markov", "hat"])
def test_a_kernel_is_one_half_at_one_widened_standard_deviation(kernel):
    """Along x: points with a deviation of 0.02 give kernels that are 0.5 at 0.02 * sqrt(2)."""
    points = torch.stack(
        [
            0.5 + 0.02 * torch.tensor([-1.0, 1.0]).repeat(50),
            0.5 + 0.03 * torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(25),
        ],
        1,
    )
    found = Candidates(points, torch.ones(100))
    centres, shapes = placed(found, 1, spacing=torch.full((2,), 1e-3), kernel=kernel, shape="full", placement="kmeans")
    k = unpack_shapes(full_shapes(shapes, 2))[0].double()
    offset = torch.tensor([0.02 * 2**0.5, 0.0], dtype=torch.float64)
    q = offset @ k @ offset
    value = {
        "inverse_quadratic": 1 / (1 + q),
        "inverse_multiquadric": (1 + q) ** -0.5,
        "gaussian": torch.exp(-q / 2),
        "markov": torch.exp(-q.sqrt()),
        "hat": (1 - (k @ offset).abs()).prod(),
    }[kernel]
    assert float(value) == pytest.approx(0.5, abs=2e-3)


def test_an_isotropic_kernel_has_the_trace_of_its_cluster_as_variance():
    points = torch.stack(
        [
            0.5 + 0.02 * torch.tensor([-1.0, 1.0]).repeat(50),
            0.5 + 0.01 * torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(25),
        ],
        1,
    )
    found = Candidates(points, torch.ones(100))
    _, shapes = placed(
        found, 1, spacing=torch.full((2,), 1e-3), kernel="inverse_quadratic", shape="isotropic", placement="kmeans"
    )
    assert float(shapes) == pytest.approx(1 / (2 * (0.02**2 + 0.01**2)), rel=1e-3)


@pytest.mark.parametrize("shape", ["full", "diagonal", "isotropic"])
def test_no_kernel_is_narrower_than_half_a_sample_or_wider_than_a_tenth(shape):
    found = grid_candidates(torch.rand(40, 40, generator=seeded()))
    for count in (3, 1500):
        _, shapes = placed(
            found, count, spacing=torch.full((2,), 1 / 40), kernel="inverse_quadratic", shape=shape, placement="kmeans"
        )
        widths = torch.linalg.eigvalsh(unpack_shapes(full_shapes(shapes, 2))).rsqrt()
        assert widths.min() >= 0.5 / 40 * 0.999 and widths.max() <= 0.1 * 1.001


@pytest.mark.parametrize("placement", ["kmeans", "weighted", "random", "lattice"])
def test_every_placement_gives_as_many_kernels_as_asked_for(placement):
    found = grid_candidates(torch.rand(6, 5, generator=seeded()))
    for count in (1, 7, 30, 100):
        centres, shapes = placed(
            found, count, spacing=torch.full((2,), 0.2), kernel="hat", shape="isotropic", placement=placement
        )
        assert centres.shape == (count, 2) and shapes.shape == (count, 1)
        assert centres.isfinite().all() and (shapes > 0).all()


def test_candidates_of_an_image_lie_at_its_edges():
    values = np.zeros((40, 60), np.uint8)
    values[:, 30:] = 200
    found = kernel_candidates(Image.from_array(values))
    wanted = found.points[found.weights > 0]
    assert ((wanted[:, 0] - 0.5).abs() < 0.03).all() and len(wanted) > 40


def test_gradient_weights_of_a_slope_are_the_slope():
    x = torch.arange(9.0).expand(1, 7, 9)
    torch.testing.assert_close(gradient_weights(x)[1:-1, 1:-1], torch.ones(5, 7))
    volume = 2 * torch.arange(6.0)[:, None, None].expand(1, 6, 6, 6)
    torch.testing.assert_close(gradient_weights(volume)[1:-1, 1:-1, 1:-1], torch.full((4, 4, 4), 2.0))


def test_kernels_of_a_shape_lie_on_its_surface():
    import trimesh

    sphere = trimesh.creation.icosphere(3)
    found = kernel_candidates(Shape.from_mesh(sphere.vertices, sphere.faces, samples=1 << 14))
    centres, _ = placed(found, 200, spacing=torch.full((3,), 1e-3), kernel="hat", shape="isotropic", placement="kmeans")
    distance = ((centres - 0.5).norm(dim=1) - 0.5 / 1.1).abs()
    assert distance.median() < 0.02


def test_radiance_weights_are_zero_where_density_is():
    density, color = torch.zeros(8, 8, 8), torch.rand(3, 8, 8, 8, generator=seeded())
    density[2:5] = 5.0
    weights = radiance_weights(density, color)
    assert (weights[density == 0] == 0).all() and (weights[3] > 0).all()


def test_candidates_of_a_constant_image_have_equal_weights():
    found = kernel_candidates(Image.from_array(np.full((20, 20, 3), 7, np.uint8)))
    assert (found.weights == 1).all()
