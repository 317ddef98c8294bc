"""Coordinate-aware modulation (Lee et al. 2024, "Coordinate-Aware Modulation for Neural Fields").

The hidden features of a network are scaled and shifted by values that are looked up in small grids over the
coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.encoders.factor_grid import FactorGrid
from fields.networks.mlp import MLP
from fields.networks.native import RoundableNetwork, Step, StepOptions, native_step, why_not_rounded
from fields.ops import backends
from fields.ops.factor_layout import Factor, FactorLayout
from fields.ops.mlp import EPSILON, ActivationShape, why_not_native_mlp


@torch.no_grad()
def _fill_ones_then_zeros(grid: Tensor, axes: tuple[int, ...]) -> None:
    """Set the scales, which are the first half of the channels, to 1 and the shifts to 0."""
    scales, shifts = grid.chunk(2, dim=-1)
    scales.fill_(1.0)
    shifts.zero_()


class Modulation(nn.Module):
    """Scale and shift of each of `layers` layers at the coordinates of a sample; one value for all channels of a layer.

    They are interpolated from one grid over `axes`, with `nodes` nodes along each axis, the outermost at 0 and 1;
    outside of these the value of the border holds. Scales start at 1 and shifts at 0: without normalization an
    untrained network equals the one without modulation.
    """

    def __init__(self, dimensions: int, axes: tuple[int, ...], nodes: tuple[int, ...], layers: int) -> None:
        super().__init__()
        self.layers = layers
        layout = FactorLayout(dimensions, 2 * layers, (((Factor(axes, nodes),),),))
        self.grid = FactorGrid(layout, "auto", _fill_ones_then_zeros)

    def forward(self, coords: Tensor) -> Tensor:
        """The scales of all layers, then their shifts, `[..., 2 * layers]` at coords `[..., D]`."""
        return self.grid(coords)


class TimeModulation(nn.Module):
    """Modulation of frames by their time: the paper's section on video.

    Each channel of each frame is standardized over its pixels, then scaled and shifted by two curves over time, which
    have `nodes` nodes for each channel: 2 * nodes * channels parameters. Features `[T, C, H, W]` and times `[T]` in
    [0, 1] → `[T, C, H, W]`.
    """

    def __init__(self, channels: int, nodes: int) -> None:
        super().__init__()
        self.channels = channels
        layout = FactorLayout(1, 2 * channels, (((Factor((0,), (nodes,)),),),))
        self.curves = FactorGrid(layout, "auto", _fill_ones_then_zeros)

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        scale, shift = self.curves(times[:, None])[..., None, None].split(self.channels, dim=1)
        # Written out, because torch's instance_norm would change the memory order of channels-last features.
        variance, mean = torch.var_mean(features, dim=(2, 3), correction=0, keepdim=True)
        gain = scale * torch.rsqrt(variance + EPSILON)
        return torch.addcmul(shift - mean * gain, features, gain)


class ModulatedMLP(RoundableNetwork):
    """MLP whose hidden layers are standardized, then scaled and shifted by a modulation, then go through ReLU.

        h_l = relu(scale_l(x) norm(W_l h_{l-1} + b_l) + shift_l(x))

    Features `[..., inputs]` and coords `[..., D]` → `[..., outputs]`. The output layer is linear and not modulated;
    with `sigmoid` its values are brought into (0, 1), as in the authors' code for images. `modulation=None` is the
    network without the grids.

    `normalise` is the number of last axes over which features are standardized, without a learned affine map and
    without running statistics. 1: over the channels of each sample, so that no sample depends on its batch. 2: over
    the samples of a ray too, as in the authors' code for radiance; features are then `[rays, samples, inputs]`, with
    the same number of samples on every ray. 0: not at all.
    """

    def __init__(self, network: MLP, modulation: Modulation | None, normalise: int, sigmoid: bool) -> None:
        super().__init__()
        self.network = network
        self.modulation = modulation
        self.normalise = int(normalise)
        self.sigmoid = sigmoid

    @property
    def activation(self) -> ActivationShape:
        """What is between the matrices, besides the modulation."""
        return ActivationShape("relu", standardize=bool(self.normalise))

    @property
    def backend(self) -> str:
        """Backend that evaluates the network: "native-cpu" or "torch"."""
        weights = self.network.weights
        device = backends.device_type(weights[0])
        why = why_not_native_mlp(weights, self.activation, device, modulated=self.modulation is not None)
        return "torch" if why or self.normalise > 1 else backends.name(device)

    def why_not_rounded(self) -> str | None:
        if self.normalise > 1:
            return "features that are standardized over rays go through plain torch"
        return why_not_rounded(self.network.weights, self.activation, self.modulation is not None)

    def forward(self, features: Tensor, coords: Tensor) -> Tensor:
        modulation = None if self.modulation is None else self.modulation(coords)
        if self.normalise > 1:
            output = self.network.output(self._hidden(features, modulation))
        else:
            weights, biases = self.network.weights, self.network.biases
            output = self.activation.values(features, weights, biases, modulation, rounded=self.rounded)
        return torch.sigmoid(output) if self.sigmoid else output

    def penultimate(self, features: Tensor, coords: Tensor) -> Tensor:
        """Input of the output layer, `[..., width]`. Forward hooks of the layers do not see it."""
        return self._hidden(features, None if self.modulation is None else self.modulation(coords))

    def _hidden(self, features: Tensor, modulation: Tensor | None) -> Tensor:
        """The hidden layers in plain torch."""
        layers = list(self.network.hidden)
        for index, layer in enumerate(layers):
            features = layer(features)
            if self.normalise:
                features = functional.layer_norm(features, features.shape[-self.normalise :], eps=EPSILON)
            if modulation is not None:
                scale, shift = (modulation[..., i : i + 1] for i in (index, len(layers) + index))
                features = torch.addcmul(shift, features, scale)
            features = torch.relu(features)
        return features

    def training_step(self, options: StepOptions) -> Step | None:
        """The native training step where the coordinates of the features are those of the grids; else None."""
        if self.normalise > 1:
            return None
        network, modulation = self.network, self.modulation
        inner = native_step(
            network.weights,
            network.biases,
            self.activation,
            options,
            sigmoid=self.sigmoid,
            modulated=modulation is not None,
        )
        if inner is None:
            return None
        if modulation is None:
            return inner

        def step(coords: Tensor, targets: Tensor, *sample_weights: Tensor) -> Tensor:
            modulation.grid.table.grad = None
            with torch.enable_grad():
                columns = modulation(coords)
            loss = inner(coords, targets, *sample_weights, modulation=columns.detach())
            columns.backward(inner.grad_modulation)
            return loss

        return step
