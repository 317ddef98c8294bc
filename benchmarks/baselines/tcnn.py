"""tiny-cuda-nn's grid, fused MLP and whole step on the problems of the kernel benchmark, as its examples write them.

Tables and matrices are in its own, mostly half, precision, with master weights in float32 as its module keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from fields.ops.grid_layout import GridLayout
from fields.ops.tcnn import grid_config, mlp_config, why_absent


def _package() -> Any:
    if reason := why_absent():
        raise RuntimeError(reason)
    return import_module("tinycudann")


def grid(layout: GridLayout) -> torch.nn.Module:
    """Its grid encoding of a layout: coords `[N, D]` float32 → features `[N, outputs]` half."""
    return _package().Encoding(layout.dimensions, grid_config(layout, "linear"))


def fused_mlp(sizes: Sequence[int]) -> torch.nn.Module:
    """Its fused ReLU MLP: features `[N, sizes[0]]` → values `[N, sizes[-1]]` half. Hidden layers have one width."""
    return _package().Network(sizes[0], sizes[-1], mlp_config(sizes[1], len(sizes) - 2))


def training_step(layout: GridLayout, coords: Tensor, targets: Tensor) -> Callable[[], object]:
    """A whole step of `step2d-15`: grid, MLP 64 x 2, loss, gradients and torch's fused Adam."""
    network = mlp_config(64, 2)
    model = _package().NetworkWithInputEncoding(
        layout.dimensions, targets.shape[1], grid_config(layout, "linear"), network
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, betas=(0.9, 0.99), eps=1e-15, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        ((model(coords).float() - targets) ** 2).mean().backward()
        optimizer.step()

    return step
