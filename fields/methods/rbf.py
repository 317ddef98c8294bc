"""`rbf`: a multiresolution hash grid, then one layer of Gaussian units instead of an MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option

from fields.methods.base import Method
from fields.methods.hashgrid import HashGrid
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# What is decided from the signal, and by the solver of sizes, as `hashgrid` does it.
OF_THE_GRID = ("levels", "features", "table_size", "base_resolution", "growth")
# As hashgrid's recipe, but other rates (the armadillo after 300 steps: an IoU of 0.984 at 5e-3 and 5e-2, 0.993 at these), and few units, as
# more are slower and no better.
FOR_KINDS: dict[str, dict[str, object]] = {
    "shape": {
        "levels": 12,
        "table_size": 1 << 16,
        "units": 16,
        "batch": 1 << 15,
        "learning_rate": 1e-2,
        "table_rate": 1e-2,
    },
    "radiance": {
        "levels": 12,
        "table_size": 1 << 16,
        "units": 32,
        "batch": 1 << 16,
        "learning_rate": 1e-2,
        "table_rate": 3e-2,
    },
}


class _Grid(HashGrid):
    """The grid, with units for the MLP's width where sizes are counted and solved."""

    linear: bool

    def _network_parameters(self, channels: int) -> int:
        inputs = self.levels * self.features
        return 2 * inputs * self.width + (self.width + 1) * channels + (inputs * channels if self.linear else 0)


class Rbf(Method):
    name = "rbf"
    summary = "hash grid, then one layer of Gaussian units: a small decoder with short gradients"
    paper = "Bouzidi et al. 2025, Gaussian RBFNet / GNF: Gaussian Neural Fields"
    dimensions = (1, 2, 3, 4)
    frequency_option = "growth"
    frequency_candidates = HashGrid.frequency_candidates
    half_frequency = HashGrid.half_frequency

    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size for the units")
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's step size for the table")
    batch: int | None = Option(None, ge=1, le=1 << 24, description="points a training step; none: as of hashgrid")
    levels: int = Option(16, ge=1, le=32, description="grids, coarse to fine")
    features: Literal[1, 2, 4, 8] = Option(2, description="channels an entry")
    table_size: int | None = Option(
        None, ge=16, le=1 << 26, description="entries a level at most, a power of two; none: as of hashgrid"
    )
    base_resolution: int = Option(16, ge=2, le=4096, description="cells along an axis at the coarsest level")
    growth: float | None = Option(
        None, gt=1, le=8, description="resolution ratio of neighbouring levels; none: as of hashgrid"
    )
    units: int = Option(64, ge=16, le=128, multiple_of=16, description="Gaussian units")
    profile: Literal["gaussian", "multiquadric", "inverse_multiquadric", "cubic", "thin_plate", "wendland"] = Option(
        "gaussian",
        description="what a unit answers at a distance; the others are in the authors' code, to compare with, and in plain torch",
    )
    linear: bool = Option(
        True, description="add a linear function of the features, as the paper's first version has it"
    )
    spread: float = Option(0.3, gt=0, le=100, description="centres begin within this distance of 0 along each feature")
    interpolation: Literal["linear", "smoothstep"] = Option("linear", description="smoothstep has continuous gradients")
    backend: Literal["auto", "native", "torch"] = Option("auto", description="who computes the grid and the units")

    def _grid(self) -> HashGrid:
        options = {name: getattr(self, name) for name in (*OF_THE_GRID, "batch", "loss")}
        return _Grid(**options, width=self.units, linear=self.linear)

    def _with(self, grid: HashGrid) -> Self:
        return self.model_copy(
            update={**{name: getattr(grid, name) for name in (*OF_THE_GRID, "batch")}, "units": grid.width}
        )

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        recipe = {
            name: value for name, value in FOR_KINDS.get(signal.kind, {}).items() if name not in self.model_fields_set
        }
        method = method.model_copy(update=recipe)
        return method._with(method._grid().prepare(signal))

    def parameters(self, dimensions: int, channels: int) -> int:
        return self._grid().parameters(dimensions, channels)

    def sizes(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        return [self._with(grid) for grid in self._grid().sizes(dimensions, channels, parameters)]

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.hash_grid import HashGrid as Encoder
        from fields.models.rbf import RbfField
        from fields.networks.gaussian_rbf import GaussianRbf

        generator = torch.Generator().manual_seed(seed)
        encoder = Encoder(self._grid().layout(domain.dimensions), self.interpolation, self.backend, generator)
        network = GaussianRbf(
            encoder.outputs,
            self.units,
            len(channels),
            spread=self.spread,
            linear=self.linear,
            backend=self.backend,
            generator=generator,
            profile=self.profile,
        )
        return RbfField(domain, channels, encoder, network)

    def parameter_groups(self, field: Field) -> list[dict]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            {"params": list(field.encoder.parameters()), "lr": self.table_rate, "sparse": True},
        ]
