"""The CUDA calls of radial basis functions: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes
from functools import cache

import torch
from torch import Tensor

import cuda_ext

# `csrc/cuda/rbf.h`: what each function returns and takes. The first argument points to its call.
_PLAIN = (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p])
_WITH_WORKSPACE = (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64])
SIGNATURES = {
    "fs_rbf_gather_forward": _PLAIN,
    "fs_rbf_gather_backward": _WITH_WORKSPACE,
    "fs_rbf_gather_workspace": (ctypes.c_int64, [ctypes.c_void_p, ctypes.c_int32]),
    "fs_gaussian_layer_forward": _PLAIN,
    "fs_gaussian_layer_backward": _WITH_WORKSPACE,
    "fs_gaussian_layer_workspace": (ctypes.c_int64, [ctypes.c_void_p]),
    "fs_nearest": _PLAIN,
}


def rbf_gather(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`forward` or `backward`; under `torch.use_deterministic_algorithms(True)` gradients are summed in a fixed order."""
    if name == "forward":
        return _run("rbf_gather_forward", call, device)
    workspace = None
    if torch.are_deterministic_algorithms_enabled() and call.points:
        library = declare(cuda_ext.load("cuda"))
        size = library.fs_rbf_gather_workspace(ctypes.addressof(call), device.index)
        _check(library, "rbf_gather", -min(0, size))
        workspace = _empty(size, device)
    return _run("rbf_gather_backward", call, device, workspace)


def gaussian_layer(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """`forward` or `backward`; sums are in a fixed order always."""
    if name == "forward":
        return _run("gaussian_layer_forward", call, device)
    library = declare(cuda_ext.load("cuda"))
    workspace = _empty(library.fs_gaussian_layer_workspace(ctypes.addressof(call)), device)
    return _run("gaussian_layer_backward", call, device, workspace)


def nearest(call: ctypes.Structure, device: torch.device) -> None:
    _run("nearest", call, device)


def _run(name: str, call: ctypes.Structure, device: torch.device, workspace: Tensor | None = None) -> None:
    library = declare(cuda_ext.load("cuda"))
    arguments = [ctypes.addressof(call), device.index, _stream(device)]
    if name.endswith("_backward"):
        # It is freed when this returns, and the allocator hands it on to this stream alone, behind the kernels.
        arguments += [None, 0] if workspace is None else [workspace.data_ptr(), workspace.numel()]
    _check(library, name, getattr(library, f"fs_{name}")(*arguments))


def _empty(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device if device.type == "cuda" else "cpu")


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


def _check(library: ctypes.CDLL, name: str, status: int) -> None:
    if status:
        raise RuntimeError(f"{name} failed on the GPU: {library.fs_error(status).decode()}")
