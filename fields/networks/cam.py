"""Coordinate-aware modulation: scales and shifts of intermediate features, looked up in small grids (Lee et al. 2024, "Coordinate-Aware
Modulation for Neural Fields")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.encoders.factor_grid import FactorGrid
from fields.networks.mlp import MLP
from fields.ops.factor_layout import Factor, FactorLayout

EPSILON = 1e-5


@torch.no_grad()
def _ones_then_zeros(grid: Tensor, axes: tuple[int, ...]) -> None:
    """Scales, the first half of the channels, and shifts."""
    scales, shifts = grid.chunk(2, dim=-1)
    scales.fill_(1.0)
    shifts.zero_()


class Modulation(nn.Module):
    """A scale and a shift for each of `layers` layers, one number for all channels, interpolated at a sample's coordinates.

    One grid over `axes` with `nodes` nodes along each (the outermost at 0 and 1; beyond them the border's value) holds them all, the
    scales first: they start at 1 and the shifts at 0, so that without normalisation a fresh network is the plain one.
    """

    def __init__(self, dimensions: int, axes: tuple[int, ...], nodes: tuple[int, ...], layers: int) -> None:
        super().__init__()
        self.layers = layers
        layout = FactorLayout(dimensions, 2 * layers, (((Factor(axes, nodes),),),))
        self.grid = FactorGrid(layout, "auto", _ones_then_zeros)

    def forward(self, coords: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For every layer a scale and a shift `[..., 1]` at coords `[..., D]`."""
        both = self.grid(coords)
        return [
            (both[..., layer : layer + 1], both[..., self.layers + layer : self.layers + layer + 1])
            for layer in range(self.layers)
        ]


class TimeModulation(nn.Module):
    """Of frames: each channel of each frame is standardised over its pixels, then scaled and shifted by what two curves over time with `nodes`
    nodes give for that channel (the section on video; 2 * nodes * channels numbers).

    Features `[T, C, H, W]` and times `[T]` in [0, 1] → `[T, C, H, W]`.
    """

    def __init__(self, channels: int, nodes: int) -> None:
        super().__init__()
        self.channels = channels
        self.curves = FactorGrid(
            FactorLayout(1, 2 * channels, (((Factor((0,), (nodes,)),),),)), "auto", _ones_then_zeros
        )

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        scale, shift = self.curves(times[:, None])[..., None, None].split(self.channels, dim=1)
        # As torch's instance_norm, which would bring features that lie channels last into another order.
        variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
        gain = scale * torch.rsqrt(variance + EPSILON)
        return torch.addcmul(shift - mean * gain, features, gain)


class ModulatedMLP(nn.Module):
    """Linear, standardise, scale and shift, ReLU; the output layer is not modulated.

    Features `[..., inputs]` and coords `[..., D]` → `[..., outputs]`; with `sigmoid` in (0, 1), as the authors have it for pictures.
    `normalise` standardises features over so many of their last axes (no learned affine, no running statistics): with 1 over the channels of
    every sample alone, so that what a sample gets does not depend on its batch; with 2 over the samples of a ray too, features `[rays, samples, inputs]`,
    which is the authors' on radiance and wants the same number of samples on every ray; with 0 not at all. `modulation=None` leaves the grids out.
    """

    def __init__(self, network: MLP, modulation: Modulation | None, normalise: int, sigmoid: bool) -> None:
        super().__init__()
        self.network = network
        self.modulation = modulation
        self.normalise = int(normalise)
        self.sigmoid = sigmoid

    def forward(self, features: Tensor, coords: Tensor) -> Tensor:
        layers = self.network.hidden
        modulation = [None] * len(layers) if self.modulation is None else self.modulation(coords)
        for layer, scale_and_shift in zip(layers, modulation):
            features = layer(features)
            if self.normalise:
                mixed = (
                    *features.shape[-self.normalise : -1],
                    layer.out_features,
                )  # (graphs want the width as a plain number)
                features = functional.layer_norm(features, mixed, eps=EPSILON)
            if scale_and_shift is not None:
                scale, shift = scale_and_shift
                features = torch.addcmul(shift, features, scale)
            features = torch.relu(features)
        output = self.network.output(features)
        return torch.sigmoid(output) if self.sigmoid else output
