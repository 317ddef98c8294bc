"""Loss and gradients of a training step of a network on coordinates, in one native pass. float32 on the CPU.

One tile of points after another is encoded, goes through the network and the loss, and back. Nothing of a layer's width
is stored for the whole batch, so the memory of a step does not depend on the batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends
from fields.ops.fused_step import LOSSES, Loss, check_batch, point_losses
from fields.ops.mlp import (
    ActivationShape,
    MatmulDtype,
    MlpKernel,
    MlpRecord,
    check_modulation,
    check_names,
    check_weights,
    why_not_matmul_dtype,
    why_not_native_mlp,
)

EncodingKind = Literal["coords", "octaves", "fourier"]
# Their numbers in csrc/cpu/network_step.h are their positions here.
ENCODINGS = ("coords", "octaves", "fourier")
MAX_DIMENSIONS = 4
# Largest magnitude of a phase; beyond it the kernel's sines lose accuracy (csrc/cpu/sincos.h).
MAX_PHASE = 1e4


@dataclass(frozen=True)
class InputEncoding:
    """What a network sees of a point: x = coords * scale + offset, and waves of it.

    kind: "coords": x; "octaves": x, sin(M x), cos(M x); "fourier": cos(M x), sin(M x).
    matrix: M `[frequencies, D]` float32; None for "coords".
    """

    kind: EncodingKind = "coords"
    scale: float = 2.0
    offset: float = -1.0
    matrix: Tensor | None = None

    def outputs(self, dimensions: int) -> int:
        """Number of features."""
        waves = 0 if self.matrix is None else 2 * len(self.matrix)
        return waves + (0 if self.kind == "fourier" else dimensions)

    def max_phase(self) -> float:
        """Largest phase of a wave for coordinates in [0, 1]."""
        if self.matrix is None or not self.matrix.numel():
            return 0.0
        return float(self.matrix.abs().sum(dim=1).max()) * max(abs(self.offset), abs(self.scale + self.offset))

    def check(self, dimensions: int) -> None:
        """Raise ValueError unless the encoding is one of points with so many axes."""
        if self.kind not in ENCODINGS:
            raise ValueError(f"the encoding is coords, octaves or fourier, not {self.kind!r}")
        matrix = self.matrix
        if (matrix is None) != (self.kind == "coords"):
            raise ValueError("octaves and fourier need a matrix, and coords take none")
        if matrix is None:
            return
        if matrix.ndim != 2 or matrix.shape[1] != dimensions:
            raise ValueError(f"the encoding's matrix must be [frequencies, {dimensions}], not {list(matrix.shape)}")
        if matrix.dtype != torch.float32 or matrix.device.type != "cpu" or not matrix.is_contiguous():
            raise ValueError("the encoding's matrix must be a contiguous float32 tensor on the CPU")

    def reference(self, coords: Tensor) -> Tensor:
        """The features `[N, F]` in plain torch."""
        x = coords * self.scale + self.offset
        if self.matrix is None:
            return x
        phase = x @ self.matrix.to(x.dtype).T
        if self.kind == "fourier":
            return torch.cat([torch.cos(phase), torch.sin(phase)], dim=-1)
        return torch.cat([x, torch.sin(phase), torch.cos(phase)], dim=-1)


class NetworkStepCall(ctypes.Structure):
    """`NetworkStepCall` in csrc/cpu/network_step.h."""

    _fields_ = [
        ("mlp", MlpRecord),
        ("points", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("num_threads", "dimensions", "encoding", "frequencies")),
        *((n, ctypes.c_double) for n in ("input_scale", "input_offset", "value_scale", "value_offset")),
        *((name, ctypes.c_int32) for name in ("loss", "sigmoid")),
        *((name, ctypes.c_void_p) for name in ("coords", "matrix", "targets", "sample_weights", "loss_value")),
    ]


def why_not_network_step(
    weights: Sequence[Tensor],
    encoding: InputEncoding,
    dimensions: int,
    activation: ActivationShape,
    matmul_dtype: MatmulDtype = "float32",
    modulated: bool = False,
) -> str | None:
    """Reason why the native pass cannot train this network, in one line, or None if it can."""
    if backends.device_type(weights[0]) != "cpu":
        return "the fused step runs on the CPU"
    if reason := cuda_ext.why_absent("cpu"):
        return reason
    if any(w.dtype != torch.float32 for w in weights):
        return "the fused step computes in float32"
    if dimensions > MAX_DIMENSIONS:
        return f"the fused step takes at most {MAX_DIMENSIONS} axes, not {dimensions}"
    if encoding.max_phase() > MAX_PHASE:
        return f"waves with phases above {MAX_PHASE:g} need sines that are more accurate"
    why = why_not_native_mlp(weights, activation, modulated=modulated, matmul_dtype=matmul_dtype)
    return why or why_not_matmul_dtype(matmul_dtype)


class NetworkStep:
    """Loss and gradients of one batch. The memory of the gradients is kept from call to call.

    weights, biases: of the network, from the features to the outputs: contiguous float32 tensors on the CPU; biases may
        be None.
    encoding, dimensions: of the coordinates.
    activation: of the hidden layers.
    sigmoid: whether the network's values go through a sigmoid.
    value_scale, value_offset: values are these times value_scale, plus value_offset.
    modulated: whether calls have a `modulation`.
    loss: "l1", "l2" or "relative_l2", as in `fields.ops.fused_step`.
    matmul_dtype: as in `fields.ops.mlp.mlp`, but the products of the first matrix, and of its gradient, are float32 in
        any case: coordinates that are rounded to bfloat16 are those of other points. So are all sums.

    With matmul_dtype "float32" the results equal `network_step_reference` to 1e-5 relative. They have the same bits
    from run to run and for any number of threads.

    Raises ValueError where `why_not_network_step` gives a reason, and for wrong names, shapes and dtypes.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor] | None,
        *,
        encoding: InputEncoding,
        dimensions: int,
        activation: ActivationShape,
        sigmoid: bool = False,
        value_scale: float = 1.0,
        value_offset: float = 0.0,
        modulated: bool = False,
        loss: Loss = "l2",
        matmul_dtype: MatmulDtype = "float32",
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"the loss is l1, l2 or relative_l2, not {loss!r}")
        check_names(activation.name, matmul_dtype)
        encoding.check(dimensions)
        check_weights(encoding.outputs(dimensions), weights, biases, activation)
        if reason := why_not_network_step(weights, encoding, dimensions, activation, matmul_dtype, modulated):
            raise ValueError(reason)
        self.parameters = [*weights, *(biases or ())]
        if not all(p.is_contiguous() and p.dtype == torch.float32 for p in self.parameters):
            raise ValueError("weights and biases must be contiguous and float32")
        self.encoding, self.dimensions = encoding, dimensions
        self.sigmoid = sigmoid
        self.value_scale, self.value_offset = value_scale, value_offset
        self.loss = loss
        self.kernel = MlpKernel(activation, matmul_dtype, len(weights), modulated, exact_first=True)
        self.outputs = weights[-1].shape[0]
        self.grads = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self.grad_modulation = torch.empty(0)

    @torch.no_grad()
    def __call__(
        self,
        coords: Tensor,
        targets: Tensor,
        sample_weights: Tensor | None = None,
        *,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """Mean loss over all N C values, `[]` float64; sets `.grad` of every weight and bias.

        coords: `[N, D]`. targets: `[N, C]`. sample_weights: `[N]`, multiply the losses of each point before the mean.
        modulation: as in `fields.ops.mlp.mlp`; its gradient is left in `grad_modulation`.
        """
        loss = self.gradients(coords, targets, sample_weights, modulation=modulation)
        for leaf, grad in zip(self.parameters, self.grads):
            leaf.grad = grad
        return loss

    @torch.no_grad()
    def gradients(
        self,
        coords: Tensor,
        targets: Tensor,
        sample_weights: Tensor | None = None,
        *,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """The same loss; the gradients are left in `grads`."""
        parameters, grads = self.parameters, self.grads
        if (modulation is None) == self.kernel.modulated:
            raise ValueError("a step has a modulation if and only if its network is modulated")
        if modulation is not None:
            check_modulation(modulation, [len(coords)], self.kernel.matrices, self.kernel.activation)
            if modulation.dtype != torch.float32:
                raise ValueError(f"the modulation must be float32, not {modulation.dtype}")
            modulation = modulation.contiguous()
            self.grad_modulation = torch.empty_like(modulation)
            parameters, grads = [*parameters, modulation], [*grads, self.grad_modulation]
        coords, targets = coords.contiguous(), targets.contiguous()
        check_batch(coords, targets, self.outputs, sample_weights)
        if coords.shape[1] != self.dimensions or coords.dtype != torch.float32:
            raise ValueError(f"coords must be float32 [N, {self.dimensions}], not {coords.dtype} {list(coords.shape)}")
        loss = torch.zeros((), dtype=torch.float64)
        matrix = self.encoding.matrix
        call = NetworkStepCall(
            mlp=self.kernel.record(parameters, grads),
            points=len(coords),
            num_threads=torch.get_num_threads(),
            dimensions=self.dimensions,
            encoding=ENCODINGS.index(self.encoding.kind),
            frequencies=0 if matrix is None else len(matrix),
            input_scale=self.encoding.scale,
            input_offset=self.encoding.offset,
            value_scale=self.value_scale,
            value_offset=self.value_offset,
            loss=LOSSES.index(self.loss),
            sigmoid=self.sigmoid,
            coords=coords.data_ptr(),
            targets=targets.data_ptr(),
            loss_value=loss.data_ptr(),
        )
        if matrix is not None:
            call.matrix = matrix.data_ptr()
        if sample_weights is not None:
            sample_weights = sample_weights.contiguous()
            call.sample_weights = sample_weights.data_ptr()
        cuda_ext.load("cpu").fs_network_gradients(ctypes.byref(call))
        return loss


def network_step_reference(
    coords: Tensor,
    targets: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor] | None,
    *,
    encoding: InputEncoding,
    activation: ActivationShape,
    sigmoid: bool = False,
    value_scale: float = 1.0,
    value_offset: float = 0.0,
    loss: Loss = "l2",
    sample_weights: Tensor | None = None,
    modulation: Tensor | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Mean loss, and the gradients of weights, biases and modulation, in plain torch.

    The native pass is tested against it.
    """
    given = [*weights, *(biases or ()), *(() if modulation is None else (modulation,))]
    leaves = [t.detach().clone().requires_grad_() for t in given]
    count = len(weights)
    own_biases = leaves[count : len(leaves) - (modulation is not None)]
    values = activation.reference(
        encoding.reference(coords), leaves[:count], own_biases or None, None if modulation is None else leaves[-1]
    )
    if sigmoid:
        values = torch.sigmoid(values)
    losses = point_losses(values * value_scale + value_offset, targets, loss)
    if sample_weights is not None:
        losses = losses * sample_weights.unsqueeze(-1)
    mean = losses.mean()
    return mean.detach(), list(torch.autograd.grad(mean, leaves))
