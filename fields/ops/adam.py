"""Adam (Kingma and Ba 2015), with tiny-cuda-nn's rule for tables."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends
from fields.ops.cuda_calls import PLAIN, CudaFunctions

# Beyond this many steps the corrections of both biases are 1 in float32 for the decays in use (0.999^20000 < 2^-28).
SETTLED = 20000
CUDA = CudaFunctions({"fs_adam": PLAIN})  # csrc/cuda/adam.h


class Adam:
    """Adam without weight decay; parameter groups have `lr`, `betas`, `eps` and `sparse`.

    In a group with `sparse=True` (tables, of which a step touches a part) a number whose gradient is exactly zero
    keeps its value, its moments and its own step count, by which the bias is corrected: tiny-cuda-nn's rule. The
    defaults of `betas` and `eps` are those of Müller et al. 2022, section 4.

    Not a `torch.optim.Optimizer`: building one imports torch's compiler, which takes two seconds.
    """

    def __init__(
        self, groups: list[dict], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-15
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "sparse": False}
        self.param_groups = [{**defaults, **group, "params": list(group["params"])} for group in groups]
        # One entry a parameter, in the order of the groups: "mean" and "square" (its moments) and "steps" (int32).
        self.state = [_fresh_state(p, group["sparse"]) for group in self.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One update from the `.grad` of every parameter; those without one are passed over."""
        states = iter(self.state)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = next(states)
                if parameter.grad is not None:
                    update = adam_native if _native(parameter) else adam_reference
                    update(
                        parameter,
                        parameter.grad,
                        state["mean"],
                        state["square"],
                        state["steps"],
                        group["lr"],
                        group["betas"],
                        group["eps"],
                        group["sparse"],
                    )

    def state_dict(self) -> dict[int, dict[str, Tensor]]:
        """Moments and step counts by the number of the parameter; they share memory with the optimiser."""
        return dict(enumerate(self.state))

    def load_state_dict(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Copies what `state_dict` gave; KeyError or RuntimeError where it is of other parameters."""
        for index, own in enumerate(self.state):
            for name, tensor in own.items():
                tensor.copy_(state[index][name])


def _fresh_state(parameter: Tensor, sparse: bool) -> dict[str, Tensor]:
    steps = torch.zeros(parameter.shape if sparse else (), dtype=torch.int32, device=parameter.device)
    return {
        "mean": torch.zeros_like(parameter, requires_grad=False),
        "square": torch.zeros_like(parameter, requires_grad=False),
        "steps": steps,
    }


def adam_reference(
    weight: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    sparse: bool,
) -> None:
    """Updates weight, moments and step counts in place (algorithm 1 of the paper, its order of corrections)."""
    if sparse:
        touched = gradient != 0
        index = touched.nonzero(as_tuple=True)
        parts = [t[index] for t in (weight, gradient, mean, square, steps)]
        adam_reference(*parts, lr, betas, eps, sparse=False)
        for tensor, part in zip((weight, gradient, mean, square, steps), parts):
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
        *((name, ctypes.c_int32) for name in ("most_steps", "sparse", "workers")),
        *((name, ctypes.c_float) for name in ("mean_decay", "square_decay", "epsilon")),
    ]


def _native(parameter: Tensor) -> bool:
    return (
        parameter.dtype == torch.float32
        and parameter.is_contiguous()
        and backends.choose("auto", parameter.device.type) == "native"
    )


def adam_native(
    weight: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: Tensor,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    sparse: bool,
) -> None:
    """`adam_reference` by the compiled kernels; float32."""
    gradient = gradient.contiguous()
    if not sparse:
        steps += 1
    rates = _corrections(*betas, weight.device) * lr
    call = AdamCall(
        count=weight.numel(),
        weight=weight.data_ptr(),
        gradient=gradient.data_ptr(),
        mean=mean.data_ptr(),
        square=square.data_ptr(),
        steps=steps.data_ptr(),
        rate=rates.data_ptr(),
        most_steps=SETTLED - 1,
        sparse=sparse,
        workers=torch.get_num_threads() if weight.numel() > 1 << 14 else 1,
        mean_decay=betas[0],
        square_decay=betas[1],
        epsilon=eps,
    )
    _run(call, weight.device)


def _run(call: AdamCall, device: torch.device) -> None:
    if device.type == "cuda":
        run_cuda(call, device)
    else:
        cuda_ext.load("cpu").fs_adam(ctypes.byref(call))


def run_cuda(call: AdamCall, device: torch.device) -> None:
    """In the device's current stream, waiting for nothing."""
    CUDA.run("fs_adam", call, device, "Adam")


@lru_cache(maxsize=8)
def _corrections(mean_decay: float, square_decay: float, device: torch.device) -> Tensor:
    """`sqrt(1 - b2^s) / (1 - b1^s)` for s = 0 .. SETTLED - 1 (0 for s = 0, which never occurs); float32."""
    steps = torch.arange(SETTLED, dtype=torch.float64)
    factor = torch.sqrt(1 - square_decay**steps) / (1 - mean_decay**steps)
    factor[0] = 0.0
    return factor.float().to(device)
