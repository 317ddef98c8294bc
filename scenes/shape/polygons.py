"""Triangulate polygons, concave and non-planar ones too, inside of their outlines.

trimesh cuts every polygon into a fan around its first corner, which covers the outside of concave ones.
"""

from __future__ import annotations

import numpy as np

# Twice the area of a triangle, as a fraction of the polygon's, below which its corners count as lying on a line.
MIN_AREA = 1e-9
# Corners of a polygon that is not convex, at most: the time of ear clipping grows with their square, to ten seconds.
MAX_CORNERS = 10_000


def triangulate(vertices: np.ndarray, corners: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut polygons into triangles; those with less than three corners are left out.

    Args:
        vertices: `[V, 3]` float64.
        corners: `[C]`, indices of vertices, polygon after polygon.
        counts: `[P]`, number of corners of each polygon.

    Returns:
        The triangles `[F, 3]` as positions in `corners`, by polygon, with its orientation; the polygon `[F]` of each.

    Raises ValueError for a concave polygon with so many corners that cutting it would take minutes.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64) if len(counts) else np.zeros(0, np.int64)
    triangles, owners = [], []
    for count in np.unique(counts[counts >= 3]):
        polygons = np.flatnonzero(counts == count)
        positions = starts[polygons, None] + np.arange(count)
        if count == 3:
            triangles.append(positions)
            owners.append(polygons)
            continue
        points = vertices[corners[positions]]
        local = np.broadcast_to(_fan(count), (len(polygons), count - 2, 3)).copy()
        concave = np.flatnonzero(~_fan_covers(points))
        if len(concave) and count > MAX_CORNERS:
            raise ValueError(f"a face that is not convex has {count:,} corners, and at most {MAX_CORNERS:,} are read")
        for polygon in concave:
            local[polygon] = _clip_ears(points[polygon])
        triangles.append(np.take_along_axis(positions, local.reshape(len(polygons), -1), axis=1).reshape(-1, 3))
        owners.append(np.repeat(polygons, count - 2))
    if not triangles:
        return np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(triangles)[order], owner[order]


def strip_triangles(indices: np.ndarray) -> np.ndarray:
    """Triangles `[n - 2, 3]` of a strip of indices `[n]`, all oriented like the first."""
    triangles = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
    triangles[1::2] = triangles[1::2][:, [1, 0, 2]]
    return triangles


def fan_triangles(indices: np.ndarray) -> np.ndarray:
    """Triangles `[n - 2, 3]` of a fan of indices `[n]` around the first."""
    return np.stack([np.full(max(len(indices) - 2, 0), indices[0]), indices[1:-1], indices[2:]], axis=1)


def _fan(count: int) -> np.ndarray:
    return np.stack([np.zeros(count - 2, np.int64), np.arange(1, count - 1), np.arange(2, count)], axis=1)


def _fan_covers(points: np.ndarray) -> np.ndarray:
    """Which polygons `[n, k, 3]` are convex, with no corner on a line: a fan around the first corner covers them."""
    sides = np.roll(points, -1, axis=1) - points
    turns = np.cross(np.roll(sides, 1, axis=1), sides)
    spokes = points[:, 1:] - points[:, :1]
    areas = np.cross(spokes[:, :-1], spokes[:, 1:])
    normal = areas.sum(axis=1)
    size = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal / np.maximum(size, 1e-300)
    limit = MIN_AREA * size
    turned = (np.einsum("nkc,nc->nk", turns, normal) > limit).all(axis=1)
    return turned & (np.einsum("nkc,nc->nk", areas, normal) > limit).all(axis=1)


def _clip_ears(points: np.ndarray) -> np.ndarray:
    """Triangles `[k - 2, 3]` of a polygon `[k, 3]` by ear clipping (Meisters 1975) in the plane that suits it best.

    Polygons that touch themselves, as those with holes do, are triangulated right; of one that crosses itself some
    triangles come out whatever they cover.
    """
    flat = _projected(points)
    total = abs(_cross(flat, np.roll(flat, -1, axis=0)).sum())
    ring = list(range(len(points)))
    triangles = []
    while len(ring) > 3:
        at = _ear(flat[ring], MIN_AREA * total)
        triangles.append([ring[at - 1], ring[at], ring[(at + 1) % len(ring)]])
        del ring[at]
    # An ear that is clipped last may be one that starts the ring; its corners are in cyclic order in any case.
    return np.array([*triangles, ring])


def _ear(ring: np.ndarray, min_area: float) -> int:
    """Index of the corner of a polygon `[k, 2]`, counter-clockwise, whose triangle can be cut off.

    Among those that can, the one with the widest triangle for its sides, so that few slivers remain.
    """
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    areas = _cross(ring - before, after - ring)
    reflex = ring[areas <= min_area]
    longest = np.maximum.reduce(
        [((a - b) ** 2).sum(axis=1) for a, b in ((ring, before), (after, ring), (before, after))]
    )
    quality = areas / np.maximum(longest, 1e-300)
    order = np.argsort(-quality, kind="stable")
    order = order[areas[order] > min_area]
    for at in order:
        if not _contains_any(before[at], ring[at], after[at], reflex):
            return int(at)
    # No ear: the rest lies on a line or crosses itself.
    return int(order[0]) if len(order) else int(np.argmax(np.abs(areas)))


def _contains_any(a: np.ndarray, b: np.ndarray, c: np.ndarray, points: np.ndarray) -> bool:
    """Whether a triangle contains points other than its corners; those on its sides count."""
    inside = (_cross(b - a, points - a) >= 0) & (_cross(c - b, points - b) >= 0) & (_cross(a - c, points - c) >= 0)
    others = points[inside]
    return bool(((others != a).any(axis=1) & (others != b).any(axis=1) & (others != c).any(axis=1)).any())


def _projected(points: np.ndarray) -> np.ndarray:
    """Points `[k, 3]` of a polygon in the plane of its mean normal (Newell), `[k, 2]`, counter-clockwise."""
    points = points - points.mean(axis=0)
    normal = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
    axis = int(np.abs(normal).argmax())
    flat = points[:, [(axis + 1) % 3, (axis + 2) % 3]]
    return flat if normal[axis] >= 0 else flat[:, ::-1]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
