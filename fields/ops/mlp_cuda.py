"""CUDA functions of the MLP."""

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
# Magnitude to which the largest gradient is scaled before products in float16: well inside its range (at most 65504),
# with room for sums over a layer, and far above its smallest values.
MAX_GRADIENT = 64.0
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `name`, "fs_mlp_forward" or "fs_mlp_backward", with an `MlpCall`."""
    workspace = functions.workspace(
        "fs_mlp_workspace", device, "the MLP", ctypes.addressof(call), name == "fs_mlp_backward"
    )
    functions.run(name, call, device, operation="the MLP", workspace=workspace)


def why_too_large(call: ctypes.Structure) -> str | None:
    """Reason why a block of threads cannot hold this MLP, in one line, or None if it can."""
    if functions.library().fs_mlp_workspace(ctypes.addressof(call), True) < 0:
        return "an MLP with so many and so wide layers does not fit into the GPU's shared memory"
    return None


def float16_scale(grad: Tensor) -> Tensor:
    """Factor that scales gradients into the range of float16: `[]` on their device, so that nothing waits for it."""
    return MAX_GRADIENT / grad.abs().amax().clamp_min(1e-30) if grad.numel() else grad.new_ones(())
