"""Radial basis functions.

`neurbf-gather`: 262,144 points, 8 of 25,000 kernels each, 32 features, forward + backward as the method trains (kernels stay where
they are); `neurbf-gather-all` with gradients of coordinates, centres and shapes too. `gaussian-layer`: 64 units on 16 features,
262,144 points, forward + backward. `neighbours-{dimensions}d`: the 8 nearest of 25,000 kernels at 10^6 points, with the
building of the tree; `clustered`: the kernels lie on two circles or spheres, as kernels at an image's edges or on a surface do. Peers:
SciPy's cKDTree and pykdtree (`pip install pykdtree`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS = 262_144
QUERIES = 1_000_000
KERNELS = 25_000
NEIGHBOURS = 8
FEATURES = 32


def prepare_gather(contender: str, case: str) -> Callable[[], object]:
    import torch

    from benchmarks.baselines.rbf import TorchRbfGather
    from fields.ops.neighbours import nearest
    from fields.ops.rbf_gather import pack_shapes, rbf_gather

    everything = case.endswith("-all")
    generator = torch.Generator().manual_seed(0)
    centres, coords = torch.rand(KERNELS, 2, generator=generator), torch.rand(POINTS, 2, generator=generator)
    roots = torch.randn(KERNELS, 2, 2, generator=generator) * KERNELS**0.5
    matrices = roots @ roots.transpose(1, 2)
    features = torch.empty(KERNELS, FEATURES).uniform_(-1e-4, 1e-4, generator=generator)
    frequencies = 2 ** torch.linspace(-3, 12, FEATURES)
    upstream = torch.randn(POINTS, FEATURES, generator=generator)
    neighbours = nearest(coords, centres, NEIGHBOURS)
    if contender == "native":
        shapes = pack_shapes(matrices)
        leaves = [t.requires_grad_() for t in ((features, coords, centres, shapes) if everything else (features,))]
        function = lambda: rbf_gather(
            coords,
            neighbours,
            centres=centres,
            shapes=shapes,
            features=features,
            frequencies=frequencies,
            backend="native",
        )  # noqa: E731
    else:
        module = TorchRbfGather(centres, matrices, features, frequencies)
        leaves = [module.features]
        if everything:
            leaves += [t.requires_grad_() for t in (coords, module.centres, module.matrices)]
        if contender == "torch-compiled":
            module = torch.compile(module)
        neighbours = neighbours.long()
        function = lambda: module(coords, neighbours)  # noqa: E731
    return lambda: torch.autograd.grad(function(), leaves, upstream)


def prepare_layer(contender: str, case: str) -> Callable[[], object]:
    import torch

    from benchmarks.baselines.rbf import TorchGaussianLayer
    from fields.ops.gaussian_layer import gaussian_layer

    generator = torch.Generator().manual_seed(0)
    features = torch.randn(POINTS, 16, generator=generator).requires_grad_()
    centres = torch.randn(64, 16, generator=generator)
    log_widths = torch.full((64, 16), -2.0)
    upstream = torch.randn(POINTS, 64, generator=generator)
    if contender == "native":
        leaves = [features, centres.requires_grad_(), log_widths.requires_grad_()]
        function = lambda: gaussian_layer(features, centres, log_widths, backend="native")  # noqa: E731
    else:
        module = TorchGaussianLayer(centres, log_widths)
        leaves = [features, module.centres, module.log_widths]
        if contender == "torch-compiled":
            module = torch.compile(module)
        function = lambda: module(features)  # noqa: E731
    return lambda: torch.autograd.grad(function(), leaves, upstream)


def prepare_neighbours(contender: str, case: str) -> Callable[[], object]:
    import torch

    generator = torch.Generator().manual_seed(0)
    dimensions = int(case.split("-")[1][0])
    queries = torch.rand(QUERIES, dimensions, generator=generator)
    centres = torch.rand(KERNELS, dimensions, generator=generator)
    if case.endswith("clustered"):
        directions = torch.nn.functional.normalize(torch.randn(KERNELS, dimensions, generator=generator), dim=-1)
        radius = torch.where(torch.arange(KERNELS) % 2 == 0, 0.4, 0.2).unsqueeze(-1)
        centres = 0.5 + directions * radius + 0.002 * torch.randn(KERNELS, dimensions, generator=generator)
    if contender == "scipy":
        from scipy.spatial import cKDTree

        return lambda: cKDTree(centres.numpy()).query(queries.numpy(), NEIGHBOURS, workers=torch.get_num_threads())
    if contender == "pykdtree":
        # The wheel brings its own OpenMP runtime, which reads the number of threads when it is loaded.
        os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
        from pykdtree.kdtree import KDTree

        return lambda: KDTree(centres.numpy()).query(queries.numpy(), NEIGHBOURS)
    from fields.ops.neighbours import nearest

    return lambda: nearest(queries, centres, NEIGHBOURS, backend="native")


TORCH = ("native", "torch", "torch-compiled")
CASES = [
    Case("neurbf-gather", TORCH, prepare_gather, quick=True, memory=True),
    Case("neurbf-gather-all", TORCH, prepare_gather, memory=True),
    Case("gaussian-layer", TORCH, prepare_layer, quick=True),
    *(
        Case(f"neighbours-{dimensions}d{kind}", ("native", "scipy", "pykdtree"), prepare_neighbours)
        for dimensions in (2, 3)
        for kind in ("", "-clustered")
    ),
]
