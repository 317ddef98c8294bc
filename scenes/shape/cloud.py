"""Questions to a point cloud in its unit cube: how far, inside or not.

Points are float64 `[n, 3]`. Signs are negative inside.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from scenes.errors import BadInput
from scenes.io.silence import silence_libraries
from scenes.shape.geometry import Cloud

NEIGHBOURS = 6
NORMAL_NEIGHBOURS = 30
PROBES = 4096
# Away from the points, a winding number this near to a half says neither inside nor outside.
UNCLEAR = 0.25
UNCLEAR_SHARE = 0.05


class CloudSurface:
    """A cleaned cloud with oriented normals (estimated by open3d where there are none).

    Near the points the distance is that to the implicit moving-least-squares surface (Kolluri 2008: the planes of the nearest
    points, weighed by nearness), further away to the nearest point. The sign is the winding number's of points with
    areas (Barill et al. 2018).
    """

    paintable = False
    watertight = False
    sign_by = "winding number"

    def __init__(self, cloud: Cloud, name: str) -> None:
        from scipy.spatial import KDTree

        self.cloud = cloud
        self.points = cloud.points
        self.colors_of_points = cloud.colors
        self._tree = KDTree(self.points)
        self.neighbours = min(NEIGHBOURS, len(self.points) - 1)
        far = self._tree.query(self.points, self.neighbours + 1, workers=-1)[0][:, -1]
        self.areas = np.pi * far**2 / (self.neighbours + 1)
        self.spacing = float(np.median(np.sqrt(self.areas)))
        self.estimated = cloud.normals is None
        self.point_normals = _estimate_normals(self.points, name) if self.estimated else cloud.normals
        winding = self._winding(self._probes) if len(self._probes) else np.zeros(1)
        if winding.mean() < -0.02:  # inside out
            self.point_normals = -self.point_normals
        if len(inside := np.abs(winding)[np.abs(winding) > 0.3]):
            # The areas are right up to a factor that depends on how evenly the points lie: it is one inside.
            self.areas = self.areas / np.median(inside)

    @property
    def paint(self) -> np.ndarray | None:
        return self.colors_of_points

    @cached_property
    def _probes(self) -> np.ndarray:
        """Places in the box that are not near any point."""
        generator = np.random.Generator(np.random.Philox(key=[1, 0]))
        lower, upper = self.points.min(axis=0), self.points.max(axis=0)
        places = lower + generator.random((PROBES, 3)) * (upper - lower)
        return places[self._tree.query(places, workers=-1)[0] > 2 * self.spacing]

    @cached_property
    def closed(self) -> bool:
        """Whether there is an inside: most of the box is clearly one or the other, and some of it is inside."""
        if not len(self._probes):
            return False
        winding = self._winding(self._probes)
        unclear = (np.abs(winding - 0.5) < UNCLEAR).mean()
        return bool(unclear <= UNCLEAR_SHARE and (winding > 0.5).any())

    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance `[n]`, the nearest point's number `[n]`, and its place `[n, 3]`."""
        points = np.ascontiguousarray(points, np.float64)
        far, index = self._tree.query(points, self.neighbours, workers=-1)
        nearest, number = far[:, 0], index[:, 0]
        planes = np.einsum("nkc,nkc->nk", points[:, None] - self.points[index], self.point_normals[index])
        weights = np.exp(-0.5 * ((far**2 - nearest[:, None] ** 2) / (1.5 * self.spacing) ** 2))
        smooth = (planes * weights).sum(axis=1) / weights.sum(axis=1)
        # Where the planes know nothing any more the nearest point does: the two are blended between 2 and 4 spacings.
        share = np.clip((nearest / self.spacing - 2) / 2, 0, 1)
        distance = (1 - share) * np.minimum(np.abs(smooth), nearest) + share * nearest
        if signed:
            inside = np.where(share < 0.5, smooth < 0, self._winding(points) > 0.5)
            distance = np.where(inside, -distance, distance)
        return distance, number, self.points[number]

    def inside(self, points: np.ndarray) -> np.ndarray:
        """bool `[n]`; as the sign of `distance`, of which only the places near the points need the neighbours."""
        inside = self._winding(points) > 0.5
        near = np.isfinite(self._tree.query(points, 1, distance_upper_bound=4 * self.spacing, workers=-1)[0])
        if near.any():
            inside[near] = self.distance(points[near], signed=True)[0] < 0
        return inside

    def sample(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, None]:
        """Points of the cloud, evenly by area: places, normals `[n, 3]`, numbers `[n]`."""
        number = np.searchsorted(np.cumsum(self.areas) / self.areas.sum(), generator.random(count))
        number = np.minimum(number, len(self.points) - 1)
        return self.points[number], self.point_normals[number], number, None

    def colors(self, numbers: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        return self.colors_of_points[numbers].astype(np.float32)

    def normals(self, numbers: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        return self.point_normals[numbers]

    def _winding(self, points: np.ndarray) -> np.ndarray:
        import igl

        return igl.fast_winding_number(
            self.points, self.point_normals, self.areas, np.ascontiguousarray(points, np.float64)
        )


def _estimate_normals(points: np.ndarray, name: str) -> np.ndarray:
    """By planes through neighbours, oriented along a spanning tree (Hoppe et al. 1992); open3d does both."""
    try:
        with silence_libraries():
            import open3d
    except ImportError as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(
            f"{name}: has points without normals; open3d estimates them, and it does not load ({reason}): "
            "pip install 'field-studio[points]', or give the points normals (nx, ny, nz)"
        ) from error
    count = min(NORMAL_NEIGHBOURS, len(points) - 1)
    # The spanning tree is cut from a Delaunay triangulation, which fails on points of one sphere or plane.
    shaken = points + 1e-6 * np.random.Generator(np.random.Philox(key=[2, 0])).standard_normal(points.shape)
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(shaken))
    try:
        with silence_libraries():
            cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(count))
            cloud.orient_normals_consistent_tangent_plane(count)
    except RuntimeError as error:
        raise BadInput(
            f"{name}: no normals can be estimated ({str(error).strip().splitlines()[0]}); are the points on a line?"
        ) from error
    return np.asarray(cloud.normals)
