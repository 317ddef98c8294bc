"""How the functions of the CUDA library are called: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor

import cuda_ext

# What a function returns and takes: the call, the device's number, the stream, and where it needs one a workspace and its bytes.
Signature = tuple[type, list[type]]
PLAIN: Signature = (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p])
WITH_WORKSPACE: Signature = (ctypes.c_int32, [*PLAIN[1], ctypes.c_void_p, ctypes.c_int64])
ALIGNMENT = 16  # bytes: the kernels read and write rows as vectors


class CudaFunctions:
    """The functions of one header, by name."""

    def __init__(self, signatures: Mapping[str, Signature]) -> None:
        self.signatures = signatures

    def library(self) -> ctypes.CDLL:
        """The CUDA library with these functions' types set; RuntimeError if it is absent."""
        return self.declare(cuda_ext.load("cuda"))

    @cache  # noqa: B019  (there are as many as there are headers)
    def declare(self, library: ctypes.CDLL) -> ctypes.CDLL:
        for name, (result, arguments) in self.signatures.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        return library

    def run(
        self, name: str, call: ctypes.Structure, device: torch.device, what: str, workspace: Tensor | None = None
    ) -> None:
        """Starts `name`. RuntimeError with the driver's words where that fails; `what` is the operation, for people."""
        library = self.library()
        arguments = [ctypes.addressof(call), device.index, stream(device)]
        if self.signatures[name] == WITH_WORKSPACE:
            # It is freed when this returns, and the allocator hands it on to this stream alone, behind the kernels.
            arguments += [None, 0] if workspace is None else [workspace.data_ptr(), workspace.numel()]
        check(library, getattr(library, name)(*arguments), what)

    def workspace(self, name: str, device: torch.device, what: str, *arguments: object) -> Tensor:
        """Fresh bytes, as many as the function `name` asks for of these arguments (below 0: it failed)."""
        library = self.library()
        size = getattr(library, name)(*arguments)
        check(library, -min(0, size), what)
        return torch.empty(size, dtype=torch.uint8, device=device)


def check(library: ctypes.CDLL, status: int, what: str) -> None:
    if status:
        library.fs_error.restype, library.fs_error.argtypes = ctypes.c_char_p, [ctypes.c_int32]
        raise RuntimeError(f"{what} failed on the GPU: {library.fs_error(status).decode()}")


def stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream


def ready(tensor: Tensor) -> Tensor:
    """The tensor, or a copy of it, as the kernels want it: contiguous, and aligned even if it is a part of another."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor
