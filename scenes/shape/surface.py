"""Questions to a mesh in its unit cube: how far, inside or not, what does a ray meet; through libigl.

Points are float64 `[n, 3]`. Signs are negative inside.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from scenes.shape.geometry import Mesh

# Where signs by pseudonormals are compared with winding numbers before they are trusted.
PROBES = 4096
# A mesh counts as closed where at most this share of the probes has a winding number that is far from a whole number.
UNCLEAR_SHARE = 0.005
# Queries at once: libigl returns several arrays of doubles a query.
CHUNK = 1 << 19


class MeshSurface:
    """A cleaned mesh, its tree, and how its inside is told.

    `closed` says that there is an inside: nearly all winding numbers are whole. `watertight` says that each edge has
    exactly two faces, oriented alike. Where a watertight mesh's pseudonormals (Baerentzen and Aanaes 2005) agree with its winding
    numbers they tell the sign, as they cost nothing; else the winding number does (Barill et al. 2018), above a half
    being inside, so overlapping bodies are one.
    """

    paintable = True

    def __init__(self, mesh: Mesh) -> None:
        import igl

        vertices, faces = mesh.vertices, mesh.faces
        if _volume(vertices, faces) < 0:
            faces = np.ascontiguousarray(faces[:, ::-1])  # inside out
            paint = mesh.paint
            if paint is not None:
                paint = type(paint)(paint.corners[:, ::-1], paint.texture)
            mesh = Mesh(vertices, faces, paint, mesh.notes)
        self.mesh = mesh
        self.paint = mesh.paint
        self._tree = igl.AABB()
        self._tree.init(vertices, faces)
        normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
        areas = np.linalg.norm(normals, axis=1)
        self.face_normals = normals / np.maximum(areas, 1e-300)[:, None]
        self.area = float(areas.sum() / 2)
        self._cumulative = np.cumsum(areas) / areas.sum()

    @cached_property
    def watertight(self) -> bool:
        faces = self.mesh.faces
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        keys = edges[:, 0] * np.int64(len(self.mesh.vertices)) + edges[:, 1]
        back = edges[:, 1] * np.int64(len(self.mesh.vertices)) + edges[:, 0]
        keys.sort()
        back.sort()
        return bool((np.diff(keys) > 0).all() and np.array_equal(keys, back))

    @cached_property
    def open_edges(self) -> int:
        """Edges with one face only."""
        faces = self.mesh.faces
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        _, counts = np.unique(edges[:, 0] * np.int64(len(self.mesh.vertices)) + edges[:, 1], return_counts=True)
        return int((counts == 1).sum())

    @cached_property
    def _probes(self) -> tuple[np.ndarray, np.ndarray]:
        """Points off the surface and in the box, half and half, and their winding numbers."""
        generator = np.random.Generator(np.random.Philox(key=[1, 0]))
        points, normals, _, _ = self.sample(PROBES // 2, generator)
        sides = np.where(generator.random((len(points), 1)) < 0.5, -1, 1) * 0.002
        lower, upper = self.mesh.vertices.min(axis=0), self.mesh.vertices.max(axis=0)
        points = np.concatenate(
            [points + normals * sides, lower + generator.random((PROBES // 2, 3)) * (upper - lower)]
        )
        return points, self._winding(points)

    @cached_property
    def closed(self) -> bool:
        if not self.mesh_has_volume:
            return False
        _, winding = self._probes
        return bool((np.abs(winding - np.round(winding)) > 0.1).mean() <= UNCLEAR_SHARE)

    @property
    def mesh_has_volume(self) -> bool:
        return abs(_volume(self.mesh.vertices, self.mesh.faces)) > 1e-9

    @cached_property
    def sign_by(self) -> str:
        """ "pseudonormal" or "winding number"."""
        if not (self.watertight and self.closed):
            return "winding number"
        points, winding = self._probes
        return "pseudonormal" if np.array_equal(self._pseudonormal(points)[0] < 0, winding > 0.5) else "winding number"

    def distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance `[n]`, the nearest face `[n]` and the nearest point `[n, 3]`."""
        parts = [self._distance(points[start : start + CHUNK], signed) for start in range(0, len(points), CHUNK)]
        return tuple(np.concatenate(part) for part in zip(*parts))

    def inside(self, points: np.ndarray) -> np.ndarray:
        """bool `[n]`, by winding number."""
        return np.concatenate(
            [self._winding(points[start : start + CHUNK]) > 0.5 for start in range(0, len(points), CHUNK)]
        )

    def sample(
        self, count: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Points on the surface, evenly by area: places `[n, 3]`, normals `[n, 3]`, faces `[n]`, barycentric weights `[n, 3]`."""
        faces = np.minimum(np.searchsorted(self._cumulative, generator.random(count)), len(self._cumulative) - 1)
        r, q = np.sqrt(generator.random(count)), generator.random(count)
        weights = np.stack([1 - r, r * (1 - q), r * q], axis=-1)
        corners = self.mesh.vertices[self.mesh.faces[faces]]
        return np.einsum("nk,nkc->nc", weights, corners), self.face_normals[faces], faces, weights

    def colors(self, faces: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """sRGB `[n, 3]` float32 at points on the surface `[n, 3]` in `faces` `[n]`."""
        return self.paint.at(faces, _barycentric(self.mesh.vertices[self.mesh.faces[faces]], nearest))

    def normals(self, faces: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        return self.face_normals[faces]

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What rays meet first: the distance `[n]` along each (infinite where nothing) and the face `[n]` (-1)."""
        faces, t, _ = self._tree.intersect_ray_first(
            self.mesh.vertices, self.mesh.faces, np.ascontiguousarray(origins), np.ascontiguousarray(directions)
        )
        return np.where(faces < 0, np.inf, t), faces

    def _distance(self, points: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        points = np.ascontiguousarray(points, np.float64)
        if signed and self.sign_by == "pseudonormal":
            return self._pseudonormal(points)
        square, faces, nearest = self._tree.squared_distance(self.mesh.vertices, self.mesh.faces, points)
        distance = np.sqrt(square)
        if signed:
            distance[self._winding(points) > 0.5] *= -1
        return distance, faces, nearest

    def _pseudonormal(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        import igl

        return igl.signed_distance(
            points, self.mesh.vertices, self.mesh.faces, sign_type=igl.SIGNED_DISTANCE_TYPE_PSEUDONORMAL
        )[:3]

    def _winding(self, points: np.ndarray) -> np.ndarray:
        import igl

        return igl.fast_winding_number(self.mesh.vertices, self.mesh.faces, np.ascontiguousarray(points, np.float64))


def _volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Signed, by the divergence theorem; about the middle, so that an open mesh's figure is of its shape and not of its place."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return float(np.einsum("nk,nk->", a, np.cross(b, c)) / 6)


def _barycentric(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights `[n, 3]` of points `[n, 3]` in triangles `[n, 3, 3]`."""
    u, v, w = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    uu, uv, vv, wu, wv = ((p * q).sum(axis=1) for p, q in ((u, u), (u, v), (v, v), (w, u), (w, v)))
    scale = np.maximum(uu * vv - uv * uv, 1e-300)
    b, c = (vv * wu - uv * wv) / scale, (uu * wv - uv * wu) / scale
    return np.clip(np.stack([1 - b - c, b, c], axis=-1), 0, 1)
