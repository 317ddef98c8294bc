"""factor_grid's CUDA calls: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

import cuda_ext

# `csrc/cuda/factor_grid.h`: what each function returns and takes. The first argument points to a `FactorCall`.
SIGNATURES = {
    "fs_factor_grid_forward": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]),
    "fs_factor_grid_backward": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]),
    "fs_factor_grid_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
# What fits into the arguments of a kernel.
MOST_RULERS, MOST_FACTORS = 48, 40


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`fs_factor_grid_forward` or `fs_factor_grid_backward`.

    Under `torch.use_deterministic_algorithms(True)` the tables' gradient is summed in a fixed order, which is slower. ValueError for
    layouts of more factors than a kernel is told of.
    """
    if call.rulers > MOST_RULERS or call.factors > MOST_FACTORS:
        raise ValueError(f"factor_grid on a GPU takes at most {MOST_FACTORS} factors and {MOST_RULERS} different axes and node counts, "
                         f"not {call.factors} and {call.rulers}; use backend='torch'")
    library = declare(cuda_ext.load("cuda"))
    arguments = [ctypes.addressof(call), device.index, _stream(device)]
    if name == "backward":
        workspace = None
        if call.grad_table and call.points and torch.are_deterministic_algorithms_enabled():
            workspace = _workspace(library, call, device)
        # It is freed when this returns, and the allocator hands it on to this stream alone, behind the kernels.
        arguments += [None, 0] if workspace is None else [workspace.data_ptr(), workspace.numel()]
    _check(library, getattr(library, f"fs_factor_grid_{name}")(*arguments))


def _workspace(library: ctypes.CDLL, call: ctypes.Structure, device: torch.device) -> Tensor:
    size = library.fs_factor_grid_workspace(ctypes.addressof(call), device.index)
    _check(library, -min(0, size))
    return torch.empty(size, dtype=torch.uint8, device=device)


@cache
def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with its functions' types set."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.fs_error.restype = ctypes.c_char_p
    return library


def _stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream


def _check(library: ctypes.CDLL, status: int) -> None:
    if status:
        raise RuntimeError(f"factor_grid failed on the GPU: {library.fs_error(status).decode()}")
