"""A drawing of where photographs were taken: the cameras, the scene's box and its points, from a slant and along two axes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.posed.box import SceneBox
from scenes.posed.camera import Intrinsics
from scenes.posed.projection import pixel_directions
from scenes.posed.view import PosedViews

TRAIN, TEST, BOX, POINTS = "#2f86ad", "#d9733a", "#3c9a61", "#8d7263"
MAX_POINTS = 4000
EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]


def draw_cameras(
    path: str | os.PathLike,
    poses: Sequence[np.ndarray],
    all_intrinsics: Sequence[Intrinsics],
    test: Sequence[bool],
    lower: np.ndarray,
    upper: np.ndarray,
    points: np.ndarray | None = None,
    title: str = "",
) -> None:
    """Writes a picture (PNG, SVG, PDF by its ending). poses `[3, 4]` each; test: which are held out; lower, upper `[3]`: the box.

    A camera is a pyramid from its place to the corners of what it sees. BadInput where the place cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = np.stack([pose[:, 3] for pose in poses])
    size = 0.12 * float(np.median(np.linalg.norm(places - places.mean(axis=0), axis=1))) or 0.1
    pyramids = [_pyramid(pose, intrinsics, size) for pose, intrinsics in zip(poses, all_intrinsics)]
    corners = np.stack([np.where([i & 1, i & 2, i & 4], upper, lower) for i in range(8)])
    if points is not None:
        points = points[:: max(1, len(points) // MAX_POINTS)]
        # What lies far beyond would make all else small.
        points = points[
            np.linalg.norm(points - places.mean(axis=0), axis=1)
            < 4 * np.linalg.norm(places - places.mean(axis=0), axis=1).max()
        ]
    figure = Figure(figsize=(15, 5.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    solid = figure.add_subplot(1, 3, 1, projection="3d")
    flat = [figure.add_subplot(1, 3, 2), figure.add_subplot(1, 3, 3)]
    for lines, color, width in _strokes(pyramids, test, corners):
        for line in lines:
            solid.plot(*line.T, color=color, linewidth=width)
            for axes, (x, y) in zip(flat, ((0, 1), (0, 2))):
                axes.plot(line[:, x], line[:, y], color=color, linewidth=width)
    if points is not None and len(points):
        solid.scatter(*points.T, s=1, color=POINTS, alpha=0.5)
        for axes, (x, y) in zip(flat, ((0, 1), (0, 2))):
            axes.scatter(points[:, x], points[:, y], s=1, color=POINTS, alpha=0.5)
    everything = np.concatenate([places, corners])
    middle, half = (
        (everything.min(axis=0) + everything.max(axis=0)) / 2,
        float(np.ptp(everything, axis=0).max()) / 2 * 1.05,
    )
    solid.set(
        xlim=(middle[0] - half, middle[0] + half),
        ylim=(middle[1] - half, middle[1] + half),
        zlim=(middle[2] - half, middle[2] + half),
        xlabel="x",
        ylabel="y",
        zlabel="z",
        title=title,
    )
    solid.set_box_aspect((1, 1, 1))
    for axes, (x, y), name in zip(flat, ((0, 1), (0, 2)), ("along z (x, y)", "along y (x, z)")):
        axes.set(
            aspect="equal",
            xlim=(middle[x] - half, middle[x] + half),
            ylim=(middle[y] - half, middle[y] + half),
            title=name,
            xlabel="xyz"[x],
            ylabel="xyz"[y],
        )
        axes.grid(alpha=0.2)
    counts = (
        (TRAIN, f"{sum(not t for t in test)} for training"),
        (TEST, f"{sum(map(bool, test))} for testing"),
        (BOX, "the box"),
        *(((POINTS, "points"),) if points is not None else ()),
    )
    for color, label in counts:
        flat[1].plot([], [], color=color, linewidth=2, label=label)
    flat[1].legend(loc="upper right")
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:].lower() or "png")


def draw_scene(path: str | os.PathLike, scene: PosedViews, box: SceneBox, title: str = "") -> None:
    """The same of a scene with its box."""
    draw_cameras(
        path,
        [view.pose for view in scene.views],
        [view.intrinsics for view in scene.views],
        [view.split == "test" for view in scene.views],
        box.lower,
        box.upper,
        scene.points,
        title or f"{'all' if box.bounded else 'most'} of it: {box.reason}",
    )


def _pyramid(pose: np.ndarray, intrinsics: Intrinsics, size: float) -> np.ndarray:
    """The camera's place and the four corners of its picture, `[5, 3]`; the upper left twice would close it."""
    ahead = pixel_directions(
        intrinsics,
        np.array([0.0, intrinsics.width, intrinsics.width, 0.0]),
        np.array([0.0, 0.0, intrinsics.height, intrinsics.height]),
    )
    return np.concatenate([pose[:, 3:].T, pose[:, 3] + size * ahead @ pose[:, :3].T])


def _strokes(pyramids: Sequence[np.ndarray], test: Sequence[bool], corners: np.ndarray):
    """What is drawn of each colour: lines `[n, 3]`, which a NaN interrupts, and their width."""
    gap = np.full((1, 3), np.nan)
    for wanted, color in ((False, TRAIN), (True, TEST)):
        lines = [
            np.concatenate([p[[0, 1, 2, 0, 3, 4, 0]], gap, p[[2, 3]], gap, p[[4, 1]], gap])
            for p, held in zip(pyramids, test)
            if bool(held) == wanted
        ]
        if lines:
            yield [np.concatenate(lines)], color, 0.8
    yield [np.concatenate([np.concatenate([corners[[a, b]], gap]) for a, b in EDGES])], BOX, 1.6
