"""Adam (Kingma and Ba 2015), with tiny-cuda-nn's rule for tables, and Muon for matrices of groups that ask for it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends
from fields.ops.cuda_calls import PLAIN, CudaFunctions
from fields.ops.muon import muon

# Steps after which both bias corrections are 1 in float32, for the decays in use (0.999^20000 < 2^-28).
BIAS_CORRECTION_STEPS = 20000
# Elements of a parameter below which one thread updates it: starting more would take longer than the update.
MIN_PARALLEL_ELEMENTS = 1 << 14
# `csrc/cuda/adam.h`
CUDA = CudaFunctions({"fs_adam": PLAIN})


class Adam:
    """Adam without weight decay; parameter groups have `lr`, `betas`, `eps`, `sparse` and `orthogonal`.

    In a group with `sparse=True` (tables, of which a step touches only a part) an element whose gradient is exactly
    zero keeps its value, its moments and its own step count, by which the bias is corrected: tiny-cuda-nn's rule. The
    defaults of `betas` and `eps` are those of Müller et al. 2022, section 4.

    A group with `orthogonal=True` has matrices only, which `fields.ops.muon` updates, with the first of `betas`.

    Not a `torch.optim.Optimizer`: creating one imports torch's compiler, which takes two seconds.
    """

    def __init__(
        self,
        groups: Sequence[dict],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-15,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "sparse": False, "orthogonal": False}
        self.param_groups = [{**defaults, **group, "params": list(group["params"])} for group in groups]
        # One entry per parameter, in the order of the groups: the moments "mean" and "square", and "steps" (int32); of
        # matrices that are updated orthogonally "mean" alone.
        self.state = [
            {"mean": torch.zeros_like(p, requires_grad=False)}
            if group["orthogonal"]
            else _initial_state(p, group["sparse"])
            for group in self.param_groups
            for p in group["params"]
        ]

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter from its `.grad`. A parameter whose `.grad` is None is skipped."""
        states = iter(self.state)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = next(states)
                if parameter.grad is not None and group["orthogonal"]:
                    muon(parameter, parameter.grad, **state, lr=group["lr"], decay=group["betas"][0])
                elif parameter.grad is not None:
                    update = adam_native if _native(parameter) else adam_reference
                    hyperparameters = {key: group[key] for key in ("lr", "betas", "eps", "sparse")}
                    update(parameter, parameter.grad, **state, **hyperparameters)

    def state_dict(self) -> dict[int, dict[str, Tensor]]:
        """Moments and step counts by the index of the parameter. The tensors share memory with the optimizer."""
        return dict(enumerate(self.state))

    def load_state_dict(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Copy the tensors of a `state_dict` into this optimizer.

        Raises KeyError or RuntimeError if they belong to other parameters.
        """
        for index, own in enumerate(self.state):
            for name, tensor in own.items():
                tensor.copy_(state[index][name])


def _initial_state(parameter: Tensor, sparse: bool) -> dict[str, Tensor]:
    steps = torch.zeros(parameter.shape if sparse else (), dtype=torch.int32, device=parameter.device)
    return {
        "mean": torch.zeros_like(parameter, requires_grad=False),
        "square": torch.zeros_like(parameter, requires_grad=False),
        "steps": steps,
    }


def adam_reference(
    weight: Tensor,
    gradient: Tensor,
    *,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    sparse: bool,
) -> None:
    """Update weight, moments and step counts in place, in plain torch.

    Algorithm 1 of Kingma and Ba 2015, with the bias corrections in the order of its section 2.

    weight, gradient, mean, square: one shape and dtype; steps: int32, of the same shape if `sparse`, else `[]`.
    """
    if sparse:
        index = (gradient != 0).nonzero(as_tuple=True)
        tensors = (weight, gradient, mean, square, steps)
        touched = [tensor[index] for tensor in tensors]
        adam_reference(
            *touched[:2],
            mean=touched[2],
            square=touched[3],
            steps=touched[4],
            lr=lr,
            betas=betas,
            eps=eps,
            sparse=False,
        )
        for tensor, part in zip(tensors, touched):
            tensor[index] = part
        return
    steps += 1
    mean.lerp_(gradient, 1 - betas[0])
    square.lerp_(gradient * gradient, 1 - betas[1])
    rate = lr * torch.sqrt(1 - betas[1] ** steps.to(weight.dtype)) / (1 - betas[0] ** steps.to(weight.dtype))
    weight -= rate * mean / (square.sqrt() + eps)


class AdamCall(ctypes.Structure):
    """`AdamCall` in csrc/common/adam.h."""

    _fields_ = [
        ("count", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient", "mean", "square", "steps", "rate")),
        *((name, ctypes.c_int32) for name in ("max_steps", "sparse", "num_threads")),
        *((name, ctypes.c_float) for name in ("mean_decay", "square_decay", "epsilon")),
    ]


def _native(parameter: Tensor) -> bool:
    return (
        parameter.dtype == torch.float32
        and parameter.is_contiguous()
        and backends.choose("auto", backends.device_type(parameter)) == "native"
    )


def adam_native(
    weight: Tensor,
    gradient: Tensor,
    *,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    sparse: bool,
) -> None:
    """`adam_reference` by the compiled kernels, for float32 tensors."""
    gradient = gradient.contiguous()
    if not sparse:
        steps += 1
    rates = _bias_corrections(*betas, weight.device) * lr
    call = AdamCall(
        count=weight.numel(),
        weight=weight.data_ptr(),
        gradient=gradient.data_ptr(),
        mean=mean.data_ptr(),
        square=square.data_ptr(),
        steps=steps.data_ptr(),
        rate=rates.data_ptr(),
        max_steps=BIAS_CORRECTION_STEPS - 1,
        sparse=sparse,
        num_threads=torch.get_num_threads() if weight.numel() > MIN_PARALLEL_ELEMENTS else 1,
        mean_decay=betas[0],
        square_decay=betas[1],
        epsilon=eps,
    )
    _run(call, weight.device)


def _run(call: AdamCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        run_cuda(call, device)
    else:
        cuda_ext.load("cpu").fs_adam(ctypes.byref(call))


def run_cuda(call: AdamCall, device: torch.device) -> None:
    """Start the update in the device's current stream, without waiting for it."""
    CUDA.run("fs_adam", call, device, operation="Adam")


@lru_cache(maxsize=8)
def _bias_corrections(mean_decay: float, square_decay: float, device: torch.device) -> Tensor:
    """`sqrt(1 - b2^s) / (1 - b1^s)` float32 for steps s from 0 to BIAS_CORRECTION_STEPS - 1.

    The entry of s = 0 is 0; no step uses it.
    """
    steps = torch.arange(BIAS_CORRECTION_STEPS, dtype=torch.float64)
    factor = torch.sqrt(1 - square_decay**steps) / (1 - mean_decay**steps)
    factor[0] = 0.0
    return factor.float().to(device)
