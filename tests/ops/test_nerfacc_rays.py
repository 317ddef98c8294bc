"""nerfacc: its dense functions judge our compositing; its packed ones on a GPU are used through their documented form.

On the CPU a stand-in in plain Python takes the place of its kernels, with their names, arguments and results.
"""

import sys

import nerfacc_stand_in
import pytest
import torch
from cuda_helpers import on_gpu
from ops_helpers import assert_close
from ray_helpers import random_occupancy, random_rays, random_samples

from fields.ops import nerfacc_rays
from fields.ops.composite import composite
from fields.ops.march import march
from fields.ops.packed import Samples, from_edges


@pytest.fixture(scope="module")
def nerfacc():
    try:
        import nerfacc
    except ImportError:
        pytest.skip("nerfacc is not installed")
    return nerfacc


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("channels", [3, 1])
def test_compositing_and_its_gradients_agree_with_nerfacc(channels, dtype, tolerance, nerfacc):
    random = torch.Generator().manual_seed(0)
    lengths = 0.01 + 0.1 * torch.rand(20, 40, generator=random, dtype=torch.float64)
    edges = torch.cat([torch.zeros(20, 1, dtype=torch.float64), lengths.cumsum(1)], dim=1).to(dtype)
    samples = from_edges(edges)
    density = (8 * torch.rand(20, 40, generator=random, dtype=torch.float64) ** 4).to(dtype)
    colors = torch.rand(20, 40, channels, generator=random, dtype=torch.float64).to(dtype)
    upstream = [torch.randn(shape, generator=random).to(dtype) for shape in ((20, channels), (20,), (20,), (800,))]
    ours, theirs = ([t.clone().requires_grad_() for t in (density, colors)] for _ in range(2))

    found = composite(ours[0].flatten(), ours[1].flatten(0, 1), samples)
    weights, _, _ = nerfacc.render_weight_from_density(edges[:, :-1], edges[:, 1:], theirs[0])
    expected = (
        nerfacc.accumulate_along_rays(weights, theirs[1]),
        nerfacc.accumulate_along_rays(weights)[:, 0],
        nerfacc.accumulate_along_rays(weights, (edges[:, :-1, None] + edges[:, 1:, None]) / 2)[:, 0],
        weights.flatten(),
    )
    for name, mine, other in zip(("color", "opacity", "depth", "weights"), found, expected):
        assert_close(mine.detach(), other.detach(), tolerance, name)
    slopes = [torch.autograd.grad(sum((a * b).sum() for a, b in zip(r, upstream)), leaves) for r, leaves in
              ((found, ours), (expected, theirs))]  # fmt: skip
    for name, mine, other in zip(("density", "colors"), *slopes):
        assert_close(mine, other, tolerance * 10, f"gradient of {name}")


@pytest.mark.parametrize("cascades, seed", [(1, None), (1, 7), (2, 7)])
def test_samples_by_traversal_are_ours(cascades, seed, monkeypatch):
    occupancy = random_occupancy(torch.Generator().manual_seed(1), cascades, 8, 0.3)
    rays = random_rays(torch.Generator().manual_seed(2), 150, occupancy, torch.float32)
    monkeypatch.setitem(sys.modules, "nerfacc", nerfacc_stand_in)
    options = {"occupancy": occupancy, "step": 0.03, "seed": seed, "first_ray": 5, "max_samples": 30}
    assert_same_samples(nerfacc_rays.march(*rays, **options), march(*rays, **options), step=0.03)


def assert_same_samples(theirs: Samples, ours: Samples, step: float) -> None:
    """All but one in a thousand samples are the same, to a thousandth of a step."""
    assert len(ours) > 50 and abs(len(theirs) - len(ours)) <= len(ours) / 1000
    assert theirs.offsets[-1] == len(theirs) and theirs.num_rays == ours.num_rays
    same = theirs.counts == ours.counts
    assert same.float().mean() > 0.99
    mine, others = same[ours.ray_indices], same[theirs.ray_indices]
    for name in ("t_starts", "t_ends"):
        assert (getattr(theirs, name)[others] - getattr(ours, name)[mine]).abs().max() < 1e-3 * step, name


@pytest.mark.parametrize("threshold", [0.0, 0.2])
def test_compositing_by_packed_sums_is_ours(threshold, monkeypatch):
    samples = random_samples(torch.Generator().manual_seed(1), [0, 1, 31, 64, 0, 5], torch.float64)
    random = torch.Generator().manual_seed(2)
    density = 3 * torch.rand(len(samples), generator=random, dtype=torch.float64)
    colors = torch.rand(len(samples), 3, generator=random, dtype=torch.float64)
    monkeypatch.setitem(sys.modules, "nerfacc", nerfacc_stand_in)
    results = []
    for compose in (composite, nerfacc_rays.composite):
        leaves = [density.clone().requires_grad_(), colors.clone().requires_grad_()]
        found = compose(*leaves, samples, threshold=threshold)
        total = found.color.sum() + (found.opacity * found.depth).sum() + found.weights.square().sum()
        results.append([*(t.detach() for t in found), *torch.autograd.grad(total, leaves)])
    for mine, theirs in zip(*results):
        assert_close(theirs, mine, 1e-12)


@on_gpu
def test_samples_and_weights_of_nerfacc_itself_are_ours(nerfacc):
    occupancy = random_occupancy(torch.Generator().manual_seed(1), 1, 64, 0.1, "cuda")
    rays = random_rays(torch.Generator().manual_seed(2), 4096, occupancy, torch.float32)
    options = {"occupancy": occupancy, "step": 3**0.5 / 512, "seed": 3}
    ours = march(*rays, **options)
    assert_same_samples(nerfacc_rays.march(*rays, **options), ours, step=options["step"])
    density, colors = 20 * torch.rand(len(ours), device="cuda"), torch.rand(len(ours), 3, device="cuda")
    for mine, theirs in zip(composite(density, colors, ours), nerfacc_rays.composite(density, colors, ours)):
        assert_close(theirs, mine, 1e-4)
