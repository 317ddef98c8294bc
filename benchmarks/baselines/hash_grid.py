"""Fixed plain-torch hash grid that we measure against: one gather per corner and level, `index_add` backward.

Vectorised over the points, with our layout of entries, so that both compute the same. This is how a hash grid is
written where there is no kernel for it, as in nerfstudio's torch implementation or HashNeRF-pytorch. It does not change
when our own reference does.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from fields.ops.grid_layout import PRIMES, GridLayout


class TorchHashGrid(nn.Module):
    """Features `[N, levels * features]` at coords `[N, D]` in [0, 1]."""

    def __init__(self, layout: GridLayout, table: Tensor) -> None:
        super().__init__()
        self.layout = layout
        self.table = nn.Parameter(table)

    def forward(self, coords: Tensor) -> Tensor:
        coords = coords.clamp(0.0, 1.0)
        outputs = []
        for level in self.layout.per_level:
            position = coords * level.scale + 0.5
            cell = position.floor()
            fraction = position - cell
            cell = cell.to(torch.int64)
            rows = self.table[level.offset : level.offset + level.size]
            total = None
            for corner in product((0, 1), repeat=self.layout.dimensions):
                point = [cell[:, axis] + bit for axis, bit in enumerate(corner)]
                if level.hashed:
                    index = point[0]
                    for axis in range(1, self.layout.dimensions):
                        index = index ^ (point[axis] * PRIMES[axis])
                    index = index & (level.size - 1)
                else:
                    index = sum(p * stride for p, stride in zip(point, self.layout.strides(level))) % level.size
                weight = None
                for axis, bit in enumerate(corner):
                    factor = fraction[:, axis] if bit else 1.0 - fraction[:, axis]
                    weight = factor if weight is None else weight * factor
                assert weight is not None
                part = torch.index_select(rows, 0, index) * weight[:, None]  # pyright: ignore[reportArgumentType]
                total = part if total is None else total + part
            outputs.append(total)
        return torch.cat(outputs, dim=1)


class TorchStep:
    """Training step in plain torch: the grid above, `nn.Linear` layers, autograd and torch's Adam."""

    def __init__(self, layout: GridLayout, table: Tensor, weights: list[Tensor], compiled: bool = False) -> None:
        self.grid = TorchHashGrid(layout, table.detach().clone())
        self.linears = [nn.Linear(*reversed(weight.shape), bias=False, device=weight.device) for weight in weights]
        layers: list[nn.Module] = []
        for linear, weight in zip(self.linears, weights):
            linear.weight.data.copy_(weight)
            layers += [linear, nn.ReLU()]
        self.model = nn.Sequential(self.grid, *layers[:-1])
        self.forward = torch.compile(self.model) if compiled else self.model
        groups = [{"params": self.grid.parameters(), "lr": 5e-2}, {"params": self.model[1:].parameters(), "lr": 5e-3}]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)

    def __call__(self, coords: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = ((self.forward(coords) - targets) ** 2).mean()
        loss.backward()
        self.optimizer.step()
