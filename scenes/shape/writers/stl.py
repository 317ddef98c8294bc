"""STL, binary: triangles and their normals, nothing else."""

from __future__ import annotations

from pathlib import Path

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset


def write_stl(path: Path, asset: Asset) -> None:
    """Write the triangles of a mesh, with the normals of the faces. Raises BadInput where that is not possible."""
    import trimesh
    from trimesh.exchange.stl import export_stl

    mesh = trimesh.Trimesh(asset.vertices, asset.faces, process=False)
    with atomic_write(path) as temporary:
        temporary.write_bytes(export_stl(mesh))
