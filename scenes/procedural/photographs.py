"""Photographs of the analytic scenes, taken by sphere tracing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from scenes.posed.camera import Camera
from scenes.posed.view import PosedViews, View
from scenes.procedural.still_life import SUN, StillLife, cameras, still_life
from scenes.procedural.tracing import clip_to_box, sphere_trace, surface_normals
from scenes.shape.cache import cached

# Version of the photographs in the cache. To be increased whenever they change.
VERSION = 3
# Difference of a pixel from one beside it, in a channel in [0, 1], from which on it is sampled more finely.
CONTRAST = 0.12
# Samples along each side of such a pixel.
FINE_SAMPLES = 3
# Tolerance of sphere tracing: a twentieth of the width that a pixel covers in the scene.
TOLERANCE = 8e-4
# Views that are traced together: a step costs little more for many rays than for the last few.
VIEWS_TOGETHER = 24


def procedural_views(name: str) -> PosedViews:
    """The views of the procedural scene `name`, RGBA `[160, 160, 4]` uint8 with straight alpha; always the same.

    They are kept in `scenes.shape.cache`. Raises BadInput where there is no such scene.
    """
    life = still_life(name)
    all_cameras = cameras()
    arrays = cached(
        {"still life": name, "version": VERSION}, lambda: {"pixels": np.stack(photographs(life, all_cameras))}
    )
    views = [
        View(pose=camera.pose, intrinsics=camera.intrinsics, name=camera.name, split=camera.split, pixels=pixels)
        for camera, pixels in zip(all_cameras, arrays["pixels"])
    ]
    return PosedViews(tuple(views), box=(life.lower, life.upper))


def photographs(life: StillLife, cameras: Sequence[Camera]) -> list[np.ndarray]:
    """Images that cameras take of a scene, `[H, W, 4]` uint8 sRGB each.

    Alpha is straight, and is the fraction of a pixel that the scene covers.
    """
    groups = [cameras[first : first + VIEWS_TOGETHER] for first in range(0, len(cameras), VIEWS_TOGETHER)]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return [image for images in threads.map(lambda group: _photographs(life, group), groups) for image in images]


def _photographs(life: StillLife, cameras: Sequence[Camera]) -> list[np.ndarray]:
    images = _colors(life, [camera.rays() for camera in cameras])
    images = [
        colors.reshape(camera.intrinsics.height, camera.intrinsics.width, 4) for camera, colors in zip(cameras, images)
    ]
    fine = [_needs_samples(image) for image in images]
    samples = _colors(life, [_fine_rays(camera, mask) for camera, mask in zip(cameras, fine)])
    for image, mask, colors in zip(images, fine, samples):
        image[mask] = colors.reshape(-1, FINE_SAMPLES**2, 4).mean(axis=1)
    return [_straight_bytes(image) for image in images]


def _fine_rays(camera: Camera, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rays through `FINE_SAMPLES` x `FINE_SAMPLES` points in each of the pixels `mask` `[H, W]`."""
    within = (np.arange(FINE_SAMPLES) + 0.5) / FINE_SAMPLES
    y, x = mask.nonzero()
    x = (x[:, None, None] + within).repeat(FINE_SAMPLES, axis=1)
    y = (y[:, None, None] + within[:, None]).repeat(FINE_SAMPLES, axis=2)
    return camera.rays_through(x.reshape(-1), y.reshape(-1))


def _needs_samples(image: np.ndarray) -> np.ndarray:
    """Pixels `[H, W]` bool of premultiplied colours that differ from one beside them, at edges and in fine patterns."""
    found = np.zeros(image.shape[:2], bool)
    for axis in (0, 1):
        edge = np.abs(np.diff(image, axis=axis)).max(axis=-1) > CONTRAST
        along = np.moveaxis(found, axis, 0)
        edge = np.moveaxis(edge, axis, 0)
        along[:-1] |= edge
        along[1:] |= edge
    return found


def _straight_bytes(image: np.ndarray) -> np.ndarray:
    """Premultiplied colours and alpha `[H, W, 4]` in [0, 1] as bytes with straight alpha."""
    alpha = image[..., 3:]
    straight = np.concatenate([image[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    return np.round(np.clip(straight, 0, 1) * 255).astype(np.uint8)


def _colors(life: StillLife, rays: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Premultiplied sRGB and alpha `[N, 4]` float32 along the rays of several cameras, traced together."""
    origins, directions = (np.concatenate(parts).astype(np.float32) for parts in zip(*rays))
    near, far = clip_to_box(origins, directions, life.lower, life.upper)
    hit, t = sphere_trace(
        life.distance, origins, directions, near=near, far=far, steps=100, tolerance=TOLERANCE, fraction=0.9
    )
    colors = np.zeros((len(origins), 4), np.float32)
    if hit.any():
        ahead = directions[hit]
        points = origins[hit] + t[hit][:, None] * ahead
        normals = surface_normals(life.distance, points)
        above, sun = points + np.float32(10 * TOLERANCE) * normals, np.broadcast_to(SUN, points.shape)
        near, far = clip_to_box(above, sun, life.lower, life.upper)
        shaded, _ = sphere_trace(life.distance, above, sun, near=near, far=far, steps=50, tolerance=TOLERANCE)
        colors[hit, :3] = life.color(points, normals, ahead, (~shaded).astype(np.float32))
        colors[hit, 3] = 1
    return np.split(colors, np.cumsum([len(directions) for _, directions in rays])[:-1])
