"""CUDA functions of the hash grid."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import PLAIN, WITH_WORKSPACE, CudaFunctions, index_of

# `csrc/cuda/hash_grid.h`; the first argument points to a `GridCall`.
SIGNATURES = {
    "fs_hash_grid_forward": PLAIN,
    "fs_hash_grid_backward": WITH_WORKSPACE,
    "fs_hash_grid_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_hash_grid_{name}` with a `GridCall`; `name` is "forward" or "backward".

    Under `torch.use_deterministic_algorithms(True)` the table's gradient is summed in a fixed order, which is slower.
    """
    workspace = None
    if name == "backward" and call.grad_table and call.points and torch.are_deterministic_algorithms_enabled():
        workspace = functions.workspace(
            "fs_hash_grid_workspace", device, "hash_grid", ctypes.addressof(call), index_of(device)
        )
    functions.run(f"fs_hash_grid_{name}", call, device, operation="hash_grid", workspace=workspace)
