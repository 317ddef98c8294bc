"""Layouts of every form, random points, and all orders of derivatives for the tests of factor_grid."""

import torch

from fields.ops.factor_grid import factor_grid
from fields.ops.factor_layout import Factor, FactorLayout, canonical, dense_grids, k_planes, tri_plane, vector_matrix

# Odd numbers of features and nodes give partial vector blocks, axes of one node, and slabs of several rows.
LAYOUTS = {
    "sum": tri_plane(5, (4, 5, 6)),
    "product": tri_plane(3, (4, 5, 6), "product"),
    "concat": tri_plane(16, (4, 5, 70), "concat", nodes_at_ends=False),
    "vm": vector_matrix(7, (4, 50, 6)),
    "cp-2": canonical(2, (7, 3)),
    "cp-4": canonical(16, (4, 3, 40, 6)),
    "kplanes-3": k_planes(8, [(3, 4, 5), (6, 7, 8)]),
    "kplanes-4": k_planes(19, [(3, 3, 3, 4), (5, 6, 7, 2)]),
    "dense-1": dense_grids(1, [(4,), (33,)]),
    "dense-2": dense_grids(33, [(4, 3)], nodes_at_ends=False),
    "dense-3": dense_grids(6, [(3, 4, 5), (2, 1, 8)]),
    "dense-4": dense_grids(4, [(1, 3, 2, 5)]),
    # A sum of products and a single line in separate slots, on some of the axes only.
    "mixed": FactorLayout(
        4, 4, (((Factor((3, 1), (4, 3)), Factor((0,), (5,))), (Factor((0, 3), (5, 4)),)), ((Factor((2,), (1,)),),))
    ),
}
ORDERS = ("features", "grad coords", "grad table", "second coords", "second table", "second grad")


def uniform(count, dimensions, seed=0, lower=0.0, upper=1.0):
    return (
        torch.rand(count, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        * (upper - lower)
        + lower
    )


def inner_points(layout, count, seed=0, margin=0.02):
    """Random points between the outermost nodes, at least the fraction `margin` of a cell away from every node."""
    points = uniform(200 * count, layout.dimensions, seed)
    inside = torch.ones(len(points), dtype=torch.bool)
    for axis, nodes in layout.grid_axes:
        if nodes > 1:
            scale, shift = layout.position(nodes)
            position = points[:, axis] * scale + shift
            fraction = position % 1.0
            inside &= (fraction > margin) & (fraction < 1 - margin) & (position > 0) & (position < nodes - 1)
    assert int(inside.sum()) >= count
    return points[inside][:count]


def all_orders(layout, backend, dtype, coords, seed=1):
    """Features, both gradients, and the three second-order gradients of a random functional of those, by name."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random).to(coords)

    coords = coords.to(dtype).requires_grad_()
    table = draw(layout.entries, layout.features).requires_grad_()
    grad = draw(*coords.shape[:-1], layout.outputs).requires_grad_()
    features = factor_grid(coords, table, layout, backend)
    by_coords, by_table = torch.autograd.grad(features, (coords, table), grad, create_graph=True)
    functional = (by_coords * draw(*coords.shape)).sum() + (by_table * draw(*table.shape)).sum()
    # A sum of lines alone has no mixed derivatives, which autograd reports as unused inputs.
    second = torch.autograd.grad(functional, (coords, table, grad), allow_unused=True)
    second = [torch.zeros_like(like) if by is None else by for by, like in zip(second, (coords, table, grad))]
    return dict(zip(ORDERS, (features.detach(), by_coords.detach(), by_table.detach(), *second)))
