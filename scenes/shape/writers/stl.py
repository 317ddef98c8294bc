"""STL, binary: triangles and their normals, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write
from scenes.shape.writers.asset import Asset

# Triangles at once: their corners are copied.
CHUNK = 1 << 18


def write_stl(path: Path, asset: Asset) -> None:
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        file.write(b"Field Studio".ljust(80) + np.uint32(len(asset.faces)).tobytes())
        for start in range(0, len(asset.faces), CHUNK):
            corners = asset.vertices[asset.faces[start : start + CHUNK]]
            normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
            rows = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("unused", "<u2")])
            rows["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
            rows["corners"] = corners
            file.write(rows)
