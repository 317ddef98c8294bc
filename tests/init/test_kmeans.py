"""Weighted clusters, and kernels placed by a signal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.init.kmeans import cluster_covariances, weighted_draw, weighted_kmeans
from fields.init.placement import gradient_weights, grid_candidates, kernel_candidates, place_kernels, radiance_weights
from fields.ops.neighbours import nearest
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


def objective(points, weights, centres):
    closest = centres[nearest(points, centres, 1)[:, 0].long()]
    return float((weights * (points - closest).square().sum(-1)).sum())


@given(st.integers(1, 3), st.integers(1, 20), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_weighted_objective_never_rises(dimensions, count, seed):
    points = torch.rand(200, dimensions, generator=seeded(seed))
    weights = torch.rand(200, generator=seeded(seed + 1)).where(
        torch.rand(200, generator=seeded(seed + 2)) > 0.3, torch.tensor(0.0)
    )
    found = [
        objective(points, weights, weighted_kmeans(points, weights, count, seeded(seed), iterations=n))
        for n in (0, 1, 2, 5, 10)
    ]
    assert all(b <= a * (1 + 1e-5) + 1e-7 for a, b in zip(found, found[1:]))


def test_centres_go_where_the_weight_is():
    points = torch.rand(2000, 2, generator=seeded())
    heavy = points[:, 0] < 0.1
    centres = weighted_kmeans(points, torch.where(heavy, 1.0, 1e-3), 50, seeded())
    assert (centres[:, 0] < 0.1).float().mean() > 0.8


def test_draws_follow_the_weights_and_never_repeat():
    weights = torch.tensor([0.0, 1.0, 0.0, 3.0, 1.0])
    assert weighted_draw(weights, 3, seeded()).tolist() == [1, 3, 4]
    first = torch.stack([weighted_draw(weights, 1, seeded(seed)) for seed in range(2000)])
    assert abs(float((first == 3).float().mean()) - 0.6) < 0.04
    with pytest.raises(ValueError, match="3 have a weight"):
        weighted_draw(weights, 4, seeded())


def test_covariances_are_numpys():
    points, weights = torch.randn(300, 3, generator=seeded()), torch.rand(300, generator=seeded(1))
    centre = (weights[:, None] * points).sum(0, keepdim=True) / weights.sum()
    found = cluster_covariances(points, weights, centre)[0]
    np.testing.assert_allclose(found, np.cov(points.numpy().T, aweights=weights.numpy(), ddof=0), atol=1e-6)


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match="finite and not negative"):
        weighted_kmeans(torch.rand(9, 2), torch.full((9,), -1.0), 2, seeded())


@pytest.mark.parametrize("kernel", ["inverse_quadratic", "inverse_multiquadric", "gaussian", "markov", "hat"])
def test_a_kernel_is_a_half_at_one_widened_standard_deviation(kernel):
    """Along x: points with a deviation of 0.02 give kernels that are 0.5 at 0.02 * sqrt(2)."""
    points = torch.stack(
        [
            0.5 + 0.02 * torch.tensor([-1.0, 1.0]).repeat(50),
            0.5 + 0.03 * torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(25),
        ],
        1,
    )
    found = grid_candidates(torch.ones(4, 4)).__class__(points, torch.ones(100))
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


def test_the_one_width_of_an_isotropic_kernel_is_of_the_trace():
    points = torch.stack(
        [
            0.5 + 0.02 * torch.tensor([-1.0, 1.0]).repeat(50),
            0.5 + 0.01 * torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(25),
        ],
        1,
    )
    found = grid_candidates(torch.ones(4, 4)).__class__(points, torch.ones(100))
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


@pytest.mark.parametrize("how", ["kmeans", "weighted", "random", "lattice"])
def test_placements_give_that_many_even_more_than_there_are_points(how):
    found = grid_candidates(torch.rand(6, 5, generator=seeded()))
    for count in (1, 7, 30, 100):
        centres, shapes = placed(
            found, count, spacing=torch.full((2,), 0.2), kernel="hat", shape="isotropic", placement=how
        )
        assert centres.shape == (count, 2) and shapes.shape == (count, 1)
        assert centres.isfinite().all() and (shapes > 0).all()


def test_pictures_want_kernels_at_edges():
    values = np.zeros((40, 60), np.uint8)
    values[:, 30:] = 200
    found = kernel_candidates(Image.from_array(values))
    wanted = found.points[found.weights > 0]
    assert ((wanted[:, 0] - 0.5).abs() < 0.03).all() and len(wanted) > 40


def test_the_gradient_is_that_of_a_slope():
    x = torch.arange(9.0).expand(1, 7, 9)
    torch.testing.assert_close(gradient_weights(x)[1:-1, 1:-1], torch.ones(5, 7))
    volume = 2 * torch.arange(6.0)[:, None, None].expand(1, 6, 6, 6)
    torch.testing.assert_close(gradient_weights(volume)[1:-1, 1:-1, 1:-1], torch.full((4, 4, 4), 2.0))


def test_shapes_want_kernels_on_their_surface():
    import trimesh

    sphere = trimesh.creation.icosphere(3)
    found = kernel_candidates(Shape.from_mesh(sphere.vertices, sphere.faces, samples=1 << 14))
    centres, _ = placed(found, 200, spacing=torch.full((3,), 1e-3), kernel="hat", shape="isotropic", placement="kmeans")
    distance = ((centres - 0.5).norm(dim=1) - 0.5 / 1.1).abs()
    assert distance.median() < 0.02


def test_radiance_wants_kernels_where_there_is_something_colored():
    density, color = torch.zeros(8, 8, 8), torch.rand(3, 8, 8, 8, generator=seeded())
    density[2:5] = 5.0
    weights = radiance_weights(density, color)
    assert (weights[density == 0] == 0).all() and (weights[3] > 0).all()


def test_a_constant_picture_has_even_weights():
    found = kernel_candidates(Image.from_array(np.full((20, 20, 3), 7, np.uint8)))
    assert (found.weights == 1).all()
