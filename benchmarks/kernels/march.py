"""`march`: 8,192 rays through a 128^3 occupancy grid in steps of sqrt(3) / 1024, then compositing with gradients of density and colour.

The grid is a hollow ball that 11 % of the cells belong to; rays come from all sides and aim at random points of the cube.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case

RAYS, RESOLUTION, STEPS = 8_192, 128, 1024


def prepare(contender: str, case: str = "march") -> Callable[[], object]:
    import torch

    step = 3**0.5 / STEPS
    generator = torch.Generator().manual_seed(0)
    middles = (torch.arange(RESOLUTION) + 0.5) / RESOLUTION - 0.5
    radius = (middles[:, None, None] ** 2 + middles[:, None] ** 2 + middles**2).sqrt()
    cells = (radius > 0.25) & (radius < 0.35)
    origins = torch.nn.functional.normalize(torch.randn(RAYS, 3, generator=generator), dim=-1) * 1.5 + 0.5
    directions = torch.nn.functional.normalize(torch.rand(RAYS, 3, generator=generator) - origins, dim=-1)
    upstream = torch.randn(RAYS, 5, generator=generator)

    from fields.ops.composite import composite
    from fields.ops.march import Occupancy, march, pack_cells
    from fields.ops.ray_box import ray_box

    occupancy = Occupancy(pack_cells(cells[None]), RESOLUTION)

    def traverse():
        near, far = ray_box(origins, directions, (0.0,) * 3, (1.0,) * 3, backend="native")
        return march(
            origins, directions, near, far, occupancy=occupancy, step=step, max_samples=STEPS, backend="native"
        )

    from benchmarks.baselines import rays

    compiled = torch.compile if contender == "torch-compiled" else lambda function, **_: function
    traverse_plain, composite_plain = compiled(rays.traverse), compiled(rays.composite)
    # How many there are differs in a few samples between contenders, by rounding at the border of cells.
    count = (
        len(traverse()) if contender == "native" else len(traverse_plain(origins, directions, cells, step, STEPS)[0])
    )
    density = (torch.rand(count, generator=generator) * 20).requires_grad_()
    colors = torch.rand(count, 3, generator=generator).requires_grad_()
    grads = [upstream[:, :3].contiguous(), upstream[:, 3].contiguous(), upstream[:, 4].contiguous()]

    def native() -> None:
        density.grad = colors.grad = None
        found = composite(density, colors, traverse(), backend="native")
        torch.autograd.backward([found.color, found.opacity, found.depth], grads)

    def plain() -> None:
        density.grad = colors.grad = None
        found = composite_plain(density, colors, *traverse_plain(origins, directions, cells, step, STEPS), RAYS)
        torch.autograd.backward(found, grads)

    return native if contender == "native" else plain


CASES = [Case("march", ("native", "torch", "torch-compiled"), prepare, quick=True)]
