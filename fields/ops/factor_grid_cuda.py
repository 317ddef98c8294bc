"""CUDA functions of factor_grid."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import PLAIN, WITH_WORKSPACE, CudaFunctions, index_of

# `csrc/cuda/factor_grid.h`; the first argument points to a `FactorCall`.
SIGNATURES = {
    "fs_factor_grid_forward": PLAIN,
    "fs_factor_grid_backward": WITH_WORKSPACE,
    "fs_factor_grid_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
# Limits of a layout on the GPU, which a kernel takes as an argument.
MAX_GRID_AXES = 48
MAX_FACTORS = 40
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_factor_grid_{name}` with a `FactorCall`; `name` is "forward" or "backward".

    Under `torch.use_deterministic_algorithms(True)` the table's gradient is summed in a fixed order, which is slower.
    Raises ValueError for layouts beyond MAX_GRID_AXES or MAX_FACTORS.
    """
    if call.grid_axes > MAX_GRID_AXES or call.factors > MAX_FACTORS:
        raise ValueError(
            f"factor_grid on a GPU takes at most {MAX_FACTORS} factors and {MAX_GRID_AXES} different pairs of axis and "
            f"node count, not {call.factors} and {call.grid_axes}; use backend='torch'"
        )
    workspace = None
    if name == "backward" and call.grad_table and call.points and torch.are_deterministic_algorithms_enabled():
        workspace = functions.workspace(
            "fs_factor_grid_workspace", device, "factor_grid", ctypes.addressof(call), index_of(device)
        )
    functions.run(f"fs_factor_grid_{name}", call, device, operation="factor_grid", workspace=workspace)
