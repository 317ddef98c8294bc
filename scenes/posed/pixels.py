"""The pixels of training views, and random rays through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.projection import pixel_directions
from scenes.sampling import philox, true_indices


@dataclass(frozen=True, kw_only=True)
class PixelRays:
    """N rays through pixels, in the coordinates of a scene's unit cube, in which a length of 1 is the cube's side.

    Attributes:
        origins, directions: `[N, 3]` float32; directions have unit length.
        colors: `[N, 3]` float32 sRGB in [0, 1], not multiplied by alpha.
        alpha: `[N, 1]` float32 in [0, 1], or None where the views have none.
        times: `[N]` float32 in [0, 1], or None where the scene does not move.
        views: `[N]` int64, the index of each pixel's view among the views for training.
    """

    origins: np.ndarray
    directions: np.ndarray
    colors: np.ndarray
    alpha: np.ndarray | None
    times: np.ndarray | None
    views: np.ndarray


class TrainingPixels:
    """All pixels of the training views as bytes, one view after another, from which rays are drawn.

    Args:
        cameras: of the views.
        images: `[H, W, 3 or 4]` uint8 of each view.
        masks: for each view the pixels that count, `[H, W]` bool; None where all do.
        times: `[V]` float32 of the views, or None in a scene that does not move.
        has_alpha: whether alpha is kept; views without it then count as opaque.
        lower: lower corner `[3]` of the scene's cube.
        side: of the cube, in the scene's units.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        images: Sequence[np.ndarray],
        masks: Sequence[np.ndarray | None],
        times: np.ndarray | None,
        *,
        has_alpha: bool,
        lower: np.ndarray,
        side: float,
    ) -> None:
        self._cameras = cameras
        self._has_alpha = has_alpha
        channels = 4 if has_alpha else 3
        self._pixels = np.concatenate([with_channels(image, channels).reshape(-1, channels) for image in images])
        counts = np.array([camera.num_pixels for camera in cameras])
        # Indices of the views' first pixels, and the number of all pixels.
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._usable: np.ndarray | None = None
        if any(mask is not None for mask in masks):
            flat = [np.ones(n, bool) if mask is None else mask.reshape(-1) for mask, n in zip(masks, counts)]
            self._usable = true_indices(np.concatenate(flat))
        # Directions in the camera's axes are stored once for all views with the same intrinsics.
        different: list[Intrinsics] = list(dict.fromkeys(camera.intrinsics for camera in cameras))
        self._directions = [_all_directions(intrinsics) for intrinsics in different]
        self._intrinsics_of = np.array([different.index(camera.intrinsics) for camera in cameras])
        poses = np.stack([camera.pose for camera in cameras])
        poses[:, :, 3] = (poses[:, :, 3] - lower) / side
        self._poses = poses.astype(np.float32)
        self._times = times

    def alpha(self, view: int) -> np.ndarray:
        """The alpha channel `[H, W]` uint8 of a view. Only where alpha is kept."""
        intrinsics = self._cameras[view].intrinsics
        alpha = self._pixels[self._starts[view] : self._starts[view + 1], 3]
        return alpha.reshape(intrinsics.height, intrinsics.width)

    def image(self, view: int) -> np.ndarray:
        """The pixels `[H, W, 3 or 4]` uint8 of a view, with alpha where it is kept."""
        intrinsics = self._cameras[view].intrinsics
        pixels = self._pixels[self._starts[view] : self._starts[view + 1]]
        return pixels.reshape(intrinsics.height, intrinsics.width, -1)

    def rays(self, step: int, count: int, seed: int) -> PixelRays:
        """`count` rays through random pixels, none of them masked out; a pure function of its arguments."""
        words = philox(seed, step).random_raw(count)
        total = len(self._pixels) if self._usable is None else len(self._usable)
        pixel = ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53 * total).astype(np.int64)
        if self._usable is not None:
            pixel = self._usable[pixel].astype(np.int64)
        view = np.searchsorted(self._starts, pixel, side="right") - 1
        local = np.empty((len(pixel), 3), np.float32)
        within = pixel - self._starts[view]
        for index, table in enumerate(self._directions):
            some = slice(None) if len(self._directions) == 1 else self._intrinsics_of[view] == index
            local[some] = table[within[some]]
        poses = self._poses[view]
        values = self._pixels[pixel]
        return PixelRays(
            origins=poses[:, :, 3],
            directions=np.matmul(poses[:, :, :3], local[:, :, None])[:, :, 0],
            colors=values[:, :3].astype(np.float32) / 255.0,
            alpha=values[:, 3:].astype(np.float32) / 255.0 if self._has_alpha else None,
            times=None if self._times is None else self._times[view],
            views=view,
        )


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """An image `[H, W, 3 or 4]` uint8 with 3 or 4 channels: alpha is dropped, or added as opaque."""
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return image[..., :3]
    return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)


def _all_directions(intrinsics: Intrinsics) -> np.ndarray:
    """Unit directions `[H * W, 3]` float32 in the camera's axes through all pixels, row by row."""
    y, x = np.mgrid[0 : intrinsics.height, 0 : intrinsics.width]
    return pixel_directions(intrinsics, x.reshape(-1) + 0.5, y.reshape(-1) + 0.5).astype(np.float32)
