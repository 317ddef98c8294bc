"""Time the native operations on the CPU against their references in plain torch.

This is the quick check of `fit-a-scene bench`: one process, a few repetitions, the project's own references as peers.
`benchmarks.kernels` of the source tree measures the same problems with care, against other libraries and fixed
baselines, each in its own process. All problems have uniform, unsorted points from seed 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.adam import Adam, adam_reference
from fields.ops.composite import composite
from fields.ops.distortion import distortion
from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import FactorLayout, tri_plane
from fields.ops.fused_step import GridMlpStep, step_reference
from fields.ops.gaussian_layer import gaussian_layer
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid
from fields.ops.importance import importance_edges
from fields.ops.march import Occupancy, march, pack_cells
from fields.ops.mlp import mlp
from fields.ops.neighbours import nearest
from fields.ops.packed import Samples
from fields.ops.ray_box import ray_box
from fields.ops.rbf_gather import pack_shapes, rbf_gather

# Points of the problems below, unless a problem says otherwise.
GRID_POINTS = 262_144
MLP_POINTS = 65_536
RAYS = 8_192
# Width of every layer of `mlp-64`, from the features to the outputs.
MLP_SIZES = (32, 64, 64, 3)
# Channels of the factored grids.
PLANE_FEATURES = 16
# Cells along an axis of the occupancy grid, and steps along the diagonal of the unit cube.
MARCH_RESOLUTION = 128
MARCH_STEPS = 1024
# Radial basis functions in the plane, neighbours per point, and channels.
RBF_KERNELS = 25_000
RBF_NEIGHBOURS = 8
RBF_FEATURES = 32
# Units and inputs of the Gaussian layer.
LAYER_UNITS = 64
LAYER_INPUTS = 16


@dataclass(frozen=True)
class Problem:
    """One row of the table.

    prepare: `prepare(backend, points)` makes the inputs and returns the function to time, which returns its results.
    points: points, rays or queries of the problem.
    """

    id: str
    points: int
    prepare: Callable[[backends.Backend, int], Callable[[], Sequence[Tensor]]]


def measure(problems: Sequence[Problem] | None = None, repeats: int = 3) -> list[dict]:
    """Rows of a benchmark report, one per problem (default: PROBLEMS).

    A row has `id`, `value` (median milliseconds of the native call), `unit`, `against` ("torch"), `against_value`
    (those of the reference) and `ratio` (above 1: the native call is faster). Without the native library, value is None
    and `note` says why. Native and reference calls alternate, after one call of each that is not timed.
    """
    problems = PROBLEMS if problems is None else problems
    if reason := backends.why_not_native("cpu"):
        return [{"id": problem.id, "value": None, "unit": "ms", "note": reason} for problem in problems]
    return [_row(problem, repeats) for problem in problems]


def _row(problem: Problem, repeats: int) -> dict:
    functions = [problem.prepare(backend, problem.points) for backend in ("native", "torch")]
    for function in functions:
        function()
    times: list[list[float]] = [[], []]
    for _ in range(repeats):
        for function, own in zip(functions, times):
            own.append(seconds_of(function))
    ours, theirs = (1e3 * median(own) for own in times)
    return {
        "id": problem.id,
        "value": round(ours, 3),
        "unit": "ms",
        "against": "torch",
        "against_value": round(theirs, 3),
        "ratio": round(theirs / ours, 2),
    }


def seconds_of(function: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def hash_grid_inputs(
    dimensions: int, table_bits: int, points: int = GRID_POINTS
) -> tuple[GridLayout, Tensor, Tensor, Tensor]:
    """Layout, coords, table and gradient of the features of `hashgrid{dimensions}d-{table_bits}`.

    16 levels of 2 features, base resolution 16, growth 1.38, and tables of `2^table_bits` entries.
    """
    layout = GridLayout(dimensions, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << table_bits)
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(points, dimensions, generator=generator)
    table = torch.randn(layout.entries, 2, generator=generator)
    return layout, coords, table, torch.randn(points, layout.outputs, generator=generator)


def mlp_inputs(points: int = MLP_POINTS) -> tuple[Tensor, list[Tensor], Tensor]:
    """Features, matrices and gradient of the values of `mlp-64`: 32-64-64-3 with ReLU."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(b, a, generator=generator) * (2 / a) ** 0.5 for a, b in zip(MLP_SIZES, MLP_SIZES[1:])]
    features = torch.rand(points, MLP_SIZES[0], generator=generator)
    return features, weights, torch.randn(points, MLP_SIZES[-1], generator=generator)


def step_inputs(points: int = MLP_POINTS) -> tuple[GridLayout, Tensor, Tensor, Tensor, list[Tensor]]:
    """Layout, coords, targets, table and matrices of `step2d-15`: the 2-D grid with 2^15 entries and an MLP 64 x 2."""
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    generator = torch.Generator().manual_seed(0)
    coords, targets = torch.rand(points, 2, generator=generator), torch.rand(points, 3, generator=generator)
    table = torch.empty(layout.entries, 2).uniform_(-1e-4, 1e-4, generator=generator)
    sizes = (layout.outputs, 64, 64, 3)
    weights = [torch.randn(b, a, generator=generator) * (2 / a) ** 0.5 for a, b in zip(sizes, sizes[1:])]
    return layout, coords, targets, table, weights


def plane_inputs(layout: FactorLayout, points: int = GRID_POINTS) -> tuple[Tensor, Tensor, Tensor]:
    """Coords, table and gradient of the features of a factored grid over three axes."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(points, 3, generator=generator)
    table = torch.randn(layout.entries, layout.features, generator=generator)
    return coords, table, torch.randn(points, layout.outputs, generator=generator)


@dataclass(frozen=True)
class Rays:
    """Rays of `march` through a hollow ball that fills 11 % of the cells.

    They come from all sides and aim at random points of the unit cube. `upstream` is the gradient of their colour (3
    channels), opacity and depth; `generator` continues the random numbers for density and colours.
    """

    cells: Tensor
    origins: Tensor
    directions: Tensor
    upstream: Tensor
    generator: torch.Generator

    step = 3**0.5 / MARCH_STEPS

    def to(self, device: str) -> Rays:
        """The same rays on a device. Random numbers come from the CPU's generator on every device."""
        moved = {name: getattr(self, name).to(device) for name in ("cells", "origins", "directions", "upstream")}
        return replace(self, **moved)

    @property
    def gradients(self) -> list[Tensor]:
        """Gradients of colour, opacity and depth."""
        return [self.upstream[:, :3].contiguous(), self.upstream[:, 3].contiguous(), self.upstream[:, 4].contiguous()]

    def density_and_colors(self, samples: int) -> tuple[Tensor, Tensor]:
        """Random density `[samples]` and colors `[samples, 3]` that require gradients."""
        density, colors = (torch.rand(shape, generator=self.generator) for shape in ((samples,), (samples, 3)))
        device = self.origins.device
        return (density * 20).to(device).requires_grad_(), colors.to(device).requires_grad_()


def march_inputs(rays: int = RAYS) -> Rays:
    """Cells `[R, R, R]` bool and rays `[N, 3]` of `march`."""
    generator = torch.Generator().manual_seed(0)
    midpoints = (torch.arange(MARCH_RESOLUTION) + 0.5) / MARCH_RESOLUTION - 0.5
    radius = (midpoints[:, None, None] ** 2 + midpoints[:, None] ** 2 + midpoints**2).sqrt()
    cells = (radius > 0.25) & (radius < 0.35)
    origins = torch.nn.functional.normalize(torch.randn(rays, 3, generator=generator), dim=-1) * 1.5 + 0.5
    directions = torch.nn.functional.normalize(torch.rand(rays, 3, generator=generator) - origins, dim=-1)
    return Rays(cells, origins, directions, torch.randn(rays, 5, generator=generator), generator)


def samples_of(rays: Rays, backend: backends.Backend) -> Samples:
    """Samples of the rays in occupied cells: the box, then the marching."""
    occupancy = Occupancy(pack_cells(rays.cells[None]), MARCH_RESOLUTION)
    near, far = ray_box(rays.origins, rays.directions, (0.0,) * 3, (1.0,) * 3, backend=backend)
    return march(
        rays.origins,
        rays.directions,
        near,
        far,
        occupancy=occupancy,
        step=rays.step,
        max_samples=MARCH_STEPS,
        backend=backend,
    )


def gather_inputs(points: int = GRID_POINTS) -> dict[str, Tensor]:
    """Inputs of `rbf_gather` for `neurbf-gather` by name, with `matrices` unpacked, and the gradient `upstream`."""
    generator = torch.Generator().manual_seed(0)
    centres, coords = torch.rand(RBF_KERNELS, 2, generator=generator), torch.rand(points, 2, generator=generator)
    roots = torch.randn(RBF_KERNELS, 2, 2, generator=generator) * RBF_KERNELS**0.5
    features = torch.empty(RBF_KERNELS, RBF_FEATURES).uniform_(-1e-4, 1e-4, generator=generator)
    return {
        "coords": coords,
        "centres": centres,
        "matrices": roots @ roots.transpose(1, 2),
        "features": features,
        "frequencies": 2 ** torch.linspace(-3, 12, RBF_FEATURES),
        "upstream": torch.randn(points, RBF_FEATURES, generator=generator),
        "neighbours": nearest(coords, centres, RBF_NEIGHBOURS),
    }


def layer_inputs(points: int = GRID_POINTS) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, centres, log_widths and gradient of the output of `gaussian-layer`."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(points, LAYER_INPUTS, generator=generator)
    centres = torch.randn(LAYER_UNITS, LAYER_INPUTS, generator=generator)
    log_widths = torch.full((LAYER_UNITS, LAYER_INPUTS), -2.0)
    return features, centres, log_widths, torch.randn(points, LAYER_UNITS, generator=generator)


def _hash_grid_forward(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    layout, coords, table, _ = hash_grid_inputs(2, 15, points)
    return lambda: [hash_grid(coords, table, layout, backend=backend)]


def _hash_grid_backward(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    layout, coords, table, upstream = hash_grid_inputs(2, 15, points)
    table.requires_grad_()
    return lambda: torch.autograd.grad(hash_grid(coords, table, layout, backend=backend), table, upstream)


def _mlp(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    features, weights, grad = mlp_inputs(points)
    leaves = [t.requires_grad_() for t in (features, *weights)]
    return lambda: torch.autograd.grad(mlp(features, weights, backend=backend), leaves, grad)


def _step(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    layout, coords, targets, table, weights = step_inputs(points)
    leaves = [table, *weights]
    groups = [{"params": [table], "lr": 5e-2, "sparse": True}, {"params": weights, "lr": 5e-3}]
    optimizer = Adam(groups)
    if backend == "native":
        step = GridMlpStep(table, weights, layout)

        def native() -> Sequence[Tensor]:
            step(coords, targets)
            optimizer.step()
            return leaves

        return native

    def reference() -> Sequence[Tensor]:
        _, _, gradients = step_reference(coords, targets, table, weights, layout=layout)
        for index, (leaf, gradient, state) in enumerate(zip(leaves, gradients, optimizer.state)):
            group = optimizer.param_groups[min(index, 1)]
            hyperparameters = {key: group[key] for key in ("lr", "betas", "eps", "sparse")}
            adam_reference(leaf, gradient, **state, **hyperparameters)
        return leaves

    return reference


def _tri_plane(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    layout = tri_plane(PLANE_FEATURES, (128,) * 3)
    coords, table, upstream = plane_inputs(layout, points)
    table.requires_grad_()
    return lambda: torch.autograd.grad(factor_grid(coords, table, layout, backend), table, upstream)


def _march(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    rays = march_inputs(points)
    density, colors = rays.density_and_colors(len(samples_of(rays, "native")))

    def march_and_composite() -> Sequence[Tensor]:
        found = composite(density, colors, samples_of(rays, backend), backend=backend)
        return torch.autograd.grad([found.color, found.opacity, found.depth], (density, colors), rays.gradients)

    return march_and_composite


def _distortion(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    rays = march_inputs(points)
    samples = samples_of(rays, "native")
    weights = torch.rand(len(samples), generator=rays.generator).requires_grad_()
    return lambda: torch.autograd.grad(distortion(weights, samples, backend).sum(), weights)


def _importance(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    rays = march_inputs(points)
    samples = samples_of(rays, "native")
    weights = torch.rand(len(samples), generator=rays.generator)
    return lambda: [importance_edges(weights, samples, 64, seed=0, backend=backend)]


def _rbf_gather(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    inputs = gather_inputs(points)
    shapes = pack_shapes(inputs["matrices"])
    features = inputs["features"].requires_grad_()

    def gather() -> Sequence[Tensor]:
        output = rbf_gather(
            inputs["coords"],
            inputs["neighbours"],
            centres=inputs["centres"],
            shapes=shapes,
            features=features,
            frequencies=inputs["frequencies"],
            backend=backend,
        )
        return torch.autograd.grad(output, features, inputs["upstream"])

    return gather


def _gaussian_layer(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    *leaves, upstream = layer_inputs(points)
    leaves = [leaf.requires_grad_() for leaf in leaves]
    return lambda: torch.autograd.grad(gaussian_layer(*leaves, backend=backend), leaves, upstream)


def _nearest(backend: backends.Backend, points: int) -> Callable[[], Sequence[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    queries = torch.rand(points, 2, generator=generator)
    centres = torch.rand(RBF_KERNELS, 2, generator=generator)
    return lambda: [nearest(queries, centres, RBF_NEIGHBOURS, backend)]


# Those with the id of a case of `benchmarks.kernels` are the same problem.
PROBLEMS = (
    Problem("hashgrid2d-15-fwd", GRID_POINTS, _hash_grid_forward),
    Problem("hashgrid2d-15-fwdbwd", GRID_POINTS, _hash_grid_backward),
    Problem("mlp-64", MLP_POINTS, _mlp),
    Problem("step2d-15", MLP_POINTS, _step),
    Problem("triplane", GRID_POINTS, _tri_plane),
    Problem("march", RAYS, _march),
    # The reference compares all pairs of samples of a ray, and all pairs of points and centres: fewer rays and points.
    Problem("distortion-512-rays", 512, _distortion),
    Problem("importance", RAYS, _importance),
    Problem("neurbf-gather", GRID_POINTS, _rbf_gather),
    Problem("gaussian-layer", GRID_POINTS, _gaussian_layer),
    Problem("neighbours-2d-2k-points", 2_000, _nearest),
)
