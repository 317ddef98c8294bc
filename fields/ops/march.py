"""Ray marching: samples along rays in the occupied cells of a grid.

Müller et al. 2022, appendix E.1; Li et al. 2023, nerfacc.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.packed import Samples
from fields.ops.ray_box import all_finite, check_rays
from fields.ops.ray_jitter import ray_jitter
from fields.ops.ray_kernels import MarchCall, run

# Cells along an edge of a block; the 64 cells of a block share a word.
BLOCK = 4
# Largest value of `Occupancy.clearance`, in blocks.
MAX_CLEARANCE = 6
# Steps of a ray: up to this number a float32 counts them exactly and has some bits left for the jitter.
MAX_STEPS = 1 << 22
# Steps of all rays together that the reference looks at in one piece.
STEPS_PER_PIECE = 1 << 20


@dataclass(frozen=True)
class Occupancy:
    """Occupancy grid: cells that contain something, one bit per cell, in one or more nested cascades.

    words: `[cascades, (resolution / 4)^3]` int64, from `pack_cells`.
    resolution: cells along each axis of a cascade, a multiple of 4.
    lower, upper: corners of cascade 0. Each further cascade is twice as large around the same centre and has as many
        cells. A point belongs to the finest cascade that contains it; outside of all cascades nothing is occupied.

    Raises ValueError if words, resolution or box do not fit together.
    """

    words: Tensor
    resolution: int
    lower: tuple[float, float, float] = (0.0, 0.0, 0.0)
    upper: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if self.resolution < BLOCK or self.resolution % BLOCK:
            raise ValueError(
                f"an occupancy grid has a multiple of {BLOCK} cells along each axis, not {self.resolution}"
            )
        blocks = (self.resolution // BLOCK) ** 3
        shape = self.words.shape
        if len(shape) != 2 or not shape[0] or shape[1] != blocks or self.words.dtype != torch.int64:
            raise ValueError(
                f"a grid of {self.resolution}^3 cells is [cascades, {blocks}] int64 words, "
                f"not {list(shape)} {self.words.dtype}"
            )
        if len(self.lower) != 3 or len(self.upper) != 3 or not all(a < b for a, b in zip(self.lower, self.upper)):
            raise ValueError(f"a box has its lower corner below its upper one, not {self.lower} and {self.upper}")

    @property
    def cascades(self) -> int:
        """Number of cascades."""
        return len(self.words)

    @property
    def outer_box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Lower and upper corner of the largest cascade."""
        grown = [((a + b) / 2, (b - a) / 2 * 2 ** (self.cascades - 1)) for a, b in zip(self.lower, self.upper)]
        return tuple(c - h for c, h in grown), tuple(c + h for c, h in grown)

    @cached_property
    def clearance(self) -> Tensor:
        """Distance in blocks that a ray can skip from each block: `[cascades, (resolution / 4)^3]` uint8, 0 to 6.

        It is one less than the Chebyshev distance to the nearest block with an occupied cell, and 0 in such blocks and
        their neighbours. The middle of a coarser cascade, which a finer one describes, and everything outside of a
        cascade that a coarser one describes count as occupied.
        """
        n = self.resolution // BLOCK
        filled = (self.words != 0).reshape(-1, n, n, n)
        if self.cascades > 1:
            filled = filled.clone()
            filled[1:, n // 4 : n - n // 4, n // 4 : n - n // 4, n // 4 : n - n // 4] = True
        reach = filled.to(torch.float32)[None]
        outside = torch.tensor([1.0] * (self.cascades - 1) + [0.0], device=reach.device).reshape(1, -1, 1, 1, 1)
        distance = torch.zeros_like(reach)
        for _ in range(MAX_CLEARANCE + 1):
            distance += 1.0 - reach
            padded = outside.repeat(1, 1, n + 2, n + 2, n + 2)
            padded[..., 1:-1, 1:-1, 1:-1] = reach
            reach = torch.nn.functional.max_pool3d(padded, 3, stride=1)
        return (distance - 1.0).clamp(min=0.0).to(torch.uint8).reshape(self.cascades, -1)

    def cells(self) -> Tensor:
        """Occupied cells as `[cascades, resolution, resolution, resolution]` bool, x first."""
        bits = (self.words[..., None] >> torch.arange(64, device=self.words.device)) & 1
        n = self.resolution // BLOCK
        return (
            bits.bool()
            .reshape(-1, n, n, n, BLOCK, BLOCK, BLOCK)
            .permute(0, 1, 4, 2, 5, 3, 6)
            .reshape(-1, *[self.resolution] * 3)
        )


def pack_cells(cells: Tensor) -> Tensor:
    """Words `[cascades, (R / 4)^3]` int64 of cells `[cascades, R, R, R]` bool, x first.

    Raises ValueError for other shapes or types, or if R is not a multiple of 4.
    """
    if cells.ndim != 4 or len(set(cells.shape[1:])) != 1 or cells.shape[1] % BLOCK or cells.dtype != torch.bool:
        raise ValueError(
            f"cells are [cascades, R, R, R] bool with R a multiple of {BLOCK}, not {list(cells.shape)} {cells.dtype}"
        )
    n = cells.shape[1] // BLOCK
    blocks = cells.reshape(-1, n, BLOCK, n, BLOCK, n, BLOCK).permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, n**3, 64)
    # The 64 bits of a word are packed as 8 bytes of 8 bits, little end first.
    powers = torch.arange(8, dtype=torch.uint8, device=cells.device)
    packed = (blocks.reshape(-1, n**3, 8, 8).to(torch.uint8) << powers).sum(-1, dtype=torch.uint8)
    return packed.contiguous().view(torch.int64).reshape(-1, n**3)


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
    backend: backends.Backend = "auto",
) -> Samples:
    """Steps of each ray between near and far whose midpoint lies in an occupied cell.

    origins, directions: `[N, 3]`; near, far: `[N]` (see `ray_box`). All of one dtype, float32 or float64.
    step, cone: step k of a ray starts where step k - 1 ends and is `max(step, cone * t)` long. With cone 0 all steps
        are equal.
    seed: stratified samples. The first step of ray i begins a fraction of its length after near, which `first_ray + i`
        and the seed determine, so that the samples do not depend on how rays are divided into batches. With None it
        begins at near.
    max_samples: limit per ray; the nearest samples are kept.

    The steps of a ray do not depend on the cells: clearing a cell removes its samples and moves no other. The samples
    carry no gradients, and the same rays always give the same samples.

    Raises ValueError for wrong shapes, rays that are not finite, or a ray of more than 4 million steps.
    """
    _check_march(origins, directions, near, far, occupancy)
    if not step > 0.0 or not cone >= 0.0 or max_samples < 1:
        raise ValueError(
            f"step is above zero, cone not below and max_samples at least 1, not {step}, {cone} and {max_samples}"
        )
    with torch.no_grad():
        length = float((far - near).amax()) if len(origins) else 0.0
        if not length / step < MAX_STEPS:
            raise ValueError(f"steps of {step} on a ray of {length} are too many: at most {MAX_STEPS}")
        plain = backends.choose(backend, backends.device_type(origins)) == "torch"
        function = march_reference if plain else _march_native
        return function(
            origins,
            directions,
            near,
            far,
            occupancy=occupancy,
            step=step,
            cone=cone,
            seed=seed,
            first_ray=first_ray,
            max_samples=max_samples,
            max_steps=max(0, int(length / step) + 2),
        )


def _check_march(origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, occupancy: Occupancy) -> None:
    check_rays(origins, directions)
    if any(t.shape != origins.shape[:1] or t.dtype != origins.dtype for t in (near, far)):
        raise ValueError(
            f"near and far are [{len(origins)}] {origins.dtype}, "
            f"not {list(near.shape)} {near.dtype} and {list(far.shape)} {far.dtype}"
        )
    if any(t.device != origins.device for t in (occupancy.words, near, far)):
        raise ValueError("rays, near, far and the occupancy must be on one device")
    if backends.device_type(near) == "cpu" and not all_finite(near, far):
        raise ValueError("near and far must be finite")


def _march_native(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    *,
    occupancy: Occupancy,
    step: float,
    cone: float,
    seed: int | None,
    first_ray: int,
    max_samples: int,
    max_steps: int,
) -> Samples:
    """`march_reference` by the compiled kernels: one pass counts the samples, a second one writes them."""
    origins, directions, near, far = (x.detach().contiguous() for x in (origins, directions, near, far))
    centre, inverse_cell_size = _centre_and_inverse_cell_size(occupancy)
    counts = torch.empty(len(origins), dtype=torch.int64, device=origins.device)
    call = {
        "rays": len(origins),
        "first_ray": first_ray,
        "max_steps": max_steps,
        "cascades": occupancy.cascades,
        "resolution": occupancy.resolution,
        "jitter": seed is not None,
        "seed": (seed or 0) & 0xFFFFFFFF,
        "max_samples": max_samples,
        "centre": tuple(centre),
        "inverse_cell_size": tuple(inverse_cell_size),
        "step": step,
        "cone": cone,
        "origins": origins,
        "directions": directions,
        "near": near,
        "far": far,
        "occupied": occupancy.words.contiguous(),
        "clearance": occupancy.clearance,
    }
    run("march_count", MarchCall, origins, counts=counts, **call)
    offsets = _offsets(counts)
    total = int(offsets[-1])
    starts, ends = origins.new_empty(total), origins.new_empty(total)
    ray_indices = torch.empty(total, dtype=torch.int64, device=origins.device)
    run(
        "march_write",
        MarchCall,
        origins,
        offsets=offsets,
        starts=starts,
        ends=ends,
        ray_indices=ray_indices,
        **call,
    )
    return Samples(starts, ends, ray_indices, offsets)


def march_reference(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    *,
    occupancy: Occupancy,
    step: float,
    cone: float,
    seed: int | None,
    first_ray: int,
    max_samples: int,
    max_steps: int,
) -> Samples:
    """`march` in plain torch: look up every step of every ray, for a few hundred rays at a time to bound the memory.

    max_steps: a number of steps that no ray exceeds.
    """
    # Arithmetic of tensors with Python numbers would round those to double first.
    step_, cone_ = (torch.tensor(x, dtype=origins.dtype, device=origins.device) for x in (step, cone))
    jitter = torch.zeros_like(near) if seed is None else ray_jitter(len(origins), first_ray, seed, origins)
    counts, starts, ends = [], [], []
    rays_per_piece = max(1, STEPS_PER_PIECE // max(1, max_steps))
    for some in torch.arange(len(origins), device=origins.device).split(rays_per_piece):
        if cone > 0.0:
            edges = [near[some] + jitter[some] * torch.maximum(step_, cone_ * near[some])]
            for _ in range(max_steps):
                edges.append(edges[-1] + torch.maximum(step_, cone_ * edges[-1]))
            edges = torch.stack(edges, dim=1)
        else:
            indices = torch.arange(max_steps + 1, dtype=origins.dtype, device=origins.device)
            edges = near[some, None] + (indices + jitter[some, None]) * step_
        midpoints = (edges[:, :-1] + edges[:, 1:]) * 0.5
        origins_, directions_ = rays_in_cells(origins[some], directions[some], occupancy)
        points = origins_[:, None] + midpoints[..., None] * directions_[:, None]
        taken = (midpoints < far[some, None]) & occupied_reference(points, occupancy)
        taken &= taken.cumsum(1) <= max_samples
        counts.append(taken.sum(1))
        starts.append(edges[:, :-1][taken])
        ends.append(edges[:, 1:][taken])
    counts = torch.cat(counts) if counts else torch.zeros(0, dtype=torch.int64, device=near.device)
    ray_indices = torch.repeat_interleave(torch.arange(len(origins), device=origins.device), counts)
    return Samples(
        torch.cat(starts) if starts else near, torch.cat(ends) if ends else far, ray_indices, _offsets(counts)
    )


def rays_in_cells(origins: Tensor, directions: Tensor, occupancy: Occupancy) -> tuple[Tensor, Tensor]:
    """The same rays in units of cells of cascade 0, with the grid's centre as the origin."""
    centre, inverse_cell_size = (
        torch.tensor(x, dtype=origins.dtype, device=origins.device) for x in _centre_and_inverse_cell_size(occupancy)
    )
    return (origins - centre) * inverse_cell_size, directions * inverse_cell_size


def occupied_reference(points: Tensor, occupancy: Occupancy) -> Tensor:
    """Whether the cell of each point is occupied: `[...]` bool, for points `[..., 3]` in units of `rays_in_cells`."""
    half = occupancy.resolution * 0.5
    farthest = points.abs().amax(-1)
    cascade = torch.zeros_like(farthest, dtype=torch.int64)
    for finer in range(occupancy.cascades):
        cascade += farthest * 0.5**finer >= half
    cell = (points * (0.5**cascade)[..., None] + half).long().clamp(0, occupancy.resolution - 1)
    block, within = cell // BLOCK, cell % BLOCK
    n = occupancy.resolution // BLOCK
    inside = cascade < occupancy.cascades
    index = ((torch.where(inside, cascade, 0) * n + block[..., 0]) * n + block[..., 1]) * n + block[..., 2]
    bit = (within[..., 0] * BLOCK + within[..., 1]) * BLOCK + within[..., 2]
    return ((occupancy.words.reshape(-1)[index] >> bit) & 1).bool() & inside


def _centre_and_inverse_cell_size(occupancy: Occupancy) -> tuple[list[float], list[float]]:
    """Centre of the grid, and cells of cascade 0 per unit of length along each axis."""
    corners = list(zip(occupancy.lower, occupancy.upper))
    return [(a + b) / 2 for a, b in corners], [occupancy.resolution / (b - a) for a, b in corners]


def _offsets(counts: Tensor) -> Tensor:
    offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    return offsets
