"""CUDA functions of radial basis functions."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import PLAIN, WITH_WORKSPACE, CudaFunctions, index_of

# `csrc/cuda/rbf_gather.h`, `gaussian_layer.h` and `neighbours.h`; the first argument points to the operation's call.
SIGNATURES = {
    "fs_rbf_gather_forward": PLAIN,
    "fs_rbf_gather_backward": WITH_WORKSPACE,
    "fs_rbf_gather_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
    "fs_gaussian_layer_forward": PLAIN,
    "fs_gaussian_layer_backward": WITH_WORKSPACE,
    "fs_gaussian_layer_workspace": (ctypes.c_int64, [ctypes.c_void_p]),
    "fs_nearest": PLAIN,
}
functions = CudaFunctions(SIGNATURES)


def rbf_gather(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_rbf_gather_{name}` with an `RbfCall`; `name` is "forward" or "backward".

    Under `torch.use_deterministic_algorithms(True)` gradients are summed in a fixed order, which is slower.
    """
    workspace = None
    if name == "backward" and torch.are_deterministic_algorithms_enabled() and call.points:
        workspace = functions.workspace(
            "fs_rbf_gather_workspace", device, "rbf_gather", ctypes.addressof(call), index_of(device)
        )
    functions.run(f"fs_rbf_gather_{name}", call, device, operation=f"rbf_gather_{name}", workspace=workspace)


def gaussian_layer(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_gaussian_layer_{name}` with a `GaussianCall`; sums are always in a fixed order."""
    workspace = None
    if name == "backward":
        workspace = functions.workspace("fs_gaussian_layer_workspace", device, "gaussian_layer", ctypes.addressof(call))
    functions.run(f"fs_gaussian_layer_{name}", call, device, operation=f"gaussian_layer_{name}", workspace=workspace)


def nearest(call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_nearest` with a `NearestCall`."""
    functions.run("fs_nearest", call, device, operation="nearest")
