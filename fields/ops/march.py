"""Samples along rays where an occupancy grid has something (Müller et al. 2022, appendix E.1; Li et al. 2023, nerfacc)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.packed import Samples
from fields.ops.ray_box import all_finite, check_rays
from fields.ops.ray_jitter import jitter_of
from fields.ops.ray_kernels import MarchCall, run

BLOCK = 4  # cells along an edge of the block that a word holds
MAX_STEPS = 1 << 22  # of a ray: up to there a float32 counts steps exactly, jitter included to some bits


@dataclass(frozen=True)
class Occupancy:
    """Which cells have something in them.

    words `[levels, (resolution / 4)^3]` int64, a bit a cell (`pack_cells`). Level 0 spans the box `lower` .. `upper`; each
    further one is twice as large around the same centre, with as many cells. A point belongs to the finest level that
    contains it; outside of all levels there is nothing.
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
        if (
            self.words.ndim != 2
            or self.words.shape[1] != (self.resolution // BLOCK) ** 3
            or self.words.dtype != torch.int64
            or not len(self.words)
        ):
            raise ValueError(
                f"a grid of {self.resolution}^3 cells is [levels, {(self.resolution // BLOCK) ** 3}] int64 words, "
                f"not {list(self.words.shape)} {self.words.dtype}"
            )
        if len(self.lower) != 3 or len(self.upper) != 3 or not all(a < b for a, b in zip(self.lower, self.upper)):
            raise ValueError(f"a box has its lower corner below its upper one, not {self.lower} and {self.upper}")

    @property
    def levels(self) -> int:
        return len(self.words)

    @property
    def outer_box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Lower and upper corner of the largest level."""
        grown = [((a + b) / 2, (b - a) / 2 * 2 ** (self.levels - 1)) for a, b in zip(self.lower, self.upper)]
        return tuple(c - h for c, h in grown), tuple(c + h for c, h in grown)

    @cached_property
    def clear(self) -> Tensor:
        """How far a ray may go: `[levels, (resolution / 4)^3]` uint8, for each block one less than the number of blocks, along
        the axis where it is largest, to the nearest one that has something in it; at most 6, and 0 in and beside those.

        What lies in the middle of a further level is the finer one's to tell, and what lies outside of a level the
        further one's, so both count as occupied.
        """
        n = self.resolution // BLOCK
        filled = (self.words != 0).reshape(-1, n, n, n)
        if self.levels > 1:
            filled = filled.clone()
            filled[1:, n // 4 : n - n // 4, n // 4 : n - n // 4, n // 4 : n - n // 4] = True
        reach = filled.to(torch.float32)[None]
        outside = torch.tensor([1.0] * (self.levels - 1) + [0.0], device=reach.device).reshape(1, -1, 1, 1, 1)
        far = torch.zeros_like(reach)
        for _ in range(7):
            far += 1.0 - reach
            padded = outside.repeat(1, 1, n + 2, n + 2, n + 2)
            padded[..., 1:-1, 1:-1, 1:-1] = reach
            reach = torch.nn.functional.max_pool3d(padded, 3, stride=1)
        return (far - 1.0).clamp(min=0.0).to(torch.uint8).reshape(self.levels, -1)

    def cells(self) -> Tensor:
        """`[levels, resolution, resolution, resolution]` bool, x first."""
        bits = (self.words[..., None] >> torch.arange(64, device=self.words.device)) & 1
        n = self.resolution // BLOCK
        return (
            bits.bool()
            .reshape(-1, n, n, n, BLOCK, BLOCK, BLOCK)
            .permute(0, 1, 4, 2, 5, 3, 6)
            .reshape(-1, *[self.resolution] * 3)
        )


def pack_cells(cells: Tensor) -> Tensor:
    """Words `[levels, (R / 4)^3]` int64 of cells `[levels, R, R, R]` bool, x first; R a multiple of 4."""
    if cells.ndim != 4 or len(set(cells.shape[1:])) != 1 or cells.shape[1] % BLOCK or cells.dtype != torch.bool:
        raise ValueError(
            f"cells are [levels, R, R, R] bool with R a multiple of {BLOCK}, not {list(cells.shape)} {cells.dtype}"
        )
    n = cells.shape[1] // BLOCK
    blocks = cells.reshape(-1, n, BLOCK, n, BLOCK, n, BLOCK).permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, n**3, 64)
    # Bytes first: 64 bits of each word as eight times eight, little end first.
    bytes_ = (
        blocks.reshape(-1, n**3, 8, 8).to(torch.uint8) << torch.arange(8, dtype=torch.uint8, device=cells.device)
    ).sum(-1, dtype=torch.uint8)
    return bytes_.contiguous().view(torch.int64).reshape(-1, n**3)


def march(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    occupancy: Occupancy,
    step: float,
    cone: float = 0.0,
    seed: int | None = None,
    first_ray: int = 0,
    most: int = 1024,
    backend: backends.Backend = "auto",
) -> Samples:
    """The steps of each ray between near and far that lie in occupied cells.

    origins, directions `[N, 3]`, near, far `[N]` (`ray_box`), one dtype, float32 or float64. Step k of a ray starts where
    step k - 1 ends and is max(step, cone * t) long (cone 0: equal steps); it is taken if its middle is before far and in
    an occupied cell. So what lies in front never moves what lies behind, and leaving cells out changes no other sample.
    With a seed a ray's first step begins a share of itself after near, which the ray's number `first_ray + i` and the
    seed decide (stratified samples, the same however the rays are cut into batches); without one it begins at near. A ray
    has at most `most` samples, the nearest. Carries no gradients; the same rays always give the same samples.

    ValueError for wrong shapes, rays that are not finite, or steps so short that a ray would have more than 4 million.
    """
    check_rays(origins, directions)
    if (
        near.shape != far.shape
        or near.shape != origins.shape[:1]
        or near.dtype != origins.dtype
        or far.dtype != origins.dtype
    ):
        raise ValueError(
            f"near and far are [{len(origins)}] {origins.dtype}, not {list(near.shape)} {near.dtype} and {list(far.shape)} {far.dtype}"
        )
    if occupancy.words.device != origins.device or near.device != origins.device or far.device != origins.device:
        raise ValueError("rays, near, far and the occupancy must be on one device")
    if not all_finite(near, far):
        raise ValueError("near and far must be finite")
    if not step > 0.0 or not cone >= 0.0 or most < 1:
        raise ValueError(f"step is above zero, cone not below and most at least 1, not {step}, {cone} and {most}")
    with torch.no_grad():
        length = float((far - near).amax()) if len(origins) else 0.0
        if not length / step < MAX_STEPS:
            raise ValueError(f"steps of {step} on a ray of {length} are too many: at most {MAX_STEPS}")
        longest = max(0, int(length / step) + 2)
        if backends.choose(backend, origins.device.type) == "torch":
            return march_reference(
                origins, directions, near, far, occupancy, step, cone, seed, first_ray, most, longest
            )
        origins, directions, near, far = (x.detach().contiguous() for x in (origins, directions, near, far))
        centre, per_cell = _frame(occupancy)
        counts = torch.empty(len(origins), dtype=torch.int64, device=origins.device)
        words = occupancy.words.contiguous()
        call = dict(
            rays=len(origins),
            first_ray=first_ray,
            longest=longest,
            levels=occupancy.levels,
            resolution=occupancy.resolution,
            jitter=seed is not None,
            seed=(seed or 0) & 0xFFFFFFFF,
            most=most,
            centre=tuple(centre),
            per_cell=tuple(per_cell),
            step=step,
            cone=cone,
            origins=origins,
            directions=directions,
            near=near,
            far=far,
            occupied=words,
            clear=occupancy.clear,
        )
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
    occupancy: Occupancy,
    step: float,
    cone: float,
    seed: int | None,
    first_ray: int,
    most: int,
    longest: int,
) -> Samples:
    """The same in plain torch: every step of every ray is looked at. Some hundred rays at a time, as that needs room."""
    # Sums of tensors with numbers would round those to double first.
    step_, cone_ = (torch.tensor(x, dtype=origins.dtype, device=origins.device) for x in (step, cone))
    share = torch.zeros_like(near) if seed is None else jitter_of(len(origins), first_ray, seed, origins)
    counts, starts, ends = [], [], []
    for some in torch.arange(len(origins), device=origins.device).split(max(1, (1 << 20) // max(1, longest))):
        if cone > 0.0:
            edges = [near[some] + share[some] * torch.maximum(step_, cone_ * near[some])]
            for _ in range(longest):
                edges.append(edges[-1] + torch.maximum(step_, cone_ * edges[-1]))
            edges = torch.stack(edges, dim=1)
        else:
            numbers = torch.arange(longest + 1, dtype=origins.dtype, device=origins.device)
            edges = near[some, None] + (numbers + share[some, None]) * step_
        middle = (edges[:, :-1] + edges[:, 1:]) * 0.5
        from_, along = in_cells(origins[some], directions[some], occupancy)
        taken = (middle < far[some, None]) & occupied_reference(
            from_[:, None] + middle[..., None] * along[:, None], occupancy
        )
        taken &= taken.cumsum(1) <= most
        counts.append(taken.sum(1))
        starts.append(edges[:, :-1][taken])
        ends.append(edges[:, 1:][taken])
    if not counts:
        return Samples(
            near,
            far,
            torch.zeros(0, dtype=torch.int64, device=near.device),
            torch.zeros(1, dtype=torch.int64, device=near.device),
        )
    counts = torch.cat(counts)
    ray_indices = torch.repeat_interleave(torch.arange(len(origins), device=origins.device), counts)
    return Samples(torch.cat(starts), torch.cat(ends), ray_indices, _offsets(counts))


def in_cells(origins: Tensor, directions: Tensor, occupancy: Occupancy) -> tuple[Tensor, Tensor]:
    """The same rays in cells of level 0, counted from the grid's centre."""
    centre, per_cell = (torch.tensor(x, dtype=origins.dtype, device=origins.device) for x in _frame(occupancy))
    return (origins - centre) * per_cell, directions * per_cell


def occupied_reference(points: Tensor, occupancy: Occupancy) -> Tensor:
    """Whether the cell of each point `[..., 3]` (`in_cells`) is occupied, `[...]` bool."""
    half = occupancy.resolution * 0.5
    farthest = points.abs().amax(-1)
    level = sum((farthest * 0.5**l >= half).long() for l in range(occupancy.levels))
    cell = (points * (0.5**level)[..., None] + half).long().clamp(0, occupancy.resolution - 1)
    block, within = cell // BLOCK, cell % BLOCK
    n = occupancy.resolution // BLOCK
    inside = level < occupancy.levels
    index = ((torch.where(inside, level, 0) * n + block[..., 0]) * n + block[..., 1]) * n + block[..., 2]
    bit = (within[..., 0] * BLOCK + within[..., 1]) * BLOCK + within[..., 2]
    return ((occupancy.words.reshape(-1)[index] >> bit) & 1).bool() & inside


def _frame(occupancy: Occupancy) -> tuple[list[float], list[float]]:
    corners = list(zip(occupancy.lower, occupancy.upper))
    return [(a + b) / 2 for a, b in corners], [occupancy.resolution / (b - a) for a, b in corners]


def _offsets(counts: Tensor) -> Tensor:
    offsets = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=offsets[1:])
    return offsets
