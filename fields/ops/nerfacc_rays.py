"""nerfacc as an optional accelerator of scenes on a GPU: its traversal of an occupancy grid, and its compositing.

Li et al. 2023. The functions that are used are those of version 0.5: `traverse_grids`, `render_weight_from_density` and
`accumulate_along_rays`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from fields.ops.composite import Composited
from fields.ops.march import Occupancy
from fields.ops.packed import Samples
from fields.ops.ray_jitter import ray_jitter


@cache
def why_absent() -> str | None:
    """Reason why nerfacc cannot be imported, in one line, or None if it can."""
    try:
        import_module("nerfacc")
    except Exception as error:  # noqa: BLE001  a GPU package may fail in any way, and then counts as absent
        reason = str(error).strip().splitlines()
        return f"nerfacc does not import: {reason[0] if reason else type(error).__name__}"
    return None


def why_not(device: str) -> str | None:
    """Reason why nerfacc cannot march rays on `device`, in one line, or None if it can."""
    if reason := why_absent():
        return reason
    return None if device == "cuda" else f"nerfacc traverses grids on a GPU, and this fit is on the {device}"


def march(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    *,
    occupancy: Occupancy,
    step: float,
    cone: float = 0.0,
    seed: int | None = None,
    first_ray: int = 0,
    max_samples: int = 1024,
) -> Samples:
    """The samples of `fields.ops.march.march`, as nerfacc's kernels find them; the arguments are the same, float32.

    It adds up the steps of a ray, where ours multiplies: edges differ by up to a thousandth of a step after a thousand
    of them, and a sample whose midpoint is that close to the border of a cell may be in one of the two alone. Steps
    that grow (`cone` above 0) do not grow while empty cells are crossed, so that the edges behind them differ.
    """
    nerfacc: Any = import_module("nerfacc")
    if seed is not None:
        length = torch.clamp(near * cone, min=step) if cone else near.new_full((), step)
        near = near + ray_jitter(len(origins), first_ray, seed, origins) * length
    lower, upper = (torch.tensor(corner, device=origins.device) for corner in (occupancy.lower, occupancy.upper))
    centre, half = (lower + upper) / 2, (upper - lower) / 2
    boxes = torch.stack([torch.cat([centre - half * 2**i, centre + half * 2**i]) for i in range(occupancy.cascades)])
    intervals, _, _ = nerfacc.traverse_grids(
        origins,
        directions,
        occupancy.cells(),
        boxes,
        near_planes=near,
        far_planes=far,
        step_size=step,
        cone_angle=cone,
        traverse_steps_limit=max_samples,
    )
    ray_indices = intervals.ray_indices[intervals.is_left]
    counts = torch.bincount(ray_indices, minlength=len(origins))
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return Samples(intervals.vals[intervals.is_left], intervals.vals[intervals.is_right], ray_indices, offsets)


def composite(density: Tensor, colors: Tensor, samples: Samples, *, threshold: float = 0.0) -> Composited:
    """`fields.ops.composite.composite` by nerfacc's packed sums, which are in float32 on both sides."""
    nerfacc: Any = import_module("nerfacc")
    packed = torch.stack([samples.offsets[:-1], samples.counts], dim=-1)
    weights, light, _ = nerfacc.render_weight_from_density(
        samples.t_starts, samples.t_ends, density, packed_info=packed
    )
    weights = torch.where(light >= threshold, weights, 0.0)

    def along_rays(values: Tensor | None) -> Tensor:
        return nerfacc.accumulate_along_rays(weights, values, ray_indices=samples.ray_indices, n_rays=samples.num_rays)

    depth = along_rays(samples.midpoints[:, None])
    return Composited(along_rays(colors), along_rays(None)[:, 0], depth[:, 0], weights)
