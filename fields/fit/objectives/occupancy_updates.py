"""Updates of a radiance field's occupancy grid while it is fitted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fields.fit.objectives.surface_start import first_shape, hull_of_grid, start_steps
from fields.models.field import RadianceField
from fields.sampling.occupancy import OccupancyGrid
from fields.surface.implicit import fibonacci_sphere
from scenes.posed.signal import RadianceScene

# Steps between updates, at least.
UPDATE_STEPS = 16
# Directions over which a density that depends on the direction is maximized. An update queries every
# `DIRECTION_STRIDE`-th of them in turn, because queries take time, and the cells keep the maximum.
NUM_DIRECTIONS = 16
DIRECTION_STRIDE = 8
# About how long proposed intervals are where there is matter, in sides of the cube.
PROPOSED_STEP = 1 / 64
# A learned background starts from a color within this range, as one of 0 or 1 could not be learned any further.
BACKGROUND_RANGE = (0.02, 0.98)


class OccupancyUpdates:
    """Keeps a field's `occupied` cells up to date, from the largest densities lately found in them."""

    def __init__(self, scene: RadianceScene) -> None:
        self.scene = scene
        self._grid: OccupancyGrid | None = None
        self._restored: dict[str, Tensor] | None = None
        # Samples that steps have queried since the last update.
        self._queried = 0

    @property
    def grid(self) -> OccupancyGrid:
        """The grid of the fit. ValueError before `begin`."""
        if self._grid is None:
            raise ValueError("the occupancy grid exists from the first step on")
        return self._grid

    @property
    def begun(self) -> bool:
        """Whether `begin` was called."""
        return self._grid is not None

    def begin(self, field: RadianceField, hull: bool) -> None:
        """Make the grid before the first step, or after a restart.

        hull: exclude cells that the views show to be empty.
        """
        grid = self._grid = OccupancyGrid(field.cells, field.cascades).to(field.device)
        empty = hull_of_grid(self.scene, field.cells) if hull and field.cascades == 1 else None
        if empty is not None and not empty.all():
            cells = torch.from_numpy(empty)
            for axis in range(3):
                cells = cells.repeat_interleave(field.cells // len(empty), dim=axis)
            grid.exclude(cells[None])
        if self._restored is not None:
            self._queried = int(self._restored.pop("queried", torch.tensor(0)))
            grid.load_state_dict({**self._restored, "words": field.occupied})
            self._restored = None
        else:
            if field.background is not None and self.scene.plain_color is not None:
                # With another color the field would have to show the background, and does, in front of the object.
                color = torch.from_numpy(self.scene.plain_color / 255).clamp(*BACKGROUND_RANGE)
                field.background.data.copy_(torch.logit(color))
            if field.has_surface:
                if not field.surface_begun:
                    seconds = self.scene.fit_seconds
                    field.begin_surface(first_shape(self.scene, hull, empty), start_steps(seconds))
                self._find_surface(field)
        field.occupied = grid.words

    def _find_surface(self, field: RadianceField) -> None:
        """Mark the cells near the surface; nothing is remembered of where it was before."""
        self.grid.mark(field.cells_near_surface)

    def count(self, queries: int) -> None:
        """Count the samples that a step has queried."""
        self._queried += queries

    def update(self, field: RadianceField, step: int, seed: int) -> None:
        """Measure densities anew, every 16 steps, or when steps have queried as many samples as an update does.

        Steps of networks have few samples, and more updates would take most of the time.
        """
        if step and step % UPDATE_STEPS == 0:
            if field.has_surface:
                self._find_surface(field)
                field.occupied = self.grid.words
                return
            directions = NUM_DIRECTIONS // DIRECTION_STRIDE if field.directional_density else 1
            if self._queried < directions * self.grid.update_points:
                return
            self._queried = 0
            length = PROPOSED_STEP if field.samples_by_proposals else field.step
            self.grid.update(self.density_function(field, step), length, seed=seed)
            field.occupied = self.grid.words

    def density_function(self, field: RadianceField, step: int) -> Callable[[Tensor], Tensor]:
        """The density that the update of a step measures, from points `[M, 3]` to `[M]`.

        In a moving scene each point gets a random training time, so a cell is occupied if there is ever something in
        it.
        """
        random = torch.Generator(field.device).manual_seed(step)
        times = torch.from_numpy(self.scene.training_times).to(field.device)
        first = step // UPDATE_STEPS % DIRECTION_STRIDE
        directions = torch.from_numpy(fibonacci_sphere(NUM_DIRECTIONS)[first::DIRECTION_STRIDE]).float()

        def density(points: Tensor) -> Tensor:
            time = None
            if field.moving:
                time = times[torch.randint(len(times), (len(points),), generator=random, device=times.device)]
            coords = field.to_coords(points)
            if not field.directional_density:
                return field.density(coords, time, None)[0]
            found = [field.density(coords, time, d.expand_as(points))[0] for d in directions.to(points.device)]
            return torch.stack(found).amax(0)

        return density

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint. The occupied cells are not among them: they are in the field."""
        if self._grid is None:
            return {}
        state = {name: tensor for name, tensor in self._grid.state_dict().items() if name != "words"}
        return {**state, "queried": torch.tensor(self._queried)}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continue from what `state` returned; takes effect in `begin`."""
        self._restored = state
