"""3MF, the format of 3-D printers: triangles in stated units, and colors of vertices.

Written here and not by trimesh, which leaves the colors out, says millimetres whatever the mesh has, and needs lxml.
3MF core specification 1.3; materials and properties extension 1.2 (color groups).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset, srgb_levels
from scenes.shape.writers.offset import digits_for, split_offset

# Lines that are formatted at once.
CHUNK = 1 << 15
# Name of the unit. A file of unknown units is read as millimetres by printers' programs, as other formats are.
UNITS = {"metres": "meter", "source": "millimeter"}
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
# Ids of the resources.
COLORS_ID, MESH_ID = 1, 2
CONTENT_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/>
</Types>
"""
RELATIONS = """<?xml version="1.0" encoding="UTF-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Target="/3D/3dmodel.model" Id="rel0" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
</Relationships>
"""


def write_3mf(path: Path, asset: Asset) -> None:
    """Write a mesh with the sRGB colors of its vertices, exact to 8 bits. Textures and normals are left out.

    Vertices at the same position are written once, so that the seams of charts are closed, as printers need; colors
    belong to the corners of triangles.
    Raises BadInput where the file cannot be written.
    """
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("[Content_Types].xml", CONTENT_TYPES)
        package.writestr("_rels/.rels", RELATIONS)
        with package.open("3D/3dmodel.model", "w") as file:
            for text in _model(asset):
                file.write(text.encode())


def _model(asset: Asset) -> Iterator[str]:
    """The model's XML in parts."""
    local, offset = split_offset(asset.vertices)
    positions, corner = np.unique(local.astype(np.float32), axis=0, return_inverse=True)
    digits = digits_for(asset.vertices, 8)
    positions = positions.astype(np.float64) + offset
    faces = corner.reshape(-1)[asset.faces]
    # Two corners at one place leave no triangle, which the standard forbids.
    whole = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces, asset_faces = faces[whole], asset.faces[whole]
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<model unit="{UNITS[asset.units]}" xml:lang="en-US" '
        f'xmlns="{CORE}" xmlns:m="{MATERIALS}">\n'
        '<metadata name="Application">Field Studio</metadata>\n'
        f'<metadata name="Description">{escape(json.dumps({"units": asset.units, **asset.extras}))}</metadata>\n'
        "<resources>\n"
    )
    colors = asset.colors if asset.texture is None else None
    attributes = f'id="{MESH_ID}" name={quoteattr(asset.name)} type="model"'
    corner_colors = None
    if colors is not None:
        levels, color_index = np.unique(srgb_levels(colors), axis=0, return_inverse=True)
        corner_colors = color_index.reshape(-1)[asset_faces]
        yield f'<m:colorgroup id="{COLORS_ID}">\n'
        yield from _lines('<m:color color="#%02X%02X%02XFF"/>', levels)
        yield "</m:colorgroup>\n"
        attributes += f' pid="{COLORS_ID}" pindex="0"'
    yield f"<object {attributes}>\n<mesh>\n<vertices>\n"
    yield from _lines('<vertex x="%.8g" y="%.8g" z="%.8g"/>'.replace("8", str(digits)), positions)
    yield "</vertices>\n<triangles>\n"
    if corner_colors is None:
        yield from _lines('<triangle v1="%d" v2="%d" v3="%d"/>', faces)
    else:
        pattern = f'<triangle v1="%d" v2="%d" v3="%d" pid="{COLORS_ID}" p1="%d" p2="%d" p3="%d"/>'
        yield from _lines(pattern, np.concatenate([faces, corner_colors], axis=1))
    yield f'</triangles>\n</mesh>\n</object>\n</resources>\n<build>\n<item objectid="{MESH_ID}"/>\n</build>\n</model>\n'


def _lines(pattern: str, rows: np.ndarray) -> Iterator[str]:
    """A line for each row `[n, k]`, by a pattern for `%`."""
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        yield (pattern + "\n") * len(part) % tuple(part.reshape(-1).tolist())
