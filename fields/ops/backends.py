"""Which implementation an operation runs on, and why it is not a faster one."""

from __future__ import annotations

import ctypes
from typing import Literal

import torch

import cuda_ext

Backend = Literal["auto", "native", "torch"]


def tracing() -> bool:
    """Whether an exporter is recording the graph: native calls would be invisible to it."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def why_not_native(device: str = "cpu") -> str | None:
    """One line saying why no native library serves tensors on `device` ("cpu", "cuda", ...), or None if one does."""
    if device not in ("cpu", "cuda"):
        return f"there is no native library for {device} tensors"
    return cuda_ext.why_absent(device)


def choose(backend: Backend, device: str = "cpu") -> Literal["native", "torch"]:
    """The implementation that serves `backend` on `device`. RuntimeError if "native" is asked for and absent."""
    if backend not in ("auto", "native", "torch"):
        raise ValueError(f"the backend is auto, native or torch, not {backend!r}")
    if backend == "torch" or (backend == "auto" and tracing()):
        return "torch"
    reason = why_not_native(device)
    if reason and backend == "native":
        raise RuntimeError(f"the native backend is absent: {reason}")
    return "torch" if reason else "native"


def name(device: str = "cpu") -> str:
    """What `--json` reports: `native-cpu`, `native-cuda` or `torch`."""
    return f"native-{device}" if choose("auto", device) == "native" else "torch"


def instruction_set() -> str | None:
    """The processor's vector instructions that the native CPU library uses: "baseline", "avx2" or "avx512"."""
    if cuda_ext.why_absent("cpu"):
        return None
    function = cuda_ext.load("cpu").fs_isa
    function.restype = ctypes.c_char_p
    return function().decode()
