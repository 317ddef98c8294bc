"""The surface of a density field where rays stop: depth maps of its cameras, fused into signed distances.

A level set of density would be a fog's outline with all that is hidden inside it. Depths where rays begin to lose their
light show only what cameras see.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields.surface.depth_maps import DepthMap, depth_camera, depth_map
from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.implicit import Implicit
from fields.surface.lattice import make_lattice
from fields.surface.radiance import Radiance
from fields.surface.subject import find_subject, only_subject
from fields.surface.tsdf import TSDF
from scenes.errors import BadInput
from scenes.posed.camera import Camera

# Views that are fused; of more, an even selection.
MAX_VIEWS = 120
# Pixels of a depth map: at most, and at least where time is short.
MAX_PIXELS = 400 * 400
MIN_PIXELS = 96 * 96
# Fraction of the time for depth maps; the rest is for their fusion.
DEPTH_TIME = 0.65
# Depth maps that are rendered however short the time is.
MIN_VIEWS = 8
# Cells along an axis of the histogram that finds the box of the depths, and points that a cell needs to count, as a
# fraction of those that cells usually have.
BOX_CELLS = 64
BOX_FRACTION = 0.1


@dataclass(frozen=True)
class FusedDepths:
    """A fused surface.

    volume: the signed distances.
    maps: number of depth maps that were fused, of `views` that there are.
    pixels: pixels of one of them.
    seconds: time of the depth maps and of their fusion.
    """

    volume: TSDF
    maps: int
    views: int
    pixels: int
    seconds: dict[str, float]


def fuse_depths(
    scene: Radiance,
    cameras: Sequence[Camera],
    resolution: int,
    *,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> FusedDepths:
    """Render the depths of a field and fuse them, on `resolution` cells along the longest side of the box.

    lower, upper: box in units of the cube, `[3]`; None: that of the depths, and in an unbounded scene that of the
        subject (`fields.surface.subject.find_subject`), which may lie outside of the cube.
    seconds: wall clock. Where it is short, depth maps get smaller, and at last fewer.

    Raises BadInput where no ray meets a surface.
    """
    begun = time.perf_counter()
    chosen = [cameras[i] for i in _spread_order(len(cameras))][:MAX_VIEWS]
    maps = _depth_maps(scene, chosen, None if seconds is None else DEPTH_TIME * seconds, lambda x: progress(0.7 * x))
    if scene.unbounded and lower is None:
        subject = find_subject(maps)
        box = None if subject is None else (subject.lower, subject.upper)
        maps = maps if subject is None else [only_subject(part, subject) for part in maps]
        points = [part.points() for part in maps]
    else:
        points = [part.points() for part in maps]
        box = _box_of_depths(points)
    if box is None:
        raise BadInput("no ray of the scene's cameras meets a surface; fit longer, or check the poses")
    depths_done = time.perf_counter()
    lower, upper = box[0] if lower is None else lower, box[1] if upper is None else upper
    volume = TSDF(make_lattice(lower, upper, resolution), points)
    del points
    fused = 0
    for part in maps:
        volume.fuse(part)
        fused += 1
        progress(0.7 + 0.3 * fused / len(maps))
        if seconds is not None and fused >= MIN_VIEWS and time.perf_counter() - begun > seconds:
            break
    took = {"depths": depths_done - begun, "fusion": time.perf_counter() - depths_done}
    return FusedDepths(volume, fused, len(cameras), maps[0].depth.numel(), took)


def implicit_depths(scene: Radiance, volume: TSDF) -> Implicit:
    """The fused surface as a function: distances between nodes are interpolated, and cut off at the truncation.

    What no camera saw counts as inside near a surface, and as outside everywhere else.
    """
    grid = np.ones(volume.shape, np.float32)
    grid[tuple(volume.index.numpy().T.astype(np.int64))] = np.where(volume.weights > 0, volume.values, -1.0)
    # `grid_sample` takes the last axis first.
    table = torch.from_numpy(grid)[None, None]
    first = torch.from_numpy(volume.lattice.lower).float()
    sides = torch.from_numpy(volume.lattice.upper - volume.lattice.lower).float()

    def function(points: Tensor) -> Tensor:
        at = ((points.cpu() - first) / sides * 2 - 1).flip(-1)[None, None, None]
        found = torch.nn.functional.grid_sample(table, at, align_corners=True, padding_mode="border")
        return (found.reshape(-1) * volume.truncation).to(points.device)

    return Implicit(
        function=function,
        type="distance",
        colors=scene.colors,
        extents=scene.extents,
        corner=scene.corner,
        side=scene.side,
        level=0.0,
        value_of=float,
        device=scene.device,
    )


def _depth_maps(
    scene: Radiance, cameras: Sequence[Camera], seconds: float | None, progress: ProgressCallback
) -> list[DepthMap]:
    """Depth maps of as many of the cameras as the time allows, in this order, at a size that lets it be all."""
    begun = time.perf_counter()
    pixels = MAX_PIXELS
    if seconds is not None:
        trial = depth_camera(cameras[0], MIN_PIXELS, scene.corner, scene.side)
        depth_map(scene.field, trial, scene.time)
        rate = trial.num_pixels / max(time.perf_counter() - begun, 1e-6)
        pixels = int(np.clip(rate * seconds / len(cameras), MIN_PIXELS, MAX_PIXELS))
    maps = []
    for camera in cameras:
        maps.append(depth_map(scene.field, depth_camera(camera, pixels, scene.corner, scene.side), scene.time))
        progress(len(maps) / len(cameras))
        if seconds is not None and len(maps) >= MIN_VIEWS and time.perf_counter() - begun > seconds:
            break
    return maps


def _box_of_depths(points: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper corner `[3]` of the part of the cube with depths, without stray ones; None if there is none."""
    every = torch.cat(list(points)).cpu().numpy()
    every = every[((every > 0) & (every < 1)).all(axis=1)]
    if not len(every):
        return None
    cells = (every * BOX_CELLS).astype(np.int64)
    flat, inverse, count = np.unique(
        (cells[:, 0] * BOX_CELLS + cells[:, 1]) * BOX_CELLS + cells[:, 2], return_inverse=True, return_counts=True
    )
    kept = every[(count >= BOX_FRACTION * np.median(count))[inverse]]
    margin = 1 / BOX_CELLS
    return np.maximum(kept.min(axis=0) - margin, 0.0).astype(float), np.minimum(kept.max(axis=0) + margin, 1.0).astype(
        float
    )


def _spread_order(count: int) -> np.ndarray:
    """0 to count - 1 in an order whose beginnings are spread evenly (van der Corput 1935)."""
    index, result, base = np.arange(count), np.zeros(count), 0.5
    while index.any():
        result += base * (index & 1)
        index >>= 1
        base /= 2
    # The rank in the sequence of bit-reversed numbers, spread over the whole.
    return np.argsort(np.argsort(result, kind="stable"), kind="stable")
