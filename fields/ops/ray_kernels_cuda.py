"""The ray operations' CUDA calls: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes
from functools import cache

import torch

import cuda_ext

# `csrc/cuda/rays.h`: what each function takes; the first argument points to its call. They return cudaError_t.
NAMES = ("ray_box", "march_count", "march_write", "composite_forward", "composite_backward", "distortion", "importance")
SIGNATURES = {f"fs_{name}": (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p]) for name in NAMES}


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    library = declare(cuda_ext.load("cuda"))
    status = getattr(library, f"fs_{name}")(ctypes.addressof(call), device.index, _stream(device))
    if status:
        library.fs_error.restype, library.fs_error.argtypes = ctypes.c_char_p, [ctypes.c_int32]
        raise RuntimeError(f"{name} failed on the GPU: {library.fs_error(status).decode()}")


@cache
def declare(library: ctypes.CDLL) -> ctypes.CDLL:
    """The library with its functions' types set."""
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream
