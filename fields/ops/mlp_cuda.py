"""The MLP's CUDA calls."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from fields.ops.cuda_calls import WITH_WORKSPACE, CudaFunctions

# `csrc/cuda/mlp.h`; the first argument points to an `MlpCall`.
SIGNATURES = {
    "fs_mlp_forward": WITH_WORKSPACE,
    "fs_mlp_backward": WITH_WORKSPACE,
    "fs_mlp_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
# Gradients go through half-precision products as if their largest were this.
MAX_GRADIENT = 64.0
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`fs_mlp_forward` or `fs_mlp_backward`."""
    workspace = functions.workspace(
        "fs_mlp_workspace", device, "the MLP", ctypes.addressof(call), name == "fs_mlp_backward"
    )
    functions.run(name, call, device, "the MLP", workspace)


def why_too_large(call: ctypes.Structure) -> str | None:
    """One line saying why a block of threads cannot hold so large an MLP, or None if it can."""
    if functions.library().fs_mlp_workspace(ctypes.addressof(call), True) < 0:
        return "an MLP of so many and wide layers does not fit into the GPU's shared memory"
    return None


def half_range(grad: Tensor) -> Tensor:
    """The factor that brings gradients into half's range: a number on their device, so that nothing is waited for."""
    return MAX_GRADIENT / grad.abs().amax().clamp_min(1e-30) if grad.numel() else grad.new_ones(())
