"""The surface of a field as triangles: marching cubes (Lorensen and Cline 1987) where there is a surface, and nowhere else."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fields.render.sphere_trace import Distance, in_chunks

# Cells along an axis that share one look at whether a surface is near.
BLOCK = 4


@torch.no_grad()
def isosurface(
    function: Distance, resolution: int, level: float = 0.0, distance: bool = True, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[V, 3]` float64 in [0, 1]^3 and faces `[F, 3]` int64 of `function(points) = level`; both may be empty.

    function: points `[M, 3]` → values `[M]`, rising outwards (faces then look outwards). resolution: cells along an axis.
    Every fourth node is asked first; the rest only in blocks whose corners differ in sign or, where the function is a
    `distance`, are nearer than a block's half diagonal and half as much again; else in the neighbours of those too. Memory is 4
    bytes a node. A closed surface
    comes out closed where it does not leave the cube.
    """
    from skimage.measure import marching_cubes

    blocks = max(1, round(resolution / BLOCK))
    cells = blocks * BLOCK
    nodes = torch.arange(cells + 1, dtype=torch.float64) / cells
    coarse = _lattice(function, nodes[::BLOCK], device) - level
    busy = _busy(coarse, 1.3 / blocks if distance else None)
    if not busy.any():
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    # What is not asked lies far from the surface, so any value of the right sign does there.
    values = coarse[:-1, :-1, :-1].repeat(BLOCK, 0).repeat(BLOCK, 1).repeat(BLOCK, 2)
    values = np.pad(values, (0, 1), mode="edge")
    index = _nodes_of(busy, cells)
    points = torch.from_numpy(np.stack(np.unravel_index(index, values.shape), axis=-1))
    asked = in_chunks(lambda part: function(nodes[part].float().to(device)).cpu(), points)
    values.reshape(-1)[index] = asked.numpy() - level
    mask = np.zeros(values.shape, bool)
    mask.reshape(-1)[index] = True
    if not (values[mask].min() < 0 < values[mask].max()):
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    vertices, faces, _, _ = marching_cubes(values, 0.0, mask=mask, allow_degenerate=False)
    return vertices.astype(np.float64) / cells, faces.astype(np.int64)


def _lattice(function: Distance, axis: Tensor, device) -> np.ndarray:
    """Values `[n, n, n]` float32 where the coordinates are those of `axis`."""
    axis = axis.float()
    planes = []
    for x in axis:
        y, z = torch.meshgrid(axis, axis, indexing="ij")
        points = torch.stack([torch.full_like(y, float(x)), y, z], dim=-1).reshape(-1, 3)
        planes.append(in_chunks(function, points.to(device)).cpu().reshape(len(axis), len(axis)))
    return torch.stack(planes).numpy()


def _busy(coarse: np.ndarray, near: float | None) -> np.ndarray:
    """Blocks `[b, b, b]` that a surface may pass through; where distances do not tell (`near` is None), those that touch one too."""
    b = coarse.shape[0] - 1
    corners = [coarse[x : x + b, y : y + b, z : z + b] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    busy = (low <= 0) & (high >= 0)
    if near is not None:
        return busy | (np.minimum(np.abs(low), np.abs(high)) < near)
    padded = np.pad(busy, 1)
    wide = np.zeros_like(busy)
    for x in range(3):
        for y in range(3):
            for z in range(3):
                wide |= padded[x : x + b, y : y + b, z : z + b]
    return wide


def _nodes_of(busy: np.ndarray, cells: int) -> np.ndarray:
    """Flat numbers of the nodes that belong to the blocks, each once, increasing."""
    n = cells + 1
    chosen = np.zeros((n, n, n), bool)
    inner = busy.repeat(BLOCK, 0).repeat(BLOCK, 1).repeat(BLOCK, 2)
    for x in (0, 1):
        for y in (0, 1):
            for z in (0, 1):
                chosen[x : x + cells, y : y + cells, z : z + cells] |= inner
    return np.flatnonzero(chosen)
