"""Images of a radiance field from a camera, with depth and normals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
# Rays along each side of a pixel at most.
MAX_RAYS = 4


def render_camera(
    field: RadianceField,
    camera: Camera,
    *,
    background: float,
    time: float | None = None,
    box: Box | None = None,
    normals: bool = False,
    stride: int = 1,
    rays: int = 1,
) -> tuple[RadianceView, Tensor | None]:
    """What a camera sees, with depth in units of the scene, and if wanted the expected normals `[H, W, 3]`.

    background: brightness behind the scene, unless the field has learned a color.
    time: the moment of a moving scene, from 0 to 1; None: that of the camera.
    box: corners of the part that is shown, in units of the cube; None: all of it.
    stride: only every `stride`-th column and row.
    rays: rays along each side of a pixel, whose colors are averaged; see `rays_per_side`. Not with a stride.
    """
    if rays > 1:
        return _averaged(field, camera, rays, background=background, time=time, box=box, normals=normals)
    origins, directions = camera.rays(stride)
    shape = -(-camera.intrinsics.height // stride), -(-camera.intrinsics.width // stride)
    return _render(
        field, camera, origins, directions, shape, background=background, time=time, box=box, normals=normals
    )


def rays_per_side(field: RadianceField, camera: Camera, fitted: Sequence[Camera]) -> int:
    """Rays along each side of a pixel that show a scene without aliasing, where one was enough for the fitted views.

    A pixel stands for a region of the scene, which grows with its distance. If that region is s times as large as a
    pixel of the cameras that the scene was `fitted` to, s x s rays are what these saw. At most `MAX_RAYS`.
    """
    if not fitted:
        return 1
    axes = field.domain.axes[:3]
    middle = np.array([(axis.lower + axis.upper) / 2 for axis in axes])

    def region(seen: Camera) -> float:
        """Side of a pixel in the middle of the scene. From within, what is about half the cube away counts."""
        distance = max(float(np.linalg.norm(seen.position - middle)), field.side / 2)
        return distance / min(seen.intrinsics.fl_x, seen.intrinsics.fl_y)

    usual = float(np.median([region(seen) for seen in fitted]))
    return int(min(MAX_RAYS, max(1, round(region(camera) / usual))))


def _render(
    field: RadianceField,
    camera: Camera,
    origins: np.ndarray,
    directions: np.ndarray,
    shape: tuple[int, int],
    *,
    background: float,
    time: float | None,
    box: Box | None,
    normals: bool,
) -> tuple[RadianceView, Tensor | None]:
    """What rays `[H * W, 3]` see, given in the scene's units, as `render_camera` gives it."""
    starts = field.to_cube(torch.from_numpy(np.ascontiguousarray(origins)))
    along = torch.from_numpy(np.ascontiguousarray(directions)).float().to(field.device)
    learned = field.background_color()
    moment = (time if time is not None else camera.time or 0.0) if field.moving else None
    march = replace(field.march, box=box)
    seen = render_image(
        field,
        starts,
        along,
        shape,
        march=march,
        background=background if learned is None else learned,
        time=moment,
        chunk=CHUNK,
    )
    found = None
    if normals:
        opacity = seen.opacity.flatten()
        found = expected_normals(field, starts, along, opacity, march=march, time=moment, chunk=CHUNK // 4)
        found = found.reshape(*seen.opacity.shape, 3)
    return RadianceView(seen.color, seen.opacity, seen.depth * field.side), found


def _averaged(field: RadianceField, camera: Camera, rays: int, **options: Any) -> tuple[RadianceView, Tensor | None]:
    """An image whose pixels are means over `rays` x `rays` rays, in bands of rows, so that memory stays bounded."""
    width, height = camera.intrinsics.width, camera.intrinsics.height
    rows = max(1, CHUNK // (width * rays * rays))
    x = (np.arange(width * rays) + 0.5) / rays
    bands, all_normals = [], []
    for top in range(0, height, rows):
        count = min(rows, height - top)
        y = top + (np.arange(count * rays) + 0.5) / rays
        across, down = (grid.reshape(-1) for grid in np.meshgrid(x, y))
        starts, along = camera.rays_through(across, down)
        seen, normals = _render(field, camera, starts, along, (count * rays, width * rays), **options)
        # Rays that meet nothing have no depth, and the others count by their opacity.
        known = torch.where(seen.depth.isfinite(), seen.opacity, 0.0)
        depth = torch.where(known > 0, known * seen.depth, 0.0)
        depth, known, opacity = (_pooled(part[..., None], rays)[..., 0] for part in (depth, known, seen.opacity))
        depth = torch.where(known > 0, depth / known, torch.inf)
        bands.append(RadianceView(_pooled(seen.color, rays), opacity, depth))
        if normals is not None:
            all_normals.append(torch.nn.functional.normalize(_pooled(normals, rays), dim=-1))
    view = RadianceView(*(torch.cat([getattr(band, part) for band in bands]) for part in ("color", "opacity", "depth")))
    return view, torch.cat(all_normals) if all_normals else None


def _pooled(image: Tensor, rays: int) -> Tensor:
    """Means `[H / rays, W / rays, C]` of blocks of an image `[H, W, C]`."""
    height, width, channels = image.shape
    return image.reshape(height // rays, rays, width // rays, rays, channels).mean(dim=(1, 3))
