"""Intersection of rays with an axis-aligned box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.ray_kernels import BoxCall, run


def ray_box(
    origins: Tensor,
    directions: Tensor,
    lower: Tensor | Sequence[float],
    upper: Tensor | Sequence[float],
    *,
    backend: backends.Backend = "auto",
) -> tuple[Tensor, Tensor]:
    """Interval of each ray inside a box: `(near [N], far [N])` with 0 <= near <= far.

    origins, directions: `[N, 3]`, float32 or float64. Directions have any length except zero; near and far are in
        units of the direction.
    lower, upper: corners of the box, 3 values each.

    near is 0 if the origin is inside. A ray that misses the box, or has it behind, gets near = far = 0. A ray along a
    face counts as inside. The results carry no gradients.

    Raises ValueError for wrong shapes, an empty box, or rays that are not finite.
    """
    check_rays(origins, directions)
    box = [torch.as_tensor(corner, dtype=torch.float64, device="cpu").reshape(-1).tolist() for corner in (lower, upper)]
    if any(len(corner) != 3 for corner in box) or not all(-math.inf < a < b < math.inf for a, b in zip(*box)):
        raise ValueError(f"a box has three values per corner, the lower ones below the upper ones, not {box}")
    if backends.choose(backend, backends.device_type(origins)) == "torch":
        with torch.no_grad():
            return ray_box_reference(
                origins, directions, *torch.tensor(box, dtype=origins.dtype, device=origins.device)
            )
    origins, directions = origins.detach().contiguous(), directions.detach().contiguous()
    near, far = origins.new_empty(2, len(origins))
    run(
        "ray_box",
        BoxCall,
        origins,
        rays=len(origins),
        lower=tuple(box[0]),
        upper=tuple(box[1]),
        origins=origins,
        directions=directions,
        near=near,
        far=far,
    )
    return near, far


def ray_box_reference(origins: Tensor, directions: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """`ray_box` in plain torch, by the slab method (Kay and Kajiya 1986).

    Along an axis on which the ray does not move, it is inside the slab always or never.
    """
    parallel = directions == 0
    inverse = 1.0 / torch.where(parallel, 1.0, directions)
    one, other = (lower - origins) * inverse, (upper - origins) * inverse
    inside = (origins >= lower) & (origins <= upper)
    never = parallel & ~inside
    enter = torch.where(parallel, -torch.inf, torch.minimum(one, other)).masked_fill(never, torch.inf)
    leave = torch.where(parallel, torch.inf, torch.maximum(one, other)).masked_fill(never, -torch.inf)
    near, far = enter.amax(-1).clamp(min=0.0), leave.amin(-1)
    hit = far > near
    return torch.where(hit, near, 0.0), torch.where(hit, far, 0.0)


def check_rays(origins: Tensor, directions: Tensor) -> None:
    """Raise ValueError unless these are rays.

    Rays are origins and directions `[N, 3]`, both float32 or both float64, on one device, finite, with directions
    other than zero. Values are checked on the CPU only, because on a GPU the check would have to wait for the device.
    """
    if origins.ndim != 2 or origins.shape[-1] != 3 or origins.shape != directions.shape:
        raise ValueError(
            f"rays are origins and directions of [N, 3], not {list(origins.shape)} and {list(directions.shape)}"
        )
    if origins.dtype not in (torch.float32, torch.float64) or origins.dtype != directions.dtype:
        raise ValueError(f"rays are float32 or float64, not {origins.dtype} and {directions.dtype}")
    if origins.device != directions.device:
        raise ValueError(f"origins and directions must be on one device, not {origins.device} and {directions.device}")
    if backends.device_type(origins) != "cpu":
        return
    if not all_finite(origins, directions):
        raise ValueError("rays must be finite: an origin or a direction is infinite or not a number")
    zero = directions == 0
    if bool(zero.any()) and bool(zero.all(-1).any()):
        raise ValueError("a ray needs a direction: one is zero along all axes")


def all_finite(*tensors: Tensor) -> bool:
    """Whether no element of the tensors is infinite or NaN.

    A finite sum proves it in one pass. A sum that is not finite may have overflowed, so then every element is checked.
    """
    total = torch.stack([tensor.detach().sum() for tensor in tensors]).sum()
    return bool(total.isfinite()) or all(bool(tensor.isfinite().all()) for tensor in tensors)
