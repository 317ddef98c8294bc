"""Fields: modules that carry the domain they were measured over, in three kinds by how they are queried.

The base class of a field, and the members that it overrides, decide which objectives, exports and distillation stages
apply to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal, Protocol, cast

import torch
from torch import Tensor, nn

from fields.encoders.footprint import FootprintEncoder, expand_footprint
from fields.encoders.frequency import FixedEncoding
from fields.models.regions import region_means
from fields.networks.native import NativeNetwork, RoundableNetwork, Step, StepOptions
from fields.ops.fused_step import Loss
from fields.ops.march import pack_cells
from fields.ops.mlp import MatmulDtype, why_not_matmul_dtype
from fields.ops.packed import Samples
from fields.sampling.contraction import contract
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import ProposedSamples
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

# A sample that adds less to a pixel is skipped: an eighth of a level of an 8-bit image.
MIN_WEIGHT = 5e-4
# In unbounded scenes a step is at least this fraction of the distance (Müller et al. 2022, appendix E.1).
CONE = 1 / 256
# Fraction of the steps from which on matrix products are float32 again. Networks on coordinates, whose first layer is
# float32 in any case, lose less than 0.05 dB even if there is no such part.
FLOAT32_FROM = 0.9
# The logarithm that stands for no density.
MIN_LOG_DENSITY = -20.0


class Field(nn.Module):
    """A fitted signal, or one to be fitted. Every checkpoint contains its domain and channels."""

    def __init__(self, domain: Domain, channels: Channels) -> None:
        super().__init__()
        self.domain = domain
        self.channels = channels

    @property
    def num_parameters(self) -> int:
        """Number of values inference needs, frozen buffers included. Reported as the metric `parameters`."""
        return sum(tensor.numel() for tensor in self.state_dict().values())

    @property
    def device(self) -> torch.device:
        """Device of the field's parameters."""
        return next(self.parameters()).device

    @property
    def backend(self) -> str:
        """Backend that evaluates the field: "native-cpu", "native-cuda", "tcnn" or "torch"."""
        return "torch"

    @property
    def training_dtype(self) -> MatmulDtype:
        """Type of the factors of matrix products in native training steps, until the last part of the training."""
        return "float32"

    @contextmanager
    def training_precision(self) -> Iterator[None]:
        """While it is open, the field is evaluated as in a training step, whose matrix products may be rounded."""
        yield

    @property
    def point_field(self) -> PointField | None:
        """The part that maps points to values: a point field itself, the trunk of a radiance field, or None."""
        return None

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        """Native training step for this loss (see `fields.fit.trainer`), or None if autograd has to do it."""
        return None

    def before_step(self, step: int, total: int | None) -> None:
        """Called before each training step, for coarse-to-fine schedules. `total` is None while it is still unknown."""

    def regularisation(self) -> Tensor | None:
        """Weighted penalty that training adds to the loss of a batch, or None. Fused steps do not add it."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """Extra scalars the field reports next to its metrics; stored in the run."""
        return {}

    def remarks(self) -> list[str]:
        """Messages for the user about this fit, one line each."""
        return []


class PointField(Field):
    """A map from points to values: images, audio, videos as volumes, distances, densities.

    takes_directions: azimuth and elevation of the direction of view follow the coordinates.
    takes_time: the time of a moving scene is the last coordinate even if points are deformed to a still scene first.

    A subclass overrides `forward`, which is asked at points. Whoever uses a field calls it.
    """

    takes_directions: bool = False
    takes_time: bool = False

    def __call__(self, coords: Tensor, footprint: Tensor | float | None = None) -> Tensor:
        """Values `[..., C]` at `coords` `[..., D]` in [0, 1]^D, of the same dtype, or their means over regions.

        footprint: size of the region that a value stands for, a box around the coords with sides along the axes, in
            units of the coords: one number, `[...]`, or `[..., D]`. None or 0: a point.

        Along axes with regular samples, the mean is that of the samples in the box, and a box that is no larger than a
        sample is a point (`fields.models.regions`). Where the samples are scattered, a field whose encoding can answer
        for regions is evaluated once (`faded`); the values of any other are averaged over a lattice in the box.

        Example: `field(coords, 4 / 512)` gives the pixels of an image of 512 pixels reduced to a quarter.

        Raises ValueError for a footprint of another shape, and for sizes that are negative or not finite.
        """
        if footprint is None:
            return super().__call__(coords)
        sizes = expand_footprint(footprint, coords)
        samples = self.domain.shape
        if self.fades and all(count is None for count in samples):
            return self.faded(coords, sizes)
        # What follows the axes of the domain, such as a direction, is of a point.
        samples = (*samples, *[None] * (coords.shape[-1] - len(samples)))
        return region_means(super().__call__, coords, sizes, samples)

    @property
    def fades(self) -> bool:
        """Whether `faded` answers for regions."""
        return False

    def faded(self, coords: Tensor, footprint: Tensor) -> Tensor:
        """Values `[..., C]` for boxes around `coords` `[..., D]` by one evaluation of each: an approximation.

        footprint: sides of the boxes, of the shape of coords. What is finer than they are is left out of the encoding;
        the network after it is not linear, so that its values are not the exact means.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot answer for regions at once")

    @property
    def point_field(self) -> PointField:
        return self

    def forward(self, coords: Tensor) -> Tensor:
        """Values `[..., C]` at `coords` `[..., D]` in [0, 1]^D, of the same dtype."""
        raise NotImplementedError

    def at(self, *position: Tensor | float) -> Tensor:
        """Values `[..., C]` at a position in the signal's own units, one argument per axis.

        Example: `field.at(384.5, 256.5)` is the color at the centre of a pixel. Raises ValueError for another number of
        arguments than the field has axes.
        """
        parts = torch.broadcast_tensors(*(torch.as_tensor(p, dtype=torch.float64) for p in position))
        axes = self.domain.axes
        if len(parts) != len(axes):
            raise ValueError(f"this field has {len(axes)} axes ({', '.join(a.name for a in axes)}), not {len(parts)}")
        # The domain may be far from the origin, where float32 would round a position before it is one in [0, 1].
        coords = torch.stack([(p - a.lower) / (a.upper - a.lower) for p, a in zip(parts, axes)], dim=-1).float()
        lower, upper = self.channels.lower, self.channels.upper
        with torch.no_grad():
            values = self(coords.to(self.device))
            # Small variations on a large offset are lost in float32.
            return (values.double() if self.channels.needs_float64 else values) * (upper - lower) + lower


class RadianceField(Field):
    """Density and view-dependent color of a scene, rendered along rays by `fields.render.volume`.

    A minimal field overrides `density` and `color`; the other members have defaults that suit it.

    The first three axes of the domain span the scene's cube; time is the fourth axis if the scene moves. *Points* are
    positions in units of the cube, so the cube is [0, 1]^3 and points may lie outside it. *Coords* are what `density`
    takes, always in [0, 1]^3: `to_coords` clamps the points of a bounded scene and contracts those of an unbounded one.
    Densities are per side of the cube.

    cells, cascades: size of the occupancy grid: cells along each axis (a multiple of 4), and number of nested cubes,
        each twice as large as the one before. More than one cascade means an unbounded scene.
    step: distance between the samples of a ray, in sides of the cube.

    Attributes:
        occupied: buffer with one bit per cell of the occupancy grid. All cells are occupied until a fit updates it. It
            is stored with the field, so that the field can be rendered without its scene.
        background: logits of a learned background color `[3]`, or None.
        directional_density: whether density depends on the direction of view. Only then does `density` get directions.
        feature_channels: number of channels of the features that color is made of and that distillation can match with
            another field's; None if they have no meaning outside this field.
        has_surface: whether density comes from a signed distance, which `signed_distance` gives. Rays are then rendered
            by `distance` and `ray_density`.
    """

    directional_density: bool = False
    has_surface: bool = False
    feature_channels: int | None = None
    occupied: Tensor
    background: nn.Parameter | None

    def __init__(
        self, domain: Domain, channels: Channels, *, cells: int = 64, cascades: int = 1, step: float = 1 / 512
    ) -> None:
        super().__init__(domain, channels)
        self.register_parameter("background", None)
        # The grid, and what tells whether `occupied` has changed since; in a tuple, so that it is no submodule.
        self._grid: tuple[tuple[int, int], OccupancyGrid] | None = None
        self.set_resolution(cells=cells, cascades=cascades, step=step)

    # What a field must override

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Density `[...]` and feature `[..., F]` at `coords` `[..., 3]` in [0, 1]^3.

        time: `[...]` in [0, 1] if the scene moves, else None.
        directions: unit directions of view `[..., 3]` if `directional_density`, else None. A caller without directions
            (an occupancy grid, a mesh) may pass None in any case.

        The feature may be anything that `color` takes.
        """
        raise NotImplementedError

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        """Colors `[..., 3]` in [0, 1] of features `[..., F]` seen along unit directions `[..., 3]`."""
        raise NotImplementedError

    # A surface (optional; a field with `has_surface` overrides these)

    def distance(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distance `[...]` in sides of the cube, negative inside, and feature `[..., F]` at `coords`.

        Where a field has no surface, as in what surrounds the cube of an unbounded scene, the first value is whatever
        `ray_density` takes there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no surface")

    def signed_distance(self, coords: Tensor) -> Tensor:
        """Signed distance `[...]` at `coords` `[..., 3]` in [0, 1]^3, in sides of the cube, negative inside."""
        return self.distance(coords)[0]

    def ray_density(self, distance: Tensor, samples: Samples, coords: Tensor) -> Tensor:
        """Density `[S]` of samples along rays, from what `distance` gave `[S]` at the coords `[S, 3]` of midpoints."""
        raise NotImplementedError(f"{type(self).__name__} has no surface")

    def surface_feature(self, feature: Tensor, coords: Tensor) -> Tensor:
        """What `color` takes, of features `[M, F]` that `distance` gave at coords `[M, 3]`: those that are seen."""
        return feature

    def cells_near_surface(self, cells: Tensor) -> Tensor:
        """Which cells of the occupancy grid, `[M, 3]` int64, light may be lost in: `[M]` bool."""
        raise NotImplementedError(f"{type(self).__name__} has no surface")

    @property
    def surface_begun(self) -> bool:
        """Whether the field has a shape that a fit may start from, so that `begin_surface` is not needed."""
        return True

    def begin_surface(self, distances: Tensor, steps: int) -> None:
        """Take a shape before a fit begins: signed distances `[n, n, n]` in sides of the cube, at centres of cells.

        steps: of a regression, the more the closer.
        """
        raise NotImplementedError(f"{type(self).__name__} has no surface")

    # Geometry

    def set_resolution(self, *, cells: int, cascades: int, step: float) -> None:
        """Set the size of the occupancy grid and the step of rays, and mark all cells as occupied."""
        self.cells = cells
        self.step = step
        self._grid = None
        self.register_buffer("occupied", torch.full((cascades, (cells // 4) ** 3), -1, dtype=torch.int64))

    @property
    def cascades(self) -> int:
        """Number of nested cubes of the occupancy grid; more than one for unbounded scenes."""
        return len(self.occupied)

    @property
    def moving(self) -> bool:
        """Whether the scene moves, so that `density` needs a time."""
        return self.domain.dimensions == 4

    @property
    def side(self) -> float:
        """Side of the cube in units of the scene."""
        axis = self.domain.axes[0]
        return axis.upper - axis.lower

    @property
    def device(self) -> torch.device:
        """Device of the field's parameters and buffers."""
        return self.occupied.device

    def to_cube(self, positions: Tensor) -> Tensor:
        """Convert positions `[..., 3]` float64 in units of the scene to points, float32 on the field's device."""
        lower = torch.tensor([axis.lower for axis in self.domain.axes[:3]], dtype=torch.float64)
        return ((positions - lower) / self.side).float().to(self.device)

    def to_coords(self, points: Tensor) -> Tensor:
        """Convert points `[..., 3]` in units of the cube to coords in [0, 1]^3."""
        return points.clamp(0.0, 1.0) if self.cascades == 1 else contract(points)

    # Rendering

    @property
    def grid(self) -> OccupancyGrid:
        """The occupancy grid whose cells are `occupied`."""
        state = self.occupied.data_ptr(), self.occupied._version
        if self._grid is None or self._grid[0] != state:
            grid = OccupancyGrid(self.cells, self.cascades).to(self.occupied.device)
            grid.words = self.occupied
            self._grid = state, grid
        return self._grid[1]

    def set_occupied(self, cells: Tensor) -> None:
        """Replace the occupied cells by `cells`, `[cascades, n, n, n]` bool, x first. The run's file keeps its own."""
        self.occupied.copy_(pack_cells(cells))

    def measure_occupancy(self, points_per_cell: int = 4) -> None:
        """Find the occupied cells of a field that was not fitted, for example of an analytic one.

        A fit does this itself. Without it every cell counts as occupied, and rendering is slower. Neighbours of
        occupied cells count as occupied too, because random points may miss what little a cell holds.

        points_per_cell: random points at which the density of each cell is measured.
        """
        grid = OccupancyGrid(self.cells, self.cascades, warmup_updates=points_per_cell).to(self.device)
        random = torch.Generator().manual_seed(0)

        def density(points: Tensor) -> Tensor:
            time = torch.rand(len(points), generator=random).to(points.device) if self.moving else None
            return self.density(self.to_coords(points), time, None)[0]

        for seed in range(points_per_cell):
            grid.update(density, self.step, seed)
        cells = grid.occupancy.cells().float()
        self.set_occupied(nn.functional.max_pool3d(cells, 3, stride=1, padding=1) > 0)

    @property
    def march(self) -> MarchSettings:
        """How rays are sampled where nothing else is said."""
        return MarchSettings(
            step=self.step,
            cone=CONE if self.cascades > 1 else 0.0,
            contract=self.to_coords,
            min_weight=MIN_WEIGHT,
        )

    def encode_directions(self, directions: Tensor) -> Tensor:
        """Encode unit directions `[N, 3]` for `color_of_encoded`, once for all samples of a ray."""
        return directions

    def color_of_encoded(self, feature: Tensor, encoded: Tensor) -> Tensor:
        """`color` for directions that `encode_directions` has encoded."""
        return self.color(feature, encoded)

    def background_color(self) -> Tensor | None:
        """The learned color behind the scene, `[3]` in [0, 1], or None."""
        return None if self.background is None else torch.sigmoid(self.background)

    # Proposal sampling (optional)

    @property
    def samples_by_proposals(self) -> bool:
        """Whether `propose` chooses the samples of rays, rather than the occupancy grid."""
        return False

    def propose(
        self, origins: Tensor, directions: Tensor, *, seed: int | None, first_ray: int = 0, anneal: float = 1.0
    ) -> ProposedSamples:
        """Samples of rays `[N, 3]` in units of the cube; see `fields.sampling.proposal.propose`.

        A field with `samples_by_proposals` overrides this method.
        """
        raise NotImplementedError(f"{type(self).__name__} has no proposals")

    def limit_proposals(self, cells: Tensor) -> None:
        """Restrict the proposed samples of rendered images to `cells`, `[cascades, n, n, n]` bool, x first."""

    # Distillation

    def volume_features(self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None) -> Tensor:
        """Logarithm of density, then the features color is made of, `[..., 1 + F]` (Fang et al. 2023: volume feature).

        The arguments are those of `density`. The logarithm is at least -20.
        """
        density, feature = self.density(coords, time, directions)
        return torch.cat([density.clamp(min=math.exp(MIN_LOG_DENSITY)).log()[..., None], feature], dim=-1)

    def color_of_volume_features(self, features: Tensor, directions: Tensor) -> Tensor:
        """Colors `[..., 3]` of `volume_features` `[..., 1 + F]` seen along unit directions `[..., 3]`."""
        return self.color(features[..., 1:], directions)


class FrameField(Field):
    """A map from times to whole frames."""

    def frames(self, times: Tensor) -> Tensor:
        """Frames `[T, C, H, W]` at `times` `[T]` in [0, 1]."""
        raise NotImplementedError


class Steppable(Protocol):
    """A network that may have a native training step."""

    def training_step(self, options: StepOptions) -> Step | None: ...


# Methods that make up a coordinate field's values.
FORWARD_PARTS = ("features", "decode", "forward")


class CoordinateField(PointField):
    """An encoder, a network, and a fixed affine map of the output to the range of the signal.

    `features` and `decode` are the two halves that distillation matches. The values are the network's output times
    `scale` plus `offset`, so that a network may be trained to give, say, [-1, 1].
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        encoder: nn.Module,
        network: nn.Module,
        *,
        scale: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.scale = scale
        self.offset = offset
        # What `training_dtype` should be; auto: bfloat16 where the processor has it. A field is evaluated in float32,
        # which every machine has.
        self.matmul_dtype: MatmulDtype | Literal["auto"] = "float32"
        self._ending = False

    def before_step(self, step: int, total: int | None) -> None:
        super().before_step(step, total)
        self._ending = total is not None and step >= FLOAT32_FROM * total

    @property
    def backend(self) -> str:
        if isinstance(self.encoder, FixedEncoding) and isinstance(self.network, NativeNetwork):
            return self.network.backend
        return "torch"

    @property
    def training_dtype(self) -> MatmulDtype:
        if self.matmul_dtype != "auto":
            return self.matmul_dtype
        network = self.network
        if not isinstance(network, RoundableNetwork) or not isinstance(self.encoder, FixedEncoding):
            return "float32"
        return "float32" if network.why_not_rounded() else "bfloat16"

    @contextmanager
    def training_precision(self) -> Iterator[None]:
        network = self.network
        if self._ending or self.training_dtype == "float32" or not isinstance(network, RoundableNetwork):
            yield
            return
        network.rounded = True
        try:
            yield
        finally:
            network.rounded = False

    @property
    def fades(self) -> bool:
        return isinstance(self.encoder, FootprintEncoder) and self.encoder.fades

    def faded(self, coords: Tensor, footprint: Tensor) -> Tensor:
        return self.decode(self.encoder(coords, footprint))

    def features(self, coords: Tensor) -> Tensor:
        """Features `[..., F]` at `coords` `[..., D]`."""
        return self.encoder(coords)

    def decode(self, features: Tensor) -> Tensor:
        """Values `[..., C]` of features `[..., F]`."""
        return self.network(features) * self.scale + self.offset

    def forward(self, coords: Tensor) -> Tensor:
        return self.decode(self.features(coords))

    def fused_step(self, loss: str) -> Callable[..., Tensor] | None:
        # A subclass with a part of its own computes something else.
        if any(getattr(type(self), part) is not getattr(CoordinateField, part) for part in FORWARD_PARTS):
            return None
        return self.native_step(self.network, loss) if isinstance(self.network, NativeNetwork) else None

    def native_step(self, network: Steppable, loss: str) -> Callable[..., Tensor] | None:
        """Native training step of values that are those of `network` times `scale` plus `offset`, or None."""
        units = set(self.channels.error_units)
        if len(units) > 1 or not isinstance(self.encoder, FixedEncoding):
            return None
        unit = float(units.pop())
        options = StepOptions(
            encoding=self.encoder.input_encoding(),
            dimensions=self.domain.dimensions,
            loss=cast(Loss, loss),
            value_scale=self.scale / unit,
            value_offset=self.offset / unit,
        )
        exact = network.training_step(options)
        if exact is None:
            return None
        rounded = exact
        if (dtype := self.training_dtype) != "float32":
            if reason := why_not_matmul_dtype(dtype):
                raise BadInput(f"`matmul_dtype={dtype}`: {reason}; leave it out")
            rounded = network.training_step(replace(options, matmul_dtype=dtype)) or exact

        def step(coords: Tensor, targets: Tensor, *weights: Tensor) -> Tensor:
            return (exact if self._ending else rounded)(coords, targets if unit == 1.0 else targets / unit, *weights)

        return step
