"""Pictures of a shape by sphere tracing: the shaded surface, its depth or its normals, from anywhere, or once around."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.render.sphere_trace import ShapeView, render_shape
from fields.render.surface_field import surface_field
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import check_image_writable, write_image
from scenes.io.atomic import atomic_write, check_path_writable
from scenes.posed.camera import Camera
from scenes.posed.pose import orbit
from scenes.shape import view

SIZE = (800, 800)
VIEWS = 8
FRAMES, FRAME_SECONDS = 36, 0.08
MOVING = (".gif", ".webp", ".png")
# Above this the picture is asked for by mistake, or would take minutes.
MAX_PIXELS = 1 << 26


class ShapeOutput(Output):
    takes = ("size", "view", "what", "turntable")
    suggestion = {"turntable": True}

    def default_name(self, request: RenderRequest) -> str:
        return "turntable.gif" if request.turntable else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        width, height = request.size or (SIZE if not request.turntable else (400, 400))
        if width * height > MAX_PIXELS:
            raise BadInput(f"`size={width}x{height}`: more than {MAX_PIXELS:,} pixels; give a smaller size")
        if request.turntable:
            return self._turntable(Path(out), width, height, request)
        what = request.what or "color"
        values_too = Path(out).suffix.lower() in (".exr", ".tif", ".tiff")
        channels = _channels(what, values_too)
        check_image_writable(out, channels)
        seen = self._view(camera(request.view, width, height))
        picture = _values(seen, what) if values_too and what != "color" else _shown(seen, what)
        notes = write_image(out, picture, channels)
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}

    def _turntable(self, out: Path, width: int, height: int, request: RenderRequest) -> dict:
        from PIL import Image

        if out.suffix.lower() not in MOVING:
            raise BadInput(f"{out}: a turntable is written as one of {', '.join(MOVING)}")
        check_path_writable(out)
        first, elevation = direction(request.view)
        frames = []
        count = request.frames or FRAMES
        for index in range(count):
            angle = first + 360 * index / count
            seen = self._view(camera((angle, elevation), width, height))
            frames.append(Image.fromarray(to_bytes(_shown(seen, request.what or "color"))))
        with atomic_write(out) as temporary:
            frames[0].save(
                temporary, save_all=True, append_images=frames[1:], duration=int(1000 * FRAME_SECONDS), loop=0
            )
        return {"width": width, "height": height, "frames": count, "text": f"{count} pictures of {width} x {height}"}

    def _view(self, seen_from: Camera) -> ShapeView:
        fit = surface_field(self.field)
        return render_shape(fit.traceable(), seen_from, albedo=fit.colors, device=fit.device)


def direction(place: int | tuple[float, float] | None) -> tuple[float, float]:
    """Azimuth and elevation in degrees of `view`: N eighths of a turn from the front, or the two themselves."""
    if place is None:
        return view.AZIMUTH, view.ELEVATION
    if isinstance(place, tuple):
        return place
    if place >= VIEWS:
        raise BadInput(
            f"`view={place}`: there are the views 0 to {VIEWS - 1} around a shape; or give AZIMUTH,ELEVATION"
        )
    return 360.0 * place / VIEWS, view.ELEVATION


def camera(place: int | tuple[float, float] | None, width: int, height: int) -> Camera:
    azimuth, elevation = direction(place)
    return orbit(azimuth, elevation, view.DISTANCE, (width, height), field_of_view=view.FIELD_OF_VIEW)


def _channels(what: str, values: bool) -> Channels:
    if what == "depth" and values:
        return Channels(("grey",), "linear")
    return Channels(("red", "green", "blue"), "linear" if values and what == "normal" else "srgb")


def _values(seen: ShapeView, what: str) -> np.ndarray:
    """Depth `[H, W, 1]` in unit cubes from the camera, 0 where nothing is; or normals `[H, W, 3]`; float32."""
    picture = torch.where(seen.hit, seen.depth, 0.0)[..., None] if what == "depth" else seen.normal
    return picture.cpu().numpy().astype(np.float32)


def _shown(seen: ShapeView, what: str) -> np.ndarray:
    """For eyes, `[H, W, 3]` float32 in [0, 1]: the nearest is the brightest; a normal's axes are red, green and blue."""
    if what == "color":
        picture = seen.color
    elif what == "normal":
        picture = torch.where(seen.hit[..., None], seen.normal * 0.5 + 0.5, 1.0)
    else:
        picture = torch.zeros(*seen.hit.shape, 3)
        if bool(seen.hit.any()):
            depth = seen.depth[seen.hit]
            near, far = depth.min(), depth.max()
            picture[seen.hit] = (1 - 0.85 * (depth - near) / (far - near).clamp(min=1e-6)).cpu()[:, None]
    return picture.cpu().numpy().astype(np.float32)
