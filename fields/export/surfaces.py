"""The surface of a field to export: its implicit function, the box that is meshed, and the shape to compare with."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
from torch import Tensor

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.fit.fit import reopen
from fields.models.field import PointField, RadianceField
from fields.render.floaters import remove_floaters_of
from fields.surface.coarse_scan import sample_box, suggested_level
from fields.surface.implicit import Implicit, implicit_shape, implicit_values
from fields.surface.radiance import LOSS_LENGTH, Radiance, implicit_radiance
from fields.surface.scene_mesh import implicit_distance
from scenes.errors import BadInput
from scenes.shape.signal import Shape

# Cells along the longest side.
RESOLUTION = 256
# Removing less than this fraction of the occupied cells is not worth a line.
MIN_REPORTED = 5e-4


def implicit_of(source: Source, request: ExportRequest, progress: Progress) -> Implicit:
    """The surface of a field at the requested level, or else at the level that suits the field.

    The floaters of a radiance field are removed first. Raises BadInput for a level of density that is not above 0.
    """
    field = source.field
    if isinstance(field, RadianceField):
        if not field.has_surface and request.level is not None and request.level <= 0:
            raise BadInput(f"`level={request.level:g}`: a density is above 0")
        remove_floaters(source, progress)
        scene = Radiance(field, request.time or 0.0)
        if field.has_surface:
            return implicit_distance(scene, request.level or 0.0)
        return implicit_radiance(scene, _density_level(scene, progress) if request.level is None else request.level)
    field = cast(PointField, field)
    if field.channels.is_surface:
        return implicit_shape(field, request.level)
    lower, upper = field.channels.lower, field.channels.upper

    def values(points: Tensor) -> Tensor:
        return field(points).mean(dim=-1)

    level = request.level
    if level is None:
        found, _ = sample_box(values, (0.0,) * 3, (1.0,) * 3, field.device)
        chosen = suggested_level(found)
        level = chosen * (upper - lower) + lower
        progress.message(_level_message(level, found.astype(np.float64) * (upper - lower) + lower))
    colors = field if len(field.channels) == 3 else None
    # The surface is sought among training values, which keep small variations on a large offset.
    normalized = (level - lower) / (upper - lower)
    found_surface = implicit_values(values, field.domain, normalized, field.device, colors=colors)
    return replace(found_surface, level=level, value_of=lambda value: level - value * (upper - lower))


def box_of(implicit: Implicit, request: ExportRequest) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner `[3]` of the part of the implicit's box that is meshed.

    Raises BadInput for a `box` that is not a box or lies outside of the field.
    """
    lower, upper = np.zeros(3), np.array(implicit.extents)
    if request.box is None:
        return lower, upper
    box_lower = np.maximum(implicit.from_file(np.array(request.box[:3])), lower)
    box_upper = np.minimum(implicit.from_file(np.array(request.box[3:])), upper)
    if not (box_lower < box_upper).all():
        corners = ",".join(f"{x:.4g}" for x in (*implicit.to_file(lower), *implicit.to_file(upper)))
        raise BadInput(
            f"`box={','.join(f'{x:g}' for x in request.box)}`: lies outside of the field, which fills {corners}"
        )
    return box_lower, box_upper


def source_shape(source: Source) -> Shape | None:
    """The shape that was fitted, to compare with; None for other kinds, and if its file has moved or changed."""
    if source.run is None or not source.field.channels.is_surface:
        return None
    try:
        signal = reopen(source.run)
    except BadInput:
        return None
    return signal if isinstance(signal, Shape) else None


def remove_floaters(source: Source, progress: Progress) -> None:
    """Remove what no camera saw, and small components, from a radiance field whose run has cameras."""
    cameras = source.run.cameras() if source.run else []
    if not cameras:
        return
    removed = remove_floaters_of(cast(RadianceField, source.field), cameras)
    if removed >= MIN_REPORTED:
        progress.message(
            f"Removed floaters: {removed:.1%} of the occupied cells, which no camera saw or which are small components"
        )


def unbounded_notes(source: Source) -> list[str]:
    """A note that meshes, points and lattices hold only the inner cube of an unbounded scene; empty for others."""
    if not isinstance(source.field, RadianceField) or source.field.cascades == 1:
        return []
    axes = source.field.domain.axes[:3]
    lower = ",".join(f"{axis.lower:.4g}" for axis in axes)
    upper = ",".join(f"{axis.upper:.4g}" for axis in axes)
    return [
        f"The scene is unbounded; only its inner cube from {lower} to {upper} is written. "
        "`form=splat`, views and videos show all of it"
    ]


def _density_level(scene: Radiance, progress: Progress) -> float:
    """Level of density from the histogram of the light lost over a short length, as densities have no scale."""
    found, _ = sample_box(scene.density, (0.0,) * 3, scene.extents, scene.device)
    lost = suggested_level(1 - np.exp(-found * LOSS_LENGTH))
    level = float(-np.log1p(-lost) / LOSS_LENGTH) if lost > 0 else 1.0
    progress.message(_level_message(level, found))
    return level


def _level_message(level: float, values: np.ndarray) -> str:
    above = float((values > level).mean())
    return (
        f"Level of the surface {level:.4g}, chosen from the histogram of the field's values from {values.min():.4g} to "
        f"{values.max():.4g}; {above:.1%} of the volume is above it. Change it with `level`"
    )
