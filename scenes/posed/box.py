"""Where the scene is that cameras look at: the cube that is worth most of a field, and whether anything lies beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenes.posed.rays import pixels_of
from scenes.posed.view import PosedViews, View

# Of the least distance of a camera to what all look at: half a side of the cube in which an object is looked for.
REACH = 0.4
# Room around what silhouettes and known boxes bound; cells along a side, and views, that silhouettes are looked at in.
ROOM, CELLS, MAX_VIEWS = 1.04, 64, 40
# A part of the scene is in at least this share of its pictures.
MIN_SIGHTINGS = 0.4
# A unit of instant-ngp's cube is so long in the units of its transforms file, whose origin lies in the cube's middle.
NGP_UNIT = 1 / 0.33
# Views of a plain background: so much of the pictures' borders has one colour, to so many levels.
PLAIN_SHARE, PLAIN_LEVELS = 0.995, 3


@dataclass(frozen=True)
class SceneBox:
    """A cube around `centre` `[3]` that reaches `half` to each side, in the scene's units.

    bounded: nothing lies outside of it. levels: so many cubes, each twice as large as the one before, hold what is to be seen where
    the files say so, else None. why: in a few words, for people.
    """

    centre: np.ndarray
    half: float
    bounded: bool
    why: str
    levels: int | None = None

    @property
    def lower(self) -> np.ndarray:
        return self.centre - self.half

    @property
    def upper(self) -> np.ndarray:
        return self.centre + self.half


def scene_box(
    scene: PosedViews, bounded: bool | None = None, silhouette: Callable[[View], np.ndarray | None] | None = None
) -> SceneBox:
    """The box of a scene; `bounded` overrules what is found.

    silhouette: a view → `[H, W]` bool, where it shows something and not a transparent or plain background; None where it cannot
    tell. Where all can, the scene is bounded, and by what they leave of space (Laurentini 1994); a scene that moves is not
    narrowed so, as its views show different moments. Otherwise the cube is guessed from where the cameras are and look, and
    from points on surfaces where there are such.
    """
    poses = np.stack([view.pose for view in scene.views])
    middle = focus(poses)
    distances = np.linalg.norm(poses[:, :, 3] - middle, axis=1)
    if scene.box is not None:
        lower, upper = np.array(scene.box, np.float64)
        return SceneBox(
            (lower + upper) / 2,
            ROOM * float((upper - lower).max()) / 2,
            True if bounded is None else bounded,
            "as the scene says",
        )
    training = scene.of("train")
    shapes = [(view, silhouette(view)) for view in training] if silhouette and bounded is not False else []
    shapes = [(view, shape) for view, shape in shapes if shape is not None]
    told = bool(training) and len(shapes) == len(training)
    if bounded or (bounded is None and told):
        half = REACH * float(distances.min())
        guess = SceneBox(
            middle, half if half > 0 else max(1e-3, REACH * float(distances.max())), True, "what the cameras look at"
        )
        still = all(view.time is None for view in scene.views)
        return _narrowed(guess, shapes, float(distances.min())) if told and still else guess
    if scene.aabb_scale is not None:
        return SceneBox(
            np.zeros(3),
            0.5 * NGP_UNIT,
            False,
            f"aabb_scale {scene.aabb_scale:g}",
            1 + max(0, int(np.ceil(np.log2(scene.aabb_scale)))),
        )
    half = 0.5 * float(distances.max())
    why = "around the cameras"
    if scene.points is not None and len(scene.points) >= 50:
        # The cube that holds what most points are on, but never more than what the cameras stand in.
        middle = np.median(scene.points, axis=0)
        spread = np.abs(scene.points - middle).max(axis=1)
        half = float(np.clip(np.quantile(spread, 0.7), 0.2 * half, 2 * half))
        why = f"around {len(scene.points):,} points"
    return SceneBox(middle, max(half, 1e-3), False, why)


def standing_within(scene: PosedViews, box: SceneBox) -> list[str]:
    """The names of the views whose camera is inside of the box of a bounded scene, where it sees most of it from too near or not at all."""
    if not box.bounded:
        return []
    return [view.name for view in scene.views if (np.abs(view.pose[:, 3] - box.centre) < box.half).all()]


def focus(poses: np.ndarray) -> np.ndarray:
    """The place `[3]` nearest to the optical axes of poses `[N, 3, 4]`, in the sense of least squares."""
    places, forward = poses[:, :, 3], -poses[:, :, 2]
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    # A little of the cameras' mean, for axes that are all parallel.
    weight = 1e-3 * len(poses)
    return np.linalg.solve(
        across.sum(0) + weight * np.eye(3), (across @ places[:, :, None]).sum(0)[:, 0] + weight * places.mean(0)
    )


def plain_background(borders: Sequence[np.ndarray]) -> np.ndarray | None:
    """The one colour `[3]` uint8 that pictures have along their borders `[n, 3]` uint8, or None where they have not: what is before
    such a background is all that there is."""
    pixels = np.concatenate(borders).astype(np.int16)
    color = np.median(pixels, axis=0)
    return (
        color.astype(np.uint8) if (np.abs(pixels - color).max(axis=1) <= PLAIN_LEVELS).mean() >= PLAIN_SHARE else None
    )


def border(picture: np.ndarray) -> np.ndarray:
    """The colours `[n, 3]` along the four sides of a picture `[H, W, 3 or more]`."""
    return np.concatenate([picture[0, :, :3], picture[-1, :, :3], picture[:, 0, :3], picture[:, -1, :3]])


def _narrowed(guess: SceneBox, shapes: list[tuple[View, np.ndarray]], farthest: float) -> SceneBox:
    """The cube around what no silhouette cuts away; the guess where that is nothing."""
    from scipy.ndimage import distance_transform_edt

    chosen = [shapes[i] for i in np.unique(np.linspace(0, len(shapes) - 1, min(len(shapes), MAX_VIEWS)).astype(int))]
    if not all(shape.any() for _, shape in chosen):
        return guess
    chosen = [(view, distance_transform_edt(~shape).astype(np.float32)) for view, shape in chosen]
    # First as far as the cameras are, then once more in what that left.
    found = replace(guess, half=min(farthest, 2.5 * guess.half))
    for _ in range(2):
        cell = 2 * found.half / CELLS
        axis = (np.arange(CELLS) + 0.5) * cell - found.half
        left = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + found.centre
        sightings = np.zeros(len(left), int)
        for view, away in chosen:
            kept, inside = _seen(view, away, left, cell)
            left, sightings = left[kept], (sightings + inside)[kept]
        # What few views have in their picture (it is near a camera) no view cuts away.
        left = left[sightings >= len(chosen) * MIN_SIGHTINGS]
        if len(left) < 8:
            return guess
        lower, upper = left.min(axis=0) - cell, left.max(axis=0) + cell
        found = SceneBox(
            (lower + upper) / 2, ROOM * float((upper - lower).max()) / 2, True, "what the silhouettes leave"
        )
    return found if found.half < guess.half * 1.5 else guess


def _seen(view: View, away: np.ndarray, points: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Which points may be part of what a view shows, and which it has in its picture: `[N]` bool each. away: how far each
    pixel is from the nearest that shows something; cell: the side of the cells around the points."""
    x, y, depth = pixels_of(view, points)
    inside = (depth > cell) & (x >= 0) & (x < view.intrinsics.width) & (y >= 0) & (y < view.intrinsics.height)
    kept = np.ones(len(points), bool)
    # Half a cell's diagonal, in pixels of this depth, and one more.
    reach = 0.87 * cell * view.intrinsics.fl_x / depth[inside] + 1
    kept[inside] = away[y[inside].astype(int), x[inside].astype(int)] <= reach
    return kept, inside
