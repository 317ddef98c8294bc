"""The MLP's CUDA calls: on the tensors' device, in its current stream, waiting for nothing."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from fields.ops.hash_grid_cuda import ready as ready


def run(name: str, call: ctypes.Structure, device: torch.device) -> None:
    raise NotImplementedError
