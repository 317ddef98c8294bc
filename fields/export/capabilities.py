"""What a field can do, as far as exports ask: told by its base class and channels, not by its method's name."""

from __future__ import annotations

from collections.abc import Callable

from fields.export.base import Source
from fields.models.field import PointField, RadianceField

SHAPES = ("signed_distance", "unsigned_distance", "occupancy")


def _shape(source: Source) -> bool:
    return isinstance(source.field, PointField) and source.field.channels.space in SHAPES


def _density(source: Source) -> bool:
    return source.kind == "volume" and isinstance(source.field, PointField)


def _radiance(source: Source) -> bool:
    return isinstance(source.field, RadianceField)


# A surface that marching cubes finds; values on a lattice of points; anything at all.
CAPABILITIES: dict[str, Callable[[Source], bool]] = {
    "surface": lambda source: _shape(source) or _density(source) or _radiance(source),
    "radiance": _radiance,
    "lattice": lambda source: _shape(source) or _density(source),
    "picture": lambda source: source.kind == "image",
    "sound": lambda source: source.kind == "audio",
    "clip": lambda source: source.kind == "video",
    "any": lambda source: True,
}


def can(source: Source) -> set[str]:
    return {name for name, test in CAPABILITIES.items() if test(source)}
