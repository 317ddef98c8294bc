"""`nerv` and `nervpp`: a generator of the whole frame at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field as Option
from pydantic import field_validator

from fields.methods.base import Method
from fields.methods.options import Undecided, undecided
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.networks.nerv import Preset
    from scenes.signal import Signal

# Lists of strides that are chosen from. Their product is the ratio of the frame to the first grid.
STRIDES = (
    "2,2",
    "3,2",
    "2,2,2",
    "3,2,2",
    "4,2,2",
    "5,2,2",
    "3,2,2,2",
    "4,2,2,2",
    "5,2,2,2",
    "5,3,2,2",
    "5,2,2,2,2",
    "5,3,2,2,2",
)
# Rows of the first grid in the published models.
GRID_HEIGHT = 9
# Sizes where none is asked for: parameters per value of the video, and the bounds. More than the upper bound takes a
# CPU too long.
PARAMS_PER_VALUE = 0.1
MIN_PARAMETERS = 20_000
MAX_PARAMETERS = 3_000_000
# Channels of the first grid in the published models S, M and L: from this fraction of the lower width on.
MIN_GRID_FRACTION = 0.27
MAX_GRID_FRACTION = 1.2
# The stem's fraction of all parameters in the published models.
STEM_FRACTIONS = (0.5, 0.68)
# Bytes per pixel of a frame in a training step.
PIXEL_BYTES = 2000


class Nerv(Method):
    name = "nerv"
    summary = "a generator of whole frames from a time: convolutions and pixel shuffles (videos only)"
    paper = "Chen et al. 2021, NeRV: Neural Representations for Videos"
    dimensions = (3,)
    kinds = ("video",)
    size_options = ("grid_channels", "lower_width", "hidden", "strides")
    # Largest lower width of the published models.
    published_width: ClassVar[int] = 96

    learning_rate: float = Option(
        2e-3, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps, raise it for short fits."
    )
    batch: int = Option(1, ge=1, le=1024, description="Batch size: frames per training step.")
    # Frames have a loss of their own.
    loss: Literal["auto", "fusion", "l1", "l2"] = Option(  # pyright: ignore[reportIncompatibleVariableOverride]
        "auto", description="Loss of the frames. auto: fusion, 0.7 of the absolute error and 0.3 of 1 - SSIM."
    )
    code_base: float = Option(
        1.25, gt=1, le=4, description="Ratio of neighbouring frequencies of the time code. Raise it for faster motion."
    )
    frequencies: int = Option(
        40, ge=1, le=256, description="Number of frequencies of the time code; each gives a sine and a cosine."
    )
    hidden: int = Option(
        512,
        ge=1,
        le=8192,
        description="Units of the network before the first grid. They are solved for where a size is asked for.",
    )
    grid_channels: Undecided[int] = undecided(
        "Channels of the first grid. Default: such that the field has 0.1 parameters per value of the video.",
        ge=1,
        le=4096,
    )
    lower_width: Undecided[int] = undecided("Channels that every block has at least. Default: by size.", ge=1, le=1024)
    strides: Undecided[str] = undecided(
        "Enlargement of each block, such as 5,2,2. Default: such that the first grid has about 9 rows."
    )
    time_nodes: int = Option(
        0,
        ge=0,
        le=4096,
        description="Nodes over time of each block's scales and shifts (CAM). Raise it, to 30 or 60 as in the paper, "
        "for more detail. 0: no modulation.",
    )
    grid_height: Undecided[int] = undecided(
        "Rows of the first grid. Default: those of the frame divided by the strides.", ge=1, le=1024
    )
    grid_width: Undecided[int] = undecided(
        "Columns of the first grid. Default: those of the frame divided by the strides.", ge=1, le=1024
    )

    @field_validator("strides")
    @classmethod
    def _valid_strides(cls, value: str | None) -> str | None:
        if value is not None and not all(piece.isdecimal() and 1 <= int(piece) <= 16 for piece in value.split(",")):
            raise ValueError("should be whole numbers from 1 to 16 between commas, such as 5,2,2")
        return value

    def network_preset(self) -> Preset:
        """Which of the published networks it is."""
        return "nerv"

    def step_bytes(self, signal: Signal) -> int:
        return PIXEL_BYTES * math.prod(n or 1 for n in signal.domain.shape[:2])

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        update: dict[str, object] = {"loss": "fusion"} if self.loss == "auto" else {}
        width, height, count = signal.domain.grid_shape
        strides = best_strides(width, height) if self.strides is None else self.strides
        enlargement = math.prod(_whole_numbers_of(strides))
        update |= {
            "strides": strides,
            "grid_height": -(-height // enlargement),
            "grid_width": -(-width // enlargement),
        }
        method = method.model_copy(update=update)
        if self.grid_channels is None or self.lower_width is None:
            wanted = PARAMS_PER_VALUE * width * height * count * len(signal.channels)
            wanted = max(MIN_PARAMETERS, min(MAX_PARAMETERS, wanted))
            method = method.sized(3, len(signal.channels), int(wanted))
        return method

    def widths(self) -> list[int]:
        """Channels of each block's output: halved from block to block, but at least `lower_width` (NeRV's code)."""
        widths = [self.grid_channels]
        for stride in self.stride_list()[1:]:
            widths.append(max(widths[-1] // (2 if stride > 1 else 1), self.lower_width))
        return widths

    def stride_list(self) -> list[int]:
        """Enlargement of each block."""
        return _whole_numbers_of(self.strides)

    def _stem_parameters(self) -> int:
        grid = self.grid_channels * self.grid_height * self.grid_width
        return (2 * self.frequencies + 1) * self.hidden + (self.hidden + 1) * grid

    def _block_parameters(self, inputs: int, outputs: int, stride: int) -> int:
        return (9 * inputs + 1) * outputs * stride**2

    def _head_parameters(self, inputs: int, channels: int) -> int:
        return (inputs + 1) * channels

    def parameters(self, dimensions: int, channels: int) -> int:
        widths = self.widths()
        shapes = zip([self.grid_channels, *widths[:-1]], widths, self.stride_list())
        blocks = sum(self._block_parameters(*shape) for shape in shapes)
        modulation = 2 * self.time_nodes * sum(widths)
        return self._stem_parameters() + blocks + modulation + self._head_parameters(widths[-1], channels)

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Copies of that size, those most like the published models first.

        In these the first grid has 0.27 to 1.2 of the lower width, and the stem half to two thirds of all parameters.
        The hidden units of the stem are solved for: the count is linear in them.
        """
        found = []
        for lower in range(2, self.published_width + 1):
            most = 512 if lower == self.published_width else round(MAX_GRID_FRACTION * lower)
            for grid in range(max(1, round(MIN_GRID_FRACTION * lower)), max(2, most) + 1):
                method = self.model_copy(update={"lower_width": lower, "grid_channels": grid, "hidden": 1})
                one_unit = method.parameters(dimensions, channels)
                per_unit = method.model_copy(update={"hidden": 2}).parameters(dimensions, channels) - one_unit
                hidden = 1 + round((parameters - one_unit) / per_unit)
                if not 16 <= hidden <= 1024:
                    continue
                fraction = per_unit * hidden / parameters
                cost = (
                    10 * max(0.0, fraction - STEM_FRACTIONS[1])
                    + 10 * max(0.0, STEM_FRACTIONS[0] - fraction)
                    + 0.3 * abs(math.log2(hidden / self.hidden))
                )
                found.append((cost, lower, grid, hidden))
        return [
            self.model_copy(update={"lower_width": lower, "grid_channels": grid, "hidden": hidden})
            for _, lower, grid, hidden in sorted(found)
        ]

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.models.frames import GeneratorField
        from fields.networks.nerv import Generator

        width, height, _ = domain.grid_shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = Generator(
                preset=self.network_preset(),
                code=(self.code_base, self.frequencies),
                hidden=self.hidden,
                grid=(self.grid_channels, self.grid_height, self.grid_width),
                widths=self.widths(),
                strides=self.stride_list(),
                height=height,
                width=width,
                channels=len(channels),
                time_nodes=self.time_nodes,
            )
        return GeneratorField(domain, channels, generator)

    def parameter_groups(self, field: Field) -> list[dict[str, Any]]:
        return [
            {
                "params": list(field.parameters()),
                "lr": self.learning_rate,
                "sparse": False,
                "betas": (0.5, 0.999),
                "eps": 1e-8,
            }
        ]

    def rate_factor(self, step: int, total: int | None) -> float:
        """NeRV's schedule: a linear warm-up over the first fifth, then half a cosine.

        The factor is 0.3 over the first tenth, while the number of steps may still be unknown. NeRV rises from 0.1
        there.
        """
        if total is None or step < 0.1 * total:
            return 0.3
        fraction = step / total
        if fraction < 0.2:
            return 0.3 + 0.7 * (fraction - 0.1) / 0.1
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * (fraction - 0.2) / 0.8))


class NervPlus(Nerv):
    name = "nervpp"
    summary = "NeRV with blocks of separable convolutions around each enlargement and a bilinear skip (videos only)"
    paper = "Ghorbel et al. 2024, NeRV++: An Enhanced Implicit Neural Video Representation"
    published_width: ClassVar[int] = 80

    preset: Literal["paper", "release"] = Option(
        "paper", description="paper: as in its figure. release: as in its code, with gated blocks and a gated stem."
    )

    def network_preset(self) -> Preset:
        return self.preset

    def _stem_parameters(self) -> int:
        first = (2 * self.frequencies + 1) * self.hidden * (2 if self.preset == "release" else 1)
        return first + (self.hidden + 1) * self.grid_channels * self.grid_height * self.grid_width

    def _block_parameters(self, inputs: int, outputs: int, stride: int) -> int:
        separable = 10 * outputs + 2 * (outputs + 1) * outputs
        hidden = 8 * outputs // 3
        gated = (outputs + 1) * 2 * hidden + 26 * outputs + (hidden + 1) * outputs
        before = gated if self.preset == "release" else separable
        enlargement = super()._block_parameters(outputs, outputs, stride)
        return (inputs + 1) * outputs + before + enlargement + separable

    def _head_parameters(self, inputs: int, channels: int) -> int:
        if self.preset == "paper":
            return (9 * inputs + 1) * channels
        return super()._head_parameters(inputs, channels)


def best_strides(width: int, height: int) -> str:
    """The strides for which the short side of the first grid is nearest to 9 and least of the frame is cut off."""

    def cost(strides: str) -> float:
        enlargement = math.prod(_whole_numbers_of(strides))
        rows, columns = -(-height // enlargement), -(-width // enlargement)
        waste = rows * columns * enlargement**2 / (width * height) - 1
        return abs(math.log2(min(rows, columns) / GRID_HEIGHT)) + 4 * waste

    return min(STRIDES, key=cost)


def _whole_numbers_of(text: str) -> list[int]:
    """The numbers in "5,2,2"."""
    return [int(piece) for piece in text.split(",")]
