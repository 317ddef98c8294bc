"""`march`: 8,192 rays through a 128^3 occupancy grid in steps of sqrt(3) / 1024, then compositing with gradients.

The grid is a hollow ball that fills 11 % of the cells. Rays come from all sides and aim at random points of the cube.
Compositing gives colour, opacity and depth, and the gradients of density and colours. On a GPU nerfacc is a contender.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case


def prepare(contender: str, case: str = "march", device: str = "cpu") -> Callable[[], object]:
    """The contender's marching and compositing, forward and backward."""
    import torch

    from benchmarks.baselines import rays as baseline
    from fields.ops.bench import MARCH_STEPS, march_inputs, samples_of
    from fields.ops.composite import composite

    rays = march_inputs().to(device)
    if contender == "nerfacc":
        from benchmarks.baselines.nerfacc import march_and_composite

        return march_and_composite(rays)
    gradients = rays.gradients
    compiled = torch.compile if contender == "torch-compiled" else lambda function: function
    traverse_plain, composite_plain = compiled(baseline.traverse), compiled(baseline.composite)

    def traverse() -> tuple:
        return traverse_plain(rays.origins, rays.directions, rays.cells, rays.step, MARCH_STEPS)

    # Contenders differ in a few samples, by rounding at the border of cells.
    count = len(samples_of(rays, "native")) if contender == "native" else len(traverse()[0])
    density, colors = rays.density_and_colors(count)

    def native() -> None:
        density.grad = colors.grad = None
        found = composite(density, colors, samples_of(rays, "native"), backend="native")
        torch.autograd.backward([found.color, found.opacity, found.depth], gradients)

    def plain() -> None:
        density.grad = colors.grad = None
        t_starts, t_ends, ray_indices = traverse()
        found = composite_plain(density, colors, t_starts, t_ends, ray_indices, len(rays.origins))
        torch.autograd.backward(found, gradients)

    return native if contender == "native" else plain


CASES = [Case("march", ("native", "torch", "torch-compiled"), prepare, quick=True, gpu=("nerfacc",))]
