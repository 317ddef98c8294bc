"""Fuse depth maps into a truncated signed distance function (Curless and Levoy 1996) and mesh its zero set.

Only voxels near a depth are kept. A cube of eight voxels makes triangles where each of the eight was seen, so that
nothing is invented where no camera looked: the mesh is open there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from fields.surface.depth_maps import DepthMap
from fields.surface.extract import Triangles
from fields.surface.lattice import Lattice
from fields.surface.marching_cubes_table import CORNERS, marching_cubes_table

# Distance at which values are cut off, in voxels: thinner parts vanish below twice that, noise makes holes above it.
TRUNCATION = 4.0
# Jump of depth between neighbouring pixels, in truncations, beyond which neither has a reliable depth.
EDGE_JUMP = 3.0
# Weight of a ray that meets nothing, beside a depth that is seen head-on and sharp, which counts 1.
EMPTY_WEIGHT = 0.5
# Least cosine between a ray and the normal: beyond about 84 degrees the normals of depth maps are noise.
MIN_COSINE = 0.1
# Voxels that are processed at once, so that they stay in the cache.
CHUNK = 1 << 18
# Depths closer to the camera, in sides of the cube, are not used.
NEAR = 1e-3


class TSDF:
    """Truncated signed distances, negative inside, at the nodes of a lattice in units of the field's cube.

    lattice: nodes; its outer layer is not used.
    maps: depth maps, in any order. The voxels to keep are found from all of them before any is fused.
    truncation: in voxels.

    Attributes:
        index: indices `[M, 3]` int16 of the nodes that are kept.
        values: mean signed distance `[M]` float32 in truncations, from -1 to 1.
        weights: sum of weights `[M]` float32; 0 where nothing was seen.
    """

    def __init__(self, lattice: Lattice, points: Sequence[Tensor], truncation: float = TRUNCATION) -> None:
        self.lattice = lattice
        self.truncation = truncation * lattice.cell
        self.shape = tuple(int(count) + 1 for count in lattice.counts)
        self.index = self._near(points, int(np.ceil(truncation)))
        lower, spacing = (torch.from_numpy(part) for part in (lattice.lower, lattice.spacing))
        self.positions = (lower + self.index.double() * spacing).float()
        self.values = torch.zeros(len(self.index))
        self.weights = torch.zeros(len(self.index))

    def _near(self, points: Sequence[Tensor], reach: int) -> Tensor:
        """Indices of the nodes at most `reach` nodes from a point along every axis, `[M, 3]`."""
        from scipy.ndimage import maximum_filter1d

        marked = np.zeros(self.shape, np.uint8)
        lower, spacing = self.lattice.lower, self.lattice.spacing
        for part in points:
            at = np.rint((part.cpu().numpy() - lower) / spacing).astype(np.int64)
            at = at[((at >= 0) & (at < self.shape)).all(axis=1)]
            marked[tuple(at.T)] = 1
        for axis in range(3):
            marked = maximum_filter1d(marked, 2 * reach + 1, axis=axis, mode="constant")
        return torch.from_numpy(np.argwhere(marked).astype(np.int16))

    @torch.no_grad()
    def fuse(self, depths: DepthMap) -> None:
        """Add one depth map: a running weighted mean, so that the order of the maps does not matter."""
        table, quads = _pixel_tables(depths, self.truncation)
        for first in range(0, len(self.positions), CHUNK):
            rows = slice(first, first + CHUNK)
            kept, value, weight = _observed(depths, table, quads, self.positions[rows], self.truncation)
            kept = kept + first
            total = self.weights[kept] + weight
            self.values[kept] += (value - self.values[kept]) * (weight / total.clamp(min=1e-20))
            self.weights[kept] = total

    def dense(self) -> np.ndarray:
        """Values at all nodes, `[x, y, z]` float32 in truncations; NaN where nothing was seen."""
        grid = np.full(self.shape, np.nan, np.float32)
        seen = (self.weights > 0).numpy()
        grid[tuple(self.index.numpy()[seen].T.astype(np.int64))] = self.values.numpy()[seen]
        return grid

    def triangles(self) -> Triangles:
        """The zero set as a mesh in units of the cube, open where nothing was seen."""
        return mesh_of_grid(self.dense(), self.lattice.lower, self.lattice.spacing)


def mesh_of_grid(grid: np.ndarray, lower: np.ndarray, spacing: np.ndarray) -> Triangles:
    """Marching cubes on a grid `[x, y, z]` of values that are negative inside; cubes with a NaN corner are left out.

    lower, spacing: position of the first node and distance between nodes, `[3]`.
    """
    table, shape = marching_cubes_table(), grid.shape
    inside, known = grid < 0, ~np.isnan(grid)
    cells = tuple(count - 1 for count in shape)
    case, whole = np.zeros(cells, np.uint8), np.ones(cells, bool)
    for bit, (x, y, z) in enumerate(CORNERS):
        part = np.s_[x : x + cells[0], y : y + cells[1], z : z + cells[2]]
        case |= inside[part].astype(np.uint8) << np.uint8(bit)
        whole &= known[part]
    crossed = np.argwhere(whole & (case > 0) & (case < 255))
    case = case[tuple(crossed.T)]
    count = table.count[case]
    triangle = np.repeat(table.first[case] - np.cumsum(count) + count, count) + np.arange(count.sum())
    node = np.repeat(crossed, count, axis=0)[:, None] + table.offset[triangle]
    flat = (node[..., 0] * shape[1] + node[..., 1]) * shape[2] + node[..., 2]
    edges, faces = np.unique(flat * 3 + table.axis[triangle], return_inverse=True)
    node, axis = np.divmod(edges, 3)
    step = np.array([shape[1] * shape[2], shape[2], 1])[axis]
    low, high = (grid.reshape(-1)[at].astype(np.float64) for at in (node, node + step))
    position = np.stack(np.unravel_index(node, shape), axis=-1).astype(np.float64)
    position[np.arange(len(edges)), axis] += np.clip(low / (low - high), 1e-3, 1 - 1e-3)
    return Triangles(lower + position * spacing, faces.reshape(-1, 3), len(edges))


def _pixel_tables(depths: DepthMap, truncation: float) -> tuple[Tensor, Tensor]:
    """What fusion looks up per pixel, `[H * W, 4]`, and the inverse depths of its 2 x 2 pixels, `[H * W, 4]`.

    The first holds inverse depth, weight, distance to the surface per depth, and 1 where the ray meets nothing. The
    second belongs to the square whose upper left pixel this is, and is NaN where a depth is missing or jumps.
    """
    depth = depths.depth
    height, width = depth.shape
    seen = torch.isfinite(depth)
    inverse = torch.where(seen, 1 / depth.clamp(min=NEAR), 0.0)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    points = depths.points_at(x.to(depth), y.to(depth), torch.where(seen, depth, 0.0))
    position = torch.from_numpy(depths.camera.position).float().to(depth.device)
    rays = points - position
    length = rays.norm(dim=-1)
    cosine = _cosines(points, rays / length.clamp(min=1e-12)[..., None], seen)
    jump = EDGE_JUMP * truncation
    edge = torch.zeros_like(seen)
    for axis in (0, 1):
        first, second = depth.narrow(axis, 0, depth.shape[axis] - 1), depth.narrow(axis, 1, depth.shape[axis] - 1)
        far = (second - first).abs() > jump
        far &= torch.isfinite(first) & torch.isfinite(second)
        edge.narrow(axis, 0, depth.shape[axis] - 1).logical_or_(far)
        edge.narrow(axis, 1, depth.shape[axis] - 1).logical_or_(far)
    # A depth is at best as good as half a truncation: so much the sharpest surface of a field varies between views.
    sharp = (truncation / 2) / depths.spread.clamp(min=truncation / 2)
    weight = torch.where(seen & ~edge, cosine * sharp, 0.0)
    slope = length * inverse * cosine
    table = torch.stack([inverse, weight, slope, depths.empty.float()], dim=-1).reshape(-1, 4)
    quads = torch.full((height, width, 4), torch.nan, device=depth.device)
    good = torch.where(seen & ~edge, inverse, torch.nan)
    quads[:-1, :-1] = torch.stack([good[:-1, :-1], good[:-1, 1:], good[1:, :-1], good[1:, 1:]], dim=-1)
    return table.float(), quads.reshape(-1, 4)


def _cosines(points: Tensor, rays: Tensor, seen: Tensor) -> Tensor:
    """Cosine `[H, W]` between rays and the normals of a depth map, from its neighbouring points; 1 where unknown."""
    across, down = torch.zeros_like(points), torch.zeros_like(points)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    known = torch.zeros_like(seen)
    known[1:-1, 1:-1] = seen[1:-1, 1:-1] & seen[1:-1, 2:] & seen[1:-1, :-2] & seen[2:, 1:-1] & seen[:-2, 1:-1]
    normals = torch.nn.functional.normalize(torch.linalg.cross(across, down), dim=-1, eps=1e-20)
    cosine = (normals * rays).sum(dim=-1).abs().clamp(MIN_COSINE, 1.0)
    # Beside a border the slope is unknown; such pixels count as seen at 45 degrees.
    return torch.where(known, cosine, torch.full_like(cosine, 0.5**0.5))


def _observed(
    depths: DepthMap, table: Tensor, quads: Tensor, positions: Tensor, truncation: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Which of these voxels `[M, 3]` a depth map says something about, the value of each, and its weight, `[k]`."""
    camera, (height, width) = depths.camera, depths.depth.shape
    intrinsics = camera.intrinsics
    pose = torch.from_numpy(camera.pose).float()
    local = (positions - pose[:, 3]) @ pose[:, :3]
    z = -local[:, 2]
    ahead = z.clamp(min=NEAR)
    x = local[:, 0] / ahead * intrinsics.fl_x + intrinsics.cx
    y = local[:, 1] / ahead * -intrinsics.fl_y + intrinsics.cy
    kept = ((z > NEAR) & (x >= 0) & (x < width) & (y >= 0) & (y < height)).nonzero().flatten()
    x, y, z = x[kept], y[kept], z[kept]
    inverse, weight, slope, empty = table[y.long() * width + x.long()].unbind(-1)
    # Inverse depths of a plane are linear in the image, so that it is met exactly between pixels.
    column, row = (x - 0.5).clamp(min=0).long(), (y - 0.5).clamp(min=0).long()
    u, v = x - 0.5 - column, y - 0.5 - row
    corners = quads[row * width + column]
    top = torch.lerp(corners[:, 0], corners[:, 1], u)
    between = torch.lerp(top, torch.lerp(corners[:, 2], corners[:, 3], u), v)
    inverse = torch.where(torch.isnan(between), inverse, between)
    distance = (1 / inverse.clamp(min=1e-12) - z) * slope / truncation
    measured = (weight > 0) & (distance > -1)
    carved = empty > 0
    value = torch.where(carved, 1.0, distance.clamp(max=1.0))
    # Behind the surface less and less is known: what is seen from the other side counts more.
    weight = torch.where(carved, EMPTY_WEIGHT, weight * (1 + distance).clamp(0, 1))
    chosen = ((measured | carved) & (weight > 0)).nonzero().flatten()
    return kept[chosen], value[chosen], weight[chosen]
