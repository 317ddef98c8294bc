"""Images of a radiance field from a camera, with depth and normals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from fields.models.field import RadianceField
from fields.render.normals import expected_normals
from fields.render.volume import RadianceView, render_image
from fields.sampling.occupancy import Box
from scenes.posed.camera import Camera

# Rays rendered at once; for normals, which take more memory, a quarter.
CHUNK = 1 << 14


def render_camera(
    field: RadianceField,
    camera: Camera,
    *,
    background: float,
    time: float | None = None,
    box: Box | None = None,
    normals: bool = False,
    stride: int = 1,
) -> tuple[RadianceView, Tensor | None]:
    """What a camera sees, with depth in units of the scene, and if wanted the expected normals `[H, W, 3]`.

    background: brightness behind the scene, unless the field has learned a color.
    time: the moment of a moving scene, from 0 to 1; None: that of the camera.
    box: corners of the part that is shown, in units of the cube; None: all of it.
    stride: only every `stride`-th column and row.
    """
    origins, directions = (torch.from_numpy(np.ascontiguousarray(rays)) for rays in camera.rays(stride))
    origins, directions = field.to_cube(origins), directions.float().to(field.device)
    learned = field.background_color()
    moment = (time if time is not None else camera.time or 0.0) if field.moving else None
    march = replace(field.march, box=box)
    seen = render_image(
        field,
        origins,
        directions,
        (-(-camera.intrinsics.height // stride), -(-camera.intrinsics.width // stride)),
        march=march,
        background=background if learned is None else learned,
        time=moment,
        chunk=CHUNK,
    )
    found = None
    if normals:
        opacity = seen.opacity.flatten()
        found = expected_normals(
            field, origins, directions, opacity, march=march, time=moment, chunk=CHUNK // 4
        ).reshape(*seen.opacity.shape, 3)
    return RadianceView(seen.color, seen.opacity, seen.depth * field.side), found
