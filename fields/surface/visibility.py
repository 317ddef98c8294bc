"""Which faces of a mesh cameras see, by drawing the mesh from each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fields.ops.rasterise import rasterise
from fields.render.mesh_projection import project_vertices
from fields.surface.extract import ProgressCallback, no_progress
from scenes.posed.camera import Camera

# Cameras that are drawn from; of more, an even selection.
MAX_VIEWS = 64
# Pixels of a drawn image, at most.
MAX_PIXELS = 1 << 20
# Rings of faces kept around those that are seen: a pixel sees one face, and those beside it may be smaller.
RINGS = 3


def seen_faces(
    vertices: np.ndarray,
    faces: np.ndarray,
    cameras: Sequence[Camera],
    cell: float,
    *,
    rings: int = RINGS,
    progress: ProgressCallback = no_progress,
) -> np.ndarray:
    """Whether any camera sees each face, or one at most `rings` faces away from it, `[F]` bool.

    vertices: `[V, 3]` in units of the cameras' scene; faces: `[F, 3]`. cell: usual length of an edge. Images are drawn
        so large that a pixel is about as long, whatever the size of the photographs.

    Both sides of a face count, and other faces hide it from either.
    """
    found = np.zeros(len(faces), bool)
    triangles = torch.from_numpy(np.ascontiguousarray(faces, np.int64))
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), MAX_VIEWS)).astype(int)) if cameras else []
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2 if len(vertices) else np.zeros(3)
    for number, index in enumerate(chosen):
        camera = _sized(cameras[index], middle, cell)
        positions = torch.from_numpy(project_vertices(camera, vertices))
        seen = rasterise(positions, triangles, camera.intrinsics.height, camera.intrinsics.width).triangles.numpy()
        # The background is -1, which as an index would be the last face.
        found[np.unique(seen[seen >= 0])] = True
        progress((number + 1) / len(chosen))
    return grown(faces, found, rings)


def grown(faces: np.ndarray, chosen: np.ndarray, rings: int) -> np.ndarray:
    """The chosen faces `[F]` bool and those at most `rings` faces away; faces that share a vertex are neighbours."""
    for _ in range(rings):
        touched = np.zeros(int(faces.max(initial=-1)) + 1, bool)
        touched[faces[chosen]] = True
        chosen = np.asarray(touched[faces].any(axis=1))
    return chosen


def _sized(camera: Camera, middle: np.ndarray, cell: float) -> Camera:
    """The camera with an image in which `cell` is about a pixel long at the point `middle`, `[3]`."""
    given = camera.intrinsics
    distance = float(np.linalg.norm(middle - camera.position))
    scale = min(distance / (cell * given.fl_x), (MAX_PIXELS / camera.num_pixels) ** 0.5)
    return camera.resized(max(1, round(given.width * scale)), max(1, round(given.height * scale)))
