"""Point clouds as surfaces: implicit moving least squares near the points, winding numbers elsewhere."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Camera
from scenes.posed.projection import project
from scenes.shape.base import Surface, SurfaceSamples, VisiblePixels
from scenes.shape.geometry import Cloud
from scenes.shape.normals import estimate_normals, fill_normals
from scenes.shape.sign_grid import SignGrid

# Nearest points whose planes make the surface at a point.
NEIGHBOURS = 6
# Random points in the box at which winding numbers are computed to find out whether there is an inside.
PROBES = 4096
# A winding number away from the points that is nearer to a half than this says neither inside nor outside.
UNCLEAR_WINDING = 0.25
# Fraction of the probes that may be unclear in a cloud that counts as closed.
MAX_UNCLEAR_FRACTION = 0.05
# Mean winding number of the probes below which the normals point inwards.
INWARD_WINDING = -0.02
# Winding number above which a probe counts as inside when the areas are normalised.
INSIDE_WINDING = 0.3
# Distances in spacings of the points between which the plane-based distance passes into that to the nearest point.
BLEND_START, BLEND_END = 2, 4
# Standard deviation of the planes' weights, in spacings of the points.
PLANE_WIDTH = 1.5
# Points that are compared with planes at once: 40 MB.
PLANE_BLOCK = 1 << 17
# Side of the square that shows a point in images, as a fraction of the image's side, and at least this many pixels.
DOT_FRACTION, MIN_DOT = 1 / 200, 2


class _Planes(NamedTuple):
    """Planes of the nearest points, `[n]` each.

    nearest: distance to the nearest point. mean: weighted mean of the heights above the planes. agreed: 1 where a point
    is below all of them, -1 where it is above all, else 0.
    """

    nearest: np.ndarray
    mean: np.ndarray
    agreed: np.ndarray


class CloudSurface(Surface):
    """A cleaned cloud with oriented normals, which are estimated where there are none.

    Near the points the distance is that to the implicit moving-least-squares surface (Kolluri 2008: the planes of the
    nearest points, weighted by nearness), further away that to the nearest point. The sign is that of the winding
    number of points with areas (Barill et al. 2018).
    """

    def __init__(self, cloud: Cloud, name: str) -> None:
        from scipy.spatial import KDTree

        self.points = cloud.points
        self.point_colors = cloud.colors
        self._tree = KDTree(self.points)
        self._neighbours = min(NEIGHBOURS, len(self.points) - 1)
        farthest = np.asarray(self._tree.query(self.points, self._neighbours + 1, workers=-1)[0])[:, -1]
        self._areas = np.pi * farthest**2 / (self._neighbours + 1)
        self.spacing = float(np.median(np.sqrt(self._areas)))
        self.has_estimated_normals = cloud.normals is None
        self.point_normals = _complete_normals(cloud, name)
        winding = self._winding(self._probes) if len(self._probes) else np.zeros(1)
        if winding.mean() < INWARD_WINDING:
            self.point_normals, winding = -self.point_normals, -winding
        if len(inside := np.abs(winding)[np.abs(winding) > INSIDE_WINDING]):
            # The areas are right up to a factor that depends on how evenly the points lie. It is 1 inside.
            factor = np.median(inside)
            self._areas, winding = self._areas / factor, winding / factor
        unclear = (np.abs(winding - 0.5) < UNCLEAR_WINDING).mean()
        self._closed = bool(unclear <= MAX_UNCLEAR_FRACTION and (winding > 0.5).any())

    @property
    def has_colors(self) -> bool:
        return self.point_colors is not None

    @cached_property
    def _probes(self) -> np.ndarray:
        """Points in the box that are not near the cloud."""
        generator = np.random.Generator(np.random.Philox(key=[1, 0]))
        lower, upper = self.points.min(axis=0), self.points.max(axis=0)
        probes = lower + generator.random((PROBES, 3)) * (upper - lower)
        return probes[self._tree.query(probes, workers=-1)[0] > 2 * self.spacing]

    @property
    def sign_source(self) -> str:
        return "winding number"

    @property
    def closed(self) -> bool:
        """Whether most of the box is clearly inside or outside, and some of it is inside."""
        return self._closed

    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance `[n]` to the surface, and the nearest point of the cloud: its index `[n]` and position `[n, 3]`."""
        points = np.ascontiguousarray(points, np.float64)
        distance, element = map(np.asarray, self._tree.query(points, workers=-1))
        near = np.flatnonzero(distance < BLEND_END * self.spacing)
        planes = self._planes(points[near])
        fraction = np.clip((distance[near] / self.spacing - BLEND_START) / (BLEND_END - BLEND_START), 0, 1)
        result = distance.copy()
        result[near] = (1 - fraction) * np.minimum(np.abs(planes.mean), distance[near]) + fraction * distance[near]
        if signed:
            known = self._signs.of(points)
            known[near] = self._plane_signs(planes, fraction)
            result = np.where(self._resolved(points, known), -result, result)
        return result, element, self.points[element]

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Which points are inside, `[n]` bool: as the sign of `distance`, which only points near the cloud need."""
        points = np.ascontiguousarray(points, np.float64)
        known = self._signs.of(points)
        unknown = np.flatnonzero(known == 0)
        if len(unknown):
            planes = self._planes(points[unknown])
            fraction = (planes.nearest / self.spacing - BLEND_START) / (BLEND_END - BLEND_START)
            # Seen from afar all planes agree, through a hole too.
            known[unknown] = np.where(fraction < 1, self._plane_signs(planes, fraction), 0)
        return self._resolved(points, known)

    def _planes(self, points: np.ndarray) -> _Planes:
        """The planes of the nearest points of the cloud, as seen from points `[n, 3]`; a block of them at a time."""
        if not len(points):
            return _Planes(np.zeros(0), np.zeros(0), np.zeros(0, np.int8))
        blocks = [self._block_planes(points[k : k + PLANE_BLOCK]) for k in range(0, len(points), PLANE_BLOCK)]
        return _Planes(*map(np.concatenate, zip(*blocks)))

    def _block_planes(self, points: np.ndarray) -> _Planes:
        far, index = map(np.asarray, self._tree.query(points, self._neighbours, workers=-1))
        heights = np.einsum("nkc,nkc->nk", points[:, None] - self.points[index], self.point_normals[index])
        nearest = far[:, 0]
        weights = np.exp(-0.5 * ((far**2 - nearest[:, None] ** 2) / (PLANE_WIDTH * self.spacing) ** 2))
        mean = (heights * weights).sum(axis=1) / weights.sum(axis=1)
        agreed = np.where((heights < 0).all(axis=1), 1, np.where((heights > 0).all(axis=1), -1, 0))
        return _Planes(nearest, mean, agreed.astype(np.int8))

    def _plane_signs(self, planes: _Planes, fraction: np.ndarray) -> np.ndarray:
        """1 inside, -1 outside, 0 where planes do not tell: away from the cloud, and not on one side of all of them."""
        return np.where(fraction < 0.5, np.where(planes.mean < 0, 1, -1), planes.agreed).astype(np.int8)

    def _resolved(self, points: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Which points are inside, by signs `[n]` where these are known, else by winding numbers."""
        inside = known > 0
        unknown = np.flatnonzero(known == 0)
        if len(unknown):
            inside[unknown] = self._winding(points[unknown]) > 0.5
        return inside

    @cached_property
    def _signs(self) -> SignGrid:
        return SignGrid(self._tree, self._winding, BLEND_END * self.spacing)

    def sample(self, count: int, generator: np.random.Generator) -> SurfaceSamples:
        """`count` random points of the cloud, evenly by area."""
        index = np.searchsorted(np.cumsum(self._areas) / self._areas.sum(), generator.random(count))
        index = np.minimum(index, len(self.points) - 1)
        return SurfaceSamples(self.points[index], self.point_normals[index], index)

    def colors(self, elements: np.ndarray, points: np.ndarray) -> np.ndarray:
        if self.point_colors is None:
            raise ValueError("the cloud has no colours")
        return self.point_colors[elements].astype(np.float32)

    def normals(self, elements: np.ndarray) -> np.ndarray:
        return self.point_normals[elements]

    def visible(self, camera: Camera) -> VisiblePixels:
        """The pixels in which a camera sees points, drawn as squares, the nearest in front."""
        width, height = camera.intrinsics.width, camera.intrinsics.height
        size = max(MIN_DOT, round(min(width, height) * DOT_FRACTION))
        x, y, depth = project(camera, self.points)
        left, top = (np.floor(at - size / 2).astype(np.int64) for at in (x, y))
        # The farthest first, so that the nearest is written last.
        order = np.argsort(-depth, kind="stable")
        owner = np.full(height * width, -1, np.int64)
        for dy in range(size):
            for dx in range(size):
                column, row = left[order] + dx, top[order] + dy
                visible = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                owner[row[visible] * width + column[visible]] = order[visible]
        pixels = np.flatnonzero(owner >= 0)
        index = owner[pixels]
        colors = None if self.point_colors is None else self.point_colors[index]
        return VisiblePixels(pixels, self.point_normals[index], colors)

    def _winding(self, points: np.ndarray) -> np.ndarray:
        import igl

        points = np.ascontiguousarray(points, np.float64)
        return np.asarray(igl.fast_winding_number(self.points, self.point_normals, self._areas, points))


def _complete_normals(cloud: Cloud, name: str) -> np.ndarray:
    """Normals `[n, 3]` of all points; those that are missing are estimated."""
    if cloud.normals is None:
        normals = estimate_normals(cloud.points)
    else:
        missing = np.isnan(cloud.normals[:, 0])
        normals = fill_normals(cloud.points, cloud.normals, missing) if missing.any() else cloud.normals
    if normals is None:
        raise BadInput(f"{name}: no normals can be estimated; the points lie on a line")
    return normals
