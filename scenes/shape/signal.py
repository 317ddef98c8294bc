"""Shapes as signals: meshes and point clouds, as signed distance, unsigned distance or occupancy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.image.color import to_bytes
from scenes.io.files import file_digest, file_state, input_file
from scenes.sampling import StratifiedSampler
from scenes.shape.base import Surface
from scenes.shape.cache import cached
from scenes.shape.clean import clean_cloud, clean_mesh
from scenes.shape.cloud import CloudSurface
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.orientation import Nested, oriented
from scenes.shape.read import only_shape, read_shape, read_zipped_shape
from scenes.shape.readers.images import looking_in
from scenes.shape.samples import training_points
from scenes.shape.surface import MeshSurface
from scenes.shape.view import preview_image
from scenes.signal import Signal, changed_options

Quantity = Literal["auto", "signed", "unsigned", "occupancy"]
# Space of the channels, and name of the first channel, for each quantity.
SPACES = {
    "signed": ("signed_distance", "distance"),
    "unsigned": ("unsigned_distance", "distance"),
    "occupancy": ("occupancy", "occupancy"),
}
COLORS = ("red", "green", "blue")
# Longest side of the bounding box in unit cubes. It leaves room for the outside, and for samples near the surface.
SIDE = 1 / 1.1
# Training samples, whatever the budget.
MIN_SAMPLES = 1 << 18
MAX_SAMPLES = 1 << 22
# Training samples for each second of the time budget, so that drawing them takes about a tenth of it.
SAMPLES_PER_SECOND = 1 << 16
# Samples of a mesh for each of a cloud: distances to a large one take twice as long, and it has to be prepared.
CLOUD_COST = 8
# Points of a cloud that are used for each second of the time budget, so that preparing them takes about a fifth of it,
# and bounds of their number.
POINTS_PER_SECOND = 2500
FEWEST_POINTS, MAX_POINTS = 10_000, 100_000
# Scale of the weights 1 / (|d| + this) of distances d, in unit cubes: errors count relative to the distance, down to
# here.
NEAR = 0.01
# Keys of the random generators: of training samples, of points in the box, of points on the surface, and of normals.
TRAINING, VOLUME, SURFACE, NORMALS = 0, 1, 2, 3
# Side of the box of `volume_points`, as a multiple of the bounding box.
VOLUME_MARGIN = 1.05
# Longest side of a preview, in pixels.
MAX_PREVIEW = 640
# Version of the samples in the cache. To be increased whenever they change.
VERSION = 5


class Shape(Signal):
    """A mesh or a point cloud in its own unit cube.

    A point `p` of the file is at `(p - lower) / (upper - lower)` of the three axes, all of one length; the longest side
    of the bounding box is 1 / 1.1 of the cube. Distances are in unit cubes and negative inside; occupancy is 1 inside
    and 0 outside. Colours, where the file has them, are those of the nearest point on the surface.

    Attributes:
        surface: the surface in the unit cube.
        box: lower and upper corner `[3]` of the bounding box in the unit cube.
        quantity: "signed", "unsigned" or "occupancy".
        has_colors: whether the values are followed by sRGB colours.
    """

    kind = "shape"

    def __init__(
        self,
        geometry: Mesh | Cloud,
        source: dict[str, Any],
        quantity: Quantity = "auto",
        samples: int | None = None,
        *,
        nested: Nested = "cavities",
        max_points: int = MAX_POINTS,
    ) -> None:
        """Clean the geometry and move it to its unit cube; `open_shape` and `Shape.from_mesh` give the source."""
        name = source["path"]
        self.source = source
        clean: Mesh | Cloud
        if isinstance(geometry, Mesh):
            clean = oriented(clean_mesh(geometry, name), nested)
        else:
            clean = clean_cloud(geometry, name, max_points)
        lower, upper = clean.points.min(axis=0), clean.points.max(axis=0)
        middle, side = (lower + upper) / 2, float((upper - lower).max()) / SIDE
        corner = middle - side / 2
        self.domain = Domain(
            tuple(Axis(axis, float(m - side / 2), float(m + side / 2), clean.unit) for axis, m in zip("xyz", middle))
        )
        self.box = (lower - corner) / side, (upper - corner) / side
        self.surface: Surface
        if isinstance(clean, Mesh):
            clean.vertices = (clean.vertices - corner) / side
            self.surface = MeshSurface(clean)
        else:
            clean.points = (clean.points - corner) / side
            self.surface = CloudSurface(clean, name)
        self.quantity, notes = _decide_quantity(self.surface, quantity)
        self.notes = (*clean.notes, *notes)
        space, first = SPACES[self.quantity]
        self.has_colors = self.surface.has_colors
        self.channels = Channels((first, *COLORS) if self.has_colors else (first,), space)
        self._samples = samples
        self._variant = [nested, max_points]

    @classmethod
    def from_mesh(
        cls, vertices: np.ndarray, faces: np.ndarray, quantity: Quantity = "auto", samples: int | None = None
    ) -> Shape:
        """The signal of a mesh in memory: vertices `[V, 3]`, faces `[F, 3]`."""
        mesh = Mesh(np.array(vertices, np.float64), np.array(faces, np.int64))
        source = {
            "path": "array",
            "bytes": mesh.vertices.nbytes + mesh.faces.nbytes,
            "mtime_ns": 0,
            "sha256": hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes()).hexdigest(),
            "options": {},
        }
        return cls(mesh, source, quantity, samples)

    def drop_colors(self) -> None:
        """Give distances or occupancy alone from now on, where the file has colours too."""
        self.has_colors = False
        self.channels = Channels(self.channels.names[:1], self.channels.space)

    def describe(self) -> str:
        """Size of the geometry and what is fitted, in a few words."""
        if isinstance(self.surface, MeshSurface):
            mesh, kind = self.surface.mesh, "closed" if self.surface.closed else "open"
            size = f"{len(mesh.vertices):,} vertices, {len(mesh.faces):,} faces, {kind}"
        elif isinstance(self.surface, CloudSurface):
            size = f"{len(self.surface.points):,} points"
        else:
            size = "a surface"
        colors = " and colours" if self.has_colors else ""
        return f"{size}, {self.channels.space.replace('_', ' ')}{colors}"

    @property
    def preferred_loss(self) -> str:
        return "l1"

    @property
    def signed(self) -> bool:
        """Whether the values tell inside from outside."""
        return self.quantity != "unsigned"

    def set_budget(self, seconds: float | None, steps: int | None, batch: int) -> None:
        """Decide the number of training samples and record it in `source`, unless that was done before."""
        if self._samples is None:
            wanted = SAMPLES_PER_SECOND * seconds if seconds else batch * (steps or 0)
            samples = min(max(wanted, MIN_SAMPLES), MAX_SAMPLES)
            if isinstance(self.surface, CloudSurface):
                samples /= CLOUD_COST
            self._samples = int(samples)
            self.source = {**self.source, "options": {**self.source["options"], "samples": self._samples}}

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coords `[n, 3]`, values `[n, C]` and the weights of their losses `[n]`, float32 each; see `Signal.batch`.

        The samples are those of `training_points`, every one once an epoch.
        """
        points, values = self._pool
        index = self._sampler.indices(step, count, seed)
        chosen = values.take(index, axis=0)
        return points.take(index, axis=0), chosen, self.weights(chosen)

    def weights(self, values: np.ndarray) -> np.ndarray:
        """Weights `[n]` float32 of the losses of values `[n, C]`: about 1 at the surface, less further away."""
        if self.quantity == "occupancy":
            return np.ones(len(values), np.float32)
        return np.float32(NEAR) / (np.abs(values[:, 0]) + np.float32(NEAR))

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        """Points and values of all training samples."""
        count = self._samples or MAX_SAMPLES
        key = {
            "what": "shape samples",
            "version": VERSION,
            "content": self.source["sha256"],
            "quantity": self.quantity,
            "colors": self.has_colors,
            "variant": self._variant,
            "samples": count,
        }
        arrays = cached(key, lambda: self._draw(count))
        return arrays["points"], arrays["values"]

    def _draw(self, count: int) -> dict[str, np.ndarray]:
        points = training_points(self.surface, count, generator(TRAINING))
        return {"points": points, "values": self.values(points)}

    @cached_property
    def _sampler(self) -> StratifiedSampler:
        return StratifiedSampler(len(self._pool[0]))

    def values(self, points: np.ndarray) -> np.ndarray:
        """The signal's values `[n, C]` float32 at points `[n, 3]` of the unit cube."""
        if self.quantity == "occupancy" and not self.has_colors:
            return self.surface.inside(points).astype(np.float32)[:, None]
        distance, elements, nearest = self.surface.distance(points, self.signed)
        first = distance < 0 if self.quantity == "occupancy" else distance
        values = first.astype(np.float32)[:, None]
        if not self.has_colors:
            return values
        return np.concatenate([values, self.surface.colors(elements, nearest)], axis=1)

    def surface_batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Points on the surface and their normals, `[n, 3]` float32 each, n <= count; as `batch`."""
        points, normals, sampler = self._surface_pool
        index = sampler.indices(step, count, seed)
        return points[index], normals[index]

    @cached_property
    def _surface_pool(self) -> tuple[np.ndarray, np.ndarray, StratifiedSampler]:
        points, normals, _ = self.surface.sample(MIN_SAMPLES, generator(NORMALS))
        return points.astype(np.float32), normals.astype(np.float32), StratifiedSampler(len(points))

    def volume_points(self, count: int) -> np.ndarray:
        """Points `[count, 3]` float32, evenly in the bounding box enlarged by 5 %; no training sample is among them."""
        lower, upper = self.box
        unit = generator(VOLUME).random((count, 3), np.float32) - 0.5
        return (lower + upper) / 2 + unit * (upper - lower).astype(np.float32) * VOLUME_MARGIN

    def surface_points(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Points on the surface, evenly by area, their normals, and their colours or None: `[count, 3]` each."""
        points, normals, elements = self.surface.sample(count, generator(SURFACE))
        return points, normals, self.surface.colors(elements, points) if self.has_colors else None

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The shape from the front and a little above, `[h, w, 3]` uint8 sRGB."""
        return to_bytes(preview_image(self.surface, min(longest_side, MAX_PREVIEW)))


def open_shape(
    path: str | os.PathLike,
    *,
    quantity: Quantity = "auto",
    samples: int | None = None,
    nested: Nested = "cavities",
    max_points: int | None = None,
    seconds: float | None = None,
) -> Shape:
    """The shape in a mesh or a point cloud file, or in the only such file of a folder or a zip.

    Args:
        path: a file of one of `scenes.shape.endings.READERS`, a folder or a zip.
        quantity: what is fitted: "signed" distance, "unsigned" distance or "occupancy". auto: signed where there is an
            inside.
        samples: number of training samples. None: from the time budget.
        nested: what closed shells inside of others are: "cavities", by parity, or "solid".
        max_points: of a cloud of more points, an even selection is taken. None: from `seconds`.
        seconds: time budget of the fit that the shape is opened for. None: unlimited.

    Raises BadInput, one line that says why the file cannot be used.
    """
    folder = Path(path).expanduser()
    file = input_file(only_shape(folder) if folder.is_dir() else path)
    if file.suffix.lower() == ".zip":
        geometry = read_zipped_shape(file)
    else:
        with looking_in(folder if folder.is_dir() else None):
            geometry = read_shape(file)
    source: dict[str, Any] = {"path": str(path), **file_state(file), "sha256": ""}
    source["sha256"] = _digest(file, geometry.beside)
    if max_points is None and isinstance(geometry, Cloud) and len(geometry.points) > (most := _most_points(seconds)):
        max_points = most
    # Without the seconds, so that the shape is opened again with the same points whatever the budget then is.
    source["options"] = changed_options(
        open_shape, quantity=quantity, samples=samples, nested=nested, max_points=max_points
    )
    return Shape(geometry, source, quantity, samples, nested=nested, max_points=max_points or MAX_POINTS)


def _most_points(seconds: float | None) -> int:
    """Points of a cloud that are used in a budget of so many seconds."""
    if seconds is None:
        return MAX_POINTS
    return int(min(max(POINTS_PER_SECOND * seconds, FEWEST_POINTS), MAX_POINTS))


def _digest(file: Path, beside: Sequence[Path]) -> str:
    """SHA-256 of a file, and of those beside it that were read, such as textures and materials."""
    digest = file_digest(file)
    if not beside:
        return digest
    others = sorted({file_digest(other) for other in beside})
    return hashlib.sha256(" ".join([digest, *others]).encode()).hexdigest()


def _decide_quantity(surface: Surface, quantity: Quantity) -> tuple[str, list[str]]:
    """The quantity that is fitted, and notes on it for the user."""
    notes = []
    if isinstance(surface, CloudSurface) and surface.has_estimated_normals:
        notes.append("the points have no normals: estimated and oriented from their neighbours")
    if surface.closed:
        if isinstance(surface, MeshSurface) and not surface.watertight:
            notes.append("not watertight, but with a clear inside: the sign is that of the winding number")
        return "signed" if quantity == "auto" else quantity, notes
    if quantity in ("signed", "occupancy"):
        notes.append("the surface is open: inside is where the winding number is above a half")
        return quantity, notes
    if quantity == "auto":
        edges = f" ({surface.open_edges:,} open edges)" if isinstance(surface, MeshSurface) else ""
        notes.append(
            f"the surface is open{edges} and has no inside: fitted as unsigned distance (change it with "
            "`quantity=signed`)"
        )
    return "unsigned", notes


def generator(stream: int) -> np.random.Generator:
    """The random generator of one of the keys `TRAINING`, `VOLUME`, `SURFACE` and `NORMALS`."""
    return np.random.Generator(np.random.Philox(key=[stream, 0x5A]))
