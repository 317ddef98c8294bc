"""Choose the implementation of an operation, and say why a faster one is not used."""

from __future__ import annotations

import ctypes
from typing import Literal

import torch
from torch import Tensor

import cuda_ext

Backend = Literal["auto", "native", "torch"]


def tracing() -> bool:
    """Whether an exporter or compiler is recording the graph. Native calls would be invisible to it."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]


def device_type(of: Tensor | torch.device) -> str:
    """The type of a tensor's or of a given device, which decides whose library serves it.

    Tests answer "cuda" for tensors on the CPU, and reach the CUDA kernels, compiled for the host, as a GPU's would.
    """
    return (of.device if isinstance(of, Tensor) else of).type


def why_not_native(device: str = "cpu") -> str | None:
    """Reason why no native library serves tensors on `device` ("cpu", "cuda", ...) in one line, or None if one does."""
    if device not in ("cpu", "cuda"):
        return f"there is no native library for {device} tensors"
    return cuda_ext.why_absent(device)


def choose(backend: Backend, device: str = "cpu") -> Literal["native", "torch"]:
    """Implementation that serves the requested backend on `device`.

    "auto" is the native library where there is one, else plain torch, and always plain torch while `tracing()`.

    Raises ValueError for an unknown backend and RuntimeError if "native" is requested and absent.
    """
    if backend not in ("auto", "native", "torch"):
        raise ValueError(f"the backend is auto, native or torch, not {backend!r}")
    if backend == "torch" or (backend == "auto" and tracing()):
        return "torch"
    reason = why_not_native(device)
    if reason and backend == "native":
        raise RuntimeError(f"the native backend is absent: {reason}")
    return "torch" if reason else "native"


def name(device: str = "cpu") -> str:
    """Name of the backend that "auto" chooses on `device`: native-cpu, native-cuda or torch."""
    return f"native-{device}" if choose("auto", device) == "native" else "torch"


def instruction_set() -> str | None:
    """Vector instructions that the native CPU library uses: "baseline", "avx2" or "avx512"; None if it is absent."""
    if cuda_ext.why_absent("cpu"):
        return None
    function = cuda_ext.load("cpu").fs_isa
    function.restype = ctypes.c_char_p
    return function().decode()
