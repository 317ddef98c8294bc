"""Self-test of one second: whether the native hash grid agrees with its reference on this machine."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import hash_grid

# Largest relative difference in float32 that counts as agreement.
TOLERANCE = 1e-5


def hash_grid_parity(device: str = "cpu") -> dict[str, str | float]:
    """Compare values and both gradients of the native hash grid with the reference, on a device.

    Returns `verdict` ("agree", "differ", or "not tested: …" without a native library) and, if tested,
    `largest_relative_difference`.
    """
    reason = backends.why_not_native(device)
    if reason:
        return {"verdict": f"not tested: {reason}"}
    generator = torch.Generator().manual_seed(0)
    layout = GridLayout(3, levels=8, table_size=1 << 14, growth=1.6)
    coords = torch.rand(4096, 3, generator=generator).to(device)
    table = torch.randn(layout.entries, layout.features, generator=generator).to(device)
    upstream = torch.randn(4096, layout.outputs, generator=generator).to(device)
    native = _values_and_gradients(coords, table, upstream, layout, "native")
    reference = _values_and_gradients(coords, table, upstream, layout, "torch")
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(native, reference))
    return {"verdict": "agree" if worst < TOLERANCE else "differ", "largest_relative_difference": worst}


def _values_and_gradients(
    coords: Tensor, table: Tensor, upstream: Tensor, layout: GridLayout, backend: backends.Backend
) -> tuple[Tensor, ...]:
    coords, table = coords.clone().requires_grad_(), table.clone().requires_grad_()
    values = hash_grid(coords, table, layout, backend=backend)
    return values.detach(), *torch.autograd.grad(values, (coords, table), upstream)
