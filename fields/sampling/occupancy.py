"""The occupancy grid that tells where a radiance field has density worth sampling (Müller et al. 2022, appendix E.2)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fields.ops.march import Occupancy, march, pack_cells
from fields.ops.packed import Samples
from fields.ops.ray_box import ray_box

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
CHUNK = 1 << 16  # points that the density is asked for at once


class OccupancyGrid(nn.Module):
    """Cells over a box, each with the most density that was lately seen in it.

    `resolution`^3 cells on each of `levels` levels; level 0 spans `lower` .. `upper` and each further one twice as much
    around the same centre. A cell keeps the largest optical thickness of a step that it was seen with, less `decay` each
    update; it is occupied while that exceeds `threshold` or, where the field is thin all over, the mean of all cells. At
    first every cell is occupied, and the first `bootstrap` updates look at every cell; later ones at `share` of them:
    half spread over all cells, half over the occupied ones.

    What it holds is in its state_dict; what an update draws follows from its seed and the number of updates before.
    """

    def __init__(
        self,
        resolution: int = 128,
        levels: int = 1,
        lower: tuple[float, float, float] = (0.0, 0.0, 0.0),
        upper: tuple[float, float, float] = (1.0, 1.0, 1.0),
        decay: float = 0.95,
        threshold: float = 0.01,
        bootstrap: int = 4,
        share: float = 0.25,
    ) -> None:
        super().__init__()
        if levels < 1 or not 0.0 < decay <= 1.0 or not threshold > 0.0 or bootstrap < 1 or not 0.0 < share <= 1.0:
            raise ValueError(
                f"an occupancy grid has a level or more, a decay and share in (0, 1], a threshold above zero and at least one "
                f"bootstrap update, not {levels}, {decay}, {share}, {threshold}, {bootstrap}"
            )
        self.resolution, self.lower, self.upper = resolution, tuple(map(float, lower)), tuple(map(float, upper))
        self.decay, self.threshold, self.bootstrap, self.share = decay, threshold, bootstrap, share
        self.register_buffer("values", torch.zeros(levels, *[resolution] * 3))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("words", torch.full((levels, (resolution // 4) ** 3), -1, dtype=torch.int64))
        self._candidates: Tensor | None = None
        self._occupancy: Occupancy | None = None
        self.occupancy  # refuses what is no grid

    @property
    def levels(self) -> int:
        return len(self.words)

    @property
    def occupancy(self) -> Occupancy:
        """What `fields.ops.march` takes; one object until the next update, as it keeps what it finds out about itself."""
        if self._occupancy is None or self._occupancy.words is not self.words:
            self._occupancy = Occupancy(self.words, self.resolution, self.lower, self.upper)
        return self._occupancy

    @property
    def filled(self) -> float:
        """The share of the cells that is occupied."""
        return float(self.occupancy.cells().float().mean())

    def leave_out(self, empty: Tensor) -> None:
        """Cells that never are occupied, as something else tells: `[levels, n, n, n]` bool. Not in the state_dict; call it again."""
        if empty.shape != self.values.shape or empty.dtype != torch.bool:
            raise ValueError(
                f"there must be a bool for each of {list(self.values.shape)} cells, not {list(empty.shape)} {empty.dtype}"
            )
        empty = empty.to(self.values.device)
        self._candidates = (~empty.flatten()).nonzero().flatten().cpu()
        self.values[empty] = 0.0
        self.words = pack_cells(self.occupancy.cells() & ~empty)

    @torch.no_grad()
    def update(self, density: Callable[[Tensor], Tensor], step: float, seed: int = 0) -> None:
        """Looks at cells again, each at a random point in it.

        density: points `[M, 3]` in the units of the box → density `[M]`; step: the length that samples will have.
        """
        if not step > 0.0:
            raise ValueError(f"a step is above zero, not {step}")
        random = torch.Generator().manual_seed((seed * 1_000_003 + int(self.updates)) % 2**63)
        cells = self._candidates if self._candidates is not None else torch.arange(self.values.numel())
        self.values *= self.decay
        if int(self.updates) < self.bootstrap:
            self._look(cells, density, step, random)
        else:
            wanted = max(1, int(len(cells) * self.share / 2))
            self._look(_spread(cells, wanted, random), density, step, random)
            self._look(
                _spread(self.occupancy.cells().flatten().nonzero().flatten().cpu(), wanted, random),
                density,
                step,
                random,
            )
        self.updates += 1
        self._settle(len(cells))

    def _look(self, cells: Tensor, density: Callable[[Tensor], Tensor], step: float, random: torch.Generator) -> None:
        flat, r = self.values.view(-1), self.resolution
        lower, upper = (torch.tensor(x, device=flat.device) for x in (self.lower, self.upper))
        for some in cells.split(CHUNK):
            inside = torch.rand(len(some), 3, generator=random)
            cell = torch.stack([some // (r * r) % r, some // r % r, some % r], dim=-1)
            around = ((cell + inside) / r - 0.5) * 2.0 ** (some // r**3)[:, None]
            points = (lower + upper) / 2 + around.to(flat.device) * (upper - lower)
            some = some.to(flat.device)
            found = density(points).to(flat.dtype) * step
            flat[some] = torch.maximum(flat[some], found.nan_to_num(0.0))

    def _settle(self, candidates: int) -> None:
        mean = float(self.values.sum(dtype=torch.float64)) / max(1, candidates)
        self.words = pack_cells(self.values > min(self.threshold, mean))

    def holds(self, points: Tensor) -> Tensor:
        """Whether points `[M, 3]` are in occupied cells, `[M]` bool, each on the finest level that has it; so are those outside of all
        levels, of which nothing is known."""
        cells = self.occupancy.cells()
        lower, upper = (torch.tensor(x, dtype=points.dtype, device=points.device) for x in (self.lower, self.upper))
        around = (points - lower) / (upper - lower) - 0.5
        level = torch.ceil(torch.log2(around.abs().amax(dim=-1).clamp(min=1e-30) * 2.0)).clamp(min=0)
        beyond = level >= self.levels
        level = level.clamp(max=self.levels - 1).long()
        cell = (
            ((around / 2.0 ** level[:, None].to(points.dtype) + 0.5) * self.resolution)
            .long()
            .clamp(0, self.resolution - 1)
        )
        return cells[level, cell[:, 0], cell[:, 1], cell[:, 2]] | beyond

    def sample(
        self,
        origins: Tensor,
        directions: Tensor,
        step: float,
        cone: float = 0.0,
        seed: int | None = None,
        first_ray: int = 0,
        most: int = 1024,
        box: Box | None = None,
    ) -> Samples:
        """The samples of rays `[N, 3]` in the occupied cells, and within `box` (two corners) where one is given; see `fields.ops.march`."""
        near, far = ray_box(origins, directions, *self.occupancy.outer_box)
        if box is not None:
            enter, leave = ray_box(origins, directions, *box)
            near, far = torch.maximum(near, enter), torch.minimum(far, leave)
        return march(origins, directions, near, far, self.occupancy, step, cone, seed, first_ray, most)


def _spread(items: Tensor, count: int, random: torch.Generator) -> Tensor:
    """About `count` of the items, one at random from each of as many equal pieces; all where there are no more."""
    each = -(-len(items) // count) if len(items) else 1
    if each == 1:
        return items
    first = torch.arange(0, len(items) - each + 1, each)
    return items[first + torch.randint(0, each, (len(first),), generator=random)]
