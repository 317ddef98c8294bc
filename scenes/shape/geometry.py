"""Triangles and points of a shape as a file holds them, in the file's units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scenes.shape.colors import MeshColors, joined_colors


@dataclass
class Mesh:
    """Triangles.

    Attributes:
        vertices: `[V, 3]` float64.
        faces: `[F, 3]` int64.
        colors: of the faces, or None.
        notes: remarks of the reader for the user.
        unit: of the coordinates, such as "m" or "mm"; empty where the file does not say.
        beside: other files that were read, such as textures.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: MeshColors | None = None
    notes: list[str] = field(default_factory=list)
    unit: str = ""
    beside: list[Path] = field(default_factory=list)

    @property
    def points(self) -> np.ndarray:
        """The vertices, under the name that they have in a `Cloud`."""
        return self.vertices


@dataclass
class Cloud:
    """Points.

    Attributes:
        points, normals: `[N, 3]` float64. A normal may be NaN.
        colors: `[N, 3]` float64, sRGB in [0, 1].
        notes, unit, beside: as of a `Mesh`.
    """

    points: np.ndarray
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    unit: str = ""
    beside: list[Path] = field(default_factory=list)


def join_meshes(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several of one file. Those without colours are white where others have some."""
    if len(meshes) == 1:
        return meshes[0]
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    joined = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets)]),
        joined_colors([mesh.colors for mesh in meshes], [len(mesh.faces) for mesh in meshes]),
        list(dict.fromkeys(note for mesh in meshes for note in mesh.notes)),
        meshes[0].unit,
        list(dict.fromkeys(file for mesh in meshes for file in mesh.beside)),
    )
    if joined.colors is not None and any(mesh.colors is None for mesh in meshes):
        joined.notes.append("some bodies have no colours: they are white")
    return joined


def join_clouds(clouds: Sequence[Cloud]) -> Cloud:
    """One cloud of several of one file, with the normals and colours that all of them have."""
    if len(clouds) == 1:
        return clouds[0]
    normals = [cloud.normals for cloud in clouds if cloud.normals is not None]
    colors = [cloud.colors for cloud in clouds if cloud.colors is not None]
    return Cloud(
        np.concatenate([cloud.points for cloud in clouds]),
        np.concatenate(normals) if len(normals) == len(clouds) else None,
        np.concatenate(colors) if len(colors) == len(clouds) else None,
        list(dict.fromkeys(note for cloud in clouds for note in cloud.notes)),
        clouds[0].unit,
        list(dict.fromkeys(file for cloud in clouds for file in cloud.beside)),
    )
