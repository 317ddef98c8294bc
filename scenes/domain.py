"""Axes and channels of a signal: what it is measured over, and what its values mean.

Signals share these with the models fitted to them, so values can be converted to the signal's own units without the
signal. Plain data: no numpy, no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# Unit of the training error of values beside a signed or unsigned distance: an error of 0.05 unit cubes in the
# distance counts as much as the whole range of a colour.
ERROR_UNIT_BESIDE_DISTANCE = 20.0
# Pictures are stretched to square pixels by at most this factor.
MAX_STRETCH = 16.0
# Values lie on a large offset where it is more than this many times their range: float32 loses over 4 of its 24 bits.
OFFSET_RATIO = 16.0


@dataclass(frozen=True)
class Axis:
    """One axis of a domain.

    Attributes:
        name: "x", "y", "z" or "t".
        lower: position of coordinate 0, in `unit`.
        upper: position of coordinate 1, in `unit`.
        unit: unit of `lower` and `upper`, for example "px", "s" or "m".
        samples: number of samples along the axis, with sample `i` at coordinate `(i + 0.5) / samples`; None where
            samples are scattered.
        fitted: coordinates of the samples that a field is fitted to, where they are not all of these: of a film with
            frames of different length, or some of which are held out.
    """

    name: str
    lower: float
    upper: float
    unit: str
    samples: int | None = None
    fitted: tuple[float, ...] | None = None

    @property
    def fitted_coords(self) -> tuple[float, ...]:
        """Coordinates in [0, 1] of the samples that a field is fitted to; none where samples are scattered."""
        if self.fitted is not None:
            return self.fitted
        samples = self.samples or 0
        return tuple((i + 0.5) / samples for i in range(samples))

    @property
    def is_time(self) -> bool:
        """Whether the axis is time rather than space."""
        return self.unit == "s" or self.name in ("t", "time")


@dataclass(frozen=True)
class World:
    """Where a signal lies in a space that its file names, such as that of a patient.

    Attributes:
        matrix: three rows of four numbers, from positions (x, y, z, 1) along the axes to that space, in the axes' unit.
        space: name of the space: "RAS" (its axes point to the patient's right, front and head), "LPS", or empty.
    """

    matrix: tuple[tuple[float, ...], ...]
    space: str = ""


@dataclass(frozen=True)
class Domain:
    """The axes of a signal, `x` first, and where it lies in a larger space; None where the axes are all there is."""

    axes: tuple[Axis, ...]
    world: World | None = None

    @property
    def dimensions(self) -> int:
        """Number of axes."""
        return len(self.axes)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Number of samples along each axis, in the order of `axes`; None where samples are scattered."""
        return tuple(axis.samples for axis in self.axes)

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """`shape` of a domain whose samples lie on a regular grid. Raises ValueError where they are scattered."""
        shape = tuple(axis.samples for axis in self.axes if axis.samples is not None)
        if len(shape) != len(self.axes):
            raise ValueError(f"the domain has no regular grid: its shape is {self.shape}")
        return shape

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height at which the first two axes are shown in their true proportions (`square_size`).

        It differs from the number of samples where a film's pixels are not square.
        """
        return square_size(*self.axes[:2])

    @property
    def is_time_series(self) -> bool:
        """Whether time is the only axis, as in audio."""
        return self.dimensions == 1 and self.axes[0].is_time

    def to_json(self) -> dict[str, Any]:
        """A dict that `from_json` takes."""
        content = asdict(self)
        for axis in content["axes"]:
            if axis["fitted"] is None:
                del axis["fitted"]
        return content if self.world else {"axes": content["axes"]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Domain:
        """The domain that `to_json` described."""
        world = data.get("world")
        rows = World(tuple(tuple(map(float, row)) for row in world["matrix"]), world["space"]) if world else None
        axes = ({**axis, "fitted": tuple(axis["fitted"]) if axis.get("fitted") else None} for axis in data["axes"])
        return cls(tuple(Axis(**axis) for axis in axes), rows)


def square_size(across: Axis, down: Axis) -> tuple[int, int]:
    """Width and height in square pixels of a picture over two axes, at the finer spacing of the two.

    Where samples are scattered, or over `MAX_STRETCH` times as far apart along one axis: the numbers of samples.
    """
    if across.samples is None or down.samples is None:
        return across.samples or 1, down.samples or 1
    steps = [(axis.upper - axis.lower) / axis.samples for axis in (across, down) if axis.samples]
    if across.unit != down.unit or max(steps) > MAX_STRETCH * min(steps):
        return across.samples, down.samples
    width, height = (max(1, round((axis.upper - axis.lower) / min(steps))) for axis in (across, down))
    return width, height


@dataclass(frozen=True)
class Channels:
    """Names, color space and range of a signal's values.

    Attributes:
        names: one name per channel.
        space: "srgb" (8- and 16-bit images: display-referred, in [0, 1]), "linear" (HDR images: scene-referred,
            unbounded), "amplitude" (audio), "scalar" (volumes), or a quantity of shapes such as "signed_distance".
        premultiplied: whether the colours are multiplied by the last channel, "alpha".
        lower: what value 0 means in the signal's own units.
        upper: what value 1 means in the signal's own units. Audio and volumes of any range are scaled to one that
            suits every method.
    """

    names: tuple[str, ...]
    space: str
    premultiplied: bool = False
    lower: float = 0.0
    upper: float = 1.0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_distance(self) -> bool:
        """Whether the first channel is a distance from a surface, signed or unsigned."""
        return self.space.endswith("_distance")

    @property
    def is_surface(self) -> bool:
        """Whether the first channel describes a surface: a distance from it, or the occupancy of its inside."""
        return self.is_distance or self.space == "occupancy"

    @property
    def is_radiance(self) -> bool:
        """Whether the values are colours seen along rays, as in posed views."""
        return self.space == "radiance"

    @property
    def error_units(self) -> tuple[float, ...]:
        """Unit of the training error for each channel; errors are divided by it before they are summed.

        1 everywhere, except for channels beside a distance (`ERROR_UNIT_BESIDE_DISTANCE`).
        """
        return tuple(ERROR_UNIT_BESIDE_DISTANCE if self.is_distance and index else 1.0 for index in range(len(self)))

    @property
    def needs_float64(self) -> bool:
        """Whether values in the signal's own units need float64: their range is small beside their offset."""
        return max(abs(self.lower), abs(self.upper)) > OFFSET_RATIO * (self.upper - self.lower)

    def to_json(self) -> dict[str, Any]:
        """A dict that `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Channels:
        """The channels that `to_json` described."""
        return cls(**{**data, "names": tuple(data["names"])})
