"""The cube of a scene that the cameras look at, and whether anything lies beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from scenes.posed.camera import Camera
from scenes.posed.pose import focus_point
from scenes.posed.view import PosedViews, View
from scenes.posed.visual_hull import hull_bounds

# Half a side of the cube that an object is expected in, as a fraction of the least distance from a camera to the focus
# point.
OBJECT_REACH = 0.4
# Half a side of the cube in a scene around the cameras, as a fraction of the largest distance from a camera to the
# focus point.
SURROUNDINGS_REACH = 0.5
# Scale that enlarges a box beyond silhouettes and beyond boxes that files give.
MARGIN = 1.04
# Largest hull that is trusted, as a multiple of the cube that was guessed from the cameras.
MAX_HULL_GROWTH = 1.5
# Side of instant-ngp's unit cube in the units of its transforms file, whose origin is the middle of the cube.
NGP_UNIT = 1 / 0.33
# Points on surfaces from which a box is made; fewer are ignored.
MIN_POINTS = 50
# Fraction of the points on surfaces that the cube around them holds along each axis.
POINTS_QUANTILE = 0.7
# Smallest half side of a cube, in the scene's units, so that cameras in one place give a box too.
MIN_HALF = 1e-3
# Fraction of the pixels along the images' borders that have one colour where the background is plain.
PLAIN_FRACTION = 0.995
# Largest difference of a channel from that colour, in levels of 8 bits.
PLAIN_LEVELS = 3
# Difference from which on a pixel may show an object where the borders have no noise at all.
LEAST_LEVELS = 2


@dataclass(frozen=True)
class SceneBox:
    """A cube around `centre` `[3]` that reaches `half` to each side, in the scene's units.

    Attributes:
        bounded: whether nothing lies outside of it.
        reason: where the box comes from, in a few words for people.
        cascades: number of cubes, each twice as large as the one before, that hold the scene where its files say so;
            else None.
    """

    centre: np.ndarray
    half: float
    bounded: bool
    reason: str
    _: KW_ONLY
    cascades: int | None = None

    @property
    def lower(self) -> np.ndarray:
        """The lower corner, `[3]`."""
        return self.centre - self.half

    @property
    def upper(self) -> np.ndarray:
        """The upper corner, `[3]`."""
        return self.centre + self.half

    def contains(self, point: np.ndarray) -> bool:
        """Whether a point `[3]` lies inside."""
        return bool((np.abs(point - self.centre) < self.half).all())


def scene_box(
    scene: PosedViews, bounded: bool | None = None, silhouette: Callable[[View], np.ndarray | None] | None = None
) -> SceneBox:
    """The box of a scene.

    The box is, in this order: the one that the scene's files give; for a bounded scene, one in front of the cameras,
    narrowed to the visual hull of the silhouettes (Laurentini 1994) unless the scene moves, as its views then show
    different moments; instant-ngp's cube; a box around points on surfaces; a box around the cameras. A scene is bounded
    where its files give a box or every training view has a silhouette.

    Args:
        bounded: whether all of the scene lies in the box; None decides it from the scene.
        silhouette: gives for a view the pixels `[H, W]` bool that show an object in front of a transparent or plain
            background; None where that is not known.
    """
    poses = np.stack([view.pose for view in scene.views])
    focus = focus_point(poses)
    distances = np.linalg.norm(poses[:, :, 3] - focus, axis=1)
    if scene.box is not None:
        lower, upper = np.array(scene.box, np.float64)
        half = MARGIN * float((upper - lower).max()) / 2
        return SceneBox((lower + upper) / 2, half, True if bounded is None else bounded, "as the scene says")
    shapes = [] if silhouette is None or bounded is False else [(view, silhouette(view)) for view in scene.training]
    silhouettes = [(view, shape) for view, shape in shapes if shape is not None]
    complete = bool(shapes) and len(silhouettes) == len(shapes)
    if bounded or (bounded is None and complete):
        half = OBJECT_REACH * float(distances.min())
        if half <= 0:
            half = max(MIN_HALF, OBJECT_REACH * float(distances.max()))
        guess = SceneBox(focus, half, True, "what the cameras look at")
        still = all(view.time is None for view in scene.views)
        return _narrowed(guess, silhouettes, float(distances.min())) if complete and still else guess
    if scene.aabb_scale is not None:
        cascades = 1 + max(0, int(np.ceil(np.log2(scene.aabb_scale))))
        return SceneBox(np.zeros(3), 0.5 * NGP_UNIT, False, f"aabb_scale {scene.aabb_scale:g}", cascades=cascades)
    half = SURROUNDINGS_REACH * float(distances.max())
    if scene.points is not None and len(scene.points) >= MIN_POINTS:
        centre = np.median(scene.points, axis=0)
        spread = np.abs(scene.points - centre).max(axis=1)
        # Most of the points, but no more than the space around the cameras.
        half = float(np.clip(np.quantile(spread, POINTS_QUANTILE), 0.2 * half, 2 * half))
        return SceneBox(centre, max(half, MIN_HALF), False, f"around {len(scene.points):,} points")
    return SceneBox(focus, max(half, MIN_HALF), False, "around the cameras")


def cameras_inside(cameras: Sequence[Camera], box: SceneBox) -> list[str]:
    """The names of cameras that stand inside of the box of a bounded scene.

    They see most of the scene from too near or not at all.
    """
    return [camera.name for camera in cameras if box.bounded and box.contains(camera.position)]


def border_pixels(image: np.ndarray) -> np.ndarray:
    """The colours `[n, 3]` along the four sides of an image `[H, W, 3 or more]`."""
    return np.concatenate([image[0, :, :3], image[-1, :, :3], image[:, 0, :3], image[:, -1, :3]])


def plain_background(borders: Sequence[np.ndarray]) -> np.ndarray | None:
    """The one colour `[3]` uint8 along the borders of images, or None where the borders have several.

    Everything in front of a plain background belongs to the object. borders: colours `[n, 3]` uint8 of each image.
    """
    pixels = np.concatenate(borders).astype(np.int16)
    color = np.median(pixels, axis=0)
    plain = (np.abs(pixels - color).max(axis=1) <= PLAIN_LEVELS).mean() >= PLAIN_FRACTION
    return color.astype(np.uint8) if plain else None


def background_levels(borders: Sequence[np.ndarray], color: np.ndarray) -> int:
    """Largest difference of a channel from a plain background's color that counts as background, in levels of 8 bits.

    It is twice the noise of the borders, so that a dark object is told from black. borders: as of `plain_background`.
    """
    noise = np.abs(np.concatenate(borders).astype(np.int16) - color.astype(np.int16)).max(axis=1)
    return int(np.clip(2 * np.quantile(noise, PLAIN_FRACTION), LEAST_LEVELS, 2 * PLAIN_LEVELS))


def _narrowed(guess: SceneBox, silhouettes: list[tuple[View, np.ndarray]], nearest: float) -> SceneBox:
    """The cube around the visual hull of the silhouettes; the guess where there is no hull, or one that is much larger.

    Args:
        nearest: distance of the nearest camera from the focus point; the hull is looked for as far as that.
    """
    bounds = hull_bounds(silhouettes, guess.centre, min(nearest, 2.5 * guess.half), MARGIN)
    if bounds is None:
        return guess
    centre, half = bounds
    return SceneBox(centre, half, True, "what the silhouettes leave") if half < guess.half * MAX_HULL_GROWTH else guess
