"""Values, losses and gradients of many tri-planes, each with a small network, as one batch.

The native pass, float32 on the CPU, gives each object to one thread, whose planes, network and gradients stay in the
near caches. The reference in plain torch serves GPUs, and judges the native pass.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

import cuda_ext
from fields.ops import backends
from fields.ops.fused_step import LOSSES, Loss, point_losses
from fields.ops.mlp import ActivationShape, MlpKernel, MlpRecord, activate, why_not_native_mlp

# Largest number of octaves of the native pass.
MAX_OCTAVES = 24
FUNCTION = "fs_plane_stack_gradients"


@dataclass(frozen=True)
class PlaneStackLayout:
    """Sizes that all objects of a stack share.

    nodes: of the planes along x, y and z; the first lies at 0 and the last at 1.
    features: channels of a plane. octaves: of the position that the network gets beside the features.
    """

    nodes: tuple[int, int, int]
    features: int
    octaves: int

    @property
    def planes(self) -> tuple[tuple[int, int], ...]:
        """Nodes (rows, columns) of the planes (x, y), (x, z) and (y, z); columns are along the first axis."""
        x, y, z = self.nodes
        return (y, x), (z, x), (z, y)

    @property
    def entries(self) -> int:
        """Nodes of all three planes."""
        return sum(rows * columns for rows, columns in self.planes)

    @property
    def inputs(self) -> int:
        """Inputs of the network."""
        return self.features + 3 * (2 * self.octaves + 1)


class PlaneStackCall(ctypes.Structure):
    """`PlaneStackCall` in csrc/cpu/plane_stack.h."""

    _fields_ = [
        ("mlp", MlpRecord),
        ("points", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("objects", "num_threads", "features", "octaves")),
        ("nodes", ctypes.c_int32 * 3),
        *((name, ctypes.c_int32) for name in ("loss", "shared")),
        *((name, ctypes.c_void_p) for name in ("table", "grad_table", "coords", "targets", "sample_weights", "losses")),
    ]


def plane_stack_values(
    coords: Tensor,
    table: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor],
    layout: PlaneStackLayout,
    activation: ActivationShape,
) -> Tensor:
    """Values `[n, P, C]` of n objects at P points each, in plain torch.

    coords: `[n, P, 3]` in [0, 1]; beyond, the features are those at the border.
    table: `[n, layout.entries, layout.features]`, the planes (x, y), (x, z), (y, z), of which the first axis varies
        fastest.
    weights, biases: of the networks, `[n, out, in]` and `[n, out]`; or n = 1 for one network of all objects.
    """
    n, points, _ = coords.shape
    p = coords * 2.0 - 1.0
    features = coords.new_zeros(n, layout.features, points)
    start = 0
    for (rows, columns), axes in zip(layout.planes, ([0, 1], [0, 2], [1, 2])):
        plane = table[:, start : start + rows * columns].reshape(n, rows, columns, -1).permute(0, 3, 1, 2)
        start += rows * columns
        at = p[..., axes].unsqueeze(2)
        found = functional.grid_sample(plane, at, mode="bilinear", padding_mode="border", align_corners=True)
        features = features + found.squeeze(-1)
    bands = 2.0 ** torch.arange(layout.octaves, dtype=p.dtype, device=p.device)
    phase = (p.unsqueeze(-2) * bands.unsqueeze(-1)).flatten(-2)
    h = torch.cat([features.transpose(1, 2), p, torch.sin(phase), torch.cos(phase)], dim=-1)
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        h = torch.baddbmm(bias.unsqueeze(1), h, weight.transpose(1, 2).expand(n, -1, -1))
        if i + 1 < len(weights):
            h = activate(h, activation.name, activation.omega if i else activation.first_omega, activation.scale)
    return h


def why_not_native(
    table: Tensor, weights: Sequence[Tensor], layout: PlaneStackLayout, shape: ActivationShape
) -> str | None:
    """Reason why the native pass cannot train this stack, in one line, or None if it can."""
    if backends.device_type(table) != "cpu":
        return "the pass over stacks of planes runs on the CPU"
    if reason := cuda_ext.why_absent("cpu"):
        return reason
    if not hasattr(cuda_ext.load("cpu"), FUNCTION):
        return f"the native library is older than {FUNCTION}; build it again"
    if any(t.dtype != torch.float32 for t in (table, *weights)):
        return "the pass over stacks of planes computes in float32"
    if layout.octaves > MAX_OCTAVES or min(layout.nodes) < 2:
        return f"planes need two nodes along each axis, and at most {MAX_OCTAVES} octaves"
    return why_not_native_mlp([weight[0] for weight in weights], shape)


class PlaneStackStep:
    """Losses and gradients of a stack's batch; the memory of the gradients is kept from call to call.

    table, weights, biases: as for `plane_stack_values`: contiguous float32 tensors. Their `.grad` is set by each call.
    loss: "l1", "l2" or "relative_l2", as in `fields.ops.fused_step`.

    The native pass and plain torch agree to 1e-5 relative; the native results have the same bits for any number of
    threads. Raises ValueError for wrong names, shapes and dtypes.
    """

    def __init__(
        self,
        table: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        layout: PlaneStackLayout,
        *,
        activation: ActivationShape,
        loss: Loss = "l1",
    ) -> None:
        if loss not in LOSSES:
            raise ValueError(f"the loss is l1, l2 or relative_l2, not {loss!r}")
        if table.ndim != 3 or tuple(table.shape[1:]) != (layout.entries, layout.features):
            raise ValueError(f"the table must be [n, {layout.entries}, {layout.features}], not {list(table.shape)}")
        self.objects = len(table)
        self.shared = len(weights[0]) == 1 and self.objects > 1
        networks = 1 if self.shared else self.objects
        width = layout.inputs
        for weight, bias in zip(weights, biases, strict=True):
            if weight.shape[0] != networks or weight.shape[2] != width or bias.shape != weight.shape[:2]:
                raise ValueError(f"a matrix is {list(weight.shape)} and its bias {list(bias.shape)}, of {width} inputs")
            width = weight.shape[1]
        self.parameters = [table, *weights, *biases]
        if any(not t.is_contiguous() for t in self.parameters):
            raise ValueError("table, weights and biases must be contiguous")
        self.table, self.weights, self.biases = table, list(weights), list(biases)
        self.layout, self.activation = layout, activation
        self.loss: Loss = loss
        self.outputs = width
        self.native = why_not_native(table, weights, layout, activation) is None
        self.kernel = MlpKernel(activation, "float32", len(weights))
        # Of a shared network, gradients of each object all the same.
        self._grads = [
            t.new_zeros(self.objects, *t.shape[1:], requires_grad=False)
            for t in (self.parameters if self.native else ())
        ]

    def __call__(self, coords: Tensor, targets: Tensor, sample_weights: Tensor | None = None) -> Tensor:
        """Mean loss of each object, `[n]` float64. The gradients are those of an object's own loss.

        So a stack trains like its objects one by one; a shared network gets the mean of its objects' gradients.

        coords: `[n, P, 3]`. targets: `[n, P, C]`. sample_weights: `[n, P]`, multiply the losses before the mean.
        """
        n, points = coords.shape[:2]
        if n != self.objects or coords.shape[2:] != (3,) or targets.shape != (n, points, self.outputs):
            raise ValueError(
                f"coords {list(coords.shape)} and targets {list(targets.shape)} are not [{self.objects}, P, 3] and "
                f"[{self.objects}, P, {self.outputs}]"
            )
        if sample_weights is not None and sample_weights.shape != (n, points):
            raise ValueError(f"sample_weights must be {[n, points]}, not {list(sample_weights.shape)}")
        return (self._native if self.native else self._torch)(coords, targets, sample_weights)

    @torch.no_grad()
    def _native(self, coords: Tensor, targets: Tensor, sample_weights: Tensor | None) -> Tensor:
        losses = torch.zeros(self.objects, dtype=torch.float64)
        held = {"coords": coords, "targets": targets, "sample_weights": sample_weights}
        held = {name: tensor.float().contiguous() for name, tensor in held.items() if tensor is not None}
        table, *networks = self.parameters
        grad_table, *grads = self._grads
        call = PlaneStackCall(
            mlp=self.kernel.record([p[0] for p in networks], [g[0] for g in grads]),
            points=coords.shape[1],
            objects=self.objects,
            num_threads=torch.get_num_threads(),
            features=self.layout.features,
            octaves=self.layout.octaves,
            loss=LOSSES.index(self.loss),
            shared=self.shared,
            table=table.data_ptr(),
            grad_table=grad_table.data_ptr(),
            losses=losses.data_ptr(),
            **{name: tensor.data_ptr() for name, tensor in held.items()},
        )
        call.nodes[:] = self.layout.nodes
        getattr(cuda_ext.load("cpu"), FUNCTION)(ctypes.byref(call))
        table.grad = grad_table
        for parameter, grad in zip(networks, grads):
            parameter.grad = grad.mean(dim=0, keepdim=True) if self.shared else grad
        return losses

    def _torch(self, coords: Tensor, targets: Tensor, sample_weights: Tensor | None) -> Tensor:
        leaves = [t.detach().requires_grad_() for t in self.parameters]
        count = len(self.weights)
        values = plane_stack_values(
            coords, leaves[0], leaves[1 : 1 + count], leaves[1 + count :], self.layout, self.activation
        )
        each = point_losses(values, targets, self.loss)
        if sample_weights is not None:
            each = each * sample_weights.unsqueeze(-1)
        losses = each.mean(dim=(1, 2))
        grads = torch.autograd.grad(losses.sum(), leaves)
        for i, (parameter, grad) in enumerate(zip(self.parameters, grads)):
            parameter.grad = grad / self.objects if self.shared and i else grad
        return losses.detach().double()
