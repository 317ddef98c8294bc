"""`rbf`: a multiresolution hash grid, then one layer of Gaussian units instead of an MLP."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field as Option

from fields.methods.hashgrid import HashGrid
from fields.methods.options import Undecided, undecided
from fields.methods.points import PointMethod
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.models.rbf import RbfField
    from scenes.signal import Signal

# Options of the grid that are decided, and solved for a size, as `hashgrid` does it.
GRID_OPTIONS = ("levels", "features", "table_size", "base_resolution", "growth", "batch")
# As hashgrid's, with other learning rates, and with few units, because more are slower and no better. Measured on the
# armadillo after 300 steps: an IoU of 0.984 with rates of 5e-3 and 5e-2, 0.993 with these.
SURFACE_OPTIONS: dict[str, object] = {
    "levels": 12,
    "table_size": 1 << 16,
    "units": 16,
    "batch": 1 << 15,
    "learning_rate": 1e-2,
    "table_rate": 1e-2,
}
SCENE_OPTIONS: dict[str, object] = {
    "levels": 12,
    "table_size": 1 << 16,
    "units": 32,
    "batch": 1 << 16,
    "learning_rate": 1e-2,
    "table_rate": 3e-2,
}


class _Grid(HashGrid):
    """The grid of `rbf` as a method of its own, whose `width` are the Gaussian units: sizes are counted with them."""

    linear: bool

    def _network_parameters(self, channels: int) -> int:
        inputs = self.levels * self.features
        return 2 * inputs * self.width + (self.width + 1) * channels + (inputs * channels if self.linear else 0)


class Rbf(PointMethod):
    name = "rbf"
    summary = "hash grid, then one layer of Gaussian units: a small decoder with short gradients"
    paper = "Bouzidi et al. 2025, Gaussian RBFNet / GNF: Gaussian Neural Fields"
    dimensions = (1, 2, 3, 4)
    size_options = ("table_size", "levels", "features", "units")
    frequency_option = "growth"
    size_by_frequency = True
    has_tables = True

    learning_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the units. Lower it if the loss jumps."
    )
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's learning rate for the table.")
    batch: Undecided[int] = undecided(
        "Batch size: points per training step. Default: 16384, more for large tables.", ge=1, le=1 << 24
    )
    levels: int = Option(16, ge=1, le=32, description="Number of grids, coarse to fine.")
    features: Literal[1, 2, 4, 8] = Option(2, description="Feature channels per table entry.")
    table_size: Undecided[int] = undecided(
        "Entries per level at most, a power of two. Raise it for more detail. Default: as hashgrid.", ge=16, le=1 << 26
    )
    base_resolution: int = Option(16, ge=2, le=4096, description="Cells along an axis at the coarsest level.")
    growth: Undecided[float] = undecided(
        "Ratio of the resolutions of neighbouring levels. Default: such that the finest cell is as large as a sample.",
        gt=1,
        le=8,
    )
    units: int = Option(64, ge=16, le=128, multiple_of=16, description="Number of Gaussian units.")
    profile: Literal["gaussian", "multiquadric", "inverse_multiquadric", "cubic", "thin_plate", "wendland"] = Option(
        "gaussian",
        description="Radial function of the units. All but gaussian are slow, and there to compare with the authors' "
        "code.",
    )
    linear: bool = Option(
        True, description="Add a linear function of the features, as in the first version of the paper."
    )
    spread: float = Option(
        0.3, gt=0, le=100, description="Centres of the units start within this distance of 0 along each feature."
    )
    interpolation: Literal["linear", "smoothstep"] = Option(
        "linear", description="Interpolation between nodes. smoothstep has continuous gradients, for smooth surfaces."
    )
    backend: Literal["auto", "native", "torch"] = Option(
        "auto", description="What evaluates the grid and the units: native code where there is some, or torch."
    )

    def _grid(self) -> HashGrid:
        options = {name: getattr(self, name) for name in (*GRID_OPTIONS, "loss")}
        return _Grid(**options, width=self.units, linear=self.linear)

    def _with_grid(self, grid: HashGrid) -> Self:
        update = {name: getattr(grid, name) for name in GRID_OPTIONS}
        return self.model_copy(update={**update, "units": grid.width})

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        recipe: dict[str, object] = {}
        if signal.channels.is_radiance:
            recipe = SCENE_OPTIONS
        elif signal.channels.is_surface:
            recipe = SURFACE_OPTIONS
        recipe = {name: value for name, value in recipe.items() if name not in self.model_fields_set}
        method = method.model_copy(update=recipe)
        return method._with_grid(method._grid().prepare(signal))

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        return self._grid().frequency_candidates(stretch)

    def half_frequency(self, value: float) -> float:
        return self._grid().half_frequency(value)

    def parameters(self, dimensions: int, channels: int) -> int:
        return self._grid().parameters(dimensions, channels)

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        return [self._with_grid(grid) for grid in self._grid().sizes(dimensions, channels, parameters)]

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

    def parameter_groups(self, field: RbfField) -> list[dict[str, Any]]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            {"params": list(field.encoder.parameters()), "lr": self.table_rate, "sparse": True},
        ]
