"""STL, binary: triangles and their normals, nothing else. The header has the offset of a mesh far from the origin."""

from __future__ import annotations

from pathlib import Path

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.offset import offset_text, split_offset

HEADER_BYTES = 80


def write_stl(path: Path, asset: Asset) -> None:
    """Write the triangles of a mesh, with the normals of the faces. Raises BadInput where that is not possible."""
    import trimesh
    from trimesh.exchange.stl import export_stl

    vertices, offset = split_offset(asset.vertices)
    content = export_stl(trimesh.Trimesh(vertices, asset.faces, process=False))
    if offset.any():
        header = f"Field Studio, {offset_text(offset)}".encode("ascii")
        content = header.ljust(HEADER_BYTES) + content[HEADER_BYTES:]
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
