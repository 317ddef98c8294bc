"""WIRE: an MLP of complex Gabor wavelets.

Saragadam et al. 2023, "WIRE: Wavelet Implicit Neural Representations", equation 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.networks.layers import LinearLayers
from fields.networks.native import NativeNetwork, Step, StepOptions
from fields.ops.mlp import GABOR_UNITS, ActivationShape


class Wire(NativeNetwork):
    """MLP of complex Gabor wavelets; the output is the real part of a complex linear layer.

        h_l = exp(j omega z - |scale z|^2),      z = W_l h_{l-1} + b_l

    Coordinates `[N, D]` in [-1, 1] → `[N, outputs]`. The first layer is real. The others are complex and kept as
    pairs of real matrices, whose products are several times faster on a CPU than complex autograd. `width` counts
    complex units: a network has about twice the parameters of a real one of that width. All layers have torch's
    default initialization, as in the authors' code: real and imaginary parts in U(±1/sqrt(fan_in)).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        hidden_layers: int,
        outputs: int,
        *,
        omega: float,
        scale: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.omega = omega
        self.scale = scale
        self.first = nn.Linear(inputs, width)
        self.real = LinearLayers(nn.Linear(width, width) for _ in range(hidden_layers - 1))
        self.imaginary = LinearLayers(nn.Linear(width, width) for _ in range(hidden_layers - 1))
        self.output_real = nn.Linear(width, outputs)
        # A bias here would only change the imaginary part, which is dropped.
        self.output_imaginary = nn.Linear(width, outputs, bias=False)
        with torch.no_grad():
            for tensor in self.parameters():
                fan_in = inputs if tensor is self.first.weight or tensor is self.first.bias else width
                tensor.uniform_(-(fan_in**-0.5), fan_in**-0.5, generator=generator)

    @property
    def activation(self) -> ActivationShape:
        return ActivationShape("gabor", omega=self.omega, first_omega=self.omega, scale=self.scale)

    @property
    def weights(self) -> list[Tensor]:
        """The matrices of a real network of the real and imaginary parts: [[A, -B], [B, A]] for A + jB.

        Units are padded with zeros to a multiple of 16, as native kernels need them.
        """
        blocks = [_block(self.first.weight, torch.zeros_like(self.first.weight))[:, : self.first.in_features]]
        for real, imaginary in zip(self.real, self.imaginary):
            blocks.append(_block(real.weight, imaginary.weight))
        pad = -self.output_real.in_features % GABOR_UNITS
        halves = (self.output_real.weight, -self.output_imaginary.weight)
        last = torch.cat([nn.functional.pad(half, (0, pad)) for half in halves], dim=1)
        return [*blocks, last]

    @property
    def biases(self) -> list[Tensor]:
        pairs = [(self.first.bias, torch.zeros_like(self.first.bias))]
        pairs += [(real.bias, imaginary.bias) for real, imaginary in zip(self.real, self.imaginary)]
        pad = -self.first.out_features % GABOR_UNITS
        joined = [torch.cat([nn.functional.pad(part, (0, pad)) for part in pair]) for pair in pairs]
        return [*joined, self.output_real.bias]

    def penultimate(self, features: Tensor) -> Tensor:
        """Real parts of the input of the output layer: `[N, inputs]` → `[N, width]`."""
        return super().penultimate(features)[..., : self.output_real.in_features]

    def training_step(self, options: StepOptions) -> Step | None:
        return self.step_through_weights(options)


def _block(real: Tensor, imaginary: Tensor) -> Tensor:
    """The matrix [[A, -B], [B, A]] of the parts `[out, in]` of a complex matrix, padded to whole vectors."""
    below, right = -real.shape[0] % GABOR_UNITS, -real.shape[1] % GABOR_UNITS
    a, b = (nn.functional.pad(part, (0, right, 0, below)) for part in (real, imaginary))
    return torch.cat([torch.cat([a, -b], dim=1), torch.cat([b, a], dim=1)])
