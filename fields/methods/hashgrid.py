"""`hashgrid`: a multiresolution hash grid, then a small ReLU MLP. The default method, and the one with a fused step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field as Option
from pydantic import field_validator, model_validator

from fields.methods.base import SIZE_TOLERANCE, crossing
from fields.methods.heads import DESCRIPTION, Head, HeadShape, build_head, head_parameters, tiled_bytes
from fields.methods.options import Undecided, undecided
from fields.methods.pace import SCENE_PACE
from fields.methods.penalties import GridPenalties
from fields.methods.points import PointMethod
from fields.methods.radiance import finest_cells
from fields.ops.grid_layout import GridLayout
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.models.hash_grid import GridField
    from scenes.posed.signal import RadianceScene
    from scenes.signal import Signal

# Finest resolution of a solved size. Float32 coordinates could not tell much finer cells apart.
MAX_RESOLUTION = 1 << 20
# Growth of the resolution between levels of a solved size at most.
MAX_GROWTH = 3.0
# Parameters of a field for which no size is asked for.
MIN_PARAMETERS = 20_000
MAX_PARAMETERS = 32_000_000
# Samples that an axis with scattered samples counts as.
SCATTERED_SAMPLES = 512
# Options for signals whose number of samples does not say how fine their detail is. The networks are small, because
# more and larger steps in the same time are worth more.
SCENE_OPTIONS: dict[str, object] = {
    "levels": 12,
    "table_size": 1 << 16,
    "width": 64,
    "hidden_layers": 1,
    "batch": 1 << 17,
    "table_rate": 3e-2,
    "learning_rate": 1e-2,
}
SURFACE_OPTIONS: dict[str, object] = {
    "levels": 12,
    "table_size": 1 << 16,
    "width": 32,
    "hidden_layers": 1,
    "batch": 1 << 15,
}
# Table of unbounded scenes, whose surroundings have far more surface than one object in the middle. Measured on fox
# with 1,200 steps: 26.2 dB, and 25.7 dB with a table of 65,536.
UNBOUNDED_TABLE = 1 << 18
# Bytes per sample of the fused training step.
FUSED_BYTES = 64


def params_per_sample(domain: Domain) -> float:
    """Parameters per sample of a field for which no size is asked for.

    With fewer, detail is lost; with more, little is won. Videos and volumes are large, and each slice is much like
    the next. The layout for audio has its own number (`fields.methods.audio_grid`).
    """
    if domain.dimensions < 3:
        return 1.25
    return 0.3 if domain.dimensions == 3 and domain.axes[-1].is_time else 0.25


class HashGrid(GridPenalties, PointMethod):
    name = "hashgrid"
    summary = "multiresolution hash grid, then a small ReLU MLP; the fastest to a sharp image"
    paper = "Müller et al. 2022, Instant Neural Graphics Primitives; layout of tiny-cuda-nn"
    dimensions = (1, 2, 3, 4)
    size_options = ("table_size", "levels", "features", "width", "hidden_layers")
    frequency_option = "growth"
    size_by_frequency = True
    has_tables = True
    scene_pace = SCENE_PACE

    learning_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the MLP. Lower it if the loss jumps."
    )
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's learning rate for the table.")
    batch: Undecided[int] = undecided(
        "Batch size: points per training step. Default: 16384, more for large tables.", ge=1, le=1 << 24
    )
    levels: int = Option(16, ge=1, le=32, description="Number of grids, coarse to fine.")
    features: Literal[1, 2, 4, 8] = Option(2, description="Feature channels per table entry.")
    table_size: Undecided[int] = undecided(
        "Entries per level at most, a power of two. Raise it for more detail. Default: by the kind of signal; for "
        "images, 1.25 parameters per pixel in all.",
        ge=16,
        le=1 << 26,
    )
    base_resolution: int = Option(16, ge=2, le=65536, description="Cells along an axis at the coarsest level.")
    growth: Undecided[float] = undecided(
        "Ratio of the resolutions of neighbouring levels. Default: such that the finest cell is as large as a sample.",
        gt=1,
        le=8,
    )
    width: int = Option(64, ge=16, le=128, multiple_of=16, description="Units per hidden layer of the MLP.")
    hidden_layers: int = Option(2, ge=1, le=4, description="Number of hidden layers of the MLP.")
    head: Head = Option("mlp", description=DESCRIPTION)
    interpolation: Literal["linear", "smoothstep"] = Option(
        "linear", description="Interpolation between nodes. smoothstep has continuous gradients, for smooth surfaces."
    )
    fused: Literal["auto", "off"] = Option(
        "auto", description="off: train through autograd instead of the fused native step, to compare the two."
    )
    backend: Literal["auto", "native", "torch", "tcnn"] = Option(
        "auto",
        description="What evaluates the grid: native code where there is some, or torch. tcnn: tiny-cuda-nn evaluates "
        "grid and MLP, where it is installed and there is a GPU.",
    )
    matmul_dtype: Literal["float32", "bfloat16"] = Option(
        "float32",
        description="Precision of the MLP's matrix products in training. bfloat16 is faster on processors with "
        "AVX512-BF16.",
    )

    @field_validator("table_size")
    @classmethod
    def _power_of_two(cls, value: int | None) -> int | None:
        if value is not None and value & (value - 1):
            raise ValueError("should be a power of two")
        return value

    @model_validator(mode="after")
    def _heads_train_through_autograd(self) -> Self:
        if self.head != "mlp" and (self.backend == "tcnn" or self.matmul_dtype != "float32"):
            raise ValueError(
                f"head={self.head} trains through autograd: leave backend and matmul_dtype at their defaults"
            )
        return self

    @model_validator(mode="after")
    def _penalties_train_through_autograd(self) -> Self:
        penalties = self.total_variation or self.l1 or self.coarse_to_fine
        if penalties and (self.backend == "tcnn" or self.matmul_dtype != "float32"):
            raise ValueError(
                "total_variation, l1 and coarse_to_fine train through autograd: "
                "leave backend and matmul_dtype at their defaults"
            )
        return self

    @model_validator(mode="after")
    def _matmul_dtype_needs_kernels(self) -> Self:
        if self.matmul_dtype != "float32" and (self.fused == "off" or self.backend in ("torch", "tcnn")):
            raise ValueError(
                f"matmul_dtype={self.matmul_dtype} needs the native kernels: leave fused and backend at auto"
            )
        return self

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    def step_bytes(self, signal: Signal) -> int:
        if self.head != "mlp":
            return super().step_bytes(signal)
        if self.fused != "off" and not signal.channels.is_radiance:
            return FUSED_BYTES
        return tiled_bytes(self.levels * self.features)

    # Deciding what is open

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        self.check_levels(self.name, self.levels)
        if signal.domain.is_time_series:
            from fields.methods.audio_grid import fit_to_bandwidth

            method = fit_to_bandwidth(method, signal)
        recipe = {name: value for name, value in _recipe(signal).items() if name not in self.model_fields_set}
        if recipe:
            return method.model_copy(update=recipe).prepare(signal)
        method = method._with_layout(signal)
        if method.batch is None:
            # Many small steps beat few large ones, until Adam's pass over the whole table costs more than the points.
            table = method.layout(signal.domain.dimensions).num_parameters
            method = method.model_copy(update={"batch": min(1 << 18, max(1 << 14, 1 << round(math.log2(table / 32))))})
        return method

    def _with_layout(self, signal: Signal) -> Self:
        """A copy with a growth and a table size that suit the samples of the signal."""
        scattered = SCATTERED_SAMPLES
        if signal.channels.is_radiance:
            scattered = finest_cells(cast("RadianceScene", signal))
        shape = [n or scattered for n in signal.domain.shape]
        dimensions, channels = len(shape), len(signal.channels)
        method = self
        if self.growth is None:
            # The finest cells are as large as a sample. Finer ones would be undetermined between the samples.
            finest = max(max(shape), 2 * self.base_resolution)
            growth = (finest / self.base_resolution) ** (1 / max(1, self.levels - 1))
            method = method.model_copy(update={"growth": min(max(growth, 1.05), 8.0)})
        if self.table_size is None:
            wanted = params_per_sample(signal.domain) * math.prod(shape)
            wanted = max(MIN_PARAMETERS, min(MAX_PARAMETERS, wanted))
            fitting = [
                2**k
                for k in range(4, 25)
                if method.model_copy(update={"table_size": 2**k}).parameters(dimensions, channels) <= wanted
            ]
            method = method.model_copy(update={"table_size": max([256, *fitting])})
            if self.growth is None:
                # Powers of two are far apart: the growth is solved for the rest of the size.
                method = method.sized(dimensions, channels, int(wanted))
        return method

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        """Growths for which the finest level has 32, 45, 64, ... cells along an axis."""
        if self.levels == 1:
            return []
        growths = (2.0 ** (half / 2) for half in range(2, 17))
        return [growth for growth in (g ** (1 / (self.levels - 1)) for g in growths) if growth <= MAX_GROWTH]

    def half_frequency(self, value: float) -> float:
        # Half the finest cells along an axis.
        return value / 2.0 ** (1 / (self.levels - 1))

    # Size

    def layout(self, dimensions: int) -> GridLayout:
        """Layout of the grid. Of a prepared method."""
        return GridLayout(
            dimensions,
            levels=self.levels,
            features=self.features,
            base_resolution=self.base_resolution,
            growth=self.growth,
            table_size=self.table_size,
        )

    def parameters(self, dimensions: int, channels: int) -> int:
        gates = self.levels if self.coarse_to_fine else 0
        return self.layout(dimensions).num_parameters + gates + self._network_parameters(channels)

    def _head_shape(self, channels: int) -> HeadShape:
        return HeadShape(self.levels * self.features, self.width, self.hidden_layers, channels, bias=False)

    def _network_parameters(self, channels: int) -> int:
        return head_parameters(self.head, self._head_shape(channels))

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Copies of that size, those most like this one first: width, levels and table are chosen, growth is solved."""
        shapes = [
            self.model_copy(update={"width": width, "levels": levels})
            for width in (16, 32, 48, 64, 96, 128)
            for levels in range(1, 25)
        ]
        found: list[Self] = []
        for shape in sorted(shapes, key=self._dissimilarity):
            # No growth makes a shape more alike. The search is over once the best found is more alike than the next
            # shape.
            if found and self._dissimilarity(found[0]) <= self._dissimilarity(shape):
                break
            table = max(1, (parameters - shape._network_parameters(channels)) / (shape.levels * self.features))
            for log2_size in range(max(4, math.floor(math.log2(table))), min(27, math.ceil(math.log2(table)) + 4)):
                copy = shape.model_copy(update={"table_size": 2**log2_size})
                found += copy._with_growth_for(dimensions, channels, parameters)
            found.sort(key=self._dissimilarity)
        return found

    def _with_growth_for(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        """Copies of about that size. The count rises with the growth, which is solved in thousandths."""

        def with_growth(thousandths: int) -> Self:
            return self.model_copy(update={"growth": thousandths / 1000})

        def count(thousandths: int) -> int:
            return with_growth(thousandths).parameters(dimensions, channels)

        if abs(self.parameters(dimensions, channels) / parameters - 1) < 0.01:
            return [self]
        highest = min(MAX_GROWTH, (MAX_RESOLUTION / self.base_resolution) ** (1 / max(1, self.levels - 1)))
        near = [with_growth(g) for g in crossing(count, 1050, max(1050, int(1000 * highest)), parameters)]
        return [m for m in near if abs(m.parameters(dimensions, channels) / parameters - 1) <= SIZE_TOLERANCE]

    def _dissimilarity(self, other: Self) -> float:
        """Difference in shape: doublings of the width, of the levels, and of the finest resolution."""
        finest = (other.levels - 1) * math.log2(other.growth) - (self.levels - 1) * math.log2(self.growth)
        same_growth = other.growth == self.growth
        return (
            abs(math.log2(other.width / self.width))
            + abs(math.log2(other.levels / self.levels))
            + (0 if same_growth else abs(finest))
        )

    # Field

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.hash_grid import HashGrid as Encoder
        from fields.models.hash_grid import GridField

        generator = torch.Generator().manual_seed(seed)
        encoder = Encoder(
            self.layout(domain.dimensions),
            self.interpolation,
            "auto" if self.backend == "tcnn" else self.backend,
            generator,
            coarse_to_fine=self.coarse_to_fine > 0,
        )
        network = build_head(self.head, self._head_shape(len(channels)), generator)
        return GridField(
            domain,
            channels,
            encoder,
            network,
            fused=self.fused != "off" and self.backend != "torch" and self.head == "mlp",
            matmul_dtype=self.matmul_dtype,
            accelerator="tcnn" if self.backend == "tcnn" else None,
            total_variation=self.total_variation,
            l1=self.l1,
            coarse_to_fine=self.coarse_to_fine,
        )

    def parameter_groups(self, field: GridField) -> list[dict[str, Any]]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            {"params": list(field.encoder.parameters()), "lr": self.table_rate, "sparse": True},
        ]


def _recipe(signal: Signal) -> dict[str, object]:
    """Options that suit a scene or a shape, where the user has not set them."""
    if signal.channels.is_radiance:
        unbounded = cast("RadianceScene", signal).unbounded
        return SCENE_OPTIONS | ({"table_size": UNBOUNDED_TABLE} if unbounded else {})
    return SURFACE_OPTIONS if signal.channels.is_surface else {}
