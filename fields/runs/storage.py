"""Weights in fewer bits: what is stored, and training that feels the rounding.

Matrices, tables and grids (everything of two or more axes that is trained) are rounded; biases, other vectors, and what is drawn or
measured once (random frequencies, centres of kernels: no training makes up for their rounding) stay float32.

    8 bits    q = round(w / s), s = max |w| / 127 of each tensor: int8 and one float32
    16 bits   float16
"""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType

import torch
from torch import Tensor, nn

BITS = (8, 16, 32)
SCALE = ".scale"


def encode(tensor: Tensor, bits: int) -> tuple[Tensor, Tensor | None]:
    """What is stored of a float32 tensor, and its scale (float32 `[]`) where that is needed to read it."""
    if bits == 32 or tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor, None
    if bits == 16:
        largest = torch.finfo(torch.float16).max
        return tensor.clamp(-largest, largest).half(), None
    scale = (tensor.abs().amax() if tensor.numel() else tensor.new_zeros(())) / 127.0
    return torch.round(tensor / torch.where(scale > 0, scale, torch.ones_like(scale))).to(torch.int8), scale


def decode(stored: Tensor, scale: Tensor | None) -> Tensor:
    """The float32 tensor again; exactly what training saw."""
    if stored.dtype == torch.float16:
        return stored.float()
    return stored if scale is None else stored.float() * scale


def stored_state(field: nn.Module, bits: int) -> dict[str, Tensor]:
    """A field's state dict as it is stored: what is not trained stays as it is."""
    return encode_state(field.state_dict(), bits, exact={name for name, _ in field.named_buffers()})


def encode_state(state: dict[str, Tensor], bits: int, exact: Collection[str] = ()) -> dict[str, Tensor]:
    """A state dict as it is stored, all but the tensors named in `exact`: each scale beside its tensor, named `NAME.scale`."""
    stored: dict[str, Tensor] = {}
    for name, tensor in state.items():
        stored[name], scale = encode(tensor, 32 if name in exact else bits)
        if scale is not None:
            stored[name + SCALE] = scale
    return stored


def decode_state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: decode(tensor, stored.get(name + SCALE))
        for name, tensor in stored.items()
        if not (name.endswith(SCALE) and name.removesuffix(SCALE) in stored)
    }


class StraightThrough:
    """A context in which a field computes with rounded weights: the gradient there is applied to the exact ones (Bengio et al. 2013)."""

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
