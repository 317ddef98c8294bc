"""Pictures of fitted fields for the page: any window at screen resolution, any side of a shape. One thread does them, in turn.

The fields last looked at are kept; a field is read anew where its file has changed. What takes long has threads of its own: one opens
signals, one makes exports and spectra.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from scenes.posed.cameras import PathCamera, resized
from scenes.posed.cameras import around as circle

from fields.export.outputs.radiance import shown as shown_scene
from fields.export.outputs.video import VideoOutput
from fields.kinds import output_for
from fields.models.field import Field, PointField
from fields.render.camera import orbit
from fields.render.raster import centres, lattice, picture
from fields.render.sphere_trace import render_shape
from fields.render.surface_field import SurfaceField, surface_field
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.image.color import checkerboard, to_bytes, to_display
from scenes.shape import view
from scenes.volume.signal import to_rgb8

KEPT = 3
MAX_PIXELS = 1_600_000
# Closer than this, float32 coordinates of neighbouring pixels are no longer different.
MIN_WINDOW = 1e-5
SAMPLES_A_COLUMN = 8
INK = (47, 134, 173)


@dataclass
class Opened:
    """A run with its field, and what was worked out about it."""

    run: Run
    field: Field
    stamp: int
    found: dict = field(default_factory=dict)


class Looks:
    def __init__(self) -> None:
        self._pool, self._opening, self._making = (
            ThreadPoolExecutor(1, thread_name_prefix=f"studio-{name}") for name in ("looks", "opens", "makes")
        )
        self._kept: OrderedDict[Path, Opened] = OrderedDict()

    def ask(self, path: Path, function: Callable[[Opened], object]):
        """A Future of `function` of the opened run in that folder."""
        return self._pool.submit(lambda: function(self._open(path)))

    def make(self, path: Path, function: Callable[[Run], object]):
        """The same of the run alone, beside those who look: it loads a field of its own."""
        return self._making.submit(lambda: function(Run.open(path)))

    def submit(self, function: Callable[[], object]):
        """A Future of what opens a file."""
        return self._opening.submit(function)

    def close(self) -> None:
        for pool in (self._pool, self._opening, self._making):
            pool.shutdown(wait=True, cancel_futures=True)

    def _open(self, path: Path) -> Opened:
        run = Run.open(path)
        if not run.weights.is_file():
            raise BadInput(f"{path.name} has no weights yet; it can be looked at when it has been paused or is done")
        stamp = run.weights.stat().st_mtime_ns
        kept = self._kept.pop(path, None)
        if kept is None or kept.stamp != stamp:
            kept = Opened(run, run.load_field(), stamp)
        self._kept[path] = kept
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return kept


def window(
    opened: Opened,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    width: int,
    height: int,
    at: float = 0.5,
    axis: str = "z",
) -> np.ndarray:
    """The field over a part of its domain (shares of it), `[height, width, 3 or 4]` uint8, evaluated for just these pixels.

    `at` is the moment of a clip or where the slice of a volume is, both from 0 to 1; `axis` is what a slice is cut across.
    """
    for value in (x0, y0, x1, y1, at):
        if not math.isfinite(value):
            raise BadInput("a window is made of finite numbers")
    if not (-1 <= x0 < x1 <= 2 and -1 <= y0 < y1 <= 2) or min(x1 - x0, y1 - y0) < MIN_WINDOW:
        raise BadInput("this is as close as the coordinates go")
    if not (width >= 1 and height >= 1 and width * height <= MAX_PIXELS):
        raise BadInput(f"a picture here has at most {MAX_PIXELS:,} pixels")
    kind, fitted, at = opened.run.header["kind"], opened.field, min(1.0, max(0.0, at))
    if kind == "image":
        return to_bytes(
            to_display(picture(fitted, width, height, (x0, y0, x1, y1)), fitted.channels, checkerboard(height, width))
        )
    if kind == "video":
        with torch.no_grad():
            return to_bytes(
                np.broadcast_to(VideoOutput(fitted).picture(at, width, height, (x0, y0, x1, y1)), (height, width, 3))
            )
    if kind == "volume":
        places = [centres(width, x0, x1), centres(height, y0, y1)]
        places.insert("xyz".index(axis), torch.tensor([at]))
        return to_rgb8(lattice(fitted, *places).reshape(height, width, -1))
    if kind == "audio":
        return _wave(fitted, x0, x1, width, height)
    raise BadInput(f"fields of the kind {kind} are looked at in 3-D")


def _wave(fitted: PointField, x0: float, x1: float, width: int, height: int) -> np.ndarray:
    """The curve of a sound: for every column what it spans, -1 to 1 over a channel's height, the channels below each other, transparent around."""
    values = lattice(fitted, centres(width * SAMPLES_A_COLUMN, x0, x1)).reshape(width, SAMPLES_A_COLUMN, -1)
    sheet = np.zeros((height, width, 4), np.uint8)
    tall = height // values.shape[2]
    rows = np.arange(tall)[:, None]
    for channel in range(values.shape[2]):
        part = values[:, :, channel]
        previous = np.concatenate([part[:1, 0], part[:-1, -1]])
        low, high = (np.clip((0.5 - 0.5 * f(f(part, axis=1), previous)) * tall, 0, tall - 1) for f in (_lower, _upper))
        drawn = (rows >= np.floor(high)) & (rows <= np.ceil(low))
        sheet[channel * tall : (channel + 1) * tall][drawn] = (*INK, 255)
        sheet[channel * tall + tall // 2, :, 3] = np.maximum(sheet[channel * tall + tall // 2, :, 3], 90)
    return sheet


def _lower(a, b=None, axis=None):
    return a.min(axis=axis) if b is None else np.minimum(a, b)


def _upper(a, b=None, axis=None):
    return a.max(axis=axis) if b is None else np.maximum(a, b)


def around(
    opened: Opened, azimuth: float, elevation: float, distance: float, side: int, what: str, at: float = 0.0
) -> np.ndarray:
    """A shape or a scene from somewhere, `[side, side, 4]` uint8, transparent where nothing is; `what` is color, normal or depth.

    Angles in degrees. `distance` is in unit cubes for shapes; for scenes, `view.DISTANCE` is as far away as their cameras are. `at` is
    the moment of a moving scene, from 0 to 1.
    """
    if not all(map(math.isfinite, (azimuth, elevation, distance, at))) or not 16 <= side <= 1024:
        raise BadInput("a view has finite angles, and a side of 16 to 1024 pixels")
    elevation, distance = max(-89.0, min(89.0, elevation)), max(0.2, min(8.0, distance))
    if opened.run.header["kind"] == "radiance":
        return _scene(opened, azimuth, elevation, distance / view.DISTANCE, side, what, max(0.0, min(1.0, at)))
    if opened.run.header["kind"] != "shape":
        raise BadInput(f"a field of the kind {opened.run.header['kind']} has no surface to go around")
    fit, distance_to = _surface(opened)
    camera = orbit(azimuth, elevation, distance, side, side, view.FIELD_OF_VIEW)
    seen = render_shape(distance_to, camera, albedo=fit.colors if what == "color" else None, device=fit.device)
    hit = seen.hit.cpu().numpy()
    if what == "normal":
        shown = seen.normal.cpu().numpy() * 0.5 + 0.5
    elif what == "depth":
        depth = np.where(hit, seen.depth.cpu().numpy(), np.inf)
        near, far = (depth[hit].min(), depth[hit].max()) if hit.any() else (0.0, 1.0)
        shown = np.repeat((1 - 0.85 * (np.where(hit, depth, far) - near) / max(far - near, 1e-6))[..., None], 3, axis=2)
    else:
        shown = seen.color.cpu().numpy()
    return np.concatenate(
        [to_bytes(shown.astype(np.float32)), np.where(hit, 255, 0).astype(np.uint8)[..., None]], axis=2
    )


@torch.no_grad()
def _scene(
    opened: Opened, azimuth: float, elevation: float, distance: float, side: int, what: str, at: float
) -> np.ndarray:
    """A radiance field from a place on the sphere around what its cameras look at."""
    output = output_for("radiance", opened.field, opened.run.path)
    cameras = output.cameras()
    intrinsics = resized(cameras[0].intrinsics, side, side)
    pose = pose_around(cameras, azimuth, elevation, distance)
    seen, normals = output.see(PathCamera(pose, intrinsics), at, what == "normal")
    picture = to_bytes(shown_scene(seen, normals, what))
    return np.concatenate([picture, np.full((side, side, 1), 255, np.uint8)], axis=2)


def pose_around(cameras: list[PathCamera], azimuth: float, elevation: float, distance: float) -> np.ndarray:
    """A camera's pose `[3, 4]` around the middle of what `cameras` look at; `distance` 1 is their own."""
    ring = [camera.pose for camera in circle(cameras, 4, cameras[0].intrinsics)]
    # Two cameras across the circle look at its middle: that tells how far away it is.
    reach = float(np.linalg.norm(ring[0][:, 3] - ring[2][:, 3]) / np.linalg.norm(ring[0][:, 2] - ring[2][:, 2]))
    centre = ring[0][:, 3] - reach * ring[0][:, 2]
    up = np.mean([pose[:, 1] for pose in ring], axis=0)
    up /= np.linalg.norm(up)
    front = ring[0][:, 2] - (ring[0][:, 2] @ up) * up
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    a, e = math.radians(azimuth), math.radians(elevation)
    backward = math.sin(e) * up + math.cos(e) * (math.cos(a) * front + math.sin(a) * side)
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward, centre + reach * distance * backward], axis=1)


def _surface(opened: Opened) -> tuple[SurfaceField, Callable]:
    if "surface" not in opened.found:
        fit = surface_field(opened.field)
        opened.found["surface"] = fit, fit.traceable()
    return opened.found["surface"]
