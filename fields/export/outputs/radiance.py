"""Images and videos of a fitted scene: from its cameras, along a path, or once around; color, depth or normals."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.models.field import RadianceField
from fields.render.camera_view import MAX_RAYS, rays_per_side, render_camera
from fields.render.floaters import remove_floaters_of
from fields.render.normals import MIN_OPACITY
from fields.render.volume import RadianceView
from fields.sampling.occupancy import Box, Point
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import check_image_writable, write_image
from scenes.posed.camera import Camera
from scenes.posed.camera_file import CAMERAS_FILE
from scenes.posed.path import read_path
from scenes.posed.pose import turntable_cameras
from scenes.posed.signal import BACKGROUNDS
from scenes.video.write import check_video_writable, write_video

if TYPE_CHECKING:
    from fields.runs.run import Run

# Frames and frame rate of a turntable where none are given.
FRAMES = 60
RATE = 20.0
# Largest image, in pixels.
MAX_PIXELS = 1 << 26
# Brightness of the farthest point in an image of depth; the nearest is white.
FAR_BRIGHTNESS = 0.15
# Image formats that store depth and normals as values.
VALUE_FORMATS = (".exr", ".tif", ".tiff")
RGB = Channels(("red", "green", "blue"), "srgb")


class RadianceOutput(Output):
    options = ("size", "view", "what", "time", "turntable", "path", "rate", "box", "clean")
    suggested_options = {"turntable": True}
    render_forms = {"view": ".png"}
    field: RadianceField
    _box: Box | None = None

    def default_name(self, request: RenderRequest) -> str:
        return "turntable.mp4" if request.turntable else "path.mp4" if request.path else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        self._check(request)
        self._box = None if request.box is None else self._in_cube(request.box)
        if request.clean:
            remove_floaters_of(self.field, self.cameras())
        what = request.what or "color"
        if request.turntable or request.path:
            return self._render_video(Path(out), request, what)
        camera = self._camera(request)
        as_values = Path(out).suffix.lower() in VALUE_FORMATS and what != "color"
        channels = Channels(("grey",) if what == "depth" else RGB.names, "linear") if as_values else RGB
        check_image_writable(out, channels)
        seen, normals = self.render_camera(camera, request.time, normals=what == "normal")
        image = self._values(seen, normals) if as_values else display_image(seen, normals, what)
        notes = write_image(out, image, channels)
        width, height = camera.intrinsics.width, camera.intrinsics.height
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}

    def _check(self, request: RenderRequest) -> None:
        """Raise BadInput for options that exclude each other or do not fit the scene."""
        if request.turntable and request.path:
            raise BadInput("`turntable` goes around the scene and `path` along a path: give one of the two")
        if request.turntable and request.view is not None:
            raise BadInput("`view` is for one image; `turntable` goes around at the cameras' mean height")
        if request.time is not None and not self.field.moving:
            raise BadInput(f"`time={request.time:g}`: the scene stands still")
        if request.time is not None and not 0.0 <= request.time <= 1.0:
            raise BadInput(f"`time={request.time:g}`: is between 0 and 1, the first and the last moment")

    def _render_video(self, out: Path, request: RenderRequest, what: str) -> dict:
        first = self.cameras()[0]
        if request.turntable:
            path = turntable_cameras(self.cameras(), request.frames or FRAMES, first.intrinsics)
        else:
            path = read_path(cast(str, request.path), first.intrinsics)
        size = request.size or (path[0].intrinsics.width, path[0].intrinsics.height)
        # Video formats need even sides.
        width, height = (max(2, side + side % 2) for side in size)
        _check_size(width, height)
        path = [camera.resized(width, height) for camera in path]
        check_video_writable(out)
        rate = request.rate or RATE
        notes = write_video(out, self._frames(path, request.time, what), rate)
        return {
            "width": width,
            "height": height,
            "frames": len(path),
            "rate": rate,
            "text": f"{len(path)} frames of {width} x {height}",
            "notes": notes,
        }

    def _frames(self, path: list[Camera], time: float | None, what: str) -> Iterator[np.ndarray]:
        depths = None
        for camera in self.reported(path):
            seen, normals = self.render_camera(camera, time, normals=what == "normal")
            if what == "depth" and depths is None:
                # One scale for the whole video.
                depths = _depth_range(seen)
            yield to_bytes(display_image(seen, normals, what, depths))

    def cameras(self) -> list[Camera]:
        """The cameras of the run, those of test views first. BadInput if it has none."""
        found = self._fitted
        if not found:
            raise BadInput(f"the run has no {CAMERAS_FILE}, so its cameras are not known; give `path=CAMERAS.json`")
        return found

    def _camera(self, request: RenderRequest) -> Camera:
        cameras = self.cameras()
        if isinstance(request.view, tuple):
            raise BadInput(
                "`view`: is the number of one of the scene's cameras here; `path=CAMERAS.json` has any others"
            )
        index = request.view or 0
        if index >= len(cameras):
            raise BadInput(f"`view={index}`: there are the views 0 to {len(cameras) - 1}, those for testing first")
        camera = cameras[index]
        width, height = request.size or (camera.intrinsics.width, camera.intrinsics.height)
        _check_size(width, height)
        return camera.resized(width, height)

    def render_camera(
        self, camera: Camera, time: float | None = None, *, normals: bool = False, max_rays: int = MAX_RAYS
    ) -> tuple[RadianceView, Tensor | None]:
        """What a camera sees of the scene, within `box`; see `fields.render.camera_view.render_camera`.

        A small image, or one from afar, has the mean of several rays in each pixel, `max_rays` along each side at most.
        """
        return render_camera(
            self.field,
            camera,
            background=BACKGROUNDS[self.background],
            time=time,
            box=self._box,
            normals=normals,
            rays=min(max_rays, rays_per_side(self.field, camera, self._fitted)),
        )

    def _in_cube(self, corners: tuple[float, ...]) -> Box:
        """The box of two corners, given in units of the scene, in units of the cube."""
        lower, upper = (
            self.field.to_cube(torch.tensor(corner, dtype=torch.float64)).tolist()
            for corner in (corners[:3], corners[3:])
        )
        return cast(Point, tuple(lower)), cast(Point, tuple(upper))

    @cached_property
    def _fitted(self) -> list[Camera]:
        """The cameras that the scene was fitted to, where they are known."""
        return self._run.cameras() if self._run else []

    @cached_property
    def _run(self) -> Run | None:
        from fields.runs.run import Run

        return Run.open(self.folder) if self.folder else None

    @property
    def background(self) -> str:
        """The background on which the run's images are scored, "white" or "black"."""
        return self._run.background if self._run else "white"

    @staticmethod
    def _values(seen: RadianceView, normals: Tensor | None) -> np.ndarray:
        """The normals, or depth `[H, W, 1]` in units of the scene, 0 where nothing is."""
        values = _visible_depth(seen, 0.0)[..., None] if normals is None else normals
        return values.cpu().numpy().astype(np.float32)


def display_image(
    seen: RadianceView, normals: Tensor | None, what: str, depths: tuple[float, float] | None = None
) -> np.ndarray:
    """An image for people, `[H, W, 3]` float32 in [0, 1].

    what: "color"; "normal", whose axes become red, green and blue; or "depth", where the nearest point is the
    brightest. depths: depths of the brightest and the darkest points; None: from the image.
    """
    if what == "color":
        image = seen.color
    elif what == "normal" and normals is not None:
        some = normals.square().sum(-1, keepdim=True) > 0
        image = torch.where(some, normals * 0.5 + 0.5, 1.0)
    else:
        near, far = depths or _depth_range(seen)
        fraction = ((seen.depth - near) / max(far - near, 1e-6)).clamp(0.0, 1.0)
        image = 1.0 - (1.0 - FAR_BRIGHTNESS) * fraction
        image = torch.where(_has_depth(seen), image, 0.0)[..., None].expand(*seen.depth.shape, 3)
    return image.cpu().numpy().astype(np.float32)


def _has_depth(seen: RadianceView) -> Tensor:
    return seen.depth.isfinite() & (seen.opacity > MIN_OPACITY)


def _visible_depth(seen: RadianceView, elsewhere: float) -> Tensor:
    return torch.where(_has_depth(seen), seen.depth, elsewhere)


def _depth_range(seen: RadianceView) -> tuple[float, float]:
    """Depth of the nearest and farthest points, without the outer percent, which may be a single far component."""
    depth = seen.depth[_has_depth(seen)]
    if not len(depth):
        return 0.0, 1.0
    some = depth[:: max(1, len(depth) // 100_000)]
    return float(some.quantile(0.01)), float(some.quantile(0.99))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadInput(f"`size={width}x{height}`: more than {MAX_PIXELS:,} pixels; give a smaller size")
