"""What a page knows of its kind besides the field: sizes, cameras, the cells that are occupied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fields.export.base import Source
from fields.export.page.describe import describe
from fields.export.page.program import Program, Tensors, Vector
from fields.models.field import FrameField, PointField
from scenes.domain import square_size
from scenes.errors import BadInput

# Programs by name, and what the viewer knows as `header.view`.
Contents = tuple[dict[str, Any], dict[str, Any]]


def contents_of(source: Source, tensors: Tensors) -> Contents:
    """The programs of a field and what its view needs. BadInput, with the reason, where a page cannot draw it."""
    if isinstance(source.field, FrameField):
        raise BadInput(
            "a page computes values at points, and this field makes whole frames by convolutions: export .mp4 instead"
        )
    make = KINDS.get(source.kind)
    if make is None:
        raise BadInput(f"a page cannot show {source.kind} yet")
    return make(source, tensors)


def _values(field: PointField, tensors: Tensors) -> dict[str, Any]:
    program = Program(tensors, field.domain.dimensions)
    result: Vector = describe(field, program, program.inputs[0])
    return {"values": program.to_json(result)}


def _flat(source: Source, tensors: Tensors) -> Contents:
    field = source.field
    assert isinstance(field, PointField)
    return _values(field, tensors), {"sizes": [list(field.domain.shown_size)]}


def _plain(source: Source, tensors: Tensors) -> Contents:
    field = source.field
    assert isinstance(field, PointField)
    return _values(field, tensors), {}


def _volume(source: Source, tensors: Tensors) -> Contents:
    """Sizes of the slices across x, y and z."""
    field = source.field
    assert isinstance(field, PointField)
    sizes = []
    for cut in range(3):
        across, down = (axis for i, axis in enumerate(field.domain.axes) if i != cut)
        sizes.append(list(square_size(across, down)))
    return _values(field, tensors), {"sizes": sizes}


def _scene(source: Source, tensors: Tensors) -> Contents:
    from fields.export.page.scenes import scene_contents

    return scene_contents(source, tensors)


KINDS: dict[str, Callable[[Source, Tensors], Contents]] = {
    "image": _flat,
    "audio": _plain,
    "video": _flat,
    "volume": _volume,
    "shape": _plain,
    "radiance": _scene,
}
