"""Radiance from any field of points: its first channel is density, the others and the direction make the colour."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd import Function

from fields.encoders.directions import angles, harmonics
from fields.models.field import PointField, RadianceField
from fields.networks.mlp import MLP
from fields.ops.packed import Samples
from fields.sampling.contraction import contract
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import Proposed, propose
from scenes.domain import Channels, Domain

# Beyond this the exponential of what a network gives for density grows no more.
MAX_LOG_DENSITY = 11.0
# A sample that adds less to a pixel, an eighth of a level of an 8-bit picture, is passed over.
MIN_WEIGHT = 5e-4
# In unbounded scenes a step is at least this share of the distance (Müller et al. 2022, appendix E.1).
CONE = 1 / 256
# Proposals: where rays begin and end, in sides of the cube; samples of the guide and of the field; what a fresh guide gives.
NEAR, FAR = 0.05, 1e3
PROPOSED = (96, 48)
GUIDE_FRESH = 0.0


class EncodedRadiance(RadianceField):
    """`trunk(coords)` `[..., F]`, the scene's volume feature (Fang et al. 2023): the logarithm of density, then what the colour is made of.

    Coordinates are of the scene's cube `[0, 1]^3` where it is bounded (`levels` = 1), else contracted (`contract`); density is per
    side of that cube. Colour: a small MLP of the feature and the direction in spherical harmonics, then a sigmoid; without a `head` the feature is
    the harmonics' coefficients, colour by colour (PVD's grid, GNF-SH). A moving
    scene's trunk has time as its last coordinate, or stands still and is asked where `deformation` leads, with the time too if it `sees_times`. A trunk that `sees_directions` is given azimuth and elevation after the coordinates.

    A fresh network gives about zero, for which density is `initial_density`. `occupied` is the grid of cells that have density, so that who has the field alone can render it.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        trunk: PointField,
        head: MLP | None,
        degree: int,
        cells: int,
        levels: int,
        learned_background: bool,
        step: float,
        initial_density: float,
        guide: PointField | None = None,
        deformation: nn.Module | None = None,
    ) -> None:
        super().__init__(domain, channels)
        self.trunk = trunk
        self.head = head
        self.guide = guide
        self.deformation = deformation
        self.cleared: OccupancyGrid | None = (
            None  # where proposed samples may be, after `fields.export.outputs.radiance.clear`
        )
        self.degree = degree
        self.cells = cells
        self.step = step
        self.fresh = math.log(initial_density)
        self.register_buffer("occupied", torch.full((levels, (cells // 4) ** 3), -1, dtype=torch.int64))
        self.background = nn.Parameter(torch.zeros(3)) if learned_background else None
        self._grid: tuple[tuple[int, int], OccupancyGrid] | None = None

    @property
    def levels(self) -> int:
        return len(self.occupied)

    @property
    def moving(self) -> bool:
        return self.domain.dimensions == 4

    @property
    def sees_directions(self) -> bool:
        """Whether density depends on where it is looked at from."""
        return getattr(self.trunk, "sees_directions", False)

    @property
    def backend(self) -> str:
        return self.trunk.backend

    @property
    def num_parameters(self) -> int:
        # (a trunk may have numbers that are for training alone)
        return (
            super().num_parameters
            - sum(tensor.numel() for tensor in self.trunk.state_dict().values())
            + self.trunk.num_parameters
        )

    @property
    def side(self) -> float:
        """Of the cube, in the scene's units."""
        axis = self.domain.axes[0]
        return axis.upper - axis.lower

    def before_step(self, step: int, total: int | None) -> None:
        self.trunk.before_step(step, total)

    def regularisation(self) -> Tensor | None:
        return self.trunk.regularisation()

    def coords(self, points: Tensor) -> Tensor:
        """Points `[..., 3]` of the scene in units of its cube → the trunk's coordinates in [0, 1]^3."""
        return points.clamp(0.0, 1.0) if self.levels == 1 else contract(points)

    def feature(self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None) -> Tensor:
        """The volume feature `[..., F]` at the trunk's coordinates `[..., 3]`."""
        return self.trunk(self.trunk_coords(coords, time, directions))

    def trunk_coords(self, coords: Tensor, time: Tensor | None, directions: Tensor | None) -> Tensor:
        parts = [coords]
        if self.moving:
            if time is None:
                raise ValueError("the scene moves: its density is asked for at a time")
            if self.deformation is not None:
                parts = [self.deformation(coords, time)]
            if self.deformation is None or getattr(self.trunk, "sees_times", False):
                parts.append(time[..., None])
        if self.sees_directions:
            # Who asks without a direction (an occupancy grid, a mesh) gets the density as seen from above.
            parts.append(
                angles(
                    directions
                    if directions is not None
                    else torch.tensor([0.0, 0.0, -1.0], device=coords.device).expand(coords.shape)
                )
            )
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        feature = self.feature(coords, time, directions)
        return density_of(feature[..., 0] + self.fresh), feature

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        return self.color_of(feature, self.encode_directions(directions))

    def encode_directions(self, directions: Tensor) -> Tensor:
        """What `color_of` takes of directions, `[..., degree^2]`; many samples have their ray's."""
        return harmonics(directions, self.degree)

    def color_of(self, feature: Tensor, encoded: Tensor) -> Tensor:
        if self.head is None:
            return torch.sigmoid((feature[..., 1:].unflatten(-1, (3, -1)) * encoded[..., None, :]).sum(-1))
        return torch.sigmoid(self.head(torch.cat([encoded, feature[..., 1:]], dim=-1)))

    def backdrop(self) -> Tensor | None:
        """The learned colour behind the scene `[3]`, or None."""
        return None if self.background is None else torch.sigmoid(self.background)

    @property
    def grid(self) -> OccupancyGrid:
        """What `fields.render` marches through."""
        state = self.occupied.data_ptr(), self.occupied._version
        if self._grid is None or self._grid[0] != state:
            grid = OccupancyGrid(self.cells, self.levels).to(self.occupied.device)
            grid.words = self.occupied
            self._grid = state, grid
        return self._grid[1]

    @property
    def how(self) -> dict:
        """What `fields.render.volume.render_rays` should be told beside the rays, in units of the cube."""
        return {
            "step": self.step,
            "cone": CONE if self.levels > 1 else 0.0,
            "contract": self.coords,
            **({"least": MIN_WEIGHT} if self.guide is None else {"sampler": self._sampler}),
        }

    def propose(
        self, origins: Tensor, directions: Tensor, seed: int | None, first_ray: int, anneal: float = 1.0
    ) -> Proposed:
        """Samples of rays in units of the cube, found by the guide; see `fields.sampling.proposal`."""
        near = torch.full_like(origins[:, 0], NEAR)
        return propose(
            [lambda points: density_of(self.guide(self.coords(points))[..., 0] + GUIDE_FRESH)],
            origins,
            directions,
            near,
            torch.full_like(near, FAR),
            list(PROPOSED),
            seed,
            first_ray,
            anneal,
        )

    def _sampler(self, origins: Tensor, directions: Tensor, seed: int | None, first_ray: int) -> Samples:
        samples = self.propose(origins, directions, seed, first_ray).samples
        # (the grid is no judge: along these long intervals matter hides that is too thin for a cell to count)
        return (
            samples
            if self.cleared is None
            else samples.keep(self.cleared.holds(samples.positions(origins, directions)))
        )

    def to_cube(self, origins: Tensor) -> Tensor:
        """Places `[..., 3]` float64 in the scene's axes → float32 in units of the cube; lengths shrink by `side`."""
        lower = torch.tensor([axis.lower for axis in self.domain.axes[:3]], dtype=torch.float64)
        return ((origins - lower) / self.side).float().to(self.occupied.device)


def density_of(raw: Tensor) -> Tensor:
    """exp (Müller et al. 2022), bounded."""
    return _Exponential.apply(raw)


class _Exponential(Function):
    @staticmethod
    def forward(ctx, raw: Tensor) -> Tensor:
        density = torch.exp(raw.clamp(max=MAX_LOG_DENSITY))
        ctx.save_for_backward(density)
        return density

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad * ctx.saved_tensors[0]
