"""`hashgrid`: a multiresolution hash grid, then a small ReLU MLP; the default, and the one with a fused step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option
from pydantic import field_validator, model_validator

from fields.kinds import KINDS
from fields.methods.base import SIZE_TOLERANCE, Method, crossing
from fields.methods.heads import DESCRIPTION, Head, HeadShape, build_head, head_parameters, tiled_bytes
from fields.methods.penalties import GridPenalties
from fields.methods.radiance import SPACE, finest_cells
from fields.ops.grid_layout import GridLayout
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal


# No solved size has a finer grid than this: float32 coordinates could not tell its cells apart much longer.
FINEST = 1 << 20
# How large a field is made where no size is asked for: with fewer numbers detail is lost, with more little is won.
# Clips and volumes resemble themselves from slice to slice and are large; sounds have a layout of their own (sound_grid.py).
PARAMS_PER_SAMPLE = {"image": 1.25, "volume": 0.25, "video": 0.3}
SMALLEST, LARGEST = 20_000, 32_000_000

# Where no number of samples tells how fine the detail is; a small MLP, as more and larger steps in the same time are worth more.
FOR_KINDS: dict[str, dict[str, object]] = {
    "radiance": {
        "levels": 12,
        "table_size": 1 << 16,
        "width": 64,
        "hidden_layers": 1,
        "batch": 1 << 17,
        "table_rate": 3e-2,
        "learning_rate": 1e-2,
    },
    "shape": {"levels": 12, "table_size": 1 << 16, "width": 32, "hidden_layers": 1, "batch": 1 << 15},
}
# What is all around has far more surface than one thing in the middle (fox, `--steps 1200`: 26.2 dB, and 25.7 with `--set table_size=65536`).
UNBOUNDED_TABLE = 1 << 18
# Bytes per sample of the fused training step.
FUSED_BYTES = 64


class HashGrid(GridPenalties, Method):
    name = "hashgrid"
    summary = "multiresolution hash grid, then a small ReLU MLP; the fastest to a sharp picture"
    paper = "Müller et al. 2022, Instant Neural Graphics Primitives; layout of tiny-cuda-nn"
    dimensions = (1, 2, 3, 4)
    frequency_option = "growth"

    learning_rate: float = Option(5e-3, gt=0, le=1, description="Adam's step size for the MLP")
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's step size for the table")
    batch: int | None = Option(
        None, ge=1, le=1 << 24, description="points a training step; none: 16384, more for large tables"
    )
    levels: int = Option(16, ge=1, le=32, description="grids, coarse to fine")
    features: Literal[1, 2, 4, 8] = Option(2, description="channels an entry")
    table_size: int | None = Option(
        None,
        ge=16,
        le=1 << 26,
        description="entries a level at most, a power of two; none: by the kind, for pictures 1.25 numbers a sample in all",
    )
    base_resolution: int = Option(16, ge=2, le=65536, description="cells along an axis at the coarsest level")
    growth: float | None = Option(
        None,
        gt=1,
        le=8,
        description="resolution ratio of neighbouring levels; none: the finest cell is as large as a sample",
    )
    width: int = Option(64, ge=16, le=128, multiple_of=16, description="units a hidden layer of the MLP")
    hidden_layers: int = Option(2, ge=1, le=4, description="hidden layers of the MLP")
    head: Head = Option("mlp", description=DESCRIPTION)
    interpolation: Literal["linear", "smoothstep"] = Option("linear", description="smoothstep has continuous gradients")
    fused: Literal["auto", "off"] = Option(
        "auto", description="off: train through autograd instead of the fused native step"
    )
    backend: Literal["auto", "native", "torch", "tcnn"] = Option(
        "auto",
        description="who computes the grid; tcnn: tiny-cuda-nn, where it is installed and there is a GPU, grid and MLP",
    )
    matmul_dtype: Literal["float32", "bfloat16"] = Option(
        "float32",
        description="bfloat16: round what the MLP multiplies in training; faster where the processor has AVX512-BF16",
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
        if (self.total_variation or self.l1 or self.coarse_to_fine) and (
            self.backend == "tcnn" or self.matmul_dtype != "float32"
        ):
            raise ValueError(
                "total_variation, l1 and coarse_to_fine train through autograd: leave backend and matmul_dtype at their defaults"
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
        if self.fused != "off" and not KINDS[signal.kind].along_rays:
            return FUSED_BYTES
        return tiled_bytes(self.levels * self.features)

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        self.refuse_one_level(self.levels)
        if signal.kind == "audio":
            from fields.methods.sound_grid import sound_grid

            method = sound_grid(method, signal)
        recipe = dict(FOR_KINDS.get(signal.kind, {}))
        if signal.kind == SPACE and signal.unbounded:
            recipe["table_size"] = UNBOUNDED_TABLE
        recipe = {name: value for name, value in recipe.items() if name not in self.model_fields_set}
        if recipe:
            return method.model_copy(update=recipe).prepare(signal)
        shape = [n or (finest_cells(signal) if signal.kind == SPACE else 512) for n in signal.domain.shape]
        dimensions, channels = len(shape), len(signal.channels)
        free = method.growth is None
        if free:
            # The finest cells are as large as a sample; finer ones would be free to do anything between the samples.
            finest = max(max(shape), 2 * method.base_resolution)
            growth = (finest / method.base_resolution) ** (1 / max(1, method.levels - 1))
            method = method.model_copy(update={"growth": min(max(growth, 1.05), 8.0)})
        if method.table_size is None:
            wanted = max(SMALLEST, min(LARGEST, PARAMS_PER_SAMPLE.get(signal.kind, 1.25) * math.prod(shape)))
            fits = [
                2**k
                for k in range(4, 25)
                if method.model_copy(update={"table_size": 2**k}).parameters(dimensions, channels) <= wanted
            ]
            method = method.model_copy(update={"table_size": max([256, *fits])})
            if free:
                # Powers of two are far apart; the rest of the room is filled by the solver.
                method = method.sized(dimensions, channels, int(wanted))
        if method.batch is None:
            # Many small steps beat few large ones, until Adam's pass over the whole table costs more than the points.
            table = method.layout(dimensions).num_parameters
            method = method.model_copy(update={"batch": min(1 << 18, max(1 << 14, 1 << round(math.log2(table / 32))))})
        return method

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        """Growths that end at 32, 45, 64, ... cells along an axis."""
        steps = range(2, 17) if self.levels > 1 else []
        return [
            (2.0 ** (half / 2)) ** (1 / (self.levels - 1))
            for half in steps
            if (2.0 ** (half / 2)) ** (1 / (self.levels - 1)) <= 3.0
        ]

    def half_frequency(self, value: float) -> float:
        return value / 2.0 ** (1 / (self.levels - 1))  # half the finest cells along an axis

    def layout(self, dimensions: int) -> GridLayout:
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

    def sizes(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        """Copies of that size, nearest to this recipe first: width, levels and table are chosen, growth is solved."""
        shapes = [
            self.model_copy(update={"width": width, "levels": levels})
            for width in (16, 32, 48, 64, 96, 128)
            for levels in range(1, 25)
        ]
        found: list[Self] = []
        for shape in sorted(shapes, key=self._distance):
            # No growth brings a shape nearer, so once the best found beats the next shape the search is over.
            if found and self._distance(found[0]) <= self._distance(shape):
                break
            table = max(1, (parameters - shape._network_parameters(channels)) / (shape.levels * self.features))
            for log2_size in range(max(4, math.floor(math.log2(table))), min(27, math.ceil(math.log2(table)) + 4)):
                found += shape.model_copy(update={"table_size": 2**log2_size})._grown(dimensions, channels, parameters)
            found.sort(key=self._distance)
        return found

    def _network_parameters(self, channels: int) -> int:
        return head_parameters(self.head, self._head_shape(channels))

    def _head_shape(self, channels: int) -> HeadShape:
        return HeadShape(self.levels * self.features, self.width, self.hidden_layers, channels, bias=False)

    def _grown(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        """Copies of about `parameters` numbers; the count rises with growth, which is solved in thousandths."""

        def grown(thousandths: int) -> Self:
            return self.model_copy(update={"growth": thousandths / 1000})

        def count(thousandths: int) -> int:
            return grown(thousandths).parameters(dimensions, channels)

        if abs(self.parameters(dimensions, channels) / parameters - 1) < 0.01:
            return [self]
        highest = min(3.0, (FINEST / self.base_resolution) ** (1 / max(1, self.levels - 1)))
        near = [grown(g) for g in crossing(count, 1050, max(1050, int(1000 * highest)), parameters)]
        return [m for m in near if abs(m.parameters(dimensions, channels) / parameters - 1) <= SIZE_TOLERANCE]

    def _distance(self, other: Self) -> float:
        """How far a copy's shape is from this recipe's: doublings of width, levels, and of the finest resolution."""
        finest = (other.levels - 1) * math.log2(other.growth) - (self.levels - 1) * math.log2(self.growth)
        same_finest = other.growth == self.growth
        return (
            abs(math.log2(other.width / self.width))
            + abs(math.log2(other.levels / self.levels))
            + (0 if same_finest else abs(finest))
        )

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.encoders.hash_grid import HashGrid as Encoder
        from fields.models.hash_grid import GridField

        generator = torch.Generator().manual_seed(seed)
        by_tcnn = self.backend == "tcnn"
        encoder = Encoder(
            self.layout(domain.dimensions),
            self.interpolation,
            "auto" if by_tcnn else self.backend,
            generator,
            coarse_to_fine=self.coarse_to_fine > 0,
        )
        network = build_head(self.head, self._head_shape(len(channels)), generator)
        fused = self.fused != "off" and self.backend != "torch" and self.head == "mlp"
        return GridField(
            domain,
            channels,
            encoder,
            network,
            fused=fused,
            matmul_dtype=self.matmul_dtype,
            accelerator="tcnn" if by_tcnn else None,
            total_variation=self.total_variation,
            l1=self.l1,
            coarse_to_fine=self.coarse_to_fine,
        )

    def parameter_groups(self, field: Field) -> list[dict]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            {"params": list(field.encoder.parameters()), "lr": self.table_rate, "sparse": True},
        ]
