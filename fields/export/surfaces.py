"""A run's field as a surface: what every export of meshes and points begins with."""

from __future__ import annotations

import numpy as np
import torch

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.models.field import RadianceField
from fields.render.floaters import remove_floaters_of
from fields.surface.coarse_scan import sample_box, suggested_level
from fields.surface.implicit import Implicit, implicit_shape, implicit_values
from fields.surface.radiance import LOSS_LENGTH, Radiance, implicit_radiance
from scenes.errors import BadInput

RESOLUTION = 256
# Removing less than this fraction of the occupied cells is not worth a line.
MIN_REPORTED = 5e-4


def implicit_of(source: Source, request: ExportRequest, progress: Progress) -> Implicit:
    """The surface of the field at `level`, or where that is not given at the level that suits it."""
    field = source.field
    if source.kind == "shape":
        return implicit_shape(field, request.level)
    device = next(field.parameters()).device
    if isinstance(field, RadianceField):
        if request.level is not None and request.level <= 0:
            raise BadInput(f"`level={request.level:g}`: a density is above 0")
        cleared(source, progress)
        scene = Radiance(field, request.time or 0.0)
        return implicit_radiance(scene, request.level if request.level is not None else _density_level(scene, progress))
    lower, upper = field.channels.lower, field.channels.upper

    def values(points: torch.Tensor) -> torch.Tensor:
        return field(points).mean(dim=-1) * (upper - lower) + lower

    level = request.level
    if level is None:
        found, _ = sample_box(values, (0.0,) * 3, (1.0,) * 3, device)
        level = suggested_level(found)
        progress.message(_level_message(level, found))
    return implicit_values(values, field.domain, level, device, colors=field if len(field.channels) == 3 else None)


def notes_of(source: Source) -> list[str]:
    """What of a scene is not in a mesh, points or densities."""
    if not isinstance(source.field, RadianceField) or source.field.cascades == 1:
        return []
    axes = source.field.domain.axes[:3]
    corners = " to ".join(",".join(f"{getattr(axis, end):.4g}" for axis in axes) for end in ("lower", "upper"))
    return [
        f"the scene has no bounds: only what is in its inner cube, from {corners}, is written; --as splat, views and films have the rest too"
    ]


def cleared(source: Source, progress: Progress) -> None:
    """Takes away what no camera saw and specks, where the run knows its cameras."""
    cameras = source.run.cameras() if source.run else []
    if cameras and (share := remove_floaters_of(source.field, cameras)) >= MIN_REPORTED:
        progress.message(
            f"Removed floaters: {share:.1%} of the occupied cells, which no camera saw or which are small components"
        )


def _density_level(scene: Radiance, progress: Progress) -> float:
    """From the histogram of the light lost over a step, as densities themselves have no scale."""
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


def box_of(implicit: Implicit, request: ExportRequest) -> tuple[np.ndarray, np.ndarray]:
    """The part of the implicit's box that is meshed, from `crop`; BadInput where that is empty."""
    whole = np.zeros(3), np.array(implicit.extents)
    if request.crop is None:
        return whole
    if len(request.crop) != 6:
        raise BadInput(f"`crop` of a surface is X0,Y0,Z0,X1,Y1,Z1, not {len(request.crop)} numbers")
    lower = np.maximum(implicit.from_file(np.array(request.crop[:3])), whole[0])
    upper = np.minimum(implicit.from_file(np.array(request.crop[3:])), whole[1])
    if not (lower < upper).all():
        corners = ",".join(f"{x:.4g}" for x in (*implicit.to_file(whole[0]), *implicit.to_file(whole[1])))
        raise BadInput(
            f"`crop={','.join(f'{x:g}' for x in request.crop)}`: outside of the field, which fills {corners}"
        )
    return lower, upper


def shape_of(source: Source):
    """The `Shape` that was fitted, as far as its file is still there, else None; only to measure against."""
    if source.kind != "shape":
        return None
    from fields.fit.fit import reopen

    try:
        return reopen(source.run)
    except BadInput:
        return None
