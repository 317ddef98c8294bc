"""Networks that a method may have in place of its MLP: their names, their sizes, and how they are built.

To add one, write its module in `fields/networks`, and here its name in `Head` and its entry in `HEADS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

from fields.networks.sizes import mlp_parameters

if TYPE_CHECKING:
    import torch
    from torch import nn

Head = Literal["mlp", "linear", "kan-spline", "kan-gaussian", "hourglass", "quadratic"]
DESCRIPTION = (
    "Network after the features: an MLP, a linear map, Kolmogorov-Arnold layers of splines or Gaussians, hourglass "
    "blocks, or quadratic neurons. All but the MLP train through autograd, which is slower."
)


# Bytes per sample of a training step whose native MLP goes through the batch a tile at a time.
TILE_BYTES = 600
# Bytes per feature of such a step: its value, its gradient, and both once more where they are passed to the encoder.
FEATURE_BYTES = 16


def tiled_bytes(features: int) -> int:
    """Bytes that each sample of a training step takes with the native MLP, the head `mlp`, on so many features."""
    return TILE_BYTES + FEATURE_BYTES * features


class HeadShape(NamedTuple):
    """Shape of a head. `bias` is obeyed by the MLP and the linear map; the others always have biases."""

    inputs: int
    width: int
    hidden_layers: int
    outputs: int
    bias: bool

    @property
    def edges(self) -> int:
        """Number of connections between units, which is that of the weights of an MLP."""
        return mlp_parameters(self.inputs, self.width, self.hidden_layers, self.outputs, bias=False)


class _HeadEntry(NamedTuple):
    """`parameters` counts without torch; `build` imports it."""

    parameters: Callable[[HeadShape], int]
    build: Callable[[HeadShape, torch.Generator], nn.Module]


def head_parameters(head: Head, shape: HeadShape) -> int:
    """Number of parameters of the network that `build_head` makes."""
    return HEADS[head].parameters(shape)


def build_head(head: Head, shape: HeadShape, generator: torch.Generator) -> nn.Module:
    """Untrained network: features `[..., inputs]` → `[..., outputs]`."""
    return HEADS[head].build(shape, generator)


def _build_mlp(shape: HeadShape, generator: torch.Generator) -> nn.Module:
    from fields.networks.mlp import MLP

    return MLP(*shape[:4], bias=shape.bias, generator=generator)


def _build_linear(shape: HeadShape, generator: torch.Generator) -> nn.Module:
    from torch import nn

    from fields.networks.layers import initialize_uniform

    layer = nn.Linear(shape.inputs, shape.outputs, bias=shape.bias)
    initialize_uniform([layer], generator)
    return layer


def _kan_parameters(shape: HeadShape) -> int:
    # Each edge has the weight of the base function and eight coefficients.
    return shape.edges * (1 + 8)


def _build_kan(basis: Literal["spline", "gaussian"]) -> Callable[[HeadShape, torch.Generator], nn.Module]:
    def build(shape: HeadShape, generator: torch.Generator) -> nn.Module:
        from fields.networks.kan import Kan

        return Kan(*shape[:4], basis=basis, generator=generator)

    return build


def _hourglass_parameters(shape: HeadShape) -> int:
    inputs, width, blocks, outputs, _ = shape
    stream = 4 * width
    block = 2 * stream * width + width + stream
    return inputs * stream + stream + blocks * block + stream * outputs + outputs


def _build_hourglass(shape: HeadShape, generator: torch.Generator) -> nn.Module:
    from fields.networks.hourglass import Hourglass

    return Hourglass(*shape[:4], generator=generator)


def _quadratic_parameters(shape: HeadShape) -> int:
    # Three matrices and two biases for each hidden layer; the output layer is linear.
    output = shape.width * shape.outputs
    return 3 * (shape.edges - output) + 2 * shape.hidden_layers * shape.width + output + shape.outputs


def _build_quadratic(shape: HeadShape, generator: torch.Generator) -> nn.Module:
    from fields.networks.quadratic import Quadratic

    return Quadratic(*shape[:4], generator=generator)


HEADS: dict[Head, _HeadEntry] = {
    "mlp": _HeadEntry(lambda shape: mlp_parameters(*shape[:4], bias=shape.bias), _build_mlp),
    "linear": _HeadEntry(lambda shape: (shape.inputs + shape.bias) * shape.outputs, _build_linear),
    "kan-spline": _HeadEntry(_kan_parameters, _build_kan("spline")),
    "kan-gaussian": _HeadEntry(_kan_parameters, _build_kan("gaussian")),
    "hourglass": _HeadEntry(_hourglass_parameters, _build_hourglass),
    "quadratic": _HeadEntry(_quadratic_parameters, _build_quadratic),
}
