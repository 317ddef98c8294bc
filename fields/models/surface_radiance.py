"""Radiance field whose density comes from a signed distance, on a hash grid (NeuS, Wang et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.directions import spherical_harmonics
from fields.encoders.hash_grid import HashGrid
from fields.models.field import PointField, RadianceField
from fields.models.radiance import density_from_log
from fields.networks.mlp import MLP
from fields.ops import backends
from fields.ops.adam import Adam
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.packed import Samples, from_edges
from fields.ops.ray_box import ray_box
from fields.ops.sections import head_on_density, section_density
from fields.sampling.contraction import disparity_edges, uncontract
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from scenes.domain import Channels, Domain

# The network's first output is the distance in these units, in sides of the cube: half a side, as in the literature.
DISTANCE_UNIT = 0.5
# Optical thickness e^-x that counts as nothing, in front of a surface and behind it.
NOTHING = 7.0
# Largest slope that a fitted distance is taken to have where cells are ruled out.
STEEPNESS = 1.2
# Points per call where cells are measured, which bounds the memory.
CHUNK = 1 << 17
# Points of a step and learning rates of the regression of the first shape. Half of the points are near it.
START_POINTS = 1 << 14
START_RATES = (5e-3, 2e-2)
START_NEAR = 0.03
# Points at which a step measures the slope, as fractions of the samples of its rays that light reaches: among these
# samples, and in the whole cube. At least so many in the whole cube.
NEAR_FRACTION = 1 / 16
UNIFORM_FRACTION = 1 / 32
MIN_UNIFORM = 256
# Step of the numerical gradient in cells of the finest open level; each training step draws its own (NeuRodin).
TAP_CELLS = (0.25, 2.0)
# Samples of a ray beyond the cube, and where the first and the last begin at least and at most, in sides of the cube.
OUTER_SAMPLES = 32
OUTER_NEAR = 0.1
OUTER_FAR = 1e3
# Logarithm of density beyond the cube before the first step, per side of the cube.
OUTER_LOG_DENSITY = -1.0


class SurfaceRadiance(RadianceField):
    """Radiance field with a signed distance: coords → hash grid → MLP → distance and features → color.

    The density of a sample is that of a section of NeuS, from the distances at its neighbours on the ray
    (`fields.ops.sections`); without a ray it is the density where the surface is met head-on.

    encoder, network: coords → distance in half sides of the cube, then the features.
    head: spherical harmonics of the direction of view, below `degree`, and the features → color before the sigmoid.
    sharpness: s of the first and of the last step, per side of the cube; between them it grows geometrically over
        `sharpening` of the steps.
    first_levels, coarse_to_fine: levels of the grid that are in use at first, and the fraction of the steps at which
        all are.
    eikonal: weight of (|gradient| - 1)^2 in the first and in the last step; between them it changes as the sharpness.
    reflection: whether color depends on the normal and on the direction of view reflected by it, for glossy surfaces
        (Ref-NeRF, Verbin et al. 2022). The head then takes harmonics of that direction too, and its cosine.
    outer: what surrounds the cube of an unbounded scene: contracted coords → logarithm of density, then the features.

    Attributes:
        gates: buffer `[levels]`, weights of the levels in [0, 1]. Levels of weight zero are not evaluated.
        sharpness: buffer `[]`, the present s.
        begun: buffer `[]` bool, whether `begin_surface` was called.
    """

    has_surface = True
    gates: Tensor
    sharpness: Tensor
    begun: Tensor

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        *,
        encoder: HashGrid,
        network: MLP,
        head: MLP,
        degree: int,
        sharpness: tuple[float, float],
        sharpening: float,
        first_levels: int,
        coarse_to_fine: float,
        eikonal: tuple[float, float],
        outer: PointField | None = None,
        reflection: bool = False,
    ) -> None:
        super().__init__(domain, channels)
        self.encoder = encoder
        self.network = network
        self.head = head
        self.degree = degree
        self.sharpness_range = sharpness
        self.sharpening = sharpening
        self.first_levels = min(first_levels, encoder.layout.levels)
        self.coarse_to_fine = coarse_to_fine
        self.eikonal_range = eikonal
        self._eikonal = eikonal[0]
        self.outer = outer
        self.reflection = reflection
        self.register_buffer("gates", torch.ones(encoder.layout.levels))
        self.register_buffer("sharpness", torch.tensor(float(sharpness[0])))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))
        self._schedule(0.0, 0.0)
        self._step = 0
        self._recent: Tensor | None = None

    @property
    def backend(self) -> str:
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)

    # Schedules

    def before_step(self, step: int, total: int | None) -> None:
        self._step = step
        levels = schedule_progress(step, total, self.coarse_to_fine) if self.coarse_to_fine else 1.0
        self._schedule(levels, schedule_progress(step, total, self.sharpening))

    def _schedule(self, levels: float, sharpness: float) -> None:
        """Set weights of levels and sharpness for progress in [0, 1] of the two schedules."""
        count = self.encoder.layout.levels
        depth = (self.first_levels + (count - self.first_levels) * levels - torch.arange(count)).clamp(0.0, 1.0)
        self.gates.copy_(0.5 - 0.5 * torch.cos(math.pi * depth))
        first, last = self.sharpness_range
        self.sharpness.fill_(first * (last / first) ** sharpness)
        first, last = self.eikonal_range
        self._eikonal = first * (last / first) ** sharpness if first and last else last

    # Distance

    def _open_layout(self) -> GridLayout:
        """The grid without its levels of weight zero."""
        return replace(self.encoder.layout, levels=max(1, int((self.gates > 0).sum())))

    def _evaluate(self, coords: Tensor, frozen: bool = False) -> Tensor:
        """Outputs `[..., 1 + F]` of the network; the first in units of `DISTANCE_UNIT`.

        frozen: whether only the coords get gradients.
        """
        layout, table, weights = self._open_layout(), self.encoder.table, self.network.weights
        biases = self.network.biases
        if frozen:
            table, weights = table.detach(), [weight.detach() for weight in weights]
            biases = None if biases is None else [bias.detach() for bias in biases]
        if layout.levels < self.encoder.layout.levels:
            table = table[: layout.entries]
        # The weight of a level is a factor on the columns that its features meet.
        gates = self.gates[: layout.levels].repeat_interleave(layout.features)
        weights = [weights[0][:, : layout.outputs] * gates, *weights[1:]]
        return grid_mlp(
            coords,
            table,
            weights,
            layout,
            interpolation=self.encoder.interpolation,
            biases=biases,
            backend=self.encoder.requested_backend,
        )

    def distance(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        if self.outer is None:
            return self._inner(coords)
        flat = coords.reshape(-1, 3)
        inside = _in_cube(flat)
        within, beyond = inside.nonzero().flatten(), (~inside).nonzero().flatten()
        distance, feature = self._inner(_cube_coords(flat.index_select(0, within)))
        outside = self.outer(flat.index_select(0, beyond))
        order = torch.argsort(torch.cat([within, beyond]))
        values = torch.cat([distance, outside[:, 0] + OUTER_LOG_DENSITY]).index_select(0, order)
        features = torch.cat([feature, outside[:, 1:]]).index_select(0, order)
        return values.reshape(coords.shape[:-1]), features.reshape(*coords.shape[:-1], -1)

    def _inner(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distance `[...]` and feature `[..., F]` at points of the cube, `[..., 3]` in [0, 1]^3."""
        values = self._evaluate(coords)
        if torch.is_grad_enabled() and self.training:
            self._recent = coords.detach().reshape(-1, 3)
        return values[..., 0] * DISTANCE_UNIT, values[..., 1:]

    def signed_distance(self, coords: Tensor) -> Tensor:
        if self.outer is None:
            return self._evaluate(coords)[..., 0] * DISTANCE_UNIT
        points = uncontract(coords)
        nearest = points.clamp(0.0, 1.0)
        # What surrounds the cube has no surface; distances go on from its faces.
        return self._evaluate(nearest)[..., 0] * DISTANCE_UNIT + (points - nearest).norm(dim=-1)

    def ray_density(self, distance: Tensor, samples: Samples, coords: Tensor) -> Tensor:
        if self.outer is None:
            return section_density(distance, samples, self.sharpness)
        inside = _in_cube(coords)
        within, beyond = inside.nonzero().flatten(), (~inside).nonzero().flatten()
        inner = section_density(distance.index_select(0, within), samples.select(inside), self.sharpness)
        outer = density_from_log(distance.index_select(0, beyond))
        return torch.cat([inner, outer]).index_select(0, torch.argsort(torch.cat([within, beyond])))

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        distance, feature = self.distance(coords)
        density = head_on_density(distance, self.step, self.sharpness)
        if self.outer is not None:
            density = torch.where(_in_cube(coords), density, density_from_log(distance))
        return density, self.surface_feature(feature, coords)

    @property
    def march(self) -> MarchSettings:
        settings = super().march
        return settings if self.outer is None else replace(settings, sampler=self._sampler)

    def _sampler(self, origins: Tensor, directions: Tensor, seed: int | None, first_ray: int) -> Samples:
        """Samples near the surface in the cube, and then in what surrounds it, at equal steps in 1 / distance.

        What is between a camera outside of the cube and the cube is taken to be empty.
        """
        grid = OccupancyGrid(self.cells).to(self.device)
        grid.words = self.occupied[:1]
        inner = grid.sample(origins, directions, step=self.step, seed=seed, first_ray=first_ray)
        enter, leave = ray_box(origins, directions, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        # A ray that misses the cube begins where it is nearest to the middle.
        beside = ((0.5 - origins) * directions).sum(-1)
        begin = torch.where(leave > enter, leave, beside).clamp(min=OUTER_NEAR)
        edges = disparity_edges(begin, torch.full_like(begin, OUTER_FAR), OUTER_SAMPLES)
        outer = from_edges(edges)
        rays = torch.cat([inner.ray_indices, outer.ray_indices])
        order = torch.argsort(rays, stable=True)
        return Samples(
            torch.cat([inner.t_starts, outer.t_starts]).index_select(0, order),
            torch.cat([inner.t_ends, outer.t_ends]).index_select(0, order),
            rays.index_select(0, order),
            inner.offsets + outer.offsets,
        )

    def cells_near_surface(self, cells: Tensor) -> Tensor:
        # Behind a surface as in front of it: what lies deeper gets no light.
        reach = NOTHING / float(self.sharpness) + self.step + STEEPNESS * 0.5 * math.sqrt(3.0) / self.cells
        found = []
        with torch.no_grad():
            for part in cells.split(CHUNK):
                distance = self._evaluate((part.float() + 0.5) / self.cells)[:, 0] * DISTANCE_UNIT
                found.append(distance.abs() < reach)
        return torch.cat(found) if found else cells.new_zeros(0, dtype=torch.bool)

    # Color

    def surface_feature(self, feature: Tensor, coords: Tensor) -> Tensor:
        """The features, and the normals `[M, 3]` behind them if color depends on these."""
        if not self.reflection:
            return feature
        return torch.cat([feature, self.normals(coords if self.outer is None else _cube_coords(coords))], dim=-1)

    def normals(self, points: Tensor) -> Tensor:
        """Unit normals `[..., 3]` at points of the cube, outwards. No gradient flows through them."""
        with torch.enable_grad():
            at = points.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self._evaluate(at, frozen=True)[..., 0].sum(), at)
        return nn.functional.normalize(slope, dim=-1)

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        return self.color_of_encoded(feature, self.encode_directions(directions))

    def encode_directions(self, directions: Tensor) -> Tensor:
        """Spherical harmonics of unit directions `[N, 3]`; with `reflection`, the directions behind them."""
        harmonics = spherical_harmonics(directions, self.degree)
        return torch.cat([harmonics, directions], dim=-1) if self.reflection else harmonics

    def color_of_encoded(self, feature: Tensor, encoded: Tensor) -> Tensor:
        if not self.reflection:
            return torch.sigmoid(self.head(torch.cat([encoded, feature], dim=-1)))
        harmonics, directions = encoded[..., :-3], encoded[..., -3:]
        feature, normals = feature[..., :-3], feature[..., -3:]
        cosine = (normals * directions).sum(dim=-1, keepdim=True)
        reflected = spherical_harmonics(directions - 2.0 * cosine * normals, self.degree)
        return torch.sigmoid(self.head(torch.cat([harmonics, reflected, cosine, feature], dim=-1)))

    # Training

    def regularisation(self) -> Tensor | None:
        """Weighted (|gradient| - 1)^2 at random points of the cube and at some samples of the step's rays."""
        if not self._eikonal:
            return None
        random = torch.Generator().manual_seed(self._step)
        recent = torch.zeros(0, 3) if self._recent is None else self._recent
        self._recent = None
        uniform = max(MIN_UNIFORM, int(UNIFORM_FRACTION * len(recent)))
        points = torch.rand(uniform, 3, generator=random).to(self.device)
        if near := int(NEAR_FRACTION * len(recent)):
            chosen = torch.randint(len(recent), (near,), generator=random).to(self.device)
            points = torch.cat([points, recent.index_select(0, chosen)])
        low, high = TAP_CELLS
        cells = low + (high - low) * float(torch.rand((), generator=random))
        size = cells / self._open_layout().per_level[-1].scale
        return self._eikonal * (self.numerical_gradient(points, size).norm(dim=-1) - 1.0).square().mean()

    def numerical_gradient(self, coords: Tensor, size: float) -> Tensor:
        """Central differences `[M, 3]` of the distance over `size` to both sides of coords `[M, 3]`, in float32."""
        shift = torch.eye(3, device=coords.device) * size
        taps = torch.stack([coords[:, None] + shift, coords[:, None] - shift]).clamp(0.0, 1.0)
        above, below = self._evaluate(taps.reshape(-1, 3))[:, 0].reshape(2, len(coords), 3) * DISTANCE_UNIT
        length = (taps[0] - taps[1]).diagonal(dim1=1, dim2=2)
        return (above - below) / length

    @property
    def surface_begun(self) -> bool:
        return bool(self.begun)

    def begin_surface(self, distances: Tensor, steps: int) -> None:
        """Fit the distance to a shape by regression; the features keep their random values."""
        parameters = [*self.network.parameters()]
        optimizer = Adam(
            [
                {"params": parameters, "lr": START_RATES[0]},
                {"params": [self.encoder.table], "lr": START_RATES[1], "sparse": True},
            ]
        )
        random = torch.Generator().manual_seed(len(distances))
        near = (distances.abs() < START_NEAR).nonzero()
        for step in range(steps):
            for group, rate in zip(optimizer.param_groups, START_RATES):
                group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            points = torch.rand(START_POINTS, 3, generator=random)
            if len(near):
                half = START_POINTS // 2
                cell = near[torch.randint(len(near), (half,), generator=random)]
                points[:half] = (cell + points[:half]) / len(distances)
            wanted = interpolate(distances, points).to(self.device)
            optimizer.zero_grad()
            found = self._evaluate(points.to(self.device))[:, 0] * DISTANCE_UNIT
            ((found - wanted) / DISTANCE_UNIT).abs().mean().backward()
            optimizer.step()
        optimizer.zero_grad()
        self.begun.fill_(True)


def _in_cube(coords: Tensor) -> Tensor:
    """Whether contracted coords `[..., 3]` are those of points of the cube."""
    return (coords - 0.5).abs().amax(dim=-1) <= 0.25


def _cube_coords(coords: Tensor) -> Tensor:
    """Points of the cube in [0, 1]^3 from their contracted coords."""
    return (coords * 2.0 - 0.5).clamp(0.0, 1.0)


def interpolate(values: Tensor, points: Tensor) -> Tensor:
    """Values `[M]` at points `[M, 3]` of the unit cube, linear between those at the centres of cells `[n, n, n]`."""
    place = points.flip(-1).reshape(1, 1, 1, -1, 3) * 2.0 - 1.0
    found = nn.functional.grid_sample(values[None, None], place, align_corners=False, padding_mode="border")
    return found.reshape(-1)
