"""Base classes of methods whose parameters lie in grids over the axes: densegrid, triplane, tensorf, kplanes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field as Option
from pydantic import field_validator

from fields.methods.base import crossing
from fields.methods.heads import DESCRIPTION, Head, HeadShape, build_head, head_parameters, tiled_bytes
from fields.methods.options import Undecided, undecided
from fields.methods.penalties import GridPenalties
from fields.methods.points import PointMethod
from fields.ops.factor_layout import FactorLayout
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fields.encoders.factor_grid import FactorGrid, GridInitializer
    from fields.encoders.tri_plane import TriPlane
    from fields.models.factor_grid import FactorField
    from fields.models.field import Field
    from scenes.signal import Signal

# Copies of a feature of several factors that a training step keeps: the corners of the cells that its planes and
# lines are interpolated from, with their gradients.
CORNERS = 8
# Samples that an axis with scattered samples counts as.
SCATTERED_SAMPLES = 128
MAX_RESOLUTION = 1 << 20
# Widths of the network that are tried where a size is asked for.
WIDTHS = (48, 32, 16, 8, 4)


class GridMethod(GridPenalties, PointMethod):
    """Grids and a network on their features.

    The finest level has `resolution` nodes along the longest axis. Each coarser level has half of that.
    """

    size_options = ("resolution", "levels", "features", "width", "hidden_layers")
    has_tables = True

    table_rate: float = Option(1e-2, gt=0, le=1, description="Adam's learning rate for the grids.")
    batch: int = Option(16384, ge=1, le=1 << 24, description="Batch size: points per training step.")
    levels: int = Option(
        1,
        ge=1,
        le=12,
        description="Number of grids, each with half the resolution of the next. More levels give smoother fields.",
    )
    features: Undecided[int] = undecided("Feature channels per node.", ge=1, le=256)
    resolution: Undecided[int] = undecided(
        "Nodes along the longest axis at the finest level. Default: by the number of samples.", ge=2, le=MAX_RESOLUTION
    )
    proportions: Undecided[tuple[float, ...]] = undecided(
        "Nodes of each axis relative to the longest, such as 1,0.5. Default: as the signal's samples."
    )
    width: int = Option(64, ge=1, le=1024, description="Units per hidden layer of the network.")
    hidden_layers: int = Option(2, ge=1, le=16, description="Number of hidden layers of the network.")
    backend: Literal["auto", "native", "torch"] = Option(
        "auto", description="What evaluates the grids: native code where there is some, or torch."
    )

    # Parameters per sample where no resolution is asked for. None: as many nodes as samples along each axis.
    params_per_sample: ClassVar[float | None] = None
    # Nodes along the longest axis at most, where no resolution is asked for.
    max_nodes: ClassVar[int] = 300
    # Factors (planes or lines) of a level.
    factors: ClassVar[int] = 1
    # Nodes along the longest axis at most, where a size is asked for, by the number of axes.
    max_sized_nodes: ClassVar[dict[int, int]] = {3: 4096, 4: 4096}

    @field_validator("proportions", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("proportions")
    @classmethod
    def _largest_is_one(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (not all(0 < part <= 1 for part in value) or max(value) != 1):
            raise ValueError("should be parts in (0, 1] of which the largest is 1")
        return value

    def activations(self) -> int:
        corners = CORNERS * self.factors * self.levels * self.features if self.factors > 1 else 0
        return self.width * (self.hidden_layers + 2) + corners

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        samples = [n or SCATTERED_SAMPLES for n in signal.domain.shape[: self.axes_of(signal)]]
        self.check_levels(self.name, self.levels)
        if self.proportions is not None and len(self.proportions) != len(samples):
            given = ",".join(f"{part:g}" for part in self.proportions)
            raise BadInput(f"proportions={given}: this {signal.kind} has {len(samples)} axes")
        update: dict[str, object] = {}
        if self.proportions is None:
            update["proportions"] = tuple(n / max(samples) for n in samples)
        if self.features is None:
            update["features"] = self.default_features(len(samples))
        if self.resolution is None:
            update["resolution"] = max(2, min(self.max_nodes, max(samples)))
        method = method.model_copy(update=update)
        if self.resolution is None and self.params_per_sample is not None:
            wanted = int(math.prod(samples) * self.params_per_sample)
            method = method._resolutions_near(len(samples), len(signal.channels), wanted, most=max(2, *samples))[0]
        try:
            method.layout()
        except ValueError as error:
            raise BadInput(f"resolution={method.resolution}: {error}") from None
        return method

    def default_features(self, dimensions: int) -> int:
        """Feature channels per node where none are asked for."""
        raise NotImplementedError

    def nodes(self) -> list[tuple[int, ...]]:
        """Nodes along each axis of every level, coarsest level first."""
        return [
            tuple(max(2, round(self.resolution * part / 2**coarser)) for part in self.proportions)
            for coarser in reversed(range(self.levels))
        ]

    def layout(self) -> FactorLayout:
        """Layout of the grids. Of a prepared method. ValueError where it would be too large."""
        raise NotImplementedError

    def network_inputs(self) -> int:
        """Features that the network gets."""
        return self.layout().outputs

    def network_parameters(self, channels: int) -> int:
        """Number of parameters of the network."""
        raise NotImplementedError

    def parameters(self, dimensions: int, channels: int) -> int:
        gates = self.levels if self.coarse_to_fine else 0
        return self.layout().num_parameters + gates + self.network_parameters(channels)

    def fill_option(self) -> str:
        """The option that is solved for where the steps of the resolution are too coarse for a size."""
        return "width"

    def _resolutions_near(
        self, dimensions: int, channels: int, parameters: int, *, most: int = MAX_RESOLUTION
    ) -> list[Self]:
        """The two copies between whose resolutions the count passes `parameters`; one where it never does."""

        def copy(nodes: int) -> Self:
            return self.model_copy(update={"resolution": nodes})

        most = min(most, self.max_sized_nodes[dimensions])
        return [copy(n) for n in crossing(lambda n: copy(n).parameters(dimensions, channels), 2, most, parameters)]

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Copies of about that size, those most like this one first.

        The resolution is solved for, then the option `fill_option`, then both with fewer features. A network that
        would take more than half of the parameters is made narrower before the grids are made coarser.
        """
        for network_fraction in (0.5, 1.0):
            features = self.features
            while features:
                for width in (self.width, *(w for w in WIDTHS if w < self.width)):
                    method = self.model_copy(update={"features": features, "width": width})
                    if network_fraction == 1.0 or method.network_parameters(channels) <= network_fraction * parameters:
                        yield from method._near(dimensions, channels, parameters)
                features //= 2

    def _near(self, dimensions: int, channels: int, parameters: int) -> Iterator[Self]:
        """Copies with these features whose size is nearest to that, without and with `fill_option` solved for."""
        option = self.fill_option()
        for method in self._resolutions_near(dimensions, channels, parameters):
            yield method

            def filled(value: int, method: Self = method) -> Self:
                return method.model_copy(update={option: value})

            def count(value: int) -> int:
                return filled(value).parameters(dimensions, channels)  # noqa: B023

            for value in crossing(count, 1, 2 * getattr(self, option), parameters):
                yield filled(value)

    def initializer(self, domain: Domain, generator: torch.Generator) -> GridInitializer:
        """What fills the grids before the first step."""
        raise NotImplementedError

    def rest_value(self, domain: Domain) -> Callable[[tuple[int, ...]], float]:
        """The value that the penalty `l1` pulls a grid to, by the axes of the grid."""
        return lambda axes: 0.0

    def encoder(self, domain: Domain, generator: torch.Generator) -> FactorGrid | TriPlane:
        """The untrained grids."""
        return self.grid(domain, generator)

    def grid(self, domain: Domain, generator: torch.Generator) -> FactorGrid:
        """The untrained grids, without anything beside their features."""
        from fields.encoders.factor_grid import FactorGrid

        return FactorGrid(
            self.layout(),
            self.backend,
            self.initializer(domain, generator),
            levels=self.levels,
            coarse_to_fine=self.coarse_to_fine > 0,
        )

    def network(self, channels: int, generator: torch.Generator) -> nn.Module:
        """The untrained network."""
        raise NotImplementedError

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.models.factor_grid import FactorField

        generator = torch.Generator().manual_seed(seed)
        encoder = self.encoder(domain, generator)
        return FactorField(
            domain,
            channels,
            encoder,
            self.network(len(channels), generator),
            total_variation=self.total_variation,
            l1=self.l1,
            coarse_to_fine=self.coarse_to_fine,
            rest_value=self.rest_value(domain),
        )

    def parameter_groups(self, field: FactorField) -> list[dict[str, Any]]:
        table = field.grid.table
        others = [parameter for parameter in field.parameters() if parameter is not table]
        groups = [{"params": others, "lr": self.learning_rate, "sparse": False}] if others else []
        return [*groups, {"params": [table], "lr": self.table_rate, "sparse": True}]


class DecodedGridMethod(GridMethod):
    """Grids whose features go straight into a network of the user's choice.

    Where that is linear, and there is one grid with a channel for each value, the channels are the values.
    """

    head: Head = Option("mlp", description=DESCRIPTION)

    def fill_option(self) -> str:
        return "features" if self.head == "linear" else "width"

    def step_bytes(self, signal: Signal) -> int:
        if self.head != "mlp":
            return super().step_bytes(signal)
        return tiled_bytes(self.factors * self.levels * self.features)

    def _head_shape(self, channels: int) -> HeadShape:
        return HeadShape(self.network_inputs(), self.width, self.hidden_layers, channels, bias=True)

    def _features_are_values(self, channels: int) -> bool:
        return self.head == "linear" and self.levels == 1 and self.network_inputs() == channels

    def network_parameters(self, channels: int) -> int:
        return 0 if self._features_are_values(channels) else head_parameters(self.head, self._head_shape(channels))

    def network(self, channels: int, generator: torch.Generator) -> nn.Module:
        if self._features_are_values(channels):
            from torch import nn

            return nn.Identity()
        return build_head(self.head, self._head_shape(channels), generator)


def join_levels(layouts: list[FactorLayout]) -> FactorLayout:
    """One layout with the slots of several layouts of the same kind, one after another."""
    first = layouts[0]
    return FactorLayout(
        first.dimensions,
        first.features,
        tuple(slot for layout in layouts for slot in layout.slots),
        first.nodes_at_ends,
    )
