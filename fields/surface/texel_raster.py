"""Find which triangle of a texture's layout covers each texel, and which triangles lie over others."""

from __future__ import annotations

import numpy as np
import torch

from fields.ops.rasterise import Raster, rasterise


def rasterize(uv: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the texels whose center a triangle covers, in a square of `size` texels.

    uv: corners `[V, 2]` in [0, 1]; faces: `[F, 3]`.

    Returns flat indices of the texels `[n]` with row 0 at the top, the triangle of each `[n]`, and the barycentric
    weights of its center `[n, 3]`. A texel appears once; where triangles overlap, the first one wins.
    """
    raster = _raster(uv, faces, np.ones(len(uv)), size)
    triangles = raster.triangles.numpy().reshape(-1)
    texels = np.flatnonzero(triangles >= 0)
    first = raster.weights.numpy().reshape(-1, 2)[texels].astype(np.float64)
    return texels, triangles[texels].astype(np.int64), np.column_stack([first, 1 - first.sum(axis=1)])


def overlapping_faces(uv: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """Triangles that lie over earlier ones at a texel's center, increasing indices `[k]`.

    The arguments are those of `rasterize`. Without these triangles no texel is covered twice. Layers are peeled off
    from above: of two images, in one the first triangle of a texel is visible, in the other the last.
    """
    kept = np.arange(len(faces))
    while True:
        corners = uv[faces[kept]].reshape(-1, 2)
        alone = np.arange(len(corners)).reshape(-1, 3)
        depth = np.repeat(np.arange(1, len(kept) + 1, dtype=np.float64), 3)
        first = _raster(corners, alone, depth, size).triangles
        last = _raster(corners, alone, len(kept) + 1 - depth, size).triangles
        over = torch.unique(last[last != first]).numpy()
        if not len(over):
            break
        kept = np.delete(kept, over)
    return np.setdiff1d(np.arange(len(faces)), kept)


def _raster(uv: np.ndarray, faces: np.ndarray, depth: np.ndarray, size: int) -> Raster:
    positions = np.column_stack([uv[:, 0] * size, (1 - uv[:, 1]) * size, depth])
    return rasterise(torch.from_numpy(positions).float(), torch.from_numpy(faces), size, size)
