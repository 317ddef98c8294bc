"""Shapes that tests write to files."""

from __future__ import annotations

import numpy as np
import trimesh


def sphere(subdivisions: int = 3, radius: float = 1.0) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions, radius)


def torus() -> trimesh.Trimesh:
    return trimesh.creation.torus(1.0, 0.4, major_sections=48, minor_sections=24)


def open_box() -> trimesh.Trimesh:
    """A box without its lid."""
    box = trimesh.creation.box()
    return trimesh.Trimesh(box.vertices, box.faces[box.face_normals[:, 2] < 0.5], process=False)


def ply(points: np.ndarray, normals: np.ndarray | None = None) -> str:
    """The text of a PLY file of points."""
    names = ["x", "y", "z"] + (["nx", "ny", "nz"] if normals is not None else [])
    table = points if normals is None else np.concatenate([points, normals], axis=1)
    header = [
        "ply",
        "format ascii 1.0",
        f"element vertex {len(points)}",
        *(f"property double {name}" for name in names),
        "end_header",
    ]
    return "\n".join(header + [" ".join(f"{value:.17g}" for value in row) for row in table]) + "\n"
