"""`nerv` and `nervpp`: a small generator that gives the whole frame of a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field as Option
from pydantic import field_validator

from fields.methods.base import Method
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Lists of strides to choose from; the product is how much larger than the first grid the frame is.
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
GRID_HEIGHT = 9
# Sizes where none is asked for: numbers a value of the clip, and the most that a CPU trains in reasonable time.
PARAMS_PER_VALUE, SMALLEST, LARGEST = 0.1, 20_000, 3_000_000
# First channels over lower width in the published S, M and L: from 0.27 on.
FIRST_SHARE = 0.27

# Memory of a training step per pixel of a frame, in bytes.
FRAME_PIXEL_BYTES = 2000


class Nerv(Method):
    name = "nerv"
    summary = "a generator of whole frames from a time: convolutions and pixel shuffles (clips only)"
    paper = "Chen et al. 2021, NeRV: Neural Representations for Videos"
    dimensions = (3,)
    kinds = ("video",)
    published_width: ClassVar[int] = 96

    learning_rate: float = Option(2e-3, gt=0, le=1, description="Adam's step size")
    batch: int = Option(1, ge=1, le=1024, description="frames a training step")
    loss: Literal["auto", "fusion", "l1", "l2"] = Option(
        "auto", description="fusion (auto): 0.7 of the absolute error, 0.3 of 1 - SSIM"
    )
    code_base: float = Option(1.25, gt=1, le=4, description="ratio of neighbouring frequencies of the time code")
    frequencies: int = Option(
        40, ge=1, le=256, description="frequencies of the time code; each gives a sine and a cosine"
    )
    hidden: int = Option(
        512,
        ge=1,
        le=8192,
        description="units of the network before the first grid; where a size is solved for, those too",
    )
    grid_channels: int | None = Option(
        None, ge=1, le=4096, description="channels of the first grid; none: 0.1 numbers a value in all"
    )
    lower_width: int | None = Option(
        None, ge=1, le=1024, description="channels that no block goes below; none: by size"
    )
    strides: str | None = Option(
        None, description="enlargements of the blocks, such as 5,2,2; none: the first grid is about 9 rows high"
    )
    time_nodes: int = Option(
        0,
        ge=0,
        le=4096,
        description="CAM: nodes over time of each block's scales and shifts; 0: none, the paper's 60 or 30",
    )
    grid_height: int | None = Option(
        None, ge=1, le=1024, description="rows of the first grid; none: the frame's over the strides"
    )
    grid_width: int | None = Option(
        None, ge=1, le=1024, description="columns of the first grid; none: the frame's over the strides"
    )

    @field_validator("strides")
    @classmethod
    def _whole_numbers(cls, value: str | None) -> str | None:
        if value is not None and not all(piece.isdecimal() and 1 <= int(piece) <= 16 for piece in value.split(",")):
            raise ValueError("should be whole numbers from 1 to 16 between commas, such as 5,2,2")
        return value

    @property
    def preset_name(self) -> str:
        return "nerv"

    def step_bytes(self, signal: Signal) -> int:
        return FRAME_PIXEL_BYTES * math.prod(samples or 1 for samples in signal.domain.shape[:2])

    def prepare(self, signal: Signal) -> Self:
        method = super().prepare(signal)
        updates: dict[str, object] = {"loss": "fusion"} if self.loss == "auto" else {}
        width, height, count = signal.domain.shape
        if method.strides is None:
            updates["strides"] = best_strides(width, height)
        product = math.prod(int(piece) for piece in (updates.get("strides") or method.strides).split(","))
        updates["grid_height"], updates["grid_width"] = -(-height // product), -(-width // product)
        method = method.model_copy(update=updates)
        if method.grid_channels is None or method.lower_width is None:
            wanted = max(SMALLEST, min(LARGEST, PARAMS_PER_VALUE * width * height * count * len(signal.channels)))
            method = method.sized(3, len(signal.channels), int(wanted))
        return method

    def widths(self) -> list[int]:
        """Channels that each block gives (NeRV's code): halved each time, but never below `lower_width`."""
        widths = [self.grid_channels]
        for stride in self.stride_list()[1:]:
            widths.append(max(widths[-1] // (2 if stride > 1 else 1), self.lower_width))
        return widths

    def stride_list(self) -> list[int]:
        return [int(piece) for piece in self.strides.split(",")]

    def _stem(self) -> int:
        return (2 * self.frequencies + 1) * self.hidden + (
            self.hidden + 1
        ) * self.grid_channels * self.grid_height * self.grid_width

    def _block(self, inputs: int, outputs: int, stride: int) -> int:
        return (9 * inputs + 1) * outputs * stride**2

    def _head(self, inputs: int, channels: int) -> int:
        return (inputs + 1) * channels

    def parameters(self, dimensions: int, channels: int) -> int:
        widths = self.widths()
        blocks = zip([self.grid_channels, *widths[:-1]], widths, self.stride_list())
        modulation = 2 * self.time_nodes * sum(widths)
        return (
            self._stem() + sum(self._block(*block) for block in blocks) + modulation + self._head(widths[-1], channels)
        )

    def sizes(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        """Copies of that size, best first: as in the published models the first grid has 0.27 to 1.2 of the lower width and the
        stem half to two thirds of all numbers; the stem's hidden units are solved for, the count being linear in them."""
        found = []
        for lower in range(2, self.published_width + 1):
            most = 512 if lower == self.published_width else round(1.2 * lower)
            for grid in range(max(1, round(FIRST_SHARE * lower)), max(2, most) + 1):
                method = self.model_copy(update={"lower_width": lower, "grid_channels": grid, "hidden": 1})
                one = method.parameters(dimensions, channels)
                a_unit = method.model_copy(update={"hidden": 2}).parameters(dimensions, channels) - one
                hidden = 1 + round((parameters - one) / a_unit)
                if not 16 <= hidden <= 1024:
                    continue
                share = a_unit * hidden / parameters
                cost = (
                    10 * max(0.0, share - 0.68)
                    + 10 * max(0.0, 0.5 - share)
                    + 0.3 * abs(math.log2(hidden / self.hidden))
                )
                found.append((cost, lower, grid, hidden))
        return [
            self.model_copy(update={"lower_width": lower, "grid_channels": grid, "hidden": hidden})
            for _, lower, grid, hidden in sorted(found)
        ]

    def build(self, domain: Domain, channels: Channels, seed: int):
        import torch

        from fields.models.frames import GeneratorField
        from fields.networks.nerv import Generator

        width, height, _ = domain.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator = Generator(
                preset=self.preset_name,
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

    def parameter_groups(self, field: Field) -> list[dict]:
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
        """NeRV's warm-up over the first fifth and cosine after it; but 0.3 over the first tenth, while the number of steps may
        still be unknown (there it rises from 0.1)."""
        if total is None or step < 0.1 * total:
            return 0.3
        share = step / total
        if share < 0.2:
            return 0.3 + 0.7 * (share - 0.1) / 0.1
        return self.final_rate + (1 - self.final_rate) * 0.5 * (1 + math.cos(math.pi * (share - 0.2) / 0.8))


class NervPlus(Nerv):
    name = "nervpp"
    summary = "NeRV with blocks of separable convolutions around each enlargement and a bilinear skip (clips only)"
    paper = "Ghorbel et al. 2024, NeRV++: An Enhanced Implicit Neural Video Representation"
    published_width: ClassVar[int] = 80

    preset: Literal["paper", "release"] = Option(
        "paper", description="paper: as its figure; release: as its code (gated block, gated stem)"
    )

    @property
    def preset_name(self) -> str:
        return self.preset

    def _stem(self) -> int:
        first = (2 * self.frequencies + 1) * self.hidden * (2 if self.preset == "release" else 1)
        return first + (self.hidden + 1) * self.grid_channels * self.grid_height * self.grid_width

    def _block(self, inputs: int, outputs: int, stride: int) -> int:
        separable = 10 * outputs + 2 * (outputs + 1) * outputs
        hidden = 8 * outputs // 3
        gated = (outputs + 1) * 2 * hidden + 26 * outputs + (hidden + 1) * outputs
        before = gated if self.preset == "release" else separable
        return (inputs + 1) * outputs + before + super()._block(outputs, outputs, stride) + separable

    def _head(self, inputs: int, channels: int) -> int:
        return (9 * inputs + 1) * channels if self.preset == "paper" else super()._head(inputs, channels)


def best_strides(width: int, height: int) -> str:
    """The strides under which the first grid's short side is nearest to 9 and least of the frame is cut off."""

    def cost(strides: str) -> float:
        product = math.prod(int(piece) for piece in strides.split(","))
        rows, columns = -(-height // product), -(-width // product)
        waste = rows * columns * product**2 / (width * height) - 1
        return abs(math.log2(min(rows, columns) / GRID_HEIGHT)) + 4 * waste

    return min(STRIDES, key=cost)
