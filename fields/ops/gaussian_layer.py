"""Layer of Gaussian units in feature space (Bouzidi et al. 2025, "Gaussian Neural Fields")."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

import cuda_ext
from fields.ops import backends, rbf_cuda

# Limits of the native kernels.
MAX_INPUTS = 256
MAX_UNITS = 256
# Points whose second derivatives the reference computes together.
SECOND_ORDER_POINTS = 1 << 16


def gaussian_layer(features: Tensor, centres: Tensor, log_widths: Tensor, backend: backends.Backend = "auto") -> Tensor:
    """`exp(-q / 2)` with `q = sum_e exp(log_widths[n, e]) * (features[..., e] - centres[n, e])^2`: `[..., N]`.

    features: `[..., E]`.
    centres: `[N, E]`. E and N are at most 256.
    log_widths: logarithm of the inverse square of the widths, `[N, E]`, or `[N, 1]` for one width per unit.
    backend: as in `hash_grid`.

    All tensors are float32 or all float64, on one device. Differentiable twice in all of them, the second time through
    the reference, 65,536 points at a time; a third derivative raises RuntimeError. Native gradients of centres and
    widths are summed in a fixed order that does not depend on the number of threads.

    Raises ValueError for wrong shapes, dtypes or devices.
    """
    _check(features, centres, log_widths)
    log_widths = log_widths.expand_as(centres)
    if backends.choose(backend, backends.device_type(features)) == "torch":
        return gaussian_layer_reference(features, centres, log_widths)
    flat = features.reshape(-1, features.shape[-1])
    return _Forward.apply(flat, centres, log_widths).reshape(*features.shape[:-1], len(centres))


def gaussian_layer_reference(features: Tensor, centres: Tensor, log_widths: Tensor) -> Tensor:
    """`gaussian_layer` in plain torch by matrix products. The kernels are tested against it.

    The square is expanded, so that `[..., N, E]` is never built. In float32 the expansion loses about as many digits as
    `q` is smaller than its largest term.
    """
    return torch.exp(-0.5 * squared_distances(features, centres, log_widths))


def squared_distances(features: Tensor, centres: Tensor, log_widths: Tensor) -> Tensor:
    """The `q` of `gaussian_layer`, `[..., N]`, not negative."""
    beta = torch.exp(log_widths).expand_as(centres)
    scaled = beta * centres
    return ((features * features) @ beta.T - 2.0 * (features @ scaled.T) + (scaled * centres).sum(-1)).clamp_min(0.0)


def _check(features: Tensor, centres: Tensor, log_widths: Tensor) -> None:
    if centres.ndim != 2 or not 1 <= centres.shape[0] <= MAX_UNITS or not 1 <= centres.shape[1] <= MAX_INPUTS:
        raise ValueError(f"centres must be [1 to {MAX_UNITS}, 1 to {MAX_INPUTS}], not {list(centres.shape)}")
    units, inputs = centres.shape
    if features.ndim < 1 or features.shape[-1] != inputs:
        raise ValueError(f"features must be [..., {inputs}], not {list(features.shape)}")
    if tuple(log_widths.shape) not in ((units, inputs), (units, 1)):
        raise ValueError(f"log_widths must be [{units}, {inputs} or 1], not {list(log_widths.shape)}")
    tensors = (features, centres, log_widths)
    if features.dtype not in (torch.float32, torch.float64) or len({t.dtype for t in tensors}) > 1:
        raise ValueError(f"all tensors must be float32 or all float64, not {', '.join(str(t.dtype) for t in tensors)}")
    if len({t.device for t in tensors}) > 1:
        raise ValueError("all tensors must be on one device")


class GaussianCall(ctypes.Structure):
    """`GaussianCall` in csrc/common/gaussian_layer.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("inputs", "units", "is_double", "num_threads")),
        ("points", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in ("x", "centres", "log_widths", "grad", "output", "grad_x", "grad_centres", "grad_log_widths")
        ),
    ]


def _call(name: str, features: Tensor, centres: Tensor, log_widths: Tensor, **tensors: Tensor | None) -> None:
    named = {"x": features, "centres": centres, "log_widths": log_widths, **tensors}
    # The copies must outlive the call, so the dictionary holds them. Results are contiguous already.
    held = {key: t.contiguous() for key, t in named.items() if t is not None}
    call = GaussianCall(
        inputs=features.shape[1],
        units=len(centres),
        is_double=features.dtype == torch.float64,
        num_threads=torch.get_num_threads(),
        points=len(features),
        **{key: t.data_ptr() for key, t in held.items()},
    )
    _run(name, call, features.device)


def _run(name: str, call: GaussianCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        rbf_cuda.gaussian_layer(name, call, device)
    else:
        getattr(cuda_ext.load(backends.device_type(device)), f"fs_gaussian_layer_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, features: Tensor, centres: Tensor, log_widths: Tensor) -> Tensor:
        output = features.new_empty(len(features), len(centres))
        _call("forward", features, centres, log_widths, output=output)
        ctx.save_for_backward(features, centres, log_widths, output)
        return output

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        features, centres, log_widths, output = ctx.saved_tensors
        return _Backward.apply(features, centres, log_widths, grad, output.detach(), ctx.needs_input_grad)


class _Backward(Function):
    """Gradients as a function of the inputs and the output's gradient, so that they can be differentiated again.

    `output` is given as well because the kernels need it, but depends on the inputs.
    """

    @staticmethod
    def forward(
        ctx,
        features: Tensor,
        centres: Tensor,
        log_widths: Tensor,
        grad: Tensor,
        output: Tensor,
        needs: tuple[bool, ...],
    ):
        ctx.save_for_backward(features, centres, log_widths, grad)
        ctx.set_materialize_grads(False)
        gradients = [
            torch.empty_like(t, memory_format=torch.contiguous_format) if need else None
            for t, need in zip((features, centres, log_widths), needs)
        ]
        _call(
            "backward",
            features,
            centres,
            log_widths,
            grad=grad,
            output=output,
            **dict(zip(("grad_x", "grad_centres", "grad_log_widths"), gradients)),
        )
        return tuple(gradients)

    @staticmethod
    @once_differentiable
    def backward(ctx, *along: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        if all(t is None for t in along):
            return (None,) * 6
        features, centres, log_widths, grad = ctx.saved_tensors
        by_features, by_grad, by_centres, by_widths = [], [], torch.zeros_like(centres), torch.zeros_like(centres)
        for first in range(0, len(features), SECOND_ORDER_POINTS):
            part = slice(first, first + SECOND_ORDER_POINTS)
            directions = (None if along[0] is None else along[0][part], *along[1:])
            seconds = _second(features[part], centres, log_widths, grad=grad[part], along=directions)
            by_features.append(seconds[0])
            by_centres += seconds[1]
            by_widths += seconds[2]
            by_grad.append(seconds[3])
        if not by_features:
            return torch.zeros_like(features), by_centres, by_widths, torch.zeros_like(grad), None, None
        return torch.cat(by_features), by_centres, by_widths, torch.cat(by_grad), None, None


def _second(
    features: Tensor, centres: Tensor, log_widths: Tensor, *, grad: Tensor, along: Sequence[Tensor | None]
) -> list[Tensor]:
    """Gradients of `sum <along, gradients>` with respect to the inputs and `grad`, by the reference."""
    leaves = [t.detach().requires_grad_() for t in (features, centres, log_widths, grad)]
    used = [(leaf, direction) for leaf, direction in zip(leaves, along) if direction is not None]
    with torch.enable_grad():
        output = gaussian_layer_reference(*leaves[:3])
        firsts = torch.autograd.grad(output, [leaf for leaf, _ in used], leaves[3], create_graph=True)
        functional = reduce(torch.add, ((first * direction).sum() for first, (_, direction) in zip(firsts, used)))
    return list(torch.autograd.grad(functional, leaves))
