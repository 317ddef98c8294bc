"""factor_grid's CUDA calls."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import PLAIN, WITH_WORKSPACE, CudaFunctions

# `csrc/cuda/factor_grid.h`; the first argument points to a `FactorCall`.
SIGNATURES = {
    "fs_factor_grid_forward": PLAIN,
    "fs_factor_grid_backward": WITH_WORKSPACE,
    "fs_factor_grid_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
# What fits into the arguments of a kernel.
MAX_RULERS, MAX_FACTORS = 48, 40
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`fs_factor_grid_forward` or `fs_factor_grid_backward`.

    Under `torch.use_deterministic_algorithms(True)` the tables' gradient is summed in a fixed order, which is slower. ValueError for
    layouts of more factors than a kernel is told of.
    """
    if call.rulers > MAX_RULERS or call.factors > MAX_FACTORS:
        raise ValueError(
            f"factor_grid on a GPU takes at most {MAX_FACTORS} factors and {MAX_RULERS} different axes and node counts, "
            f"not {call.factors} and {call.rulers}; use backend='torch'"
        )
    workspace = None
    if name == "backward" and call.grad_table and call.points and torch.are_deterministic_algorithms_enabled():
        workspace = functions.workspace(
            "fs_factor_grid_workspace", device, "factor_grid", ctypes.addressof(call), device.index
        )
    functions.run(f"fs_factor_grid_{name}", call, device, "factor_grid", workspace)
