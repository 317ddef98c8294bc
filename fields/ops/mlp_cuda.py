"""The MLP's CUDA calls: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

import cuda_ext
from fields.ops.hash_grid_cuda import ready as ready

# `csrc/cuda/mlp.h`: what each function returns and takes. The first argument points to an `MlpCall`.
_RUN = (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64])
SIGNATURES = {
    "fs_mlp_forward": _RUN,
    "fs_mlp_backward": _RUN,
    "fs_mlp_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
}
# Gradients go through half-precision products as if their largest were this.
LARGEST_GRADIENT = 64.0


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`fs_mlp_forward` or `fs_mlp_backward`."""
    library = declare(cuda_ext.load("cuda"))
    size = library.fs_mlp_workspace(ctypes.addressof(call), name == "fs_mlp_backward")
    _check(library, -min(0, size))
    # It is freed when this returns, and the allocator hands it on to this stream alone, behind the kernels.
    workspace = torch.empty(max(1, size), dtype=torch.uint8, device=device)
    _check(library, getattr(library, name)(ctypes.addressof(call), device.index, _stream(device), workspace.data_ptr(), size))


def why_too_large(call: ctypes.Structure) -> str | None:
    """One line saying why a block of threads cannot hold so large an MLP, or None if it can."""
    if declare(cuda_ext.load("cuda")).fs_mlp_workspace(ctypes.addressof(call), True) < 0:
        return "an MLP of so many and wide layers does not fit into the GPU's shared memory"
    return None


def half_range(grad: Tensor) -> Tensor:
    """The factor that brings gradients into half's range: a number on their device, so that nothing is waited for."""
    return LARGEST_GRADIENT / grad.abs().amax().clamp_min(1e-30) if grad.numel() else grad.new_ones(())


@cache
def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with its functions' types set."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.fs_error.restype, library.fs_error.argtypes = ctypes.c_char_p, [ctypes.c_int32]
    return library


def _stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream


def _check(library: ctypes.CDLL, status: int) -> None:
    if status:
        raise RuntimeError(f"the MLP failed on the GPU: {library.fs_error(status).decode()}")
