"""A one-second check that the native operations agree with their references on this machine."""

from __future__ import annotations

import torch

from fields.ops import backends
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid

TOLERANCE = 1e-5


def hash_grid_parity() -> dict:
    """Largest relative difference of native and torch hash grids, of values and both gradients, and a verdict.

    "agree", "differ", or "not tested: …" where there is no native library.
    """
    reason = backends.why_not_native("cpu")
    if reason:
        return {"verdict": f"not tested: {reason}"}
    generator = torch.Generator().manual_seed(0)
    layout = GridLayout(3, levels=8, table_size=1 << 14, growth=1.6)
    coords = torch.rand(4096, 3, generator=generator)
    table = torch.randn(layout.entries, layout.features, generator=generator)
    upstream = torch.randn(4096, layout.outputs, generator=generator)
    native, torch_ = (
        _values_and_gradients(coords, table, upstream, layout, backend) for backend in ("native", "torch")
    )
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(native, torch_))
    return {"verdict": "agree" if worst < TOLERANCE else "differ", "largest_relative_difference": worst}


def _values_and_gradients(coords, table, upstream, layout, backend):
    coords, table = coords.clone().requires_grad_(), table.clone().requires_grad_()
    values = hash_grid(coords, table, layout, backend=backend)
    return values.detach(), *torch.autograd.grad(values, (coords, table), upstream)
