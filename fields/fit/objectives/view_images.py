"""Images of a radiance field from the views of a scene, and the preview that compares them with the photographs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from fields.fit.scoring import estimated_seconds
from fields.models.field import RadianceField
from fields.render.camera_view import render_camera
from fields.render.volume import RadianceView
from scenes.image.color import to_bytes
from scenes.io.atomic import atomic_write
from scenes.posed.camera import Camera
from scenes.posed.signal import BACKGROUNDS, RadianceScene

# Seconds that an image of a preview may take, about, and the rays by which its time is first estimated.
QUICK_SECONDS = 1.0
FIRST_RAYS = 64
# Views in a preview, the largest width of their images, the gap between images in pixels, and the factor on errors.
PANELS = 4
PANEL_WIDTH = 320
GAP = 6
ERROR_GAIN = 5


def view_image(
    scene: RadianceScene, field: RadianceField, view: Camera, stride: int = 1, rays: int = 1
) -> RadianceView:
    """What the field shows from a view of the scene, on the scene's background; every `stride`-th pixel.

    rays: as in `render_camera`.
    """
    # Behind a field with a learned background nothing else shows; a teacher's scene then has no background of its own.
    background = BACKGROUNDS.get(scene.background, 0.0)
    return render_camera(field, view, background=background, stride=stride, rays=rays)[0]


def view_colors(scene: RadianceScene, field: RadianceField, view: Camera, stride: int = 1, rays: int = 1) -> np.ndarray:
    """Colors of `view_image`, `[H, W, 3]` float32."""
    return view_image(scene, field, view, stride, rays).color.cpu().numpy()


def quick_view_colors(
    scene: RadianceScene, field: RadianceField, view: Camera, stride: int, seconds: float = QUICK_SECONDS
) -> np.ndarray:
    """`view_colors` at every `stride`-th pixel, rendered more coarsely where that would take longer than `seconds`.

    A field of fog, which has learned nothing, takes a hundred times as long as one with empty space. Its image has the
    same size then, in larger squares.
    """
    width, height = (-(-side // stride) for side in (view.intrinsics.width, view.intrinsics.height))
    rays = width * height
    needed = estimated_seconds(
        lambda count: view_colors(scene, field, view, stride * _coarser(rays, count))[..., 0].size, rays, FIRST_RAYS
    )
    coarser = max(1, math.ceil((needed / seconds) ** 0.5))
    colors = view_colors(scene, field, view, stride * coarser)
    return colors.repeat(coarser, axis=0).repeat(coarser, axis=1)[:height, :width]


def _coarser(rays: int, count: int) -> int:
    return max(1, round((rays / count) ** 0.5))


def save_comparison(scene: RadianceScene, field: RadianceField, path: Path) -> None:
    """Write a PNG with a column for each of four test views: photograph, fit, five times their difference."""
    from PIL import Image

    columns = []
    for index in np.linspace(0, len(scene.test) - 1, min(PANELS, len(scene.test))).round().astype(int):
        view = scene.test[index]
        stride = -(-view.intrinsics.width // PANEL_WIDTH)
        target = scene.image(view)[::stride, ::stride]
        fit = quick_view_colors(scene, field, view, stride)
        error = np.abs(np.clip(fit, 0, 1) - target) * ERROR_GAIN
        panels = [to_bytes(image) for image in (target, fit, error)]
        columns.append([np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in panels])
    tallest = max(len(column[0]) for column in columns)
    padded = [
        np.concatenate([np.pad(p, ((0, tallest - len(p)), (0, 0), (0, 0)), constant_values=255) for p in column])
        for column in columns
    ]
    with atomic_write(path) as temporary:
        Image.fromarray(np.concatenate(padded, axis=1)[:-GAP, :-GAP]).save(temporary)
