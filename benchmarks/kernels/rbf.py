"""Radial basis functions and nearest neighbours.

`neurbf-gather`: 262,144 points, 8 of 25,000 kernels each, 32 features, forward and backward as the method trains, where
kernels do not move. `neurbf-gather-all` also has the gradients of coordinates, centres and shapes. `gaussian-layer`: 64
units on 16 features, 262,144 points, forward and backward. `neighbours-{dimensions}d`: the 8 nearest of 25,000 centres
at 10^6 points, the search structure included; in `clustered` the centres lie on two circles or spheres, like kernels at
the edges of an image or on a surface. Peers of the search are SciPy's cKDTree and pykdtree (`pip install pykdtree`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from benchmarks.kernels.case import Case

if TYPE_CHECKING:
    from fields.ops.backends import Backend

POINTS = 262_144
QUERIES = 1_000_000


def prepare_gather(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's gather, with gradients of the features, or of all inputs where the id ends in `-all`."""
    import torch

    from benchmarks.baselines.rbf import TorchRbfGather
    from fields.ops.bench import gather_inputs
    from fields.ops.rbf_gather import pack_shapes, rbf_gather

    everything = case.endswith("-all")
    inputs = {name: tensor.to(device) for name, tensor in gather_inputs(POINTS).items()}
    coords, centres, features, frequencies = (inputs[name] for name in ("coords", "centres", "features", "frequencies"))
    if contender == "native":
        shapes = pack_shapes(inputs["matrices"])
        leaves = [t.requires_grad_() for t in ((features, coords, centres, shapes) if everything else (features,))]
        function = lambda: rbf_gather(  # noqa: E731
            coords,
            inputs["neighbours"],
            centres=centres,
            shapes=shapes,
            features=features,
            frequencies=frequencies,
            backend="native",
        )
    else:
        module = TorchRbfGather(centres, inputs["matrices"], features, frequencies)
        leaves = [module.features]
        if everything:
            leaves += [t.requires_grad_() for t in (coords, module.centres, module.matrices)]
        run = torch.compile(module) if contender == "torch-compiled" else module
        neighbours = inputs["neighbours"].long()
        function = lambda: run(coords, neighbours)  # noqa: E731
    return lambda: torch.autograd.grad(function(), leaves, inputs["upstream"])


def prepare_layer(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's layer with gradients of all inputs."""
    import torch

    from benchmarks.baselines.rbf import TorchGaussianLayer
    from fields.ops.bench import layer_inputs
    from fields.ops.gaussian_layer import gaussian_layer

    features, centres, log_widths, upstream = (tensor.to(device) for tensor in layer_inputs(POINTS))
    features.requires_grad_()
    if contender == "native":
        leaves = [features, centres.requires_grad_(), log_widths.requires_grad_()]
        function = lambda: gaussian_layer(features, centres, log_widths, backend="native")  # noqa: E731
    else:
        module = TorchGaussianLayer(centres, log_widths)
        leaves = [features, module.centres, module.log_widths]
        run = torch.compile(module) if contender == "torch-compiled" else module
        function = lambda: run(features)  # noqa: E731
    return lambda: torch.autograd.grad(function(), leaves, upstream)


def prepare_neighbours(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's search, its construction included."""
    import torch

    from fields.ops.bench import RBF_KERNELS, RBF_NEIGHBOURS

    generator = torch.Generator().manual_seed(0)
    dimensions = int(case.split("-")[1][0])
    queries = torch.rand(QUERIES, dimensions, generator=generator)
    centres = torch.rand(RBF_KERNELS, dimensions, generator=generator)
    if case.endswith("clustered"):
        directions = torch.nn.functional.normalize(torch.randn(RBF_KERNELS, dimensions, generator=generator), dim=-1)
        radius = torch.where(torch.arange(RBF_KERNELS) % 2 == 0, 0.4, 0.2).unsqueeze(-1)
        centres = 0.5 + directions * radius + 0.002 * torch.randn(RBF_KERNELS, dimensions, generator=generator)
    if contender == "scipy":
        from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue]

        num_threads = torch.get_num_threads()
        return lambda: cKDTree(centres.numpy()).query(queries.numpy(), RBF_NEIGHBOURS, workers=num_threads)
    if contender == "pykdtree":
        # The wheel brings its own OpenMP runtime, which reads the number of threads when it is loaded.
        os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
        from pykdtree.kdtree import KDTree  # pyright: ignore[reportMissingImports]

        return lambda: KDTree(centres.numpy()).query(queries.numpy(), RBF_NEIGHBOURS)
    from fields.ops.neighbours import nearest

    queries, centres = queries.to(device), centres.to(device)
    return lambda: nearest(queries, centres, RBF_NEIGHBOURS, backend=cast("Backend", contender))


TORCH = ("native", "torch", "torch-compiled")
CASES = [
    Case("neurbf-gather", TORCH, prepare_gather, quick=True, memory=True),
    Case("neurbf-gather-all", TORCH, prepare_gather, memory=True),
    Case("gaussian-layer", TORCH, prepare_layer, quick=True),
    *(
        Case(f"neighbours-{dimensions}d{kind}", ("native", "scipy", "pykdtree"), prepare_neighbours, gpu=("torch",))
        for dimensions in (2, 3)
        for kind in ("", "-clustered")
    ),
]
