"""Nearest neighbours: the nearest of a set of centres for each point, by Euclidean distance."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends, rbf_cuda

# Neighbours per point; a limit of the native search.
MAX_NEAREST = 32
# Distances that the reference holds at a time.
PAIRS_PER_PIECE = 1 << 22


def nearest(coords: Tensor, centres: Tensor, count: int, backend: backends.Backend = "auto") -> Tensor:
    """Indices of the `count` centres nearest to each point, nearest first: `[..., count]` int32.

    coords: `[..., D]`; centres: `[N, D]`; D from 1 to 3. Finite, compared in float32. Of equally near centres the one
        with the lower index comes first.
    count: at most 32, and at most N.
    backend: as in `hash_grid`. On the CPU the native search builds a k-d tree at each call, which takes a few
        milliseconds for 25,000 centres. On CUDA it compares all pairs.

    Distances are Euclidean, as in Chen et al. 2023, not those of the kernels' own shapes. The result carries no
    gradients.

    Raises ValueError for other shapes, values that are not finite, and an impossible count.
    """
    if centres.ndim != 2 or not 1 <= centres.shape[1] <= 3 or not len(centres):
        raise ValueError(f"centres must be [N, 1 to 3], not {list(centres.shape)}")
    if coords.ndim < 1 or coords.shape[-1] != centres.shape[1]:
        raise ValueError(f"coords must be [..., {centres.shape[1]}], not {list(coords.shape)}")
    if coords.device != centres.device:
        raise ValueError(f"coords and centres must be on one device, not {coords.device} and {centres.device}")
    max_count = min(MAX_NEAREST, len(centres))
    if not 1 <= count <= max_count:
        raise ValueError(f"the count of neighbours must be 1 to {max_count}, not {count}")
    points, centres = (t.detach().reshape(-1, centres.shape[1]).float().contiguous() for t in (coords, centres))
    # On a GPU the check would have to wait for the device.
    if backends.device_type(points) == "cpu" and not bool(points.isfinite().all() and centres.isfinite().all()):
        raise ValueError("coords and centres must be finite")
    if backends.choose(backend, backends.device_type(coords)) == "torch":
        found = nearest_reference(points, centres, count)
    else:
        found = _nearest_native(points, centres, count)
    return found.reshape(*coords.shape[:-1], count)


def nearest_reference(coords: Tensor, centres: Tensor, count: int) -> Tensor:
    """`nearest` in plain torch, from all distances `[B, N]`, for float32. The search is tested against it."""
    indices = torch.arange(len(centres), device=coords.device)
    parts = []
    for part in coords.split(max(1, PAIRS_PER_PIECE // len(centres))):
        squares = torch.zeros(len(part), len(centres), dtype=coords.dtype, device=coords.device)
        for axis in range(coords.shape[1]):
            offsets = part[:, axis, None] - centres[None, :, axis]
            squares += offsets * offsets
        # Floats that are not negative have the order of their bits. The index in the low bits decides between equals.
        keys = squares.view(torch.int32).long() << 32 | indices
        parts.append((keys.topk(count, largest=False).values & 0xFFFFFFFF).to(torch.int32))
    return torch.cat(parts) if parts else torch.empty(0, count, dtype=torch.int32, device=coords.device)


class NearestCall(ctypes.Structure):
    """`NearestCall` in csrc/common/neighbours.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("dimensions", "neighbours", "num_threads")),
        ("points", ctypes.c_int64),
        ("num_centres", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("coords", "centres", "nearest")),
    ]


def _nearest_native(coords: Tensor, centres: Tensor, count: int) -> Tensor:
    found = torch.empty(len(coords), count, dtype=torch.int32, device=coords.device)
    call = NearestCall(
        dimensions=coords.shape[1],
        neighbours=count,
        num_threads=torch.get_num_threads(),
        points=len(coords),
        num_centres=len(centres),
        coords=coords.data_ptr(),
        centres=centres.data_ptr(),
        nearest=found.data_ptr(),
    )
    _run(call, coords.device)
    return found


def _run(call: NearestCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        rbf_cuda.nearest(call, device)
    else:
        cuda_ext.load(backends.device_type(device)).fs_nearest(ctypes.byref(call))
