"""Meshes as surfaces: distances and rays through libigl, topology through trimesh."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from scenes.posed.camera import Camera
from scenes.shape.base import Surface, SurfaceSamples, VisiblePixels
from scenes.shape.geometry import Mesh

# Points at which winding numbers are computed to find out whether there is an inside, and which sign to trust.
PROBES = 4096
# Fraction of the probes whose winding number may be far from a whole number in a mesh that counts as closed.
MAX_UNCLEAR_FRACTION = 0.005
# Distance of a winding number from a whole number that counts as far.
UNCLEAR_WINDING = 0.1
# Distance of probes near the surface from it, in unit cubes.
PROBE_OFFSET = 0.002
# Volume in unit cubes below which a mesh has no inside.
MIN_VOLUME = 1e-9
# Points of one query: libigl returns several arrays of doubles for each.
CHUNK = 1 << 19


class MeshSurface(Surface):
    """A cleaned mesh with its search tree.

    A mesh counts as closed where nearly all winding numbers are whole. Signs are told by pseudonormals (Baerentzen and
    Aanaes 2005), which cost nothing, where a watertight mesh's agree with its winding numbers; else by winding numbers
    (Barill et al. 2018), above a half being inside, so that overlapping bodies are one.
    """

    def __init__(self, mesh: Mesh) -> None:
        import igl

        vertices, faces = mesh.vertices, mesh.faces
        self.mesh = mesh
        self._tree = igl.AABB()
        self._tree.init(vertices, faces)
        normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
        areas = np.linalg.norm(normals, axis=1)
        self.face_normals = normals / np.maximum(areas, 1e-300)[:, None]
        self.area = float(areas.sum() / 2)
        self._cumulative = np.cumsum(areas) / areas.sum()

    @property
    def has_colors(self) -> bool:
        return self.mesh.colors is not None

    @cached_property
    def watertight(self) -> bool:
        """Whether each edge has exactly two faces, oriented alike."""
        import trimesh

        return all(trimesh.graph.is_watertight(self._edges, np.sort(self._edges, axis=1)))

    @cached_property
    def open_edges(self) -> int:
        """Number of edges with one face only."""
        import trimesh

        return len(trimesh.grouping.group_rows(np.sort(self._edges, axis=1), require_count=1))

    @property
    def _edges(self) -> np.ndarray:
        import trimesh

        return np.asarray(trimesh.geometry.faces_to_edges(self.mesh.faces))

    @cached_property
    def _probes(self) -> tuple[np.ndarray, np.ndarray]:
        """Points near the surface and in the box, half and half, and their winding numbers."""
        generator = np.random.Generator(np.random.Philox(key=[1, 0]))
        points, normals, _ = self.sample(PROBES // 2, generator)
        offsets = np.where(generator.random((len(points), 1)) < 0.5, -1, 1) * PROBE_OFFSET
        lower, upper = self.mesh.vertices.min(axis=0), self.mesh.vertices.max(axis=0)
        points = np.concatenate(
            [points + normals * offsets, lower + generator.random((PROBES // 2, 3)) * (upper - lower)]
        )
        return points, self._winding(points)

    @property
    def closed(self) -> bool:
        """Whether the mesh has a volume and nearly all winding numbers are whole."""
        return self._closed

    @property
    def sign_source(self) -> str:
        return self._sign_source

    @cached_property
    def _closed(self) -> bool:
        if abs(_volume(self.mesh.vertices, self.mesh.faces)) <= MIN_VOLUME:
            return False
        _, winding = self._probes
        unclear = np.abs(winding - np.round(winding)) > UNCLEAR_WINDING
        return bool(unclear.mean() <= MAX_UNCLEAR_FRACTION)

    @cached_property
    def _sign_source(self) -> str:
        """ "pseudonormal" where that can be trusted, else "winding number"."""
        if not (self.watertight and self.closed):
            return "winding number"
        points, winding = self._probes
        agree = np.array_equal(self._pseudonormal_distance(points)[0] < 0, winding > 0.5)
        return "pseudonormal" if agree else "winding number"

    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = [self._distance(points[start : start + CHUNK], signed) for start in range(0, len(points), CHUNK)]
        distance, faces, nearest = (np.concatenate(part) for part in zip(*parts))
        return distance, faces, nearest

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Which points are inside by their winding number, `[n]` bool."""
        return np.concatenate(
            [self._winding(points[start : start + CHUNK]) > 0.5 for start in range(0, len(points), CHUNK)]
        )

    def sample(self, count: int, generator: np.random.Generator) -> SurfaceSamples:
        faces = np.minimum(np.searchsorted(self._cumulative, generator.random(count)), len(self._cumulative) - 1)
        r, q = np.sqrt(generator.random(count)), generator.random(count)
        weights = np.stack([1 - r, r * (1 - q), r * q], axis=-1)
        corners = self.mesh.vertices[self.mesh.faces[faces]]
        return SurfaceSamples(np.einsum("nk,nkc->nc", weights, corners), self.face_normals[faces], faces)

    def colors(self, elements: np.ndarray, points: np.ndarray) -> np.ndarray:
        if self.mesh.colors is None:
            raise ValueError("the mesh has no colours")
        return self.mesh.colors.at(elements, self.barycentric(elements, points))

    def barycentric(self, faces: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Barycentric weights `[n, 3]`, clipped to [0, 1], of points on `faces` `[n]`."""
        import trimesh

        corners = self.mesh.vertices[self.mesh.faces[faces]]
        return np.clip(trimesh.triangles.points_to_barycentric(corners, points), 0, 1)

    def normals(self, elements: np.ndarray) -> np.ndarray:
        return self.face_normals[elements]

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First hits of rays: the distance `[n]`, infinite for none, and the face `[n]`, -1 for none.

        Args:
            origins, directions: `[n, 3]` float64, directions of unit length.
        """
        hits = self._tree.intersect_ray_first(
            self.mesh.vertices, self.mesh.faces, np.ascontiguousarray(origins), np.ascontiguousarray(directions)
        )
        faces, t = np.asarray(hits[0]), np.asarray(hits[1])
        return np.where(faces < 0, np.inf, t), faces

    def visible(self, camera: Camera) -> VisiblePixels:
        origins, directions = camera.rays()
        t, faces = self.cast(origins, directions)
        hit = np.flatnonzero(faces >= 0)
        points = origins[hit] + t[hit, None] * directions[hit]
        colors = self.colors(faces[hit], points) if self.has_colors else None
        return VisiblePixels(hit, self.face_normals[faces[hit]], colors)

    def _distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        points = np.ascontiguousarray(points, np.float64)
        if signed and self.sign_source == "pseudonormal":
            return self._pseudonormal_distance(points)
        found = self._tree.squared_distance(self.mesh.vertices, self.mesh.faces, points)
        square, faces, nearest = map(np.asarray, found)
        distance = np.sqrt(square)
        if signed:
            distance[self._winding(points) > 0.5] *= -1
        return distance, faces, nearest

    def _pseudonormal_distance(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import igl

        found = igl.signed_distance(
            points, self.mesh.vertices, self.mesh.faces, sign_type=igl.SIGNED_DISTANCE_TYPE_PSEUDONORMAL
        )
        distance, faces, nearest = map(np.asarray, found[:3])
        return distance, faces, nearest

    def _winding(self, points: np.ndarray) -> np.ndarray:
        import igl

        points = np.ascontiguousarray(points, np.float64)
        return np.asarray(igl.fast_winding_number(self.mesh.vertices, self.mesh.faces, points))


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed volume. It is taken about the mean vertex, so that an open mesh's does not depend on where the mesh is."""
    import trimesh

    triangles = (vertices - vertices.mean(axis=0))[faces]
    # A flat mesh has no centre of mass, which is not needed here.
    with np.errstate(invalid="ignore"):
        return float(trimesh.triangles.mass_properties(triangles, skip_inertia=True)["volume"])
