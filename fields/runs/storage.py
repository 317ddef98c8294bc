"""Weights in fewer bits: how they are stored, and training with rounded weights.

Matrices, tables and grids (trained tensors of two axes or more) are rounded. Biases and other vectors stay float32, and
so do buffers, which are drawn or measured once (random frequencies, centres of kernels): training cannot make up for
their rounding.

    8 bits    q = round(w / s), s = max |w| / 127 for each tensor: int8 and one float32
    16 bits   float16
"""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType

import torch
from torch import Tensor, nn

# Bits per weight that can be stored.
BITS = (8, 16, 32)
# The largest multiple of the scale that 8 bits hold.
LARGEST = 127.0
# The scale of the tensor NAME is stored as NAME with this ending.
SCALE = ".scale"


def encode(tensor: Tensor, bits: int) -> tuple[Tensor, Tensor | None]:
    """A float32 tensor as it is stored with so many bits, and its scale (float32 `[]`), None where it needs none."""
    if bits == 32 or tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor, None
    if bits == 16:
        largest = torch.finfo(torch.float16).max
        return tensor.clamp(-largest, largest).half(), None
    scale = (tensor.abs().amax() if tensor.numel() else tensor.new_zeros(())) / LARGEST
    return torch.round(tensor / torch.where(scale > 0, scale, torch.ones_like(scale))).to(torch.int8), scale


def decode(stored: Tensor, scale: Tensor | None) -> Tensor:
    """The float32 tensor that `encode` stored: exactly the one that training with rounded weights used."""
    if stored.dtype == torch.float16:
        return stored.float()
    return stored if scale is None else stored.float() * scale


def stored_state(field: nn.Module, bits: int) -> dict[str, Tensor]:
    """A field's state dict as it is stored; buffers stay as they are."""
    return encode_state(field.state_dict(), bits, exact={name for name, _ in field.named_buffers()})


def encode_state(state: dict[str, Tensor], bits: int, exact: Collection[str] = ()) -> dict[str, Tensor]:
    """A state dict as it is stored, with the scale of the tensor NAME as `NAME.scale`.

    `exact`: names of tensors that stay as they are.
    """
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        stored[name], scale = encode(tensor, 32 if name in exact else bits)
        if scale is not None:
            stored[name + SCALE] = scale
    return stored


def decode_state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 state dict that `encode_state` stored."""
    return {
        name: decode(tensor, stored.get(name + SCALE))
        for name, tensor in stored.items()
        if not (name.endswith(SCALE) and name.removesuffix(SCALE) in stored)
    }


class StraightThrough:
    """Context in which a field computes with rounded weights.

    The gradient at the rounded weights is applied to the exact ones: the straight-through estimator of Bengio et al.
    2013, Estimating or Propagating Gradients Through Stochastic Neurons.
    """

    def __init__(self, field: nn.Module, bits: int) -> None:
        self.bits = bits
        self.rounded = [
            parameter for parameter in field.parameters() if parameter.ndim >= 2 and parameter.dtype == torch.float32
        ]
        self.exact = [torch.empty_like(parameter) for parameter in self.rounded]

    @torch.no_grad()
    def __enter__(self) -> StraightThrough:
        for parameter, exact in zip(self.rounded, self.exact):
            exact.copy_(parameter)
            parameter.copy_(decode(*encode(exact, self.bits)))
        return self

    @torch.no_grad()
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for parameter, exact in zip(self.rounded, self.exact):
            parameter.copy_(exact)
