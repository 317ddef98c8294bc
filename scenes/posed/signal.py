"""Posed photographs as a signal: the colours that rays through a scene have."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.image.read import read_image
from scenes.io.files import file_digest, file_state
from scenes.posed.box import PLAIN_LEVELS, SceneBox, border, plain_background, scene_box, standing_within
from scenes.posed.rays import directions_of, pixels_of, rays_of
from scenes.posed.read import open_posed
from scenes.posed.view import MAX_PIXELS, Intrinsics, PosedViews, View, check_size
from scenes.sampling import philox, true_indices
from scenes.signal import Signal

Backdrop = Literal["white", "black"]
BACKDROPS = {"white": 1.0, "black": 0.0}
# How far a scene around the cameras goes where its files do not say: so many doublings of the cube.
OUTER_LEVELS = 4


@dataclass(frozen=True)
class Rays:
    """N rays in the unit cube's coordinates (a length of 1 is its side), and what they saw.

    origins, directions `[N, 3]` float32, directions of unit length; colors `[N, 3]` float32 in [0, 1], straight; alpha `[N, 1]` or
    None where views have none; times `[N]` float32 or None; views `[N]` int64: whose pixel each is, among the views for training.
    """

    origins: np.ndarray
    directions: np.ndarray
    colors: np.ndarray
    alpha: np.ndarray | None
    times: np.ndarray | None
    views: np.ndarray


class RadianceScene(Signal):
    """Views of a scene with their cameras. Coordinates of its field are those of a cube (`domain`); time, where views have one, is
    the fourth.

    Pictures stay bytes, those for training one after another; views for testing are read when they are asked for.
    `levels`: how many cubes the scene fills, each twice as large as the one before around the same centre.
    """

    kind = "radiance"
    channels = Channels(("red", "green", "blue"), "radiance")

    def __init__(
        self, views: PosedViews, source: dict, backdrop: Backdrop | None = None, unbounded: bool | None = None
    ) -> None:
        self.source = source
        self.views = views
        self.training, self.test = views.of("train"), views.of("test")
        if not self.test:
            raise BadInput(
                f"{source['path']}: no view is held out for testing; name a folder with a test split, or with 8 views or more"
            )
        pictures = [view.read() for view in self.training]
        # Alpha that is full everywhere says nothing.
        self.has_alpha = any(p.shape[-1] == 4 and (p[..., 3] < 255).any() for p in pictures)
        self.moving = any(view.time is not None for view in views.views)
        depth = 4 if self.has_alpha else 3
        self._pixels = np.concatenate([_channels(p, depth).reshape(-1, depth) for p in pictures])
        self._counts = np.array([view.intrinsics.width * view.intrinsics.height for view in self.training])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self._poses = np.stack([view.pose for view in self.training])
        self.training_times = np.array([view.time or 0.0 for view in self.training], np.float32)
        self._lenses: list[Intrinsics] = list(dict.fromkeys(view.intrinsics for view in self.training))
        self._directions = [_directions(intrinsics) for intrinsics in self._lenses]
        self._intrinsics_of = np.array([self._lenses.index(view.intrinsics) for view in self.training])
        masks = [self.mask(view) for view in self.training]
        self._usable = (
            None
            if all(m is None for m in masks)
            else true_indices(
                np.concatenate([np.ones(n, bool) if m is None else m.reshape(-1) for m, n in zip(masks, self._counts)])
            )
        )
        for view in self.test:
            # What cannot be scored is told now and not after the fit.
            view.read(), self.mask(view)
        if not self.has_alpha:
            # What is before one plain colour is all there is.
            plain = plain_background([border(p) for p in pictures])
            self.plain = plain
        else:
            self.plain = None
        self.backdrop = backdrop or ("black" if self.plain is not None and self.plain.mean() < 128 else "white")
        shapes = {id(view): self._shape(p) for view, p in zip(self.training, pictures)}
        self.box = scene_box(views, None if unbounded is None else not unbounded, lambda view: shapes.get(id(view)))
        self.unbounded = not self.box.bounded
        self.levels = (self.box.levels or OUTER_LEVELS) if self.unbounded else 1
        centre, half = self.box.centre, self.box.half
        axes = [Axis(name, float(c - half), float(c + half), "") for name, c in zip("xyz", centre)]
        if self.moving:
            axes.append(Axis("t", 0.0, 1.0, "", len(set(self.training_times.tolist()))))
        self.domain = Domain(tuple(axes))
        self._lower, self._side = centre - half, 2.0 * half
        self.notes = (*views.notes, *_inside_notes(views, self.box))
        distances = np.linalg.norm(self._poses[:, :, 3] - centre, axis=1)
        focal = np.array([view.intrinsics.fl_x for view in self.training])
        # How large a pixel is in the middle of the cube, in sides of it.
        self.pixel = float(np.median(distances / focal)) / self._side

    def _shape(self, picture: np.ndarray) -> np.ndarray | None:
        """Where a picture shows something, `[H, W]` bool; None where that cannot be told."""
        if self.has_alpha:
            return picture[..., 3] > 0 if picture.shape[-1] == 4 else None
        if self.plain is None:
            return None
        return np.abs(picture[..., :3].astype(np.int16) - self.plain.astype(np.int16)).max(axis=-1) > 2 * PLAIN_LEVELS

    def describe(self) -> str:
        sizes = {(view.intrinsics.width, view.intrinsics.height) for view in self.training}
        size = " x ".join(map(str, next(iter(sizes)))) if len(sizes) == 1 else "several sizes"
        return (
            f"{len(self.training)} views for training and {len(self.test)} for testing, {size}"
            f"{', with alpha' if self.has_alpha else ''}{', moving' if self.moving else ''}"
            f"{', unbounded' if self.unbounded else ''}"
        )

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rays = self.rays(step, count, seed)
        return np.concatenate([rays.origins, rays.directions], axis=1), rays.colors

    def rays(self, step: int, count: int, seed: int) -> Rays:
        """`count` rays through random pixels, none masked out, of the views for training; a pure function of its arguments."""
        random = philox(seed, step).random_raw(count)
        among = len(self._pixels) if self._usable is None else len(self._usable)
        pixel = ((random >> np.uint64(11)).astype(np.float64) * 2.0**-53 * among).astype(np.int64)
        if self._usable is not None:
            pixel = self._usable[pixel].astype(np.int64)
        view = np.searchsorted(self._starts, pixel, side="right") - 1
        directions = np.empty((len(pixel), 3), np.float32)
        within = pixel - self._starts[view]
        for intrinsics, table in enumerate(self._directions):
            some = slice(None) if len(self._lenses) == 1 else self._intrinsics_of[view] == intrinsics
            directions[some] = table[within[some]]
        poses = self._cube_poses[view]
        seen = self._pixels[pixel]
        return Rays(
            poses[:, :, 3],
            np.matmul(poses[:, :, :3], directions[:, :, None])[:, :, 0],
            seen[:, :3].astype(np.float32) / 255.0,
            seen[:, 3:].astype(np.float32) / 255.0 if self.has_alpha else None,
            self.training_times[view] if self.moving else None,
            view,
        )

    @property
    def _cube_poses(self) -> np.ndarray:
        if not hasattr(self, "_kept_poses"):
            poses = self._poses.copy()
            poses[:, :, 3] = (poses[:, :, 3] - self._lower) / self._side
            self._kept_poses = poses.astype(np.float32)
        return self._kept_poses

    def rays_of(self, view: View, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Origins and directions `[N, 3]` float64 in the scene's axes, of every `stride`-th pixel along both sides, row by row."""
        y, x = np.mgrid[0 : view.intrinsics.height : stride, 0 : view.intrinsics.width : stride]
        return rays_of(view, x.reshape(-1) + 0.5, y.reshape(-1) + 0.5)

    def picture(self, view: View) -> np.ndarray:
        """What a view shows on the stated background, `[H, W, 3]` float32."""
        pixels = view.read().astype(np.float32) / 255.0
        if pixels.shape[-1] == 4:
            alpha = pixels[..., 3:]
            return pixels[..., :3] * alpha + (1.0 - alpha) * BACKDROPS[self.backdrop]
        return pixels

    def mask(self, view: View) -> np.ndarray | None:
        """The pixels of a view that count, `[H, W]` bool; None where all do. BadInput where none does."""
        if view.mask is None:
            return None
        pixels = read_image(view.mask).pixels
        if pixels.shape[:2] != (view.intrinsics.height, view.intrinsics.width):
            raise BadInput(
                f"{view.mask}: the mask is {pixels.shape[1]} x {pixels.shape[0]}, its picture {view.intrinsics.width} x {view.intrinsics.height}"
            )
        counts = pixels[..., 0] > np.iinfo(pixels.dtype).max // 2
        if not counts.any():
            raise BadInput(
                f"{view.mask}: masks out all of its picture; make it white where the picture counts, or leave the view out"
            )
        return counts

    def empty(self, resolution: int) -> np.ndarray | None:
        """Cells of a grid over the cube `[n, n, n]` bool, x first, in which there is nothing as some view sees only transparency there,
        or in which nothing can be learned as no view has them in its picture. None where views have no alpha, or the scene moves.
        """
        if not self.has_alpha or self.moving:
            return None
        n = resolution
        axis = (np.arange(n) + 0.5) / n * self._side
        left = np.stack(np.meshgrid(*(axis + low for low in self._lower), indexing="ij"), axis=-1).reshape(-1, 3)
        places, ever = np.arange(n**3), np.zeros(n**3, bool)
        radius = 0.5 * 3**0.5 * self._side / n
        for index, view in enumerate(self.training):
            x, y, depth = pixels_of(view, left)
            intrinsics = view.intrinsics
            inside = (depth > radius) & (x >= 0) & (y >= 0) & (x < intrinsics.width) & (y < intrinsics.height)
            nearest = float(depth[inside].min()) if inside.any() else 1.0
            reach = int(np.ceil(radius * max(intrinsics.fl_x, intrinsics.fl_y) / nearest))
            alpha = self._pixels[self._starts[index] : self._starts[index + 1], 3].reshape(
                intrinsics.height, intrinsics.width
            )
            solid = _grown(alpha > 0, reach)
            column, row = (np.where(inside, at, 0).astype(np.int64) for at in (x, y))
            keep = ~inside | solid[row, column]
            places, left, ever = places[keep], left[keep], (ever | inside)[keep]
        empty = np.ones(n**3, bool)
        empty[places[ever]] = False
        return empty.reshape(n, n, n)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The first view for testing."""
        from scenes.image.color import to_bytes

        picture = self.picture(self.test[0])
        step = -(-max(picture.shape[:2]) // longest_side)
        return to_bytes(picture[::step, ::step])


def open_radiance(
    path: str | os.PathLike,
    *,
    backdrop: Backdrop | None = None,
    unbounded: bool | None = None,
    held_out: float | None = None,
    max_pixels: int = MAX_PIXELS,
) -> RadianceScene:
    """The posed views of a folder, a zip of one, a transforms file, an `.npz` or `procedural:NAME` (`scenes.posed`).

    backdrop   what transparent pixels show in pictures and scores: "white" or "black"; None: black where views have a plain dark
               background, else white
    unbounded  whether the scene goes on around and behind its middle; None: where views have neither alpha nor a plain background
    held_out   this share of the views is for testing, evenly spread, whatever the files say
    max_pixels of all views together; larger scenes are refused unread

    Raises BadInput with one line for whatever makes that impossible.
    """
    if backdrop is not None and backdrop not in BACKDROPS:
        raise BadInput(f"{path}: the background is white or black, not {backdrop}")
    views = open_posed(path, max_pixels)
    check_size(
        path, len(views.views), sum(view.intrinsics.width * view.intrinsics.height for view in views.views), max_pixels
    )
    if held_out:
        try:
            views = views.held_out(held_out)
        except ValueError as error:
            raise BadInput(f"{path}: {error}") from None
    options = {
        "unbounded": unbounded,
        "held_out": held_out,
        "max_pixels": max_pixels if max_pixels != MAX_PIXELS else None,
    }
    scene = RadianceScene(views, {"path": str(path), **_identity(Path(path), views)}, backdrop, unbounded)
    # (what was found of the background holds for all that is later made of a run)
    scene.source["options"] = {"backdrop": scene.backdrop} | {
        name: value for name, value in options.items() if value is not None
    }
    return scene


def _inside_notes(views: PosedViews, box: SceneBox) -> list[str]:
    names = standing_within(views, box)
    if not names:
        return []
    return [
        f"{len(names)} of {len(views.views)} cameras stand inside the box of the scene ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}); "
        "if they look around and not at an object: --unbounded"
    ]


def _identity(path: Path, views: PosedViews) -> dict:
    """What tells whether the scene is still the same: the digest of the file, or of all cameras and the sizes of all pictures."""
    if path.is_file() and path.suffix in (".npz", ".zip"):
        return {**file_state(path), "sha256": file_digest(path)}
    digest = hashlib.sha256()
    total = 0
    for view in views.views:
        size = view.picture.stat().st_size if view.picture else view.pixels.nbytes
        total += size
        digest.update(f"{view.name} {view.split} {view.time} {view.intrinsics} {size} ".encode() + view.pose.tobytes())
    return {"bytes": total, "mtime_ns": 0, "sha256": digest.hexdigest()}


def _directions(intrinsics: Intrinsics) -> np.ndarray:
    """Unit directions `[H * W, 3]` float32 in the camera's axes, of all pixels."""
    y, x = np.mgrid[0 : intrinsics.height, 0 : intrinsics.width]
    return directions_of(intrinsics, x.reshape(-1) + 0.5, y.reshape(-1) + 0.5).astype(np.float32)


def _channels(picture: np.ndarray, depth: int) -> np.ndarray:
    if picture.shape[-1] == depth:
        return picture
    if depth == 3:
        return picture[..., :3]
    return np.concatenate([picture, np.full_like(picture[..., :1], 255)], axis=-1)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """True within `reach` pixels of a True, along both sides."""
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, size=2 * reach + 1, mode="constant")
