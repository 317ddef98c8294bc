"""Images of a shape by sphere tracing: its shaded surface, its depth or its normals, from any side or once around."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.models.field import PointField
from fields.render.sphere_trace import ShapeView, render_shape
from fields.render.surface_field import surface_field
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import check_image_writable, write_image
from scenes.posed.camera import Camera
from scenes.posed.pose import orbit
from scenes.shape.view import AZIMUTH, DISTANCE, ELEVATION, FIELD_OF_VIEW
from scenes.video.write import check_video_writable, write_video

# Width and height of an image, and of a turntable, in pixels.
SIZE = (800, 800)
TURNTABLE_SIZE = (400, 400)
# Views around the shape, an equal angle apart.
NUM_VIEWS = 8
# Frames of a turntable, and frames per second.
FRAMES = 36
RATE = 12.5
# Image formats that store depth and normals as values.
VALUE_FORMATS = (".exr", ".tif", ".tiff")
# Largest image, in pixels. More are probably a mistake, and take minutes.
MAX_PIXELS = 1 << 26
# Brightness of the farthest point in an image of depth, below that of the nearest.
DEPTH_CONTRAST = 0.85
RGB = Channels(("red", "green", "blue"), "srgb")


class ShapeOutput(Output):
    options = ("size", "view", "what", "turntable")
    suggested_options = {"turntable": True}
    render_forms = {"turntable": ".gif", "view": ".png"}

    field: PointField

    def default_name(self, request: RenderRequest) -> str:
        return "turntable.gif" if request.turntable else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        width, height = request.size or (TURNTABLE_SIZE if request.turntable else SIZE)
        if width * height > MAX_PIXELS:
            raise BadInput(f"`size={width}x{height}`: more than {MAX_PIXELS:,} pixels; give a smaller size")
        if request.turntable:
            return self._render_turntable(Path(out), width, height, request)
        what = request.what or "color"
        as_values = Path(out).suffix.lower() in VALUE_FORMATS and what != "color"
        channels = Channels(("grey",) if what == "depth" else RGB.names, "linear") if as_values else RGB
        check_image_writable(out, channels)
        seen = self._view(view_camera(request.view, width, height))
        image = _values(seen, what) if as_values else _display_image(seen, what)
        notes = write_image(out, image, channels)
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}

    def _render_turntable(self, out: Path, width: int, height: int, request: RenderRequest) -> dict[str, Any]:
        check_video_writable(out)
        first, elevation = view_direction(request.view)
        count = request.frames or FRAMES
        angles = [(first + 360 * index / count, elevation) for index in range(count)]
        views = (self._view(view_camera(angle, width, height)) for angle in self.reported(angles))
        notes = write_video(out, (to_bytes(_display_image(seen, request.what or "color")) for seen in views), RATE)
        text = f"{count} images of {width} x {height}"
        return {"width": width, "height": height, "frames": count, "text": text, "notes": notes}

    def _view(self, camera: Camera) -> ShapeView:
        surface = surface_field(self.field)
        return render_shape(surface.traceable(), camera, albedo=surface.colors, device=surface.device)


def view_direction(view: int | tuple[float, float] | None) -> tuple[float, float]:
    """Azimuth and elevation in degrees of the option `view`.

    A number counts eighths of a turn from the front; None is the view of previews. Raises BadInput for numbers above 7.
    """
    if view is None:
        return AZIMUTH, ELEVATION
    if isinstance(view, tuple):
        return view
    if view >= NUM_VIEWS:
        raise BadInput(
            f"`view={view}`: there are the views 0 to {NUM_VIEWS - 1} around a shape; or give AZIMUTH,ELEVATION"
        )
    return 360.0 * view / NUM_VIEWS, ELEVATION


def view_camera(view: int | tuple[float, float] | None, width: int, height: int) -> Camera:
    """The camera of the option `view`, for an image of `width` x `height` pixels; see `view_direction`."""
    azimuth, elevation = view_direction(view)
    return orbit(azimuth, elevation, DISTANCE, (width, height), field_of_view=FIELD_OF_VIEW)


def _values(seen: ShapeView, what: str) -> np.ndarray:
    """Depth `[H, W, 1]` in unit cubes from the camera, 0 where nothing is; or normals `[H, W, 3]`; float32."""
    values = torch.where(seen.hit, seen.depth, 0.0)[..., None] if what == "depth" else seen.normal
    return values.cpu().numpy().astype(np.float32)


def _display_image(seen: ShapeView, what: str) -> np.ndarray:
    """An image for people, `[H, W, 3]` float32 in [0, 1].

    what: "color"; "normal", whose axes become red, green and blue; or "depth", where the nearest point is the
        brightest.
    """
    if what == "color":
        image = seen.color
    elif what == "normal":
        image = torch.where(seen.hit[..., None], seen.normal * 0.5 + 0.5, 1.0)
    else:
        image = torch.zeros(*seen.hit.shape, 3)
        if bool(seen.hit.any()):
            depth = seen.depth[seen.hit]
            near, far = depth.min(), depth.max()
            fraction = (depth - near) / (far - near).clamp(min=1e-6)
            image[seen.hit] = (1 - DEPTH_CONTRAST * fraction).cpu()[:, None]
    return image.cpu().numpy().astype(np.float32)
