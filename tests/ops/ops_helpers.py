"""Comparisons, instruction sets, points and small layouts for the tests of the operations."""

import ctypes
import math
from contextlib import contextmanager

import torch

import cuda_ext
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid

ISAS = ("baseline", "avx2", "avx512")
KINDS = ("hash", "dense", "tiled")
INTERPOLATIONS = ("linear", "smoothstep")


def available_isas() -> list[str]:
    """Instruction sets that both this processor and this build of the library have."""
    with instruction_set(None):
        return [isa for isa in ISAS if cuda_ext.load("cpu").fs_set_isa(isa.encode())]


@contextmanager
def instruction_set(isa: str | None):
    """Use instruction set `isa` inside the block; None changes nothing."""
    library = cuda_ext.load("cpu")
    library.fs_isa.restype = ctypes.c_char_p
    before = library.fs_isa()
    if isa is not None:
        assert library.fs_set_isa(isa.encode()), f"this processor has no {isa}"
    try:
        yield
    finally:
        library.fs_set_isa(before)


def assert_close(actual, expected, tolerance, name="", floor=0.0):
    """Assert that the worst element, the relative L2 error and the bias stay below the tolerance.

    A wrong sign or a missing term shows in the L2 error even if it affects few elements. A systematic error that
    rounding would not make shows in the bias, whose bound falls with the square root of the count. `floor` is the
    smallest magnitude that errors are relative to, for values that may cancel to zero.
    """
    assert actual.shape == expected.shape and actual.dtype == expected.dtype, name
    error = (actual - expected).double()
    expected = expected.double()
    size = max(floor, expected.square().mean().sqrt().item()) if expected.numel() else 0.0
    if size == 0.0:
        assert error.abs().sum() == 0.0, f"{name}: should be zero"
        return
    worst = error.abs().max().item() / max(size, expected.abs().max().item())
    l2 = error.square().mean().sqrt().item() / size
    bias = abs(error.mean().item()) / size
    bias_bound = 4.0 * tolerance / math.sqrt(expected.numel())
    assert worst <= tolerance, f"{name}: worst element off by {worst:.2e} of the largest (at most {tolerance:.0e})"
    assert l2 <= tolerance, f"{name}: relative L2 error {l2:.2e} (at most {tolerance:.0e})"
    assert bias <= bias_bound, f"{name}: bias {bias:.2e} (at most {bias_bound:.0e})"


def inner_points(layout, count, generator, margin=0.02, dtype=torch.float64):
    """Random points at least the fraction `margin` of a cell away from every cell border of every level."""
    points = torch.empty(0, layout.dimensions, dtype=torch.float64)
    while len(points) < count:
        more = torch.rand(4 * count, layout.dimensions, dtype=torch.float64, generator=generator)
        inside = torch.ones(len(more), dtype=torch.bool)
        for level in layout.per_level:
            fraction = (more * level.scale + 0.5) % 1.0
            inside &= ((fraction > margin) & (fraction < 1.0 - margin)).all(-1)
        points = torch.cat([points, more[inside]])
    return points[:count].to(dtype)


def small_layout(dimensions, features=2, kind="hash"):
    """Four levels. In the finer ones, points collide in the hash, or wrap in a tiled grid."""
    return GridLayout(dimensions, levels=4, features=features, base_resolution=3, growth=1.6, table_size=64, kind=kind)


def all_orders(layout, interpolation, backend, dtype, coords, seed=1, rounded=None, reduced=False):
    """Features, both gradients, and the three second-order gradients of a random functional of those, by name.

    rounded: dtype to which the table's values are rounded.
    reduced: whether the table also has that dtype, instead of `dtype`.
    """
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random).to(coords)

    coords = coords.to(dtype).requires_grad_()
    table = draw(layout.entries, layout.features)
    table = table.to(rounded or table.dtype).to(rounded if reduced else table.dtype).requires_grad_()
    grad = draw(*coords.shape[:-1], layout.outputs).requires_grad_()
    features = hash_grid(coords, table, layout, interpolation, backend=backend)
    by_coords, by_table = torch.autograd.grad(features, (coords, table), grad, create_graph=True)
    functional = (by_coords * draw(*coords.shape)).sum() + (by_table * draw(*table.shape)).sum()
    second = torch.autograd.grad(functional, (coords, table, grad))
    names = ("features", "grad coords", "grad table", "second coords", "second table", "second grad")
    return dict(zip(names, (features.detach(), by_coords.detach(), by_table.detach(), *second)))
