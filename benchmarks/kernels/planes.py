"""Factored grids, forward and backward, 262,144 points.

`triplane`: 3 planes of 16 x 128^2, summed. `tensorf-vm`: planes times lines, rank 16, 128 nodes along each axis.
`densegrid3d`: 64^3 nodes of 16.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS = 262_144


def prepare(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's pass over the grid that the case's id names, with the gradient of the table."""
    import torch

    from benchmarks.baselines import planes
    from fields.ops.bench import PLANE_FEATURES, plane_inputs
    from fields.ops.factor_grid import factor_grid
    from fields.ops.factor_layout import dense_grids, tri_plane, vector_matrix

    make = {
        "triplane": lambda: tri_plane(PLANE_FEATURES, (128,) * 3),
        "tensorf-vm": lambda: vector_matrix(PLANE_FEATURES, (128,) * 3),
        "densegrid3d": lambda: dense_grids(PLANE_FEATURES, [(64,) * 3]),
    }
    layout = make[case]()
    coords, table, upstream = (tensor.to(device) for tensor in plane_inputs(layout, POINTS))
    if contender == "native":
        leaves = [table.requires_grad_()]
        encode = lambda: factor_grid(coords, table, layout, backend="native")  # noqa: E731
    else:
        # The same values, channels first.
        grids = [grid.movedim(-1, 0).contiguous() for grid in layout.grids(table)]
        if case == "triplane":
            module = planes.TorchTriPlane(torch.stack(grids))
        elif case == "tensorf-vm":
            module = planes.TorchVectorMatrix(torch.stack(grids[::2]), torch.stack(grids[1::2])[..., None])
        else:
            module = planes.TorchDenseGrid(grids[0][None])
        leaves = list(module.parameters())
        run = torch.compile(module) if contender == "torch-compiled" else module
        encode = lambda: run(coords)  # noqa: E731

    def forward_backward() -> None:
        for leaf in leaves:
            leaf.grad = None
        encode().backward(upstream)

    return forward_backward


CASES = [
    Case(case, ("native", "torch", "torch-compiled"), prepare, quick=case == "triplane")
    for case in ("triplane", "tensorf-vm", "densegrid3d")
]
