"""What a signal is measured over and what its numbers mean.

Shared by signals and fields, so that someone who holds only a checkpoint can still ask for values in
the signal's own units. Plain data: no numpy, no torch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Axis:
    """One axis of a domain; a field's coordinate 0 is `lower` and 1 is `upper`.

    `samples` counts the measurements along the axis (sample `i` sits at `(i + 0.5) / samples`), or is
    None where they are scattered. `unit` names what `lower` and `upper` are in: "px", "s", "m".
    """

    name: str
    lower: float
    upper: float
    unit: str
    samples: int | None = None


@dataclass(frozen=True)
class Domain:
    """The axes of a signal, `x` first."""

    axes: tuple[Axis, ...]

    @property
    def dimensions(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Measurements along each axis, in the order of the axes."""
        return tuple(axis.samples for axis in self.axes)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Domain:
        return cls(tuple(Axis(**axis) for axis in data["axes"]))


@dataclass(frozen=True)
class Channels:
    """What a signal's values mean: a name a channel, and the space that they are in.

    `space` is "srgb" (8- and 16-bit pictures, display-referred, range [0, 1]) or "linear" (HDR, scene-referred,
    unbounded), "amplitude" (sound) or "scalar" (volumes). `premultiplied` says that the colours are already multiplied
    by the last channel, "alpha". Where a field gives 0 or 1, the signal is `lower` or `upper` in its own units, as with
    an axis: sounds and volumes of any loudness are fitted in a range that suits every method.
    """

    names: tuple[str, ...]
    space: str
    premultiplied: bool = False
    lower: float = 0.0
    upper: float = 1.0

    def __len__(self) -> int:
        return len(self.names)

    @property
    def error_units(self) -> tuple[float, ...]:
        """What errors are counted in when a field is trained, a number a channel: a distance of 0.05 unit cubes is worth as
        much as the whole range of a colour that is fitted beside it."""
        beside_distance = self.space.endswith("_distance")
        return tuple(20.0 if beside_distance and index else 1.0 for index in range(len(self)))

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Channels:
        return cls(**{**data, "names": tuple(data["names"])})
