"""Base class of networks whose training step is one native pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fields.networks.layers import LinearLayers
from fields.ops import backends
from fields.ops.fused_step import Loss
from fields.ops.mlp import ActivationShape, MatmulDtype, activate, why_not_matmul_dtype, why_not_native_mlp
from fields.ops.network_step import InputEncoding, NetworkStep, why_not_network_step

# A step: coords `[N, D]`, targets `[N, C]`, and weights of samples `[N]` if there are any, to the mean loss. It sets
# the gradients of all parameters.
Step = Callable[..., Tensor]


@dataclass(frozen=True)
class StepOptions:
    """What a training step needs to know besides the network.

    encoding, dimensions: of the coordinates.
    value_scale, value_offset: values are those of the network times value_scale, plus value_offset.
    """

    encoding: InputEncoding
    dimensions: int
    loss: Loss
    value_scale: float = 1.0
    value_offset: float = 0.0
    matmul_dtype: MatmulDtype = "float32"


class RoundableNetwork(nn.Module):
    """A network whose matrix products may be rounded while it is trained through autograd.

    rounded: whether they are in bfloat16 now, but for those of the first matrix.
    """

    rounded: bool = False

    def why_not_rounded(self) -> str | None:
        """Reason why the products cannot be in bfloat16, in one line, or None if they can."""
        raise NotImplementedError


class NativeNetwork(RoundableNetwork):
    """Linear layers with one activation between them, which native kernels evaluate and train."""

    @property
    def weights(self) -> Sequence[Tensor]:
        """The matrices `[out, in]`, from the input to the output."""
        raise NotImplementedError

    @property
    def biases(self) -> Sequence[Tensor] | None:
        """The biases `[out]`, one for each matrix; None where the network has none."""
        raise NotImplementedError

    @property
    def activation(self) -> ActivationShape:
        """The activation of hidden layers."""
        raise NotImplementedError

    @property
    def backend(self) -> str:
        """Backend that evaluates the network: "native-cpu", "native-cuda" or "torch"."""
        device = backends.device_type(self.weights[0])
        return "torch" if why_not_native_mlp(self.weights, self.activation, device) else backends.name(device)

    def why_not_rounded(self) -> str | None:
        return why_not_rounded(self.weights, self.activation)

    def forward(self, features: Tensor) -> Tensor:
        return self.activation.values(features, self.weights, self.biases, rounded=self.rounded)

    def penultimate(self, features: Tensor) -> Tensor:
        """Input of the output layer: `[N, inputs]` → `[N, width]`. Forward hooks of the layers do not see it."""
        shape, weights, biases = self.activation, self.weights[:-1], self.biases
        sums = shape.values(features, weights, None if biases is None else biases[:-1])
        return activate(sums, shape.name, shape.omega if len(weights) > 1 else shape.first_omega, shape.scale)

    def training_step(self, options: StepOptions) -> Step | None:
        """The native training step, or None where autograd has to do it."""
        return self.make_step(self.weights, self.biases, options)

    def make_step(
        self, weights: Sequence[Tensor], biases: Sequence[Tensor] | None, options: StepOptions
    ) -> NetworkStep | None:
        """The native step of a network with these contiguous matrices and biases; None as for `training_step`."""
        # A subclass with a forward of its own computes something else.
        if type(self).forward is not NativeNetwork.forward:
            return None
        return native_step(weights, biases, self.activation, options)

    def step_through_weights(self, options: StepOptions) -> Step | None:
        """`training_step` of a network whose matrices and biases are made anew from its parameters."""
        weights = [weight.detach().contiguous().clone() for weight in self.weights]
        biases = [bias.detach().clone() for bias in self.biases or ()]
        inner = self.make_step(weights, biases or None, options)
        if inner is None:
            return None
        own = list(self.parameters())

        def step(coords: Tensor, targets: Tensor, *sample_weights: Tensor) -> Tensor:
            # Autograd takes the gradients of the matrices back to the parameters.
            with torch.enable_grad():
                made = [*self.weights, *(self.biases or ())]
            for held, tensor in zip(inner.parameters, made):
                held.copy_(tensor.detach())
            loss = inner.gradients(coords, targets, *sample_weights)
            wanted = [(tensor, grad) for tensor, grad in zip(made, inner.grads) if tensor.requires_grad]
            grads = torch.autograd.grad([t for t, _ in wanted], own, [g for _, g in wanted], allow_unused=True)
            for parameter, grad in zip(own, grads):
                parameter.grad = torch.zeros_like(parameter) if grad is None else grad
            return loss

        return step


class LinearNetwork(NativeNetwork):
    """A native network of linear layers with an activation between them."""

    hidden: LinearLayers
    output: nn.Linear

    @property
    def weights(self) -> list[Tensor]:
        return [*self.hidden.weights, self.output.weight]

    @property
    def biases(self) -> list[Tensor] | None:
        return None if self.output.bias is None else [*self.hidden.biases, self.output.bias]


def why_not_rounded(weights: Sequence[Tensor], activation: ActivationShape, modulated: bool = False) -> str | None:
    """Reason why products with these matrices cannot be in bfloat16, in one line, or None if they can."""
    device = backends.device_type(weights[0])
    return why_not_matmul_dtype("bfloat16", device) or why_not_native_mlp(
        weights, activation, device, modulated=modulated, matmul_dtype="bfloat16"
    )


def native_step(
    weights: Sequence[Tensor],
    biases: Sequence[Tensor] | None,
    activation: ActivationShape,
    options: StepOptions,
    *,
    sigmoid: bool = False,
    modulated: bool = False,
) -> NetworkStep | None:
    """The native step of layers with contiguous matrices and biases; None where autograd has to do it."""
    if why_not_network_step(weights, options.encoding, options.dimensions, activation, options.matmul_dtype, modulated):
        return None
    return NetworkStep(
        weights,
        biases,
        encoding=options.encoding,
        dimensions=options.dimensions,
        activation=activation,
        sigmoid=sigmoid,
        value_scale=options.value_scale,
        value_offset=options.value_offset,
        modulated=modulated,
        loss=options.loss,
        matmul_dtype=options.matmul_dtype,
    )
