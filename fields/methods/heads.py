"""Decoders that may stand where a method has an MLP: what they are called, how large they are, how they are built."""

from __future__ import annotations

from typing import Literal

from fields.networks.sizes import mlp_parameters

Head = Literal["mlp", "linear", "kan-spline", "kan-gaussian", "hourglass", "quadratic"]
DESCRIPTION = (
    "the network: an MLP, none but a linear map, Kolmogorov-Arnold layers of splines or Gaussians, wide streams with narrow blocks, or "
    "quadratic neurons; all but the MLP train through autograd"
)


def head_parameters(head: Head, inputs: int, width: int, hidden_layers: int, outputs: int, bias: bool) -> int:
    """Numbers in the network that `build_head` makes."""
    if head == "mlp":
        return mlp_parameters(inputs, width, hidden_layers, outputs, bias)
    if head == "linear":
        return (inputs + bias) * outputs
    edges = mlp_parameters(inputs, width, hidden_layers, outputs, bias=False)
    if head.startswith("kan"):
        return edges * (1 + 8)
    if head == "hourglass":
        wide = 4 * width
        return inputs * wide + wide + hidden_layers * (2 * wide * width + width + wide) + wide * outputs + outputs
    output = width * outputs
    return 3 * (edges - output) + 2 * hidden_layers * width + output + outputs


def build_head(head: Head, inputs: int, width: int, hidden_layers: int, outputs: int, bias: bool, generator):
    """A module: features `[..., inputs]` → `[..., outputs]`. `bias` is the MLP's and the linear map's."""
    if head == "mlp":
        from fields.networks.mlp import MLP

        return MLP(inputs, width, hidden_layers, outputs, bias=bias, generator=generator)
    if head == "linear":
        import torch

        from fields.networks.initial import uniform

        layer = torch.nn.Linear(inputs, outputs, bias=bias)
        uniform([layer], generator)
        return layer
    if head.startswith("kan"):
        from fields.networks.kan import Kan

        return Kan(inputs, width, hidden_layers, outputs, head.removeprefix("kan-"), generator)
    if head == "hourglass":
        from fields.networks.hourglass import Hourglass

        return Hourglass(inputs, width, hidden_layers, outputs, generator)
    from fields.networks.quadratic import Quadratic

    return Quadratic(inputs, width, hidden_layers, outputs, generator)
