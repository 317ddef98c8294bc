"""The CUDA ray operations against the formulas: on a GPU where there is one, and their kernels compiled for the CPU anywhere.

The second shows whether they compute and co-operate as they should, not that a GPU runs them (`cuda_on_host`).
"""

import ctypes
import re

import pytest
import torch
from cuda_helpers import C_TYPES, CSRC, HOST, call_on_host, compiled_for_host, on_gpu, struct_body
from ops_helpers import assert_close
from ray_helpers import random_occupancy, random_rays, random_samples

from fields.ops import ray_kernels, ray_kernels_cuda
from fields.ops.composite import composite, weights_of
from fields.ops.distortion import distortion
from fields.ops.importance import importance_edges
from fields.ops.march import Occupancy, march, pack_cells
from fields.ops.packed import from_edges
from fields.ops.ray_box import ray_box


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "rays")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Where the tensors live. On the CPU, calls go to the kernels that were compiled for it."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(ray_kernels, "_make", lambda name, call, _: ray_kernels_cuda.run(name, call, HOST))
    return "cpu"


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels, cone, most", [(1, 0.0, 1000), (1, 0.02, 1000), (3, 0.0, 20), (3, 0.02, 1000)])
def test_marching_finds_the_samples_of_the_formula(levels, cone, most, dtype, device):
    """To the bit: the kernels are compiled without contraction."""
    for seed, share in ((1, 0.3), (2, 0.002)):
        occupancy = random_occupancy(generator(seed), levels, 24, share, device)
        rays = random_rays(generator(seed + 10), 300, occupancy, dtype)
        boxes = [ray_box(*rays[:2], *occupancy.outer_box, backend=backend) for backend in ("native", "torch")]
        assert all(torch.equal(a, b) for a, b in zip(*boxes))
        ours, formula = (
            march(*rays, occupancy, 0.03, cone, seed=4, first_ray=77, most=most, backend=backend)
            for backend in ("native", "torch")
        )
        assert len(formula) > 0
        for name in ("offsets", "ray_indices", "t_starts", "t_ends"):
            assert torch.equal(getattr(ours, name), getattr(formula, name)), name


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
@pytest.mark.parametrize("channels, threshold", [(3, 0.0), (0, 0.0), (5, 0.1), (3, 0.1)])
def test_compositing_equals_the_formula(channels, threshold, dtype, tolerance, device):
    """Rays of less than a warp, of exactly one or two, and of many."""
    threshold = threshold if dtype == torch.float64 else 0.0
    samples = random_samples(generator(1), [0, 1, 31, 32, 33, 64, 200, 0, 5], dtype, device)
    density = (
        (torch.rand(len(samples), generator=generator(2), dtype=torch.float64) ** 3 * 2)
        .to(dtype)
        .to(device)
        .requires_grad_()
    )
    colors = (
        torch.rand(len(samples), channels, generator=generator(3), dtype=torch.float64)
        .to(dtype)
        .to(device)
        .requires_grad_()
    )
    found = []
    for backend in ("native", "torch"):
        results = composite(density, colors, samples, threshold, backend)
        draws = [torch.randn(r.shape, generator=generator(4), dtype=torch.float64).to(r) for r in results]
        found.append(
            (*results, *torch.autograd.grad(sum((r * d).sum() for r, d in zip(results, draws)), (density, colors)))
        )
    for name, ours, formula in zip(("color", "opacity", "depth", "weights", "grad density", "grad colors"), *found):
        assert_close(ours.detach().double(), formula.detach().double(), tolerance, name, floor=1e-3)


def test_gradcheck(device):
    samples = random_samples(generator(1), [0, 3, 40, 1], device=device)
    density = torch.rand(len(samples), generator=generator(2), dtype=torch.float64).to(device).requires_grad_()
    colors = torch.rand(len(samples), 3, generator=generator(3), dtype=torch.float64).to(device).requires_grad_()
    assert torch.autograd.gradcheck(lambda d, c: tuple(composite(d, c, samples, 0.05, "native")), (density, colors))
    assert torch.autograd.gradcheck(
        lambda d: distortion(weights_of(d, samples, backend="native"), samples, "native"), density
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_distortion_and_importance_equal_the_formula(dtype, tolerance, device):
    samples = random_samples(generator(1), [0, 1, 31, 64, 100], dtype, device)
    weights = (
        torch.rand(len(samples), generator=generator(2), dtype=torch.float64).to(dtype).to(device).requires_grad_()
    )
    ours, formula = (distortion(weights, samples, backend) for backend in ("native", "torch"))
    assert_close(ours.detach(), formula.detach(), tolerance)
    slopes = [torch.autograd.grad(loss.sum(), weights)[0] for loss in (ours, formula)]
    assert_close(*slopes, tolerance)
    edges = [importance_edges(weights, samples, 17, seed=3, backend=backend) for backend in ("native", "torch")]
    assert_close(*edges, tolerance)


def test_light_that_ends(device):
    """Behind infinite density there is no light, and no NaN."""
    samples = from_edges(torch.arange(41.0, device=device)[None])
    density = torch.full((40,), 0.1, device=device)
    density[10] = torch.inf
    weights = weights_of(density, samples, backend="native")
    assert weights.isfinite().all() and not weights[11:].any()
    assert weights.sum().item() == pytest.approx(1.0)


def test_nothing(device):
    samples = random_samples(generator(1), [], device=device)
    empty = torch.zeros(0, dtype=torch.float64, device=device)
    assert composite(empty, empty.reshape(0, 3), samples, backend="native").color.shape == (0, 3)


# What only a GPU can show.


@on_gpu
def test_many_rays():
    cells = torch.rand(1, 128, 128, 128, generator=generator(1)) < 0.02
    occupancy = Occupancy(pack_cells(cells).cuda(), 128)
    rays = random_rays(generator(2), 1 << 16, occupancy, torch.float32)
    first, *others = (march(*rays, occupancy, 3**0.5 / 1024, seed=1, backend="native") for _ in range(3))
    assert all(
        torch.equal(first.t_starts, other.t_starts) and torch.equal(first.offsets, other.offsets) for other in others
    )
    formula = march(*rays, occupancy, 3**0.5 / 1024, seed=1, backend="torch")
    assert torch.equal(first.offsets, formula.offsets)


# Python's picture of the C functions.

TYPES = {**C_TYPES, "uint32_t": ctypes.c_uint32, "double": ctypes.c_double}


@pytest.mark.parametrize(
    "call",
    [
        ray_kernels.BoxCall,
        ray_kernels.MarchCall,
        ray_kernels.CompositeCall,
        ray_kernels.DistortionCall,
        ray_kernels.ImportanceCall,
    ],
    ids=lambda call: call.__name__,
)
def test_calls_are_those_of_the_header(call):
    fields = []
    for line in filter(
        None, (" ".join(part.replace("*", " *").split()) for part in struct_body("rays.h", call.__name__).split(";"))
    ):
        kind, names = re.fullmatch(r"((?:const )?\w+)\s(.*)", line).groups()
        for name in names.split(","):
            name = name.strip()
            if "[" in name:
                name, count = re.fullmatch(r"(\w+)\[(\d+)]", name).groups()
                fields.append((name, TYPES[kind] * int(count)))
            else:
                fields.append((name.strip("* "), ctypes.c_void_p if "*" in name else TYPES[kind]))
    assert fields == list(call._fields_)


def test_signatures_are_those_of_the_header():
    header = (CSRC / "cuda" / "rays.h").read_text()
    found = re.findall(r"FS_API int32_t (fs_\w+)\(const fs::\w+\* call, int32_t device, void\* stream\);", header)
    assert sorted(found) == sorted(ray_kernels_cuda.SIGNATURES)
