"""Views of fitted fields for a screen, one class per kind of signal: windows of flat signals, orbits around solid ones.

A viewer evaluates the field for the pixels that are asked for, and nothing else. `fields.kinds.viewer_for` makes the
viewer of a field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fields.export.outputs.radiance import FAR_BRIGHTNESS, RadianceOutput, display_image
from fields.models.field import Field, PointField, RadianceField
from fields.models.regions import MAX_POINTS
from fields.render.raster import evaluate_image, evaluate_lattice, sample_centers
from fields.render.sphere_trace import render_shape
from fields.render.surface_field import SurfaceField, surface_field
from fields.render.video_frame import FilmFrames
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.image.color import DEFAULT_TONE, Tone, checkerboard, to_bytes, to_display
from scenes.posed.camera import Camera
from scenes.posed.pose import orbit, turntable_cameras
from scenes.shape.view import DISTANCE, FIELD_OF_VIEW
from scenes.volume.signal import to_rgb8

# x0, y0, x1, y1 in the field's [0, 1] coordinates.
Window = tuple[float, float, float, float]

# Pixels of a window.
MAX_PIXELS = 1_600_000
# Points of the field that a window asks for at most, unless it has more pixels.
SCREEN_POINTS = 1 << 20
# Rays of a view of a scene at most, unless it has more pixels.
SCREEN_RAYS = 1 << 17
# Side of a window in [0, 1]. Closer than this, float32 coordinates of neighbouring pixels do not differ.
MIN_WINDOW = 1e-5
# How far a window may reach beyond the field's domain, in sides of the domain.
MAX_OUTSIDE = 1.0
# Side of an orbit's square image in pixels.
MIN_SIDE = 16
MAX_SIDE = 1024
# Degrees above the horizon; straight from above the camera's upright direction is not defined.
MAX_ELEVATION = 89.0
MIN_DISTANCE = 0.2
MAX_DISTANCE = 8.0
AXES = ("x", "y", "z")
CHANNELS = ("color", "normal", "depth")
# Samples of audio evaluated for each column of pixels.
SAMPLES_PER_COLUMN = 8
# Color of a waveform, and opacity (of 255) of the line at silence.
WAVE_COLOR = (47, 134, 173)
SILENCE_OPACITY = 90


class Viewer:
    """Base of all viewers. Flat kinds override `values` and `drawn`, solid kinds `_view`."""

    # Whether the field is viewed from around it (`orbit`) instead of through a flat window (`window`).
    solid: ClassVar[bool] = False
    # Name of what `position` of a window chooses; empty where it chooses nothing.
    position_name: ClassVar[str] = ""
    # Unit of the samples that a grid of the field has, for people.
    sample_unit: ClassVar[str] = "pixels"
    # Whether the size and direction of its images come from the cameras of the run.
    needs_cameras: ClassVar[bool] = False
    # Number of axes to which the scale of an export applies; None: all.
    scaled_axes: ClassVar[int | None] = None

    def __init__(self, field: Field, folder: Path | None = None) -> None:
        """`folder`: the run that the field comes from; scenes have their cameras there."""
        self.field = field
        self.folder = folder

    @staticmethod
    def aspect_ratio(domain: Domain) -> tuple[int, int]:
        """Width and height that show the whole domain in proportion."""
        return domain.shown_size if domain.dimensions > 1 else (domain.axes[0].samples or 1, 1)

    @staticmethod
    def is_moving(domain: Domain) -> bool:
        """Whether an orbit has a time."""
        return False

    def window(
        self,
        box: Window,
        width: int,
        height: int,
        *,
        position: float = 0.5,
        axis: str = "z",
        tone: Tone = DEFAULT_TONE,
    ) -> np.ndarray:
        """The field over a part of its domain, `[height, width, 3 or 4]` uint8.

        `box`: may reach one side of the domain beyond it. `position`: time of a video, or where a volume is cut; in
        [0, 1], clipped. `axis`: the one across which a volume is cut. `tone`: of linear light.

        Raises BadInput for arguments outside of these ranges, and for fields that have no flat view.
        """
        check_window(box, width, height, position, axis)
        # A screen waits: of a large pixel, as many samples are averaged as there is time for.
        most = min(MAX_POINTS, max(1, math.isqrt(SCREEN_POINTS // (width * height))))
        return self.drawn(self.values(box, width, height, min(1.0, max(0.0, position)), axis, most), height, tone)

    def orbit(
        self,
        azimuth: float,
        elevation: float,
        distance: float,
        side: int,
        *,
        channel: str = "color",
        time: float = 0.0,
    ) -> np.ndarray:
        """The field seen by a camera around it, `[side, side, 4]` uint8, transparent where nothing is.

        `azimuth`, `elevation`: degrees; the elevation is clipped to 89. `distance`: in unit cubes for shapes; for
        scenes `scenes.shape.view.DISTANCE` is the distance of their own cameras; clipped. `side`: pixels, 16 to 1024.
        `channel`: color, normal or depth. `time`: of a scene that moves, in [0, 1], clipped.

        Raises BadInput for arguments outside of these ranges, and for fields that have no surface.
        """
        if channel not in CHANNELS:
            raise BadInput(f"a view shows {', '.join(CHANNELS[:-1])} or {CHANNELS[-1]}")
        if not math.isfinite(time):
            raise BadInput("a view is of a finite time")
        return self._view(self.camera(azimuth, elevation, distance, side), channel, max(0.0, min(1.0, time)))

    def camera(self, azimuth: float, elevation: float, distance: float, side: int) -> Camera:
        """The camera of `orbit`: of shapes in units of the cube, of scenes in their own.

        Raises BadInput for arguments outside of the ranges of `orbit`, and for fields that have no surface.
        """
        if not all(map(math.isfinite, (azimuth, elevation, distance))) or not MIN_SIDE <= side <= MAX_SIDE:
            raise BadInput(f"a view has finite angles, and a side of {MIN_SIDE} to {MAX_SIDE} pixels")
        elevation = max(-MAX_ELEVATION, min(MAX_ELEVATION, elevation))
        return self._camera(azimuth, elevation, max(MIN_DISTANCE, min(MAX_DISTANCE, distance)), side)

    def values(
        self, box: Window, width: int, height: int, position: float, axis: str, most: int = MAX_POINTS
    ) -> np.ndarray:
        """Values of the field at the pixels of a window, `[height, width, C]` float32; see `window`.

        Those of audio are `[width, samples per column, C]`. most: samples along each side of a pixel that are averaged,
        at most, if it is larger than they are; 1: pixels are points.
        """
        raise BadInput("a field of this kind is viewed in 3-D")

    def drawn(self, values: np.ndarray, height: int, tone: Tone = DEFAULT_TONE) -> np.ndarray:
        """What a screen of `height` rows shows of such values, `[height, width, 3 or 4]` uint8."""
        raise NotImplementedError

    def _camera(self, azimuth: float, elevation: float, distance: float, side: int) -> Camera:
        raise BadInput("a field of this kind has no surface to go around")

    def _view(self, camera: Camera, channel: str, time: float) -> np.ndarray:
        raise NotImplementedError


class ImageViewer(Viewer):
    field: PointField

    def values(
        self, box: Window, width: int, height: int, position: float, axis: str, most: int = MAX_POINTS
    ) -> np.ndarray:
        return evaluate_image(self.field, width, height, box, most=most)

    def drawn(self, values: np.ndarray, height: int, tone: Tone = DEFAULT_TONE) -> np.ndarray:
        board = checkerboard(*values.shape[:2])
        return to_bytes(to_display(values, self.field.channels, board, tone))


class AudioViewer(Viewer):
    field: PointField
    sample_unit = "samples"

    @staticmethod
    def aspect_ratio(domain: Domain) -> tuple[int, int]:
        return 5, 2

    def values(
        self, box: Window, width: int, height: int, position: float, axis: str, most: int = MAX_POINTS
    ) -> np.ndarray:
        values = evaluate_lattice(self.field, sample_centers(width * SAMPLES_PER_COLUMN, box[0], box[2]))
        return values.reshape(width, SAMPLES_PER_COLUMN, -1)

    def drawn(self, values: np.ndarray, height: int, tone: Tone = DEFAULT_TONE) -> np.ndarray:
        return draw_waveform(values, height)


class VideoViewer(Viewer):
    position_name = "time"
    sample_unit = "pixels and frames"
    scaled_axes = 2

    @cached_property
    def _film(self) -> FilmFrames:
        return FilmFrames(self.field)

    @torch.no_grad()
    def values(
        self, box: Window, width: int, height: int, position: float, axis: str, most: int = MAX_POINTS
    ) -> np.ndarray:
        return self._film.frame(position, width, height, box, most=most)

    def drawn(self, values: np.ndarray, height: int, tone: Tone = DEFAULT_TONE) -> np.ndarray:
        return to_bytes(np.broadcast_to(values, (*values.shape[:2], 3)))


class VolumeViewer(Viewer):
    field: PointField
    position_name = "slice"
    sample_unit = "voxels"

    def values(
        self, box: Window, width: int, height: int, position: float, axis: str, most: int = MAX_POINTS
    ) -> np.ndarray:
        coords = [sample_centers(width, box[0], box[2]), sample_centers(height, box[1], box[3])]
        coords.insert(AXES.index(axis), torch.tensor([position]))
        footprint = [(box[2] - box[0]) / width, (box[3] - box[1]) / height]
        footprint.insert(AXES.index(axis), 0.0)
        return evaluate_lattice(self.field, *coords, footprint=footprint, most=most).reshape(height, width, -1)

    def drawn(self, values: np.ndarray, height: int, tone: Tone = DEFAULT_TONE) -> np.ndarray:
        return to_rgb8(values)


class ShapeViewer(Viewer):
    field: PointField
    solid = True

    def _camera(self, azimuth: float, elevation: float, distance: float, side: int) -> Camera:
        return orbit(azimuth, elevation, distance, (side, side), field_of_view=FIELD_OF_VIEW)

    def _view(self, camera: Camera, channel: str, time: float) -> np.ndarray:
        surface, traceable = self._surface
        albedo = surface.colors if channel == "color" else None
        seen = render_shape(traceable, camera, albedo=albedo, device=surface.device)
        hit = seen.hit.cpu().numpy()
        if channel == "normal":
            image = seen.normal.cpu().numpy() * 0.5 + 0.5
        elif channel == "depth":
            image = _depth_image(seen.depth.cpu().numpy(), hit)
        else:
            image = seen.color.cpu().numpy()
        alpha = np.where(hit, 255, 0).astype(np.uint8)[..., None]
        return np.concatenate([to_bytes(image.astype(np.float32)), alpha], axis=2)

    @cached_property
    def _surface(self) -> tuple[SurfaceField, Callable[[Tensor], Tensor]]:
        surface = surface_field(self.field)
        return surface, surface.traceable()


class SceneViewer(Viewer):
    field: RadianceField
    solid = True
    needs_cameras = True

    @staticmethod
    def is_moving(domain: Domain) -> bool:
        return len(domain.axes) == 4

    @cached_property
    def _output(self) -> RadianceOutput:
        """Reads the run and its cameras once."""
        return RadianceOutput(self.field, self.folder)

    def _camera(self, azimuth: float, elevation: float, distance: float, side: int) -> Camera:
        cameras = self._output.cameras()
        intrinsics = cameras[0].intrinsics.resized(side, side)
        return Camera(orbit_pose(cameras, azimuth, elevation, distance / DISTANCE), intrinsics)

    @torch.no_grad()
    def _view(self, camera: Camera, channel: str, time: float) -> np.ndarray:
        side = camera.intrinsics.width
        max_rays = max(1, math.isqrt(SCREEN_RAYS // side**2))
        seen, normals = self._output.render_camera(camera, time, normals=channel == "normal", max_rays=max_rays)
        image = to_bytes(display_image(seen, normals, channel))
        return np.concatenate([image, np.full((side, side, 1), 255, np.uint8)], axis=2)


def check_window(box: Window, width: int, height: int, position: float, axis: str) -> None:
    """Raise BadInput for a window that no viewer draws; see `Viewer.window`."""
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, (*box, position))):
        raise BadInput("a window is made of finite numbers")
    low, high = -MAX_OUTSIDE, 1 + MAX_OUTSIDE
    if not (low <= x0 < x1 <= high and low <= y0 < y1 <= high) or min(x1 - x0, y1 - y0) < MIN_WINDOW:
        raise BadInput("this is as close as the coordinates go")
    if not (width >= 1 and height >= 1 and width * height <= MAX_PIXELS):
        raise BadInput(f"an image here has 1 to {MAX_PIXELS:,} pixels")
    if axis not in AXES:
        raise BadInput(f"a slice is cut across {', '.join(AXES[:-1])} or {AXES[-1]}")


def draw_waveform(values: np.ndarray, height: int) -> np.ndarray:
    """Waveform of audio, `[height, width, 4]` uint8, transparent around the curve; channels lie below each other.

    `values`: `[width, samples per column, channels]` in [-1, 1]. A column spans its samples and the last one of the
    column before, so that the curve has no gaps. A faint line marks silence.
    """
    width, _, num_channels = values.shape
    image = np.zeros((height, width, 4), np.uint8)
    band = height // num_channels
    rows = np.arange(band)[:, None]
    for channel in range(num_channels):
        samples = values[:, :, channel]
        previous = np.concatenate([samples[:1, 0], samples[:-1, -1]])
        lowest = np.minimum(samples.min(axis=1), previous)
        highest = np.maximum(samples.max(axis=1), previous)
        top, bottom = (np.clip((0.5 - 0.5 * value) * band, 0, band - 1) for value in (highest, lowest))
        curve = (rows >= np.floor(top)) & (rows <= np.ceil(bottom))
        image[channel * band : (channel + 1) * band][curve] = (*WAVE_COLOR, 255)
        silence = image[channel * band + band // 2, :, 3]
        np.maximum(silence, SILENCE_OPACITY, out=silence)
    return image


def orbit_pose(cameras: Sequence[Camera], azimuth: float, elevation: float, distance: float) -> np.ndarray:
    """A camera pose `[3, 4]` around the point that the given cameras look at.

    `azimuth`, `elevation`: degrees. `distance`: 1 is the distance of the circle through the given cameras.
    """
    ring = [camera.pose for camera in turntable_cameras(cameras, 4, cameras[0].intrinsics)]
    # Two opposite cameras of the circle look at its focus, which gives their distance from it.
    reach = float(np.linalg.norm(ring[0][:, 3] - ring[2][:, 3]) / np.linalg.norm(ring[0][:, 2] - ring[2][:, 2]))
    focus = ring[0][:, 3] - reach * ring[0][:, 2]
    up = np.mean([pose[:, 1] for pose in ring], axis=0)
    up /= np.linalg.norm(up)
    front = ring[0][:, 2] - (ring[0][:, 2] @ up) * up
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    a, e = math.radians(azimuth), math.radians(elevation)
    backward = math.sin(e) * up + math.cos(e) * (math.cos(a) * front + math.sin(a) * side)
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward, focus + reach * distance * backward], axis=1)


def _depth_image(depth: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Depth `[H, W]` as brightness `[H, W, 3]`; the nearest point is the brightest."""
    near, far = (float(depth[hit].min()), float(depth[hit].max())) if hit.any() else (0.0, 1.0)
    fraction = (np.where(hit, depth, far) - near) / max(far - near, 1e-6)
    return np.repeat((1 - (1 - FAR_BRIGHTNESS) * fraction)[..., None], 3, axis=2)
