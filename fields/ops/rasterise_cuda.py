"""CUDA functions of rasterisation."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import WITH_WORKSPACE, CudaFunctions

# `csrc/cuda/rasterise.h`; the first argument points to the operation's call.
SIGNATURES = {"fs_rasterise": WITH_WORKSPACE, "fs_rasterise_workspace": (ctypes.c_int64, [ctypes.c_void_p])}
functions = CudaFunctions(SIGNATURES)


def rasterise(call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_rasterise` with a `RasteriseCall`."""
    workspace = functions.workspace("fs_rasterise_workspace", device, "rasterise", ctypes.addressof(call))
    functions.run("fs_rasterise", call, device, operation="rasterise", workspace=workspace)
