"""Photographs of the scenes that are made of formulas, taken by sphere tracing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from fields.ops.ray_box import ray_box
from fields.render.sphere_trace import normals_of, sphere_trace
from scenes.posed.rays import rays_of
from scenes.posed.view import PosedViews, View
from scenes.procedural.still_life import SUN, StillLife, cameras, still_life
from scenes.shape.cache import cached

VERSION = 2  # of the pictures: counts up whenever they change
# Pixels that differ by more than this from one beside them are looked at in so many places along each side.
CONTRAST, FINER = 0.12, 3
# A twentieth of what a pixel covers of the scene.
TOLERANCE = 8e-4
TOGETHER = 24


def posed_views(name: str) -> PosedViews:
    """The views of the procedural scene `name`, RGBA `[160, 160, 4]` uint8 with straight alpha; always the same.

    They are kept between runs (`scenes.shape.cache`). BadInput where there is no such scene.
    """
    life = still_life(name)
    views = [View(view, None, pose, intrinsics, split) for view, split, pose, intrinsics in cameras()]
    pixels = cached({"still life": name, "version": VERSION}, lambda: {"pixels": np.stack(photographs(life, views))})[
        "pixels"
    ]
    views = tuple(View(**vars(view) | {"pixels": picture}) for view, picture in zip(views, pixels))
    return PosedViews(views, box=(life.lower, life.upper))


def photographs(life: StillLife, views: list[View]) -> list[np.ndarray]:
    """What cameras see, `[H, W, 4]` uint8 sRGB each, alpha straight: the share of a pixel that the scene covers."""
    # Several at once: a step of sphere tracing costs little more for many rays than for the last few.
    groups = [views[first : first + TOGETHER] for first in range(0, len(views), TOGETHER)]
    with ThreadPoolExecutor(torch.get_num_threads()) as workers:
        return [picture for pictures in workers.map(lambda group: _group(life, group), groups) for picture in pictures]


def _group(life: StillLife, views: list[View]) -> list[np.ndarray]:
    shapes = [(view.intrinsics.height, view.intrinsics.width) for view in views]
    everywhere = [tuple(part.reshape(-1) for part in np.mgrid[:height, :width]) for height, width in shapes]
    seen = _colors(life, [(view, x + 0.5, y + 0.5) for view, (y, x) in zip(views, everywhere)])
    seen = [colors.reshape(*shape, 4) for colors, shape in zip(seen, shapes)]
    rough = [_rough(colors) for colors in seen]
    within = (np.arange(FINER) + 0.5) / FINER
    finer = [
        (
            view,
            (x[:, None, None] + within).repeat(FINER, axis=1).reshape(-1),
            (y[:, None, None] + within[:, None]).repeat(FINER, axis=2).reshape(-1),
        )
        for view, (y, x) in zip(views, (mask.nonzero() for mask in rough))
    ]
    for colors, mask, several in zip(seen, rough, _colors(life, finer)):
        colors[mask] = several.reshape(-1, FINER * FINER, 4).mean(axis=1)
    return [_straight(colors) for colors in seen]


def _rough(seen: np.ndarray) -> np.ndarray:
    """Pixels `[H, W]` bool of premultiplied colours that differ from one beside them: edges, and paint too fine for one look."""
    rough = np.zeros(seen.shape[:2], bool)
    for axis in (0, 1):
        edge = np.abs(np.diff(seen, axis=axis)).max(axis=-1) > CONTRAST
        near, far = [[slice(None)] * 2 for _ in range(2)]
        near[axis], far[axis] = slice(None, -1), slice(1, None)
        rough[tuple(near)] |= edge
        rough[tuple(far)] |= edge
    return rough


def _straight(seen: np.ndarray) -> np.ndarray:
    alpha = seen[..., 3:]
    straight = np.concatenate([seen[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    return np.round(np.clip(straight, 0, 1) * 255).astype(np.uint8)


def _colors(life: StillLife, places: list[tuple[View, np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Premultiplied sRGB and alpha `[N, 4]` float32 of places x, y `[N]` in the pictures of views."""
    rays = [rays_of(*place) for place in places]
    origins, directions = (torch.from_numpy(np.concatenate(parts).astype(np.float32)) for parts in zip(*rays))

    def distance(points: Tensor) -> Tensor:
        return torch.from_numpy(life.distance(points.numpy()))

    near, far = ray_box(origins, directions, life.lower, life.upper)
    hit, t = sphere_trace(distance, origins, directions, near, far, steps=100, tolerance=TOLERANCE, share=0.9)
    found = np.zeros((len(origins), 4), np.float32)
    if bool(hit.any()):
        points, ahead = torch.addcmul(origins[hit], t[hit][:, None], directions[hit]), directions[hit]
        normals = normals_of(distance, points)
        sun = torch.from_numpy(SUN).expand_as(points).contiguous()
        above = points + 10 * TOLERANCE * normals
        shaded, _ = sphere_trace(
            distance, above, sun, *ray_box(above, sun, life.lower, life.upper), steps=50, tolerance=TOLERANCE
        )
        colors = life.color(points.numpy(), normals.numpy(), ahead.numpy(), (~shaded).float().numpy())
        found[hit.numpy()] = np.concatenate([colors, np.ones_like(colors[:, :1])], axis=1)
    return np.split(found, np.cumsum([len(x) for _, x, _ in places])[:-1])
