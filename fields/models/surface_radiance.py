"""Radiance field whose density comes from a signed distance, on a hash grid (NeuS, Wang et al. 2021)."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from fields.encoders.coarse_to_fine import schedule_progress
from fields.encoders.directions import spherical_harmonics
from fields.encoders.hash_grid import HashGrid
from fields.models.field import RadianceField
from fields.networks.mlp import MLP
from fields.ops import backends
from fields.ops.adam import Adam
from fields.ops.grid_layout import GridLayout
from fields.ops.grid_mlp import grid_mlp
from fields.ops.packed import Samples
from fields.ops.sections import head_on_density, section_density
from scenes.domain import Channels, Domain

# The network's first output is the distance in these units, in sides of the cube: half a side, as in the literature.
DISTANCE_UNIT = 0.5
# Optical thickness e^-x that counts as nothing, in front of a surface and behind it.
NOTHING = 7.0
# Largest slope that a fitted distance is taken to have where cells are ruled out.
STEEPNESS = 1.2
# Points per call where cells are measured, which bounds the memory.
CHUNK = 1 << 17
# Steps, points of a step and learning rates of the regression of the first shape. Half of the points are near it.
START_STEPS = 200
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
    eikonal: weight of (|gradient| - 1)^2.

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
        eikonal: float,
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
        self.eikonal = eikonal
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

    # Distance

    def _open_layout(self) -> GridLayout:
        """The grid without its levels of weight zero."""
        return replace(self.encoder.layout, levels=max(1, int((self.gates > 0).sum())))

    def _evaluate(self, coords: Tensor) -> Tensor:
        """Outputs `[..., 1 + F]` of the network; the first in units of `DISTANCE_UNIT`."""
        layout, table, weights = self._open_layout(), self.encoder.table, self.network.weights
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
            biases=self.network.biases,
            backend=self.encoder.requested_backend,
        )

    def distance(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        values = self._evaluate(coords)
        if torch.is_grad_enabled() and self.training:
            self._recent = coords.detach()
        return values[..., 0] * DISTANCE_UNIT, values[..., 1:]

    def ray_density(self, distance: Tensor, samples: Samples) -> Tensor:
        return section_density(distance, samples, self.sharpness)

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        distance, feature = self.distance(coords)
        return head_on_density(distance, self.step, self.sharpness), feature

    def cells_near_surface(self, cells: Tensor) -> Tensor:
        # Behind a surface as in front of it: what lies deeper gets no light.
        reach = NOTHING / float(self.sharpness) + self.step + STEEPNESS * 0.5 * math.sqrt(3.0) / self.cells
        found = []
        with torch.no_grad():
            for part in cells.split(CHUNK):
                found.append(self.signed_distance((part.float() + 0.5) / self.cells).abs() < reach)
        return torch.cat(found) if found else cells.new_zeros(0, dtype=torch.bool)

    # Color

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        return self.color_of_encoded(feature, self.encode_directions(directions))

    def encode_directions(self, directions: Tensor) -> Tensor:
        return spherical_harmonics(directions, self.degree)

    def color_of_encoded(self, feature: Tensor, encoded: Tensor) -> Tensor:
        return torch.sigmoid(self.head(torch.cat([encoded, feature], dim=-1)))

    # Training

    def regularisation(self) -> Tensor | None:
        """Weighted (|gradient| - 1)^2 at random points of the cube and at some samples of the step's rays."""
        if not self.eikonal:
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
        return self.eikonal * (self.numerical_gradient(points, size).norm(dim=-1) - 1.0).square().mean()

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

    def begin_surface(self, distances: Tensor) -> None:
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
        for step in range(START_STEPS):
            for group, rate in zip(optimizer.param_groups, START_RATES):
                group["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / START_STEPS))
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


def interpolate(values: Tensor, points: Tensor) -> Tensor:
    """Values `[M]` at points `[M, 3]` of the unit cube, linear between those at the centres of cells `[n, n, n]`."""
    place = points.flip(-1).reshape(1, 1, 1, -1, 3) * 2.0 - 1.0
    found = nn.functional.grid_sample(values[None, None], place, align_corners=False, padding_mode="border")
    return found.reshape(-1)
