"""Points on the surfaces of a scene, from a file of another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput


def read_points(file: Path, advice: str) -> np.ndarray:
    """The points `[N, 3]` float64 of a point cloud or mesh, without those that are not finite.

    Raises BadInput where the file cannot be read; `advice` says what would help.
    """
    import trimesh

    try:
        loaded = trimesh.load(file, process=False)
        if not isinstance(loaded, (trimesh.Trimesh, trimesh.PointCloud)):
            raise TypeError("neither a mesh nor a point cloud")
        points = np.asarray(loaded.vertices, np.float64).reshape(-1, 3)
    except Exception as error:  # noqa: BLE001  (trimesh raises many types for damaged bytes)
        raise BadInput(f"{file}: is not a point cloud that can be read; {advice}") from error
    return points[np.isfinite(points).all(axis=1)]
