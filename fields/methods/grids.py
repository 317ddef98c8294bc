"""What the methods share whose numbers lie in grids over the axes: densegrid, triplane, tensorf, kplanes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field as Option
from pydantic import field_validator

from fields.methods.base import Method, crossing
from fields.methods.heads import DESCRIPTION, Head, HeadShape, build_head, head_parameters, tiled_bytes
from fields.methods.penalties import GridPenalties
from fields.ops.factor_layout import FactorLayout
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.encoders.factor_grid import Start
    from fields.models.field import Field
    from scenes.signal import Signal

# Corners of the cell of a plane or line that a feature is interpolated from, with their gradients.
CORNERS = 8
# What an axis counts as along which samples are scattered.
SCATTERED = 128
FINEST = 1 << 20


class GridMethod(GridPenalties, Method):
    """Grids whose finest has `resolution` nodes along the longest axis, each coarser level half of that, then a network."""

    table_rate: float = Option(1e-2, gt=0, le=1, description="Adam's step size for the grids")
    batch: int = Option(16384, ge=1, le=1 << 24, description="points a training step")
    levels: int = Option(1, ge=1, le=12, description="grids of half the resolution each, coarse to fine, side by side")
    features: int | None = Option(None, ge=1, le=256, description="channels a node")
    resolution: int | None = Option(
        None, ge=2, le=FINEST, description="nodes along the longest axis at the finest level"
    )
    proportions: tuple[float, ...] | None = Option(
        None, description="nodes of each axis in parts of the longest, as 1,0.5; none: as the signal's samples"
    )
    width: int = Option(64, ge=1, le=1024, description="units a hidden layer of the network")
    hidden_layers: int = Option(2, ge=1, le=16, description="hidden layers of the network")
    backend: Literal["auto", "native", "torch"] = Option("auto", description="who computes the grids")

    # Numbers a sample to be had where no resolution is asked for; None: the resolution is the signal's.
    params_per_sample: ClassVar[float | None] = None
    most_nodes: ClassVar[int] = 300
    # Factors (planes or lines) that a level is made of.
    factors: ClassVar[int] = 1
    filling: ClassVar[str] = "width"  # the option that fills the steps of the resolution
    # By the number of axes, the most nodes that are tried where a size is solved for.
    finest: ClassVar[dict[int, int]] = {3: 4096, 4: 4096}

    @field_validator("proportions", mode="before")
    @classmethod
    def _parts(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("proportions")
    @classmethod
    def _each_part(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (not all(0 < part <= 1 for part in value) or max(value) != 1):
            raise ValueError("should be parts in (0, 1] of which the largest is 1")
        return value

    def activations(self) -> int:
        # A feature of several factors is kept with its corners.
        corners = CORNERS * self.factors * self.levels * (self.features or 0) if self.factors > 1 else 0
        return self.width * (self.hidden_layers + 2) + corners

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        samples = [n or SCATTERED for n in signal.domain.shape[: self.axes_of(signal)]]
        self.refuse_one_level(self.levels)
        if self.proportions is not None and len(self.proportions) != len(samples):
            raise BadInput(
                f"proportions={','.join(f'{p:g}' for p in self.proportions)}: this {signal.kind} has {len(samples)} axes"
            )
        update: dict[str, object] = {}
        if self.proportions is None:
            update["proportions"] = tuple(n / max(samples) for n in samples)
        if self.features is None:
            update["features"] = self.default_features(len(samples))
        if self.resolution is None:
            update["resolution"] = max(2, min(self.most_nodes, max(samples)))
        method = method.model_copy(update=update)
        if self.resolution is None and self.params_per_sample is not None:
            wanted = int(math.prod(samples) * self.params_per_sample)
            method = method._of_size(len(samples), len(signal.channels), wanted, most=max(2, *samples))[0]
        try:
            method.layout()
        except ValueError as error:
            raise BadInput(f"resolution={method.resolution}: {error}") from None
        return method

    def default_features(self, dimensions: int) -> int:
        raise NotImplementedError

    def nodes(self) -> list[tuple[int, ...]]:
        """Of each axis, coarsest level first."""
        return [
            tuple(max(2, round(self.resolution * part / 2**coarser)) for part in self.proportions)
            for coarser in reversed(range(self.levels))
        ]

    def layout(self) -> FactorLayout:
        """The grids of a prepared config."""
        raise NotImplementedError

    def network_inputs(self) -> int:
        return self.layout().outputs

    def network_parameters(self, channels: int) -> int:
        raise NotImplementedError

    def parameters(self, dimensions: int, channels: int) -> int:
        gates = self.levels if self.coarse_to_fine else 0
        return self.layout().num_parameters + gates + self.network_parameters(channels)

    def _of_size(self, dimensions: int, channels: int, parameters: int, most: int = FINEST) -> list[Self]:
        """The two copies between whose resolutions the count passes `parameters`, or the one that comes nearest."""

        def copy(nodes: int) -> Self:
            return self.model_copy(update={"resolution": nodes})

        most = min(most, self.finest[dimensions])
        return [copy(n) for n in crossing(lambda n: copy(n).parameters(dimensions, channels), 2, most, parameters)]

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterator[Self]:
        """The resolution is solved first, then, where its steps are too coarse, the network's width; then with fewer features.

        Networks that would take more than half of the numbers are made narrower before grids are made coarser.
        """
        for most in (0.5, 1.0):
            features = self.features
            while features:
                for width in (w for w in (self.width, 48, 32, 16, 8, 4) if w <= self.width):
                    method = self.model_copy(update={"features": features, "width": width})
                    if method.network_parameters(channels) <= most * parameters or most == 1.0:
                        yield from method._near(dimensions, channels, parameters)
                features //= 2

    def _near(self, dimensions: int, channels: int, parameters: int) -> Iterator[Self]:
        """Copies with these features, of the resolutions nearest to `parameters`, each also with the values of `filling` that are."""
        for copy in self._of_size(dimensions, channels, parameters):
            yield copy
            option = self.filling
            found = crossing(
                lambda n: copy.model_copy(update={option: n}).parameters(dimensions, channels),  # noqa: B023
                1,
                2 * getattr(self, option),
                parameters,
            )
            yield from (copy.model_copy(update={option: n}) for n in found)

    def start(self, domain: Domain, generator) -> Start:
        """What the grids hold before the first step."""
        raise NotImplementedError

    def at_rest(self, domain: Domain):
        return lambda axes: 0.0

    def encoder(self, domain: Domain, generator):
        from fields.encoders.factor_grid import FactorGrid

        return FactorGrid(
            self.layout(),
            self.backend,
            self.start(domain, generator),
            levels=self.levels,
            coarse_to_fine=self.coarse_to_fine > 0,
        )

    def network(self, channels: int, generator):
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
            rest_value=self.at_rest(domain),
        )

    def parameter_groups(self, field: Field) -> list[dict]:
        table = field.grid.table
        others = [parameter for parameter in field.parameters() if parameter is not table]
        return [
            *([{"params": others, "lr": self.learning_rate, "sparse": False}] if others else []),
            {"params": [table], "lr": self.table_rate, "sparse": True},
        ]


class DecodedGridMethod(GridMethod):
    """Grids whose features go straight into a decoder of the user's choice. Where it is linear, and one grid has a channel for each value, its
    channels are the values."""

    head: Head = Option("mlp", description=DESCRIPTION)

    @property
    def filling(self) -> str:
        return "features" if self.head == "linear" else "width"

    def step_bytes(self, signal: Signal) -> int:
        if self.head != "mlp":
            return super().step_bytes(signal)
        return tiled_bytes(self.factors * self.levels * (self.features or 0))

    def _bare(self, channels: int) -> bool:
        return self.head == "linear" and self.levels == 1 and self.network_inputs() == channels

    def network_parameters(self, channels: int) -> int:
        return (
            0
            if self._bare(channels)
            else head_parameters(
                self.head, HeadShape(self.network_inputs(), self.width, self.hidden_layers, channels, bias=True)
            )
        )

    def network(self, channels: int, generator):
        if self._bare(channels):
            import torch

            return torch.nn.Identity()
        return build_head(
            self.head, HeadShape(self.network_inputs(), self.width, self.hidden_layers, channels, bias=True), generator
        )


def side_by_side(layouts: list[FactorLayout]) -> FactorLayout:
    """The slots of several layouts of one kind, one after another."""
    first = layouts[0]
    return FactorLayout(
        first.dimensions,
        first.features,
        tuple(slot for layout in layouts for slot in layout.slots),
        first.nodes_at_ends,
    )
