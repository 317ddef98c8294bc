"""STL files, in text and binary, through trimesh."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.shape.geometry import Mesh
from scenes.shape.writers.offset import read_offset

HEADER_BYTES = 84


def read(path: Path) -> Mesh:
    """The triangles of an STL file. Raises BadInput where it is damaged."""
    import trimesh

    content = path.read_bytes()
    announced = int.from_bytes(content[80:84], "little")
    binary = len(content) >= HEADER_BYTES and len(content) >= HEADER_BYTES + 50 * announced > HEADER_BYTES
    if binary:
        # Programs append what other programs do not expect; trimesh wants the exact size.
        content = content[: HEADER_BYTES + 50 * announced]
    elif not _is_text(content):
        raise BadInput(f"{path}: announces {announced} triangles and is cut short: export it again")
    elif b"endsolid" not in content.lower() or b"facet" not in content.lower():
        raise BadInput(f"{path}: has no whole solid; it may be cut short: export it again")
    loaded: Any = trimesh.load(
        trimesh.util.wrap_as_stream(content),
        file_type="stl" if binary else "stl_ascii",
        process=False,
        force="mesh",
    )
    vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
    if not len(faces):
        raise BadInput(f"{path}: holds no geometry; it may be cut short: export it again")
    offset = read_offset(content[:80]) if binary else None
    return Mesh(vertices if offset is None else vertices + offset, faces)


def _is_text(content: bytes) -> bool:
    """Whether the beginning has printable characters only, and a facet."""
    head = content[:1024]
    return bool(re.match(rb"\s*solid", head, re.IGNORECASE)) and not re.search(rb"[\x00-\x08\x0e-\x1f]", head)
