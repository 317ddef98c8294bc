"""Call functions of the CUDA library on the tensors' device and in its current stream, without waiting for results."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

import cuda_ext

# Result type and argument types of a C function.
Signature = tuple[type, list[type]]
# A status from (call, device index, stream).
PLAIN: Signature = (ctypes.c_int32, [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p])
# A status from (call, device index, stream, workspace, its bytes).
WITH_WORKSPACE: Signature = (ctypes.c_int32, [*PLAIN[1], ctypes.c_void_p, ctypes.c_int64])
# Functions of every CUDA library (`csrc/cuda/interface.h`).
INTERFACE: dict[str, Signature] = {"fs_error": (ctypes.c_char_p, [ctypes.c_int32])}
# Alignment of tensors in bytes: the kernels read and write rows as vectors of this size.
ALIGNMENT = 16


class CudaFunctions:
    """Functions of one header of the CUDA library, with their signatures."""

    def __init__(self, signatures: Mapping[str, Signature]) -> None:
        self.signatures = signatures

    def library(self) -> ctypes.CDLL:
        """The CUDA library with the types of these functions declared. RuntimeError if it is absent."""
        return self.declare(cuda_ext.load("cuda"))

    @cache  # noqa: B019  there are only as many instances as headers, and they live as long as the process
    def declare(self, library: ctypes.CDLL) -> ctypes.CDLL:
        """Declare the types of these functions and of INTERFACE in `library`, and return it."""
        for name, (result, arguments) in {**INTERFACE, **self.signatures}.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        return library

    def run(
        self,
        name: str,
        call: ctypes.Structure,
        device: torch.device,
        *,
        operation: str,
        workspace: Tensor | None = None,
    ) -> None:
        """Start the kernels of function `name`. RuntimeError with the driver's message if that fails.

        operation: name of the operation for the error message.
        """
        library = self.library()
        arguments: list[Any] = [ctypes.addressof(call), index_of(device), stream(device)]
        if self.signatures[name] == WITH_WORKSPACE:
            # The workspace is freed when this returns. The allocator only reuses it in this stream, after the kernels.
            arguments += [None, 0] if workspace is None else [workspace.data_ptr(), workspace.numel()]
        check(library, getattr(library, name)(*arguments), operation)

    def workspace(self, name: str, device: torch.device, operation: str, *arguments: object) -> Tensor:
        """Uninitialised bytes on `device`, as many as the function `name` returns for these arguments.

        A negative size is an error code: RuntimeError.
        """
        library = self.library()
        size = getattr(library, name)(*arguments)
        check(library, -min(0, size), operation)
        return torch.empty(size, dtype=torch.uint8, device=device)


def check(library: ctypes.CDLL, status: int, operation: str) -> None:
    """Raise RuntimeError with the driver's message unless `status` is 0. The library comes from `CudaFunctions`."""
    if status:
        raise RuntimeError(f"{operation} failed on the GPU: {library.fs_error(status).decode()}")


def index_of(device: torch.device) -> int:
    """Number of a tensor's device. That of the CPU, where kernels are compiled for the host, has none and gets 0."""
    return device.index or 0


def stream(device: torch.device) -> int:
    """Handle of the current CUDA stream of `device`."""
    return torch.cuda.current_stream(device).cuda_stream


def ready(tensor: Tensor) -> Tensor:
    """The tensor, or a copy if it is not contiguous or (as a slice of another tensor) not aligned for the kernels."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT else tensor
