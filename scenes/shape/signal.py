"""Shapes as signals: meshes and point clouds, as signed distance, unsigned distance or occupancy."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.image.color import to_bytes
from scenes.io.files import file_digest, file_state, input_file
from scenes.sampling import StratifiedSampler
from scenes.shape.cache import cached
from scenes.shape.clean import clean_cloud, clean_mesh
from scenes.shape.cloud import CloudSurface
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.read import only_shape, read_shape
from scenes.shape.samples import training_places
from scenes.shape.surface import MeshSurface
from scenes.shape.view import shaded
from scenes.signal import Signal

Quantity = Literal["auto", "signed", "unsigned", "occupancy"]
# The space of the channels, and the name of the first, for what is fitted.
SPACES = {
    "signed": ("signed_distance", "distance"),
    "unsigned": ("unsigned_distance", "distance"),
    "occupancy": ("occupancy", "occupancy"),
}
COLORS = ("red", "green", "blue")
# The longest side of the bounding box in unit cubes: room around it for what is outside, and for samples near the surface.
SIDE = 1 / 1.1
MIN_SAMPLES, MAX_SAMPLES = 1 << 18, 1 << 22
# Samples a second of the time budget, so that drawing them takes about a tenth of it.
SAMPLES_A_SECOND = 1 << 16
# A distance to a cloud takes about so many times as long as one to a mesh.
CLOUD_COST = 8
# A distance d is weighed 1 / (|d| + this), in unit cubes: errors count relative to the distance, down to here.
NEAR = 0.01
# Streams of the generator: two for training, two for the metrics.
TRAINING, VOLUME, SURFACE, NORMALS = 0, 1, 2, 3
VERSION = 2


class Shape(Signal):
    """A mesh or a point cloud, in its own unit cube.

    A place `p` of the file is at `(p - lower) / (upper - lower)` of the three axes, all of one length; the longest side
    of the bounding box is 1 / 1.1 of the cube. Distances are in unit cubes and negative inside; occupancy is 1 inside
    and 0 outside. Colours, where the file has them, are those of the nearest place on the surface.

    `surface` answers what a sample's value is; `quantity` is "signed", "unsigned" or "occupancy".
    """

    kind = "shape"

    def __init__(
        self, geometry: Mesh | Cloud, source: dict, quantity: Quantity = "auto", samples: int | None = None
    ) -> None:
        """Use `open_shape` or `Shape.from_mesh`."""
        name = source["path"]
        self.source = source
        clean = clean_mesh(geometry, name) if isinstance(geometry, Mesh) else clean_cloud(geometry, name)
        lower, upper = clean.points.min(axis=0), clean.points.max(axis=0)
        middle, side = (lower + upper) / 2, float((upper - lower).max()) / SIDE
        self.domain = Domain(
            tuple(Axis(axis, float(m - side / 2), float(m + side / 2), "") for axis, m in zip("xyz", middle))
        )
        self._corner, self._side = middle - side / 2, side
        self.box = (lower - self._corner) / side, (upper - self._corner) / side
        if isinstance(clean, Mesh):
            clean.vertices = (clean.vertices - self._corner) / side
            self.surface = MeshSurface(clean)
        else:
            clean.points = (clean.points - self._corner) / side
            self.surface = CloudSurface(clean, name)
        self.quantity, notes = _decide(self.surface, quantity)
        self.notes = (*clean.notes, *notes)
        space, first = SPACES[self.quantity]
        self.painted = self.surface.paint is not None
        self.channels = Channels((first, *COLORS) if self.painted else (first,), space)
        self._samples = samples

    @classmethod
    def from_mesh(
        cls, vertices: np.ndarray, faces: np.ndarray, quantity: Quantity = "auto", samples: int | None = None
    ) -> Shape:
        """The signal of a mesh `[V, 3]`, `[F, 3]` in memory."""
        import hashlib

        mesh = Mesh(np.array(vertices, np.float64), np.array(faces, np.int64))
        digest = hashlib.sha256(mesh.vertices.tobytes() + mesh.faces.tobytes()).hexdigest()
        return cls(
            mesh,
            {
                "path": "array",
                "bytes": mesh.vertices.nbytes + mesh.faces.nbytes,
                "mtime_ns": 0,
                "sha256": digest,
                "options": {},
            },
            quantity,
            samples,
        )

    def describe(self) -> str:
        if isinstance(self.surface, MeshSurface):
            mesh = self.surface.mesh
            what = f"{len(mesh.vertices):,} vertices, {len(mesh.faces):,} faces, {'closed' if self.surface.closed else 'open'}"
        else:
            what = f"{len(self.surface.points):,} points"
        colors = " and colours" if self.painted else ""
        return f"{what}, {self.channels.space.replace('_', ' ')}{colors}"

    @property
    def preferred_loss(self) -> str:
        return "l1"

    @property
    def signed(self) -> bool:
        return self.quantity != "unsigned"

    def set_budget(self, seconds: float | None, steps: int | None, batch: int) -> None:
        """Decides how many samples are drawn, from the budget, and records it; nothing where it was decided before."""
        if self._samples is None:
            wanted = SAMPLES_A_SECOND * seconds if seconds else batch * steps
            samples = min(max(wanted, MIN_SAMPLES), MAX_SAMPLES)
            if isinstance(self.surface, CloudSurface):
                samples /= CLOUD_COST
            self._samples = int(samples)
            self.source = {**self.source, "options": {**self.source["options"], "samples": self._samples}}

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coords `[n, 3]`, values `[n, C]` and the weights of their losses `[n]`; see `Signal.batch`.

        The samples are those of `training_places`, every one once an epoch.
        """
        places, values = self._pool
        index = self._sampler.indices(step, count, seed)
        chosen = values.take(index, axis=0)
        return places.take(index, axis=0), chosen, self.weights(chosen)

    def weights(self, values: np.ndarray) -> np.ndarray:
        """What the losses of values `[n, C]` are multiplied with, `[n]`: about 1 at the surface, less further away."""
        if self.quantity == "occupancy":
            return np.ones(len(values), np.float32)
        return np.float32(NEAR) / (np.abs(values[:, 0]) + np.float32(NEAR))

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        count = self._samples or MAX_SAMPLES
        key = {
            "what": "shape samples",
            "version": VERSION,
            "content": self.source["sha256"],
            "quantity": self.quantity,
            "painted": self.painted,
            "samples": count,
        }
        arrays = cached(key, lambda: self._draw(count))
        return arrays["places"], arrays["values"]

    def _draw(self, count: int) -> dict[str, np.ndarray]:
        places = training_places(self.surface, count, generator(TRAINING))
        return {"places": places, "values": self.values(places)}

    @cached_property
    def _sampler(self) -> StratifiedSampler:
        return StratifiedSampler(len(self._pool[0]))

    def values(self, places: np.ndarray) -> np.ndarray:
        """The signal's values `[n, C]` float32 at places `[n, 3]` of the unit cube."""
        if self.quantity == "occupancy" and not self.painted:
            return self.surface.inside(places).astype(np.float32)[:, None]
        distance, faces, nearest = self.surface.distance(places, self.signed)
        first = distance < 0 if self.quantity == "occupancy" else distance
        values = first.astype(np.float32)[:, None]
        return np.concatenate([values, self.surface.colors(faces, nearest)], axis=1) if self.painted else values

    def surface_batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Places on the surface and their normals, `[n, 3]` float32 each, n <= count; as `batch`."""
        places, normals, sampler = self._surface_pool
        index = sampler.indices(step, count, seed)
        return places[index], normals[index]

    @cached_property
    def _surface_pool(self) -> tuple[np.ndarray, np.ndarray, StratifiedSampler]:
        places, normals, _, _ = self.surface.sample(MIN_SAMPLES, generator(NORMALS))
        return places.astype(np.float32), normals.astype(np.float32), StratifiedSampler(len(places))

    def volume_points(self, count: int) -> np.ndarray:
        """Places `[count, 3]` float32, evenly in the bounding box enlarged by 5 %; none of them was trained on."""
        lower, upper = self.box
        return (lower + upper) / 2 + (generator(VOLUME).random((count, 3), np.float32) - 0.5) * (upper - lower).astype(
            np.float32
        ) * 1.05

    def surface_points(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Places on the surface, evenly by area, their normals, and their colours if there are any, `[count, 3]` each."""
        places, normals, faces, _ = self.surface.sample(count, generator(SURFACE))
        return places, normals, self.surface.colors(faces, places) if self.painted else None

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The shape from the front and a little above, `[h, w, 3]` uint8."""
        return to_bytes(shaded(self.surface, min(longest_side, 640)))


def open_shape(path: str | os.PathLike, *, quantity: Quantity = "auto", samples: int | None = None) -> Shape:
    """The shape in an OBJ, PLY, STL, GLB, glTF or OFF file, a point cloud in a PLY or XYZ file, or the only such file of a folder.

    quantity  what is fitted: "signed" distance, "unsigned" distance or "occupancy"; auto: signed where there is an inside
    samples   how many training samples are drawn; None: from the time budget

    Raises BadInput with one line for whatever makes that impossible.
    """
    folder = Path(path).expanduser()
    file = input_file(only_shape(folder) if folder.is_dir() else path)
    source = {"path": str(path), **file_state(file), "sha256": file_digest(file)}
    options = {"quantity": quantity, "samples": samples}
    source["options"] = {name: value for name, value in options.items() if value not in (None, "auto")}
    return Shape(read_shape(file), source, quantity, samples)


def _decide(surface: MeshSurface | CloudSurface, quantity: Quantity) -> tuple[str, list[str]]:
    """What is fitted, and what the user should know about it."""
    notes = []
    if isinstance(surface, CloudSurface) and surface.estimated:
        notes.append("the points have no normals: estimated and oriented by open3d")
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
            f"the surface is open{edges} and has no inside: fitted as unsigned distance (--quantity signed overrules)"
        )
    return "unsigned", notes


def generator(stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[stream, 0x5A]))
