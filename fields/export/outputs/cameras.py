"""Drawings of a scene's cameras, its box and its points, from a slant and along two axes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.posed.box import SceneBox
from scenes.posed.camera import Camera
from scenes.posed.view import PosedViews

TRAIN, TEST, BOX, POINTS = "#2f86ad", "#d9733a", "#3c9a61", "#8d7263"
# Points that are drawn; of more, an even selection.
MAX_POINTS = 4000
# Points further from the cameras' centre than this multiple of the cameras' largest distance would make all else small.
MAX_POINT_DISTANCE = 4.0
# Size of the drawn cameras, as a fraction of their median distance from their centre.
CAMERA_SIZE = 0.12
# Corners of a box that an edge joins, by their numbers, in which bit k says whether the corner is the upper one along
# axis k.
EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
# Axes of the two flat views, and their titles.
FLAT_VIEWS = (((0, 1), "along z (x, y)"), ((0, 2), "along y (x, z)"))


def draw_cameras(
    path: str | os.PathLike,
    cameras: Sequence[Camera],
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    points: np.ndarray | None = None,
    title: str = "",
) -> None:
    """Draw cameras as pyramids, with the scene's box and its points.

    A pyramid goes from the camera's position to the corners of what it sees. Cameras for testing have another colour.

    Args:
        path: a PNG, SVG or PDF file, by its ending.
        lower, upper: corners `[3]` of the scene's box.
        points: `[N, 3]` on surfaces.

    Raises BadInput where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    positions = np.stack([camera.position for camera in cameras])
    size = camera_size(cameras)
    corners = np.stack([np.where([i & 1, i & 2, i & 4], upper, lower) for i in range(8)])
    if points is not None:
        points = drawn_points(points, cameras)
    figure = Figure(figsize=(15, 5.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    solid: Any = figure.add_subplot(1, 3, 1, projection="3d")
    flat = [figure.add_subplot(1, 3, 2), figure.add_subplot(1, 3, 3)]
    for line, color, width in _lines(cameras, size, corners):
        solid.plot(*line.T, color=color, linewidth=width)
        for axes, ((x, y), _) in zip(flat, FLAT_VIEWS):
            axes.plot(line[:, x], line[:, y], color=color, linewidth=width)
    if points is not None and len(points):
        solid.scatter(*points.T, s=1, color=POINTS, alpha=0.5)
        for axes, ((x, y), _) in zip(flat, FLAT_VIEWS):
            axes.scatter(points[:, x], points[:, y], s=1, color=POINTS, alpha=0.5)
    _set_limits(solid, flat, np.concatenate([positions, corners]), title)
    for color, label in _legend(cameras, points is not None):
        flat[1].plot([], [], color=color, linewidth=2, label=label)
    flat[1].legend(loc="upper right")
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:].lower() or "png")


def draw_scene(path: str | os.PathLike, scene: PosedViews, box: SceneBox, title: str = "") -> None:
    """Draw the cameras of a scene with its box and its points; see `draw_cameras`."""
    title = title or f"{'all' if box.bounded else 'most'} of it: {box.reason}"
    draw_cameras(path, scene.views, box.lower, box.upper, points=scene.points, title=title)


def camera_size(cameras: Sequence[Camera]) -> float:
    """Distance from the position of a drawn camera to the corners of what it sees, in the scene's units."""
    return CAMERA_SIZE * float(np.median(_distances(cameras))) or 0.1


def drawn_points(points: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """An even selection of points `[N, 3]`, without those that are far from all cameras."""
    points = points[:: max(1, len(points) // MAX_POINTS)]
    centre = np.mean([camera.position for camera in cameras], axis=0)
    return points[np.linalg.norm(points - centre, axis=1) < MAX_POINT_DISTANCE * _distances(cameras).max()]


def _distances(cameras: Sequence[Camera]) -> np.ndarray:
    """Distances `[N]` of the cameras from their centre."""
    positions = np.stack([camera.position for camera in cameras])
    return np.linalg.norm(positions - positions.mean(axis=0), axis=1)


def _lines(cameras: Sequence[Camera], size: float, corners: np.ndarray) -> Iterator[tuple[np.ndarray, str, float]]:
    """Lines `[n, 3]`, which NaN interrupts, with their colour and width: the cameras of both splits, and the box."""
    gap = np.full((1, 3), np.nan)
    for test, color in ((False, TRAIN), (True, TEST)):
        pyramids = [pyramid(camera, size) for camera in cameras if (camera.split == "test") == test]
        if pyramids:
            strokes = [(p[[0, 1, 2, 0, 3, 4, 0]], gap, p[[2, 3]], gap, p[[4, 1]], gap) for p in pyramids]
            yield np.concatenate([part for parts in strokes for part in parts]), color, 0.8
    yield np.concatenate([part for a, b in EDGES for part in (corners[[a, b]], gap)]), BOX, 1.6


def pyramid(camera: Camera, size: float) -> np.ndarray:
    """The camera's position, and points on the rays through the four corners of its image, `[5, 3]`."""
    width, height = camera.intrinsics.width, camera.intrinsics.height
    origins, directions = camera.rays_through(np.array([0, width, width, 0]), np.array([0, 0, height, height]))
    return np.concatenate([origins[:1], origins + size * directions])


def _set_limits(solid: Any, flat: Sequence[Any], everything: np.ndarray, title: str) -> None:
    """Give all views the same scale, around the points `everything` `[n, 3]`."""
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    half = float(np.ptp(everything, axis=0).max()) / 2 * 1.05
    limits = [(at - half, at + half) for at in middle]
    solid.set(xlim=limits[0], ylim=limits[1], zlim=limits[2], xlabel="x", ylabel="y", zlabel="z", title=title)
    solid.set_box_aspect((1, 1, 1))
    for axes, ((x, y), name) in zip(flat, FLAT_VIEWS):
        axes.set(aspect="equal", xlim=limits[x], ylim=limits[y], title=name, xlabel="xyz"[x], ylabel="xyz"[y])
        axes.grid(alpha=0.2)


def _legend(cameras: Sequence[Camera], with_points: bool) -> list[tuple[str, str]]:
    """Colours and labels."""
    test = sum(camera.split == "test" for camera in cameras)
    entries = [(TRAIN, f"{len(cameras) - test} for training"), (TEST, f"{test} for testing"), (BOX, "the box")]
    return [*entries, (POINTS, "points")] if with_points else entries
