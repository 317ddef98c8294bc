"""Posed photographs as a signal: the colours that rays through a scene have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.io.files import file_digest, file_state
from scenes.posed.box import (
    SceneBox,
    background_levels,
    border_pixels,
    cameras_inside,
    plain_background,
    scene_box,
)
from scenes.posed.camera import Intrinsics
from scenes.posed.conventions import LOOK_AWAY, Convention
from scenes.posed.photographs import Orientation
from scenes.posed.pixels import PixelRays, TrainingPixels
from scenes.posed.point_carving import in_front_of_points
from scenes.posed.read import ReadingOptions, open_posed
from scenes.posed.view import MAX_PIXELS, PosedViews, View, check_size, grouped_notes
from scenes.posed.visual_hull import outside_hull
from scenes.signal import Signal

Background = Literal["white", "black"]
# The value of all channels of a background.
BACKGROUNDS: dict[str, float] = {"white": 1.0, "black": 0.0}
# Cascades of an unbounded scene whose files do not say how many: cubes, each twice as large as the one before.
OUTER_CASCADES = 4


class RadianceScene(Signal):
    """Views of a scene with their cameras.

    The domain is the scene's cube; time is the fourth axis where views have times. Images for training are kept in
    memory as bytes, test views are read when they are asked for.

    Args:
        views: the scene's views, of which at least one is for testing.
        source: what `run.json` records of the source.
        background: what transparent pixels show in images and scores. None: black where the views have a plain dark
            background, else white.
        unbounded: whether the scene goes on around and behind its middle. None: as `scenes.posed.box.scene_box`
            decides.

    Attributes:
        training, test: the views of both splits.
        training_times: `[V]` float32, the times of the views for training; 0 for a view without one.
        has_alpha: whether a pixel of the views for training is transparent.
        moving: whether views have times.
        plain_color: the one colour `[3]` uint8 of the background, or None.
        cascades: number of cubes that the scene fills, each twice as large as the one before around the same centre.
        pixel_size: side of a pixel in the middle of the cube, as a fraction of the cube's side.
        fit_seconds: the budget of the fit, or None.

    Raises BadInput where there is no test view, or an image or a mask cannot be used.
    """

    kind = "radiance"
    channels = Channels(("red", "green", "blue"), "radiance")
    fit_seconds: float | None = None

    def __init__(
        self, views: PosedViews, source: dict, background: Background | None = None, unbounded: bool | None = None
    ) -> None:
        self.source = source
        self.views = views
        self.training, self.test = views.training, views.test
        if not self.test:
            raise BadInput(
                f"{source['path']}: no view is held out for testing; name a folder with a test split, or with 8 views "
                "or more"
            )
        notes: list[str] = []
        images = [view.read_image(notes) for view in self.training]
        masks = [view.read_mask() for view in self.training]
        for view in self.test:
            # A test view that cannot be scored is refused now and not after the fit.
            view.read_image(notes)
            view.read_mask()
        # An alpha channel that is opaque everywhere says nothing.
        self.has_alpha = any(image.shape[-1] == 4 and (image[..., 3] < 255).any() for image in images)
        self.moving = any(view.time is not None for view in views.views)
        self.training_times = np.array([view.time or 0.0 for view in self.training], np.float32)
        borders = [border_pixels(image) for image in images]
        self.plain_color = None if self.has_alpha else plain_background(borders)
        self._levels = 0 if self.plain_color is None else background_levels(borders, self.plain_color)
        if LOOK_AWAY in views.notes and (self.has_alpha or self.plain_color is not None):
            views = _looking_at_object(views)
            self.views, self.training, self.test = views, views.training, views.test
        dark = self.plain_color is not None and self.plain_color.mean() < 128
        self.background = background or ("black" if dark else "white")
        silhouettes = dict(zip(self.training, map(self._silhouette, images)))
        self.box = scene_box(views, None if unbounded is None else not unbounded, silhouettes.get)
        self.unbounded = not self.box.bounded
        self.cascades = (self.box.cascades or OUTER_CASCADES) if self.unbounded else 1
        self.domain = self._domain()
        self._lower, self._side = self.box.lower, 2.0 * self.box.half
        times = self.training_times if self.moving else None
        self._pixels = TrainingPixels(
            self.training, images, masks, times, has_alpha=self.has_alpha, lower=self._lower, side=self._side
        )
        self.notes = (*views.notes, *grouped_notes(notes), *_inside_notes(views, self.box))
        distances = np.array([np.linalg.norm(view.position - self.box.centre) for view in self.training])
        focal = np.array([view.intrinsics.fl_x for view in self.training])
        self.pixel_size = float(np.median(distances / focal)) / self._side

    def _domain(self) -> Domain:
        axes = [
            Axis(name, float(lower), float(upper), "")
            for name, lower, upper in zip("xyz", self.box.lower, self.box.upper)
        ]
        if self.moving:
            axes.append(Axis("t", 0.0, 1.0, "", len(set(self.training_times.tolist()))))
        return Domain(tuple(axes))

    def _silhouette(self, image: np.ndarray) -> np.ndarray | None:
        """The pixels `[H, W]` bool in which an image shows an object; None where that is not known."""
        if self.has_alpha:
            return image[..., 3] > 0 if image.shape[-1] == 4 else None
        if self.plain_color is None:
            return None
        from scipy.ndimage import binary_fill_holes

        difference = np.abs(image[..., :3].astype(np.int16) - self.plain_color.astype(np.int16))
        # What has the background's color within the object belongs to it more often than one sees through it there.
        return np.asarray(binary_fill_holes(difference.max(axis=-1) > self._levels))

    def set_budget(self, seconds: float | None, steps: int | None, batch: int) -> None:
        self.fit_seconds = seconds

    def describe(self) -> str:
        """Number and size of the views, and what is special about them, in a few words."""
        sizes = {(view.intrinsics.width, view.intrinsics.height) for view in self.training}
        size = " x ".join(map(str, next(iter(sizes)))) if len(sizes) == 1 else "several sizes"
        return (
            f"{len(self.training)} views for training and {len(self.test)} for testing, {size}"
            f"{', with alpha' if self.has_alpha else ''}{', moving' if self.moving else ''}"
            f"{', unbounded' if self.unbounded else ''}"
        )

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Origins and directions `[n, 6]` of a step's rays, and their colours `[n, 3]`; see `rays`."""
        rays = self.rays(step, count, seed)
        return np.concatenate([rays.origins, rays.directions], axis=1), rays.colors

    def rays(self, step: int, count: int, seed: int) -> PixelRays:
        """`count` rays through random pixels of the views for training, none of them masked out.

        A pure function of its arguments.
        """
        return self._pixels.rays(step, count, seed)

    def image(self, view: View) -> np.ndarray:
        """The photograph of a view on the scene's background, `[H, W, 3]` float32 sRGB in [0, 1]."""
        pixels = view.read_image().astype(np.float32) / 255.0
        if pixels.shape[-1] == 4:
            alpha = pixels[..., 3:]
            return pixels[..., :3] * alpha + (1.0 - alpha) * BACKGROUNDS[self.background]
        return pixels

    def mask(self, view: View) -> np.ndarray | None:
        """The pixels of a view that count, `[H, W]` bool; None where all do. Raises BadInput where none does."""
        return view.read_mask()

    def empty_cells(self, resolution: int) -> np.ndarray | None:
        """Cells of a grid over the cube in which nothing is or nothing can be learned, `[n, n, n]` bool, x first.

        See `scenes.posed.visual_hull.outside_hull`. None where views have no alpha, or the scene moves.
        """
        if not self.has_alpha or self.moving:
            return None
        return outside_hull(_Silhouettes(self), self._lower, self._side, resolution)

    @property
    def has_silhouettes(self) -> bool:
        """Whether every view for training shows what is an object and what is background, and the scene is still."""
        return (self.has_alpha or self.plain_color is not None) and not self.moving

    def hull_cells(self, resolution: int) -> np.ndarray | None:
        """`empty_cells`, and of views with a plain background too. None without `has_silhouettes`."""
        if not self.has_silhouettes:
            return None
        return outside_hull(_Silhouettes(self), self._lower, self._side, resolution)

    def training_silhouettes(self) -> Iterator[tuple[View, np.ndarray]]:
        """The views for training whose silhouettes are known, and the pixels `[H, W]` bool that show an object."""
        for index, view in enumerate(self.training):
            if self.has_alpha:
                yield view, self._pixels.alpha(index) > 0
                continue
            shape = self._silhouette(self._pixels.image(index))
            if shape is not None:
                yield view, shape

    def cells_in_front(self, among: np.ndarray) -> np.ndarray | None:
        """Cells of a grid over the cube that cameras look through to points on surfaces, `[n, n, n]` bool, x first.

        among: `[n, n, n]` bool, the cells that are looked at.

        None where the scene's files have no such points, or the scene moves.
        """
        points = self.views.points
        if points is None or not len(points) or self.moving:
            return None
        return in_front_of_points(self.training, points, self._lower, self._side, among)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The first test view, `[h, w, 3]` uint8 sRGB."""
        from scenes.image.color import to_bytes

        image = self.image(self.test[0])
        step = -(-max(image.shape[:2]) // longest_side)
        return to_bytes(image[::step, ::step])


class _Silhouettes:
    """The silhouettes of a scene, made anew each time that they are gone through, since all at once are large."""

    def __init__(self, scene: RadianceScene) -> None:
        self.scene = scene

    def __iter__(self) -> Iterator[tuple[View, np.ndarray]]:
        return self.scene.training_silhouettes()


def open_radiance(
    path: str | os.PathLike,
    *,
    background: Background | None = None,
    unbounded: bool | None = None,
    held_out: float | None = None,
    orientation: Orientation | None = None,
    pose_convention: Convention | None = None,
    max_pixels: int = MAX_PIXELS,
) -> RadianceScene:
    """The posed views of a folder, a zip of one, a transforms file, an `.npz` or `procedural:NAME`.

    Args:
        path: the source; see `scenes.posed.read.open_posed`.
        background: what transparent pixels show in images and scores: "white" or "black". None: black where views have
            a plain dark background, else white.
        unbounded: whether the scene goes on around and behind its middle. None: where views have neither alpha nor a
            plain background.
        held_out: fraction of the views that is for testing, evenly spread, whatever the files say.
        orientation: whether poses belong to the photographs' pixels as they are "stored", or turned "upright" by their
            EXIF orientation. None: as the sizes of photographs and cameras tell, else stored.
        pose_convention: of the poses: "opengl", "opencv", "w2c" or "w2c-opencv"; see
            `scenes.posed.read.ReadingOptions`.
        max_pixels: of all views together; larger scenes are refused before they are read.

    Raises BadInput, one line that says why the scene cannot be opened.
    """
    if background is not None and background not in get_args(Background):
        raise BadInput(f"{path}: the background is white or black, not {background}")
    views = open_posed(path, max_pixels, ReadingOptions(orientation, pose_convention))
    check_size(path, len(views.views), sum(view.num_pixels for view in views.views), max_pixels)
    if held_out:
        try:
            views = views.hold_out(held_out)
        except ValueError as error:
            raise BadInput(f"{path}: {error}") from None
    scene = RadianceScene(views, {"path": str(path)}, background, unbounded)
    # Of the poses as they are used: those that are read again in the convention that was found are the same.
    scene.source |= _identity(Path(path), scene.views.views)
    decided = scene.views.convention
    options = {
        "unbounded": unbounded,
        "held_out": held_out,
        "orientation": orientation,
        # Also where it was found, so that other views of the scene are read alike.
        "pose_convention": pose_convention or (None if decided in ("", "opengl") else decided),
        "max_pixels": max_pixels if max_pixels != MAX_PIXELS else None,
    }
    # The background is recorded also where it was found, so that it holds for all that is later made of a run.
    scene.source["options"] = {"background": scene.background} | {
        name: value for name, value in options.items() if value is not None
    }
    return scene


def _looking_at_object(views: PosedViews) -> PosedViews:
    """Views of an object before a plain background, whose cameras look away from it, with the axes turned round.

    A camera in the middle of a room would see no plain background.
    """
    notes = [note for note in views.notes if note != LOOK_AWAY]
    notes.append(
        "the cameras look away from the object unless their axes are OpenCV's, and so they are taken "
        "(`pose_convention=opengl` takes them as they are)"
    )
    turned = tuple(replace(view, pose=view.pose * np.array([1, -1, -1, 1])) for view in views.views)
    return replace(views, views=turned, notes=notes, convention="opencv")


def _inside_notes(views: PosedViews, box: SceneBox) -> list[str]:
    names = cameras_inside(views.views, box)
    if not names:
        return []
    listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return [
        f"{len(names)} of {len(views.views)} cameras stand inside the box of the scene ({listed}); if they look around "
        "and not at an object, set `unbounded`"
    ]


def _identity(path: Path, views: Sequence[View]) -> dict:
    """Size and digest by which a scene is recognised: of its file, or of all cameras and the sizes of all images."""
    if path.is_file() and path.suffix in (".npz", ".zip"):
        return {**file_state(path), "sha256": file_digest(path)}
    digest = hashlib.sha256()
    total = 0
    for view in views:
        size = view.num_bytes
        total += size
        text = f"{view.name} {view.split} {view.time} {_digest_text(view.intrinsics)} {size} "
        digest.update(text.encode() + view.pose.tobytes())
    return {"bytes": total, "mtime_ns": 0, "sha256": digest.hexdigest()}


def _digest_text(intrinsics: Intrinsics) -> str:
    """Intrinsics as they enter the digest of a scene.

    This text must never change, so that older runs recognise their scene.
    """
    return (
        f"Lens(width={intrinsics.width!r}, height={intrinsics.height!r}, fl_x={intrinsics.fl_x!r}, "
        f"fl_y={intrinsics.fl_y!r}, cx={intrinsics.cx!r}, cy={intrinsics.cy!r}, model={intrinsics.model!r}, "
        f"distortion={intrinsics.distortion!r})"
    )
