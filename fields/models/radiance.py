"""Radiance field made of a point field, whose output gives density and what the color is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd import Function

from fields.encoders.directions import direction_angles, spherical_harmonics
from fields.models.field import PointField, RadianceField
from fields.networks.mlp import MLP
from fields.ops.march import pack_cells
from fields.ops.mlp import MatmulDtype
from fields.ops.packed import Samples
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import ProposedSamples, propose
from scenes.domain import Channels, Domain

# Largest logarithm of density; beyond it density does not grow.
MAX_LOG_DENSITY = 11.0
# Where rays begin and end with proposal sampling, in sides of the cube.
NEAR = 0.05
FAR = 1e3
# Samples per ray with proposal sampling: of the proposal field, and of the field itself.
PROPOSAL_SAMPLES = 96
FIELD_SAMPLES = 48


class EncodedRadiance(RadianceField):
    """Radiance field whose `trunk` maps coords to a feature `[..., F]`, the volume feature of Fang et al. (2023).

    The first channel of the feature is the logarithm of density relative to `initial_density`, so that a trunk that
    gives zero has this density. The rest makes the color: with a `head`, a small MLP of it and of the direction in
    spherical harmonics, then a sigmoid; without one, it holds the coefficients of the harmonics, color by color, before
    the sigmoid (the grid of PVD, GNF-SH).

    The trunk of a moving scene has time as its last coordinate, or with a `deformation` it is a still scene that points
    are deformed to; it then gets the time only if it `takes_time`.

    degree: bands of the spherical harmonics of the direction.
    cells, cascades, step: as in `RadianceField`.
    learned_background: learn one color behind the scene.
    initial_density: density before the first step, per side of the cube.
    proposal_field: a field of log density by which samples are proposed; None: the occupancy grid gives the samples.
    deformation: `deformation(coords, time)` gives the coords in the still scene.
    """

    def __init__(
        self,
        domain: Domain,
        channels: Channels,
        *,
        trunk: PointField,
        head: MLP | None,
        degree: int,
        cells: int,
        cascades: int,
        learned_background: bool,
        step: float,
        initial_density: float,
        proposal_field: PointField | None = None,
        deformation: nn.Module | None = None,
    ) -> None:
        super().__init__(domain, channels, cells=cells, cascades=cascades, step=step)
        self.trunk = trunk
        self.head = head
        self.proposal_field = proposal_field
        self.deformation = deformation
        self.degree = degree
        self.initial_log_density = math.log(initial_density)
        self.background = nn.Parameter(torch.zeros(3)) if learned_background else None
        # In a tuple, so that the grid is not registered as a submodule: it is not stored with the field.
        self._proposal_limit: tuple[OccupancyGrid] | None = None

    @property
    def point_field(self) -> PointField:
        return self.trunk

    @property
    def directional_density(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.trunk.takes_directions

    @property
    def feature_channels(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        # Coefficients of harmonics are colors already: the authors of PVD match no features there.
        return None if self.head is None else len(self.trunk.channels) - 1

    @property
    def backend(self) -> str:
        return self.trunk.backend

    @property
    def num_parameters(self) -> int:
        # The trunk may have parameters that only training uses.
        trunk = sum(tensor.numel() for tensor in self.trunk.state_dict().values())
        return super().num_parameters - trunk + self.trunk.num_parameters

    @property
    def training_dtype(self) -> MatmulDtype:
        return self.trunk.training_dtype

    @contextmanager
    def training_precision(self) -> Iterator[None]:
        with self.trunk.training_precision():
            yield

    def before_step(self, step: int, total: int | None) -> None:
        self.trunk.before_step(step, total)

    def regularisation(self) -> Tensor | None:
        return self.trunk.regularisation()

    def trunk_feature(self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None) -> Tensor:
        """Output `[..., F]` of the trunk; the arguments are those of `density`. ValueError if the time is missing."""
        return self.trunk(self._trunk_coords(coords, time, directions))

    def _trunk_coords(self, coords: Tensor, time: Tensor | None, directions: Tensor | None) -> Tensor:
        parts = [coords]
        if self.moving:
            if time is None:
                raise ValueError("the scene moves: its density is asked for at a time")
            if self.deformation is not None:
                parts = [self.deformation(coords, time)]
            if self.deformation is None or self.trunk.takes_time:
                parts.append(time[..., None])
        if self.directional_density:
            # Without a direction (an occupancy grid, a mesh), the density is the one seen from above.
            if directions is None:
                directions = torch.tensor([0.0, 0.0, -1.0], device=coords.device).expand(coords.shape)
            parts.append(direction_angles(directions))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def density(
        self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        feature = self.trunk_feature(coords, time, directions)
        return density_from_log(feature[..., 0] + self.initial_log_density), feature

    def color(self, feature: Tensor, directions: Tensor) -> Tensor:
        return self.color_of_encoded(feature, self.encode_directions(directions))

    def encode_directions(self, directions: Tensor) -> Tensor:
        """Spherical harmonics `[..., degree^2]` of unit directions `[..., 3]`."""
        return spherical_harmonics(directions, self.degree)

    def color_of_encoded(self, feature: Tensor, encoded: Tensor) -> Tensor:
        if self.head is None:
            return torch.sigmoid((feature[..., 1:].unflatten(-1, (3, -1)) * encoded[..., None, :]).sum(-1))
        return torch.sigmoid(self.head(torch.cat([encoded, feature[..., 1:]], dim=-1)))

    def volume_features(self, coords: Tensor, time: Tensor | None = None, directions: Tensor | None = None) -> Tensor:
        feature = self.trunk_feature(coords, time, directions)
        return torch.cat([feature[..., :1] + self.initial_log_density, feature[..., 1:]], dim=-1)

    def color_of_volume_features(self, features: Tensor, directions: Tensor) -> Tensor:
        return self.color(features, directions)  # which ignores the first channel

    @property
    def march(self) -> MarchSettings:
        settings = super().march
        return replace(settings, min_weight=0.0, sampler=self._sampler) if self.samples_by_proposals else settings

    @property
    def samples_by_proposals(self) -> bool:
        return self.proposal_field is not None

    def propose(
        self, origins: Tensor, directions: Tensor, *, seed: int | None, first_ray: int = 0, anneal: float = 1.0
    ) -> ProposedSamples:
        near = torch.full_like(origins[:, 0], NEAR)
        return propose(
            [self._proposal_density],
            origins,
            directions,
            near=near,
            far=torch.full_like(near, FAR),
            counts=[PROPOSAL_SAMPLES, FIELD_SAMPLES],
            seed=seed,
            first_ray=first_ray,
            anneal=anneal,
        )

    def _proposal_density(self, points: Tensor) -> Tensor:
        raw = cast(PointField, self.proposal_field)(self.to_coords(points))
        return density_from_log(raw[..., 0])

    def limit_proposals(self, cells: Tensor) -> None:
        grid = OccupancyGrid(self.cells, self.cascades).to(self.device)
        grid.words = pack_cells(cells.to(self.device))
        self._proposal_limit = (grid,)

    def _sampler(self, origins: Tensor, directions: Tensor, seed: int | None, first_ray: int) -> Samples:
        samples = self.propose(origins, directions, seed=seed, first_ray=first_ray).samples
        # The occupancy grid does not limit the samples: on such long intervals there is matter too thin for its cells.
        if self._proposal_limit is None:
            return samples
        return samples.select(self._proposal_limit[0].contains(samples.positions(origins, directions)))


def density_from_log(log_density: Tensor) -> Tensor:
    """Density as the exponential of its logarithm (Müller et al. 2022), up to e^11."""
    return _Exponential.apply(log_density)


class _Exponential(Function):
    """exp up to `MAX_LOG_DENSITY`; beyond it the gradient stays that of the bound, so that density can fall again."""

    @staticmethod
    def forward(ctx, raw: Tensor) -> Tensor:
        density = torch.exp(raw.clamp(max=MAX_LOG_DENSITY))
        ctx.save_for_backward(density)
        return density

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor) -> Tensor:
        return grad_outputs[0] * ctx.saved_tensors[0]
