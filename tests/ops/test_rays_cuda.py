"""CUDA ray operations against the references: on a GPU if there is one, and always with kernels compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic and the cooperation of threads are right, not
that a GPU runs them.
"""

import ctypes
import re

import pytest
import torch
from cuda_helpers import C_TYPES, CSRC, HOST, call_on_host, compiled_for_host, on_gpu, struct_body
from ops_helpers import assert_close
from ray_helpers import random_occupancy, random_rays, random_samples

from fields.ops import ray_kernels, ray_kernels_cuda
from fields.ops.composite import composite, compositing_weights
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
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    monkeypatch.setattr(ray_kernels, "_dispatch", lambda name, call, _: ray_kernels_cuda.run(name, call, HOST))
    return "cpu"


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "cascades, cone, max_samples", [(1, 0.0, 1000), (1, 0.02, 1000), (3, 0.0, 20), (3, 0.02, 1000)]
)
def test_marched_samples_equal_reference(cascades, cone, max_samples, dtype, device):
    """Bit for bit: the kernels are compiled without contraction of products and sums."""
    for seed, fraction in ((1, 0.3), (2, 0.002)):
        occupancy = random_occupancy(generator(seed), cascades, 24, fraction, device)
        rays = random_rays(generator(seed + 10), 300, occupancy, dtype)
        boxes = [ray_box(*rays[:2], *occupancy.outer_box, backend=backend) for backend in ("native", "torch")]
        assert all(torch.equal(a, b) for a, b in zip(*boxes))
        options = {"step": 0.03, "cone": cone, "seed": 4, "first_ray": 77, "max_samples": max_samples}
        ours, reference = (
            march(*rays, occupancy=occupancy, **options, backend=backend) for backend in ("native", "torch")
        )
        assert len(reference) > 0
        for name in ("offsets", "ray_indices", "t_starts", "t_ends"):
            assert torch.equal(getattr(ours, name), getattr(reference, name)), name


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
@pytest.mark.parametrize("channels, threshold", [(3, 0.0), (0, 0.0), (5, 0.1), (3, 0.1)])
def test_composite_matches_reference(channels, threshold, dtype, tolerance, device):
    """Rays with fewer samples than a warp has threads, with exactly one or two warps of them, and with many."""
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
        results = composite(density, colors, samples, threshold=threshold, backend=backend)
        draws = [torch.randn(r.shape, generator=generator(4), dtype=torch.float64).to(r) for r in results]
        found.append(
            (*results, *torch.autograd.grad(sum((r * d).sum() for r, d in zip(results, draws)), (density, colors)))
        )
    for name, ours, reference in zip(("color", "opacity", "depth", "weights", "grad density", "grad colors"), *found):
        assert_close(ours.detach().double(), reference.detach().double(), tolerance, name, floor=1e-3)


def test_gradients_match_differences(device):
    samples = random_samples(generator(1), [0, 3, 40, 1], device=device)
    density = torch.rand(len(samples), generator=generator(2), dtype=torch.float64).to(device).requires_grad_()
    colors = torch.rand(len(samples), 3, generator=generator(3), dtype=torch.float64).to(device).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda d, c: tuple(composite(d, c, samples, threshold=0.05, backend="native")), (density, colors)
    )
    assert torch.autograd.gradcheck(
        lambda d: distortion(compositing_weights(d, samples, backend="native"), samples, "native"), density
    )


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-5)])
def test_distortion_and_importance_match_references(dtype, tolerance, device):
    samples = random_samples(generator(1), [0, 1, 31, 64, 100], dtype, device)
    weights = (
        torch.rand(len(samples), generator=generator(2), dtype=torch.float64).to(dtype).to(device).requires_grad_()
    )
    ours, reference = (distortion(weights, samples, backend) for backend in ("native", "torch"))
    assert_close(ours.detach(), reference.detach(), tolerance)
    slopes = [torch.autograd.grad(loss.sum(), weights)[0] for loss in (ours, reference)]
    assert_close(*slopes, tolerance)
    edges = [importance_edges(weights, samples, 17, seed=3, backend=backend) for backend in ("native", "torch")]
    assert_close(*edges, tolerance)


def test_infinite_density_stops_the_light_without_nan(device):
    samples = from_edges(torch.arange(41.0, device=device)[None])
    density = torch.full((40,), 0.1, device=device)
    density[10] = torch.inf
    weights = compositing_weights(density, samples, backend="native")
    assert weights.isfinite().all() and not weights[11:].any()
    assert weights.sum().item() == pytest.approx(1.0)


def test_composite_of_no_rays_is_empty(device):
    samples = random_samples(generator(1), [], device=device)
    empty = torch.zeros(0, dtype=torch.float64, device=device)
    assert composite(empty, empty.reshape(0, 3), samples, backend="native").color.shape == (0, 3)


# Tests that only a GPU can run.


@on_gpu
def test_many_rays_give_the_same_samples_every_time():
    cells = torch.rand(1, 128, 128, 128, generator=generator(1)) < 0.02
    occupancy = Occupancy(pack_cells(cells).cuda(), 128)
    rays = random_rays(generator(2), 1 << 16, occupancy, torch.float32)
    options = {"occupancy": occupancy, "step": 3**0.5 / 1024, "seed": 1}
    first, *others = (march(*rays, **options, backend="native") for _ in range(3))
    assert all(
        torch.equal(first.t_starts, other.t_starts) and torch.equal(first.offsets, other.offsets) for other in others
    )
    reference = march(*rays, **options, backend="torch")
    assert torch.equal(first.offsets, reference.offsets)


# The ctypes declarations against the C headers.

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
def test_call_structures_match_the_header(call):
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


def test_signatures_match_the_header():
    header = (CSRC / "cuda" / "rays.h").read_text()
    found = re.findall(r"FS_API int32_t (fs_\w+)\(const fs::\w+\* call, int32_t device, void\* stream\);", header)
    assert sorted(found) == sorted(ray_kernels_cuda.SIGNATURES)
