"""A picture of the surface while a field is being fitted."""

from __future__ import annotations

import numpy as np
import torch

from fields.export.scene_assets.report import shaded_shape, small_camera
from fields.models.field import RadianceField
from fields.surface.extract import extract
from fields.surface.lattice import make_lattice
from fields.surface.radiance import Radiance
from fields.surface.scene_mesh import STEEPNESS, implicit_distance
from fields.surface.topology import vertex_normals
from scenes.posed.camera import Camera

# Cells along the longest side, and the longer side of the picture in pixels.
RESOLUTION = 64
SIDE = 288


@torch.no_grad()
def surface_picture(
    field: RadianceField, camera: Camera, *, resolution: int = RESOLUTION, side: int = SIDE
) -> np.ndarray | None:
    """The unfinished surface of a field that has one, coarse and without any clean-up, as grey plaster on white.

    camera: in units of the scene. resolution: cells along the longest side of the occupied box. side: longer side of
    the picture in pixels.

    Returns `[H, W, 3]` uint8; None where the field has no surface yet, or none at all.
    """
    if not field.has_surface:
        return None
    scene = Radiance(field)
    occupied = np.argwhere(scene.cells.cpu().numpy())
    if not len(occupied):
        return None
    count = scene.cells.shape[0]
    lower, upper = np.maximum(occupied.min(axis=0) - 1, 0) / count, np.minimum(occupied.max(axis=0) + 2, count) / count
    implicit = implicit_distance(scene)
    found = extract(implicit, make_lattice(lower, upper, resolution), steepness=STEEPNESS)
    if not found.crossed:
        return None
    vertices = implicit.to_file(found.vertices)
    return shaded_shape(small_camera(camera, side), vertices, found.faces, vertex_normals(vertices, found.faces))
