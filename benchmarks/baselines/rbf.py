"""Fixed plain-torch radial basis functions that we measure against. They do not change when our own references do."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TorchRbfGather(nn.Module):
    """NeuRBF's features as its authors write them: inverse quadratic kernels, divided by their detached sum, and sines.

    Coords `[B, D]` and neighbours `[B, k]` (int64) give features `[B, F]`. Centres `[N, D]` and matrices `[N, D, D]`
    are not trained.
    """

    centres: Tensor
    matrices: Tensor
    frequencies: Tensor

    def __init__(self, centres: Tensor, matrices: Tensor, features: Tensor, frequencies: Tensor) -> None:
        super().__init__()
        self.features = nn.Parameter(features)
        for name, tensor in (("centres", centres), ("matrices", matrices), ("frequencies", frequencies)):
            self.register_buffer(name, tensor)

    def forward(self, coords: Tensor, neighbours: Tensor) -> Tensor:
        offsets = coords[:, None] - self.centres[neighbours]
        q = torch.einsum("bki,bkij,bkj->bk", offsets, self.matrices[neighbours], offsets)
        values = 1.0 / (1.0 + q)
        values = values / (values.sum(-1, keepdim=True).detach() + 1e-8)
        sines = torch.sin(values[..., None] * self.frequencies)
        return (sines * self.features[neighbours]).sum(1)


class TorchGaussianLayer(nn.Module):
    """Gaussian units with squared distances by two matrix products (Bouzidi et al. 2025): `[B, E]` to `[B, N]`."""

    def __init__(self, centres: Tensor, log_widths: Tensor) -> None:
        super().__init__()
        self.centres, self.log_widths = nn.Parameter(centres), nn.Parameter(log_widths)

    def forward(self, features: Tensor) -> Tensor:
        beta = torch.exp(self.log_widths)
        scaled = beta * self.centres
        q = (features * features) @ beta.T - 2.0 * features @ scaled.T + (scaled * self.centres).sum(-1)
        return torch.exp(-0.5 * q.clamp_min(0.0))
