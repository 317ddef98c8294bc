"""WIRE: an MLP of complex Gabor wavelets.

Saragadam et al. 2023, "WIRE: Wavelet Implicit Neural Representations", equation 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fields.networks.layers import LinearLayers


class Wire(nn.Module):
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

    def forward(self, coords: Tensor) -> Tensor:
        z = self.first(coords)
        amplitude = torch.exp(-((self.scale * z) ** 2))
        x, y = amplitude * torch.cos(self.omega * z), amplitude * torch.sin(self.omega * z)
        for real, imaginary in zip(self.real, self.imaginary):
            # (A + jB)(x + jy) + (a + jb)
            zx = real(x) - functional.linear(y, imaginary.weight)
            zy = imaginary(x) + functional.linear(y, real.weight)
            amplitude = torch.exp(-self.omega * zy - self.scale**2 * (zx**2 + zy**2))
            x, y = amplitude * torch.cos(self.omega * zx), amplitude * torch.sin(self.omega * zx)
        return self.output_real(x) - self.output_imaginary(y)
