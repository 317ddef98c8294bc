"""Pictures and films of a fitted scene: from its own cameras, along a path, or once around; colour, depth or normals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.models.radiance import MIN_WEIGHT, EncodedRadiance
from fields.ops.march import pack_cells
from fields.render.floaters import cleaned, seen
from fields.render.volume import RadianceView, render_picture, render_rays
from fields.sampling.occupancy import Box, OccupancyGrid
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

FRAMES, RATE = 60, 20.0
CHUNK = 1 << 14
MAX_PIXELS = 1 << 26
RGB = Channels(("red", "green", "blue"), "srgb")


class RadianceOutput(Output):
    takes = ("size", "view", "what", "time", "turntable", "path", "rate", "crop_box", "clean")
    suggestion = {"turntable": True}
    field: EncodedRadiance
    _box: Box | None = None

    def default_name(self, request: RenderRequest) -> str:
        return "turntable.mp4" if request.turntable else "path.mp4" if request.path else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        if request.turntable and request.path:
            raise BadInput("`turntable` goes around the scene and `path` along a path: give one of the two")
        if request.time is not None and not (self.field.moving and 0.0 <= request.time <= 1.0):
            raise BadInput(
                f"`time={request.time:g}`: "
                + (
                    "is between 0 and 1, the first and the last moment"
                    if self.field.moving
                    else "the scene stands still"
                )
            )
        self._box = None if request.crop_box is None else self._in_cube(request.crop_box)
        if request.clean:
            clear(self.field, self.cameras())
        what = request.what or "color"
        if request.turntable or request.path:
            return self._film(Path(out), request, what)
        camera = self._camera(request)
        values_too = Path(out).suffix.lower() in (".exr", ".tif", ".tiff") and what != "color"
        channels = Channels(("grey",) if what == "depth" else RGB.names, "linear") if values_too else RGB
        check_image_writable(out, channels)
        seen, normals = self.see(camera, request.time, what == "normal")
        picture = self._values(seen, normals, what) if values_too else shown(seen, normals, what)
        notes = write_image(out, picture, channels)
        width, height = camera.intrinsics.width, camera.intrinsics.height
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}

    def _film(self, out: Path, request: RenderRequest, what: str) -> dict:
        cameras = self.cameras()
        if request.turntable:
            if request.view is not None:
                raise BadInput("`view` is for one picture; `turntable` goes around at the cameras' mean height")
            path = turntable_cameras(cameras, request.frames or FRAMES, cameras[0].intrinsics)
        else:
            path = read_path(request.path, cameras[0].intrinsics)
        size = request.size or (path[0].intrinsics.width, path[0].intrinsics.height)
        # (films want even sides)
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
        span = None
        for camera in path:
            seen, normals = self.see(camera, time, what == "normal")
            if what == "depth" and span is None:
                # One scale for the whole film.
                span = _span(seen)
            yield to_bytes(shown(seen, normals, what, span))

    def cameras(self) -> list[Camera]:
        """Those of the run, the views for testing first."""
        found = self._run.cameras() if self._run else []
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

    def see(
        self, camera: Camera, time: float | None = None, normals: bool = False
    ) -> tuple[RadianceView, Tensor | None]:
        """What a camera sees, its depth in the scene's units; and the expected normals `[H, W, 3]` where they are asked for."""
        field = self.field
        origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in camera.rays())
        origins, directions = field.to_cube(origins), directions.float().to(field.occupied.device)
        background = field.backdrop()
        moment = (time if time is not None else camera.time or 0.0) if field.moving else None
        seen = render_picture(
            field,
            origins,
            directions,
            (camera.intrinsics.height, camera.intrinsics.width),
            field.grid,
            BACKGROUNDS[self.background] if background is None else background,
            CHUNK,
            moment,
            box=self._box,
            **field.how,
        )
        found = self._normals(origins, directions, seen, moment) if normals else None
        return RadianceView(seen.color, seen.opacity, seen.depth * field.side), found

    def _in_cube(self, corners: tuple[float, ...]) -> Box:
        lower, upper = (
            self.field.to_cube(torch.tensor(corner, dtype=torch.float64)).tolist()
            for corner in (corners[:3], corners[3:])
        )
        return tuple(lower), tuple(upper)

    @cached_property
    def _run(self) -> Run | None:
        from fields.runs.run import Run

        return Run.open(self.folder) if self.folder else None

    @property
    def background(self) -> str:
        """As the run's pictures are scored on."""
        return self._run.header["source"].get("options", {}).get("background", "white") if self._run else "white"

    def _normals(self, origins: Tensor, directions: Tensor, seen: RadianceView, moment: float | None) -> Tensor:
        """The mean along each ray, by what samples add to its pixel, of the directions in which density falls."""
        field = self.field
        normals = torch.zeros_like(origins)
        for some in (seen.opacity > 0.5).flatten().nonzero().flatten().split(CHUNK // 4):
            time = None if moment is None else torch.full_like(origins[some, 0], moment)
            with torch.no_grad():
                found = render_rays(
                    field, origins[some], directions[some], field.grid, time=time, box=self._box, **field.how
                )
            samples, ways = found.samples.select(found.weights > MIN_WEIGHT), directions[some]
            points = samples.positions(origins[some], ways).requires_grad_()
            more = {"directions": ways[samples.ray_indices]} if field.sees_directions else {}
            with torch.enable_grad():
                density, _ = field.density(
                    field.coords(points), None if time is None else time[samples.ray_indices], **more
                )
                falls = torch.nn.functional.normalize(-torch.autograd.grad(density.sum(), points)[0], dim=-1)
            weighted = found.weights[found.weights > MIN_WEIGHT, None] * falls
            normals[some] = torch.nn.functional.normalize(
                torch.zeros_like(ways).index_add_(0, samples.ray_indices, weighted), dim=-1
            )
        return normals.reshape(*seen.opacity.shape, 3)

    @staticmethod
    def _values(seen: RadianceView, normals: Tensor | None, what: str) -> np.ndarray:
        """Depth `[H, W, 1]` in the scene's units, 0 where nothing is; or normals `[H, W, 3]`."""
        picture = (
            torch.where(seen.depth.isfinite() & (seen.opacity > 0.5), seen.depth, 0.0)[..., None]
            if what == "depth"
            else normals
        )
        return picture.cpu().numpy().astype(np.float32)


def clear(field: EncodedRadiance, cameras: Sequence[Camera]) -> float:
    """Clears the cells of a field (of this object; its run keeps them) that no two cameras had in their picture, and specks; the share
    of its occupied cells that went."""
    axes, before = field.domain.axes[:3], field.grid.occupancy.cells()
    corners = [axis.lower for axis in axes], [axis.upper for axis in axes]
    cells = cleaned(before.cpu().numpy(), *corners, cameras)
    field.occupied.copy_(pack_cells(torch.from_numpy(cells)))
    if field.guide is not None:
        # Proposed samples go to cells that are not occupied too: all may be asked that two cameras saw, but for the specks.
        everywhere = seen(np.ones_like(cells), *corners, cameras, least=min(2, len(cameras)))
        field.cleared = OccupancyGrid(field.cells, field.levels).to(field.occupied.device)
        field.cleared.words = pack_cells(
            torch.from_numpy(everywhere & ~(before.cpu().numpy() & ~cells)).to(field.occupied.device)
        )
    return 1.0 - float(cells.sum()) / max(1, int(before.sum()))


def shown(seen: RadianceView, normals: Tensor | None, what: str, span: tuple[float, float] | None = None) -> np.ndarray:
    """For eyes, `[H, W, 3]` float32 in [0, 1]: the nearest is the brightest; a normal's axes are red, green and blue."""
    if what == "color":
        picture = seen.color
    elif what == "normal":
        some = normals.square().sum(-1, keepdim=True) > 0
        picture = torch.where(some, normals * 0.5 + 0.5, 1.0)
    else:
        near, far = span or _span(seen)
        picture = 1.0 - 0.85 * ((seen.depth - near) / max(far - near, 1e-6)).clamp(0.0, 1.0)
        picture = torch.where(seen.depth.isfinite() & (seen.opacity > 0.5), picture, 0.0)[..., None].expand(
            *seen.depth.shape, 3
        )
    return picture.cpu().numpy().astype(np.float32)


def _span(seen: RadianceView) -> tuple[float, float]:
    depth = seen.depth[seen.depth.isfinite() & (seen.opacity > 0.5)]
    if not len(depth):
        return 0.0, 1.0
    # Not the very last, which may be one far speck.
    some = depth[:: max(1, len(depth) // 100_000)]
    return float(some.quantile(0.01)), float(some.quantile(0.99))


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadInput(f"`size={width}x{height}`: more than {MAX_PIXELS:,} pixels; give a smaller size")
