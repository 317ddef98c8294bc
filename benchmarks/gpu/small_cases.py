"""Every CUDA kernel once on small inputs, against the references: for compute-sanitizer, and as a first proof.

    python -m benchmarks.gpu.small_cases [--device cuda|cpu] [--only NAME]

Numbers of points are neither those of a warp nor of a block. Inputs are random, from fixed seeds of the CPU. Prints a
line for each case, and exits with status 1 where one differs from its reference in plain torch.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fields.ops.adam import Adam
from fields.ops.backends import Backend
from fields.ops.composite import composite
from fields.ops.distortion import distortion
from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import tri_plane, vector_matrix
from fields.ops.gaussian_layer import gaussian_layer
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.hash_grid import hash_grid
from fields.ops.importance import importance_edges
from fields.ops.march import Occupancy, march, pack_cells
from fields.ops.mlp import Activation, MatmulDtype, mlp
from fields.ops.neighbours import nearest
from fields.ops.rasterise import rasterise
from fields.ops.ray_box import ray_box
from fields.ops.rbf_gather import rbf_gather

POINTS = 333
RAYS = 77
# Largest difference from the reference in units of the reference's largest value: in float32, and of products in half.
TOLERANCE, HALF_TOLERANCE = 1e-4, 2e-2
# A case: backend and device to results.
Case = Callable[[Backend, str], Sequence[Tensor]]


class Draw:
    """Random tensors of the CPU's generator, on a device."""

    def __init__(self, device: str, seed: int = 0) -> None:
        self.device, self.random = device, torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        """Normal values."""
        return torch.randn(*shape, generator=self.random).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Values in [0, 1)."""
        return torch.rand(*shape, generator=self.random).to(self.device)


def _gradients(values: Tensor, leaves: Sequence[Tensor], upstream: Tensor) -> list[Tensor]:
    return [values.detach(), *torch.autograd.grad(values, leaves, upstream)]


def grid_case(dimensions: int, features: int) -> Case:
    """Features of a hash grid, both gradients, and those once more differentiated."""

    def run(backend: Backend, device: str) -> Sequence[Tensor]:
        draw = Draw(device)
        layout = GridLayout(dimensions, levels=5, features=features, base_resolution=3, growth=1.6, table_size=1 << 8)
        coords, table = draw.uniform(POINTS, dimensions), draw.normal(layout.entries, features)
        upstream = draw.normal(POINTS, layout.outputs).requires_grad_()
        leaves = [coords.requires_grad_(), table.requires_grad_()]
        values = hash_grid(coords, table, layout, backend=backend)
        first = torch.autograd.grad(values, leaves, upstream, create_graph=True)
        second = torch.autograd.grad(first[0].square().sum(), [*leaves, upstream])
        return [values.detach(), *(t.detach() for t in first), *second]

    return run


def factor_case(make: Callable[..., object]) -> Case:
    """Features of factored grids and both gradients."""

    def run(backend: Backend, device: str) -> Sequence[Tensor]:
        draw = Draw(device)
        layout = make(8, (13, 9, 17))
        coords = draw.uniform(POINTS, 3)
        table = draw.normal(layout.entries, layout.features)  # pyright: ignore[reportAttributeAccessIssue]
        leaves = [coords.requires_grad_(), table.requires_grad_()]
        upstream = draw.normal(POINTS, layout.outputs)  # pyright: ignore[reportAttributeAccessIssue]
        return _gradients(
            factor_grid(coords, table, layout, backend=backend),  # pyright: ignore[reportArgumentType]
            leaves,
            upstream,
        )

    return run


def mlp_case(activation: Activation, matmul_dtype: MatmulDtype = "float32") -> Case:
    """Values of an MLP with biases, and all gradients."""

    def run(backend: Backend, device: str) -> Sequence[Tensor]:
        draw = Draw(device)
        sizes = (19, 48, 33, 3)
        gain = 0.05 if activation in ("sine", "finer") else 1.4
        weights = [gain * draw.normal(b, a) / a**0.5 for a, b in zip(sizes, sizes[1:])]
        biases = [0.1 * gain * draw.normal(b) for b in sizes[1:]]
        features, upstream = draw.normal(POINTS, sizes[0]), draw.normal(POINTS, sizes[-1])
        leaves = [t.requires_grad_() for t in (features, *weights, *biases)]
        # The reference has no reduced precision, and there is none on the CPU.
        dtype = matmul_dtype if backend == "native" and device == "cuda" else "float32"
        values = mlp(features, weights, activation, biases=biases, matmul_dtype=dtype, backend=backend)
        return _gradients(values, leaves, upstream)

    return run


def grid_mlp_case(matmul_dtype: MatmulDtype = "float32") -> Case:
    """Values of a grid and its MLP in one kernel, and all gradients."""

    def run(backend: Backend, device: str) -> Sequence[Tensor]:
        draw = Draw(device)
        layout = GridLayout(3, levels=6, features=2, base_resolution=4, growth=1.5, table_size=1 << 9)
        sizes = (layout.outputs, 32, 32, 3)
        weights = [1.4 * draw.normal(b, a) / a**0.5 for a, b in zip(sizes, sizes[1:])]
        coords, table = draw.uniform(POINTS, 3), draw.normal(layout.entries, 2)
        leaves = [t.requires_grad_() for t in (table, *weights)]
        dtype = matmul_dtype if backend == "native" and device == "cuda" else "float32"
        values = grid_mlp(coords, table, weights, layout, matmul_dtype=dtype, backend=backend)
        return _gradients(values, leaves, draw.normal(POINTS, 3))

    return run


def rays_case(backend: Backend, device: str) -> Sequence[Tensor]:
    """Samples of rays through two cascades, composited, with distortion loss and importance sampling."""
    draw = Draw(device)
    occupancy = Occupancy(pack_cells(draw.uniform(2, 16, 16, 16) < 0.3), 16)
    origins = torch.nn.functional.normalize(draw.normal(RAYS, 3), dim=-1) * 2.5 + 0.5
    directions = torch.nn.functional.normalize(draw.uniform(RAYS, 3) - origins, dim=-1)
    near, far = ray_box(origins, directions, *occupancy.outer_box, backend=backend)
    samples = march(origins, directions, near, far, occupancy=occupancy, step=0.02, cone=0.004, seed=5, backend=backend)
    density, colors = (20 * draw.uniform(len(samples))).requires_grad_(), draw.uniform(len(samples), 3).requires_grad_()
    found = composite(density, colors, samples, threshold=0.0, backend=backend)
    loss = distortion(found.weights, samples, backend).sum() + (found.color.sum(-1) + found.depth).sum()
    edges = importance_edges(found.weights.detach(), samples, 24, seed=3, backend=backend)
    gradients = torch.autograd.grad(loss, (density, colors))
    return [samples.t_starts, samples.offsets, *(t.detach() for t in found), edges, *gradients]


def rbf_case(backend: Backend, device: str) -> Sequence[Tensor]:
    """Nearest kernels, their interpolation, and all gradients; then a layer of Gaussians with its gradients."""
    draw = Draw(device)
    coords, centres = draw.uniform(POINTS, 2), draw.uniform(150, 2)
    neighbours = nearest(coords, centres, 8, backend)
    shapes, features = 20 + 40 * draw.uniform(150, 2), draw.normal(150, 20)
    leaves = [t.requires_grad_() for t in (coords, centres, shapes, features)]
    values = rbf_gather(
        coords,
        neighbours,
        centres=centres,
        shapes=shapes,
        features=features,
        frequencies=2 ** torch.linspace(-3, 3, 20, device=device),
        backend=backend,
    )
    gathered = _gradients(values, leaves, draw.normal(POINTS, 20))
    layer = [t.requires_grad_() for t in (draw.normal(POINTS, 9), draw.normal(21, 9), 0.1 * draw.normal(21, 9) - 1)]
    units = gaussian_layer(*layer, backend=backend)
    return [neighbours, *gathered, *_gradients(units, layer, draw.normal(POINTS, 21))]


def raster_case(backend: Backend, device: str) -> Sequence[Tensor]:
    """What 60 triangles show in an image of 45 x 70 pixels."""
    draw = Draw(device)
    corners = torch.cat([80 * draw.uniform(180, 2), 1 + draw.uniform(180, 1)], dim=-1)
    faces = torch.arange(180, device=device).reshape(60, 3)
    return list(rasterise(corners, faces, 45, 70, backend=backend))


def adam_case(backend: Backend, device: str) -> Sequence[Tensor]:
    """Three steps of Adam, of a table of which a step touches a part, and of a matrix."""
    from fields.ops.adam import adam_reference

    draw = Draw(device)
    leaves = [draw.normal(POINTS, 2), draw.normal(40, 17)]
    groups = [{"params": leaves[:1], "lr": 1e-2, "sparse": True}, {"params": leaves[1:], "lr": 1e-3}]
    optimizer = Adam(groups)
    for _ in range(3):
        for leaf, state, group in zip(leaves, optimizer.state, optimizer.param_groups):
            gradient = draw.normal(*leaf.shape)
            leaf.grad = gradient * (gradient.abs() > 0.7)
            if backend == "torch":
                options = {name: group[name] for name in ("lr", "betas", "eps", "sparse")}
                adam_reference(leaf, leaf.grad, **state, **options)
        if backend != "torch":
            optimizer.step()
    return [*leaves, *(t for state in optimizer.state for t in state.values())]


CASES: dict[str, Case] = {
    "grid_2d": grid_case(2, 2),
    "grid_3d_wide": grid_case(3, 8),
    "tri_plane": factor_case(tri_plane),
    "vector_matrix": factor_case(vector_matrix),
    "mlp_relu": mlp_case("relu"),
    "mlp_sine": mlp_case("sine"),
    "mlp_half": mlp_case("relu", "float16"),
    "grid_mlp": grid_mlp_case(),
    "grid_mlp_half": grid_mlp_case("float16"),
    "rays": rays_case,
    "rbf": rbf_case,
    "raster": raster_case,
    "adam": adam_case,
}


def difference(ours: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    """Largest difference of any result, in units of its reference's largest value; infinite for other shapes."""
    worst = 0.0
    for mine, theirs in zip(ours, reference, strict=True):
        if mine.shape != theirs.shape:
            return float("inf")
        mine, theirs = (t.detach().cpu().double().nan_to_num(posinf=0.0) for t in (mine, theirs))
        size = max(1e-6, float(theirs.abs().max())) if theirs.numel() else 1.0
        worst = max(worst, float((mine - theirs).abs().max()) / size if theirs.numel() else 0.0)
    return worst


def tolerance(name: str) -> float:
    """Largest difference of a case that counts as agreement."""
    return HALF_TOLERANCE if name.endswith("_half") else TOLERANCE


def main() -> int:
    """Run the chosen cases and print how far each is from its reference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.small_cases")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", default="", metavar="NAME", help="only the cases whose name contains this")
    parser.add_argument("--alone", action="store_true", help="without the references, which a sanitizer makes slow")
    options = parser.parse_args()
    wrong = 0
    for name, case in CASES.items():
        if options.only not in name:
            continue
        ours = case("native", options.device)
        if options.alone:
            print(f"{name}: done", flush=True)
            continue
        off = difference(ours, case("torch", options.device))
        good = off <= tolerance(name)
        wrong += not good
        print(f"{name}: {'agrees' if good else 'DIFFERS'} ({off:.1e}, at most {tolerance(name):.0e})", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
