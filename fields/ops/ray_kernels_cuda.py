"""CUDA functions of the ray operations."""

from __future__ import annotations

import ctypes

import torch

from fields.ops.cuda_calls import PLAIN, CudaFunctions

# `csrc/cuda/rays.h`; the first argument points to the operation's call structure.
NAMES = ("ray_box", "march_count", "march_write", "composite_forward", "composite_backward", "distortion", "importance")
SIGNATURES = {f"fs_{name}": PLAIN for name in NAMES}
functions = CudaFunctions(SIGNATURES)


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    """Start `fs_{name}` on `device`; `name` is one of NAMES."""
    functions.run(f"fs_{name}", call, device, operation=name)
