"""Occupancy grid: where a radiance field has density worth sampling (Müller et al. 2022, appendix E.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from fields.ops import nerfacc_rays
from fields.ops.march import Occupancy, march, pack_cells
from fields.ops.packed import Samples
from fields.ops.ray_box import ray_box

Point = tuple[float, float, float]
Box = tuple[Point, Point]
# Points per call of the density in an update, which bounds its memory.
CHUNK = 1 << 16


class OccupancyGrid(nn.Module):
    """Cells over a box, each with the largest density lately found in it.

    resolution: cells along each axis of a cascade, a multiple of 4.
    cascades: cascade 0 spans `lower` .. `upper`; each further one spans twice as much around the same centre.
    decay: factor on the value of each cell before an update.
    threshold: optical thickness of a step (density times length) from which on a cell is occupied. A cell is also
        occupied above the mean of all cells, where that is lower, so that a thin field keeps its densest cells.
    warmup_updates: number of first updates that look at every cell; later ones look at `update_fraction` of them, half
        spread over all cells and half over the occupied ones.

    All cells are occupied at first. The state_dict holds everything; what an update draws at random follows from its
    seed and the number of updates before it.

    Raises ValueError for values out of range.
    """

    values: Tensor
    updates: Tensor
    words: Tensor

    def __init__(
        self,
        resolution: int = 128,
        cascades: int = 1,
        *,
        lower: Point = (0.0, 0.0, 0.0),
        upper: Point = (1.0, 1.0, 1.0),
        decay: float = 0.95,
        threshold: float = 0.01,
        warmup_updates: int = 4,
        update_fraction: float = 0.25,
    ) -> None:
        super().__init__()
        if (
            cascades < 1
            or not 0.0 < decay <= 1.0
            or not threshold > 0.0
            or warmup_updates < 1
            or not 0.0 < update_fraction <= 1.0
        ):
            raise ValueError(
                "an occupancy grid has a cascade or more, decay and update_fraction in (0, 1], a threshold above zero "
                f"and at least one warmup update, not {cascades}, {decay}, {update_fraction}, {threshold}, "
                f"{warmup_updates}"
            )
        self.resolution = resolution
        self.lower, self.upper = _point(lower), _point(upper)
        self.decay, self.threshold = decay, threshold
        self.warmup_updates, self.update_fraction = warmup_updates, update_fraction
        self.register_buffer("values", torch.zeros(cascades, *[resolution] * 3))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("words", torch.full((cascades, (resolution // 4) ** 3), -1, dtype=torch.int64))
        self._candidates: Tensor | None = None
        self._occupancy: Occupancy | None = None
        _ = self.occupancy  # raises ValueError for a resolution or box that does not fit

    @property
    def cascades(self) -> int:
        """Number of nested cascades."""
        return len(self.words)

    @property
    def occupancy(self) -> Occupancy:
        """The occupied cells as `fields.ops.march` takes them.

        The object stays the same until the next update, because it caches what it derives from the cells.
        """
        if self._occupancy is None or self._occupancy.words is not self.words:
            self._occupancy = Occupancy(self.words, self.resolution, self.lower, self.upper)
        return self._occupancy

    @property
    def update_points(self) -> int:
        """Number of points at which the next update measures."""
        cells = self.values.numel() if self._candidates is None else len(self._candidates)
        return cells if int(self.updates) < self.warmup_updates else max(1, int(cells * self.update_fraction))

    @property
    def occupied_fraction(self) -> float:
        """Fraction of the cells that is occupied."""
        return float(self.occupancy.cells().float().mean())

    def exclude(self, mask: Tensor) -> None:
        """Mark cells that are always empty, for example outside the visual hull: `[cascades, n, n, n]` bool, x first.

        The mask is not in the state_dict; set it again after loading. ValueError for another shape or dtype.
        """
        if mask.shape != self.values.shape or mask.dtype != torch.bool:
            raise ValueError(
                f"there must be a bool for each of {list(self.values.shape)} cells, not {list(mask.shape)} {mask.dtype}"
            )
        mask = mask.to(self.values.device)
        self._candidates = (~mask.flatten()).nonzero().flatten()
        self.values[mask] = 0.0
        self.words = pack_cells(self.occupancy.cells() & ~mask)

    @torch.no_grad()
    def update(self, density: Callable[[Tensor], Tensor], step: float, seed: int = 0) -> None:
        """Measure cells again, each at one random point inside it.

        density: points `[M, 3]` in units of the box to densities `[M]`.
        step: length of the samples, above zero (ValueError otherwise).
        """
        if not step > 0.0:
            raise ValueError(f"a step is above zero, not {step}")
        device = self.values.device
        random = torch.Generator(device).manual_seed((seed * 1_000_003 + int(self.updates)) % 2**63)
        cells = self._cells()
        self.values *= self.decay
        if int(self.updates) < self.warmup_updates:
            self._measure(cells, density, step, random)
        else:
            wanted = max(1, int(len(cells) * self.update_fraction / 2))
            self._measure(_stratified_choice(cells, wanted, random), density, step, random)
            occupied = self.occupancy.cells().flatten().nonzero().flatten()
            self._measure(_stratified_choice(occupied, wanted, random), density, step, random)
        self.updates += 1
        mean = self.values.sum(dtype=torch.float64) / max(1, len(cells))
        self.words = pack_cells(self.values > mean.clamp(max=self.threshold))

    def _cells(self) -> Tensor:
        """Indices into all cells of those that are not known to be empty, on the grid's device."""
        device = self.values.device
        return torch.arange(self.values.numel(), device=device) if self._candidates is None else self._candidates

    @torch.no_grad()
    def mark(self, occupied: Callable[[Tensor], Tensor]) -> None:
        """Replace the occupied cells of the first cascade, whatever was measured before.

        occupied: indices of cells `[M, 3]` int64 to `[M]` bool. It is not asked for cells that `exclude` named.
        """
        r = self.resolution
        cells = self._cells()
        cells = cells[cells < r**3]
        where = torch.stack([cells // (r * r), cells // r % r, cells % r], dim=-1)
        marked = self.occupancy.cells()
        marked[0] = False
        marked[0].view(-1)[cells[occupied(where)]] = True
        self.words = pack_cells(marked)

    def _measure(
        self, cells: Tensor, density: Callable[[Tensor], Tensor], step: float, random: torch.Generator
    ) -> None:
        """Raise the values of these cells (indices into all cells) to the thickness at a random point in each."""
        flat, r = self.values.view(-1), self.resolution
        lower, upper = (torch.tensor(x, device=flat.device) for x in (self.lower, self.upper))
        for part in cells.split(CHUNK):
            inside = torch.rand(len(part), 3, generator=random, device=flat.device)
            cell = torch.stack([part // (r * r) % r, part // r % r, part % r], dim=-1)
            around = ((cell + inside) / r - 0.5) * 2.0 ** (part // r**3)[:, None]
            points = (lower + upper) / 2 + around * (upper - lower)
            thickness = density(points).to(flat.dtype) * step
            flat[part] = torch.maximum(flat[part], thickness.nan_to_num(0.0))

    def contains(self, points: Tensor) -> Tensor:
        """Whether points `[M, 3]` lie in occupied cells of the finest cascade that spans them: `[M]` bool.

        Points outside all cascades count as occupied, because nothing is known of them.
        """
        cells = self.occupancy.cells()
        lower, upper = (torch.tensor(x, dtype=points.dtype, device=points.device) for x in (self.lower, self.upper))
        around = (points - lower) / (upper - lower) - 0.5
        cascade = torch.ceil(torch.log2(around.abs().amax(dim=-1).clamp(min=1e-30) * 2.0)).clamp(min=0)
        outside = cascade >= self.cascades
        cascade = cascade.clamp(max=self.cascades - 1).long()
        cell = (
            ((around / 2.0 ** cascade[:, None].to(points.dtype) + 0.5) * self.resolution)
            .long()
            .clamp(0, self.resolution - 1)
        )
        return cells[cascade, cell[:, 0], cell[:, 1], cell[:, 2]] | outside

    def sample(
        self,
        origins: Tensor,
        directions: Tensor,
        *,
        step: float,
        cone: float = 0.0,
        seed: int | None = None,
        first_ray: int = 0,
        max_samples: int = 1024,
        box: Box | None = None,
        accelerator: Literal["nerfacc"] | None = None,
    ) -> Samples:
        """Samples of rays `[N, 3]` in the occupied cells, and inside `box` if given.

        accelerator: "nerfacc" leaves finding them to `fields.ops.nerfacc_rays`.

        The other arguments are those of `fields.ops.march.march`, which also lists the errors.
        """
        near, far = ray_box(origins, directions, *self.occupancy.outer_box)
        if box is not None:
            enter, leave = ray_box(origins, directions, *box)
            near, far = torch.maximum(near, enter), torch.minimum(far, leave)
        found_by = march if accelerator is None else nerfacc_rays.march
        return found_by(
            origins,
            directions,
            near,
            far,
            occupancy=self.occupancy,
            step=step,
            cone=cone,
            seed=seed,
            first_ray=first_ray,
            max_samples=max_samples,
        )


def _point(values: Point) -> Point:
    x, y, z = map(float, values)
    return x, y, z


def _stratified_choice(items: Tensor, count: int, random: torch.Generator) -> Tensor:
    """About `count` of the items, one at random from each of as many equal pieces; all if there are no more."""
    each = -(-len(items) // count) if len(items) else 1
    if each == 1:
        return items
    first = torch.arange(0, len(items) - each + 1, each, device=items.device)
    return items[first + torch.randint(0, each, (len(first),), generator=random, device=items.device)]
