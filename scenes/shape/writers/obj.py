"""OBJ, with an .mtl file and images beside it, in PNG or JPEG.

The .obj is written last, so that it never names a file that does not exist.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, atomic_write_bytes
from scenes.shape.writers.asset import Asset, TextureFormat, image_bytes, png_bytes
from scenes.shape.writers.offset import digits_for

# Lines that are formatted at once.
CHUNK = 1 << 16


def write_obj(path: Path, asset: Asset, *, texture_format: TextureFormat = "png") -> list[Path]:
    """Write a mesh, and its material and textures beside it. Returns the files beside it.

    Colors without a texture follow the positions of the vertices, as most programs read them. There is no .mtl then,
    as some of those programs prefer a material to such colors. Extras are JSON in a comment.

    Raises BadInput where a file cannot be written, without leaving any, and for WebP, which few readers of OBJ know.
    """
    if texture_format == "webp":
        raise BadInput("`texture_format=webp`: few programs read it beside an .obj file; choose png or jpeg")
    path = Path(path)
    beside = {}
    material = ["# Field Studio", "newmtl material", "Ka 0 0 0", "Ks 0 0 0", "illum 1"]
    if asset.texture is not None:
        image = path.with_suffix(".png" if texture_format == "png" else ".jpg")
        beside[image], _ = image_bytes(asset.texture, texture_format)
        material += ["Kd 1 1 1", f"map_Kd {image.name}"]
    else:
        material += ["Kd 0.84 0.82 0.79"]
    if asset.normal_map is not None:
        image = path.with_name(f"{path.stem}-normals.png")
        beside[image] = png_bytes(asset.normal_map)
        material += [f"norm {image.name}", f"map_Bump {image.name}"]
    vertex_colors = asset.colors if asset.texture is None else None
    if vertex_colors is None:
        beside[path.with_suffix(".mtl")] = ("\n".join(material) + "\n").encode()
    existing = {file for file in beside if file.exists()}
    try:
        for file, content in beside.items():
            atomic_write_bytes(file, content)
        _write(path, asset, vertex_colors)
    except BaseException:
        for file in set(beside) - existing:
            file.unlink(missing_ok=True)
        raise
    return list(beside)


def _write(path: Path, asset: Asset, vertex_colors: np.ndarray | None) -> None:
    vertices = asset.vertices
    if vertex_colors is not None:
        vertices = np.concatenate([vertices, vertex_colors], axis=1)
    corner = asset.faces + 1
    with atomic_write(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.write("# Field Studio\n")
        if asset.extras:
            file.write(f"# {json.dumps({'units': asset.units, **asset.extras})}\n")
        if vertex_colors is None:
            file.write(f"mtllib {path.with_suffix('.mtl').name}\n")
        file.write(f"o {asset.name}\n")
        position = f"%.{digits_for(asset.vertices, 7)}g"
        _write_lines(file, "v " + " ".join([position] * 3 + ["%.4f"] * (vertices.shape[1] - 3)), vertices)
        _write_lines(file, "vn %.4f %.4f %.4f", asset.normals)
        if asset.uv is not None:
            _write_lines(file, "vt %.6f %.6f", asset.uv)
        if vertex_colors is None:
            file.write("usemtl material\n")
        if asset.uv is not None:
            _write_lines(file, "f %d/%d/%d %d/%d/%d %d/%d/%d", np.repeat(corner, 3, axis=1))
        else:
            _write_lines(file, "f %d//%d %d//%d %d//%d", np.repeat(corner, 2, axis=1))


def _write_lines(file: TextIO, pattern: str, rows: np.ndarray) -> None:
    """Write a line for each row `[n, k]`, by a pattern for `%`."""
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        file.write((pattern + "\n") * len(part) % tuple(part.reshape(-1).tolist()))
