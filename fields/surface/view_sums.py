"""Sums over photographs from which vertices and colors of a mesh are improved: gradients and Gauss-Newton matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from fields.render.mesh_projection import project_vertices
from fields.surface.mesh_image import (
    Edges,
    face_derivatives,
    mesh_image,
    pixels_of,
    sample_colors,
    silhouette_derivatives,
    to_samples,
)
from fields.surface.photo_pixels import PhotoPixels

# Samples per pixel and axis of the drawn mesh, and the largest image that gets so many. Larger ones get one.
SAMPLES = 2
MAX_SUPERSAMPLED = 1 << 16
# Corners of a face that the rows of `ViewSums.faces` belong to, and ends of an edge that those of `edges` do.
FACE_PAIRS: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
EDGE_PAIRS: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (0, 1))


@dataclass(frozen=True)
class Mesh:
    """Faces `[F, 3]` int64 and their edges, of a mesh with `num_vertices` vertices."""

    faces: np.ndarray
    edges: Edges
    num_vertices: int

    def matrix(self, faces: np.ndarray, edges: np.ndarray | None = None) -> sparse.csr_matrix:
        """The symmetric matrix `[V, V]` of entries for the corners of faces `[6, F]` and the ends of edges `[3, E]`."""
        rows, columns, values = [], [], []
        parts = [(faces, self.faces.T, FACE_PAIRS)]
        if edges is not None:
            parts.append((edges, self.edges.ends.T, EDGE_PAIRS))
        for source, vertices, pairs in parts:
            for (i, j), entries in zip(pairs, source):
                for a, b in {(i, j), (j, i)}:
                    rows.append(vertices[a])
                    columns.append(vertices[b])
                    values.append(entries)
        triplets = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
        return sparse.csr_matrix(triplets, shape=(self.num_vertices, self.num_vertices))

    def laplacian(self) -> sparse.csr_matrix:
        """The graph's Laplacian `[V, V]`, divided by the six edges that a vertex usually has."""
        ones = np.ones(len(self.edges.ends)) / 6
        return self.matrix(np.zeros((6, len(self.faces))), np.stack([ones, ones, -ones]))


@dataclass(frozen=True)
class Pose:
    """Where the mesh is: vertices `[V, 3]`, unit directions in which they move `[V, 3]`, and colors `[V, 3]` float32.

    probe: movement over which the vertices' speeds in images are measured, in the scene's units.
    """

    vertices: np.ndarray
    directions: np.ndarray
    colors: np.ndarray
    probe: float


@dataclass
class ViewSums:
    """Sums over views of half of the squared difference between mesh and photographs, and of its derivatives.

    Values are sRGB times coverage, and coverage, in 0 to 1. Differences above `outlier` count linearly (Huber).

    Attributes:
        loss: the sum.
        usual: median difference of each view, where the mesh is.
        psnr: of each view, in dB.
        color_gradient: `[V, 3]`, and color_faces `[6, F]`: derivatives by colors.
        gradient: `[V]`, faces `[6, F]` and edges `[3, E]`: derivatives by movements.

    The matrices treat each sample as if it were compared with the photograph by itself. They are at least as large as
    those of pixels, which are means of samples, so that steps are never too long for that reason.
    """

    mesh: Mesh
    outlier: float = math.inf
    geometry: bool = True
    loss: float = 0.0
    usual: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        faces, vertices = len(self.mesh.faces), self.mesh.num_vertices
        self.color_gradient = np.zeros((vertices, 3))
        self.color_faces = np.zeros((6, faces))
        self.gradient = np.zeros(vertices)
        self.faces = np.zeros((6, faces))
        self.edges = np.zeros((3, len(self.mesh.edges.ends)))

    def add(self, other: ViewSums) -> None:
        """Add the sums over other views."""
        for name in ("color_gradient", "color_faces", "gradient", "faces", "edges"):
            array = getattr(self, name)
            array += getattr(other, name)
        self.loss += other.loss
        self.usual += other.usual
        self.psnr += other.psnr

    def add_view(self, photo: PhotoPixels, pose: Pose) -> None:
        """Draw the mesh as the photograph's camera sees it, and add the difference."""
        height, width = photo.pixels.shape[:2]
        positions = project_vertices(photo.camera, pose.vertices)
        samples = SAMPLES if height * width <= MAX_SUPERSAMPLED else 1
        image = mesh_image(positions, self.mesh.faces, self.mesh.edges, height, width, samples=samples, threads=1)
        values = sample_colors(image, pose.colors)
        drawn = pixels_of(image, values)
        residual, weight = self._compared(photo, drawn)
        gradient, share = to_samples(image, residual * weight), to_samples(image, weight)[:, 0]
        seen, along = share[image.covered], gradient[image.covered, :3]
        vertices, faces = self.mesh.num_vertices, len(self.mesh.faces)
        for corner in range(3):
            part = image.weights[:, corner, None] * along
            for channel in range(3):
                self.color_gradient[:, channel] += np.bincount(image.corners[:, corner], part[:, channel], vertices)
        for row, (i, j) in enumerate(FACE_PAIRS):
            product = seen * image.weights[:, i] * image.weights[:, j]
            self.color_faces[row] += np.bincount(image.face, product, faces)
        if not self.geometry:
            return
        ahead = project_vertices(photo.camera, pose.vertices + pose.probe * pose.directions)
        velocity = (ahead - positions) / np.float32(pose.probe)
        inner = face_derivatives(image, values, pose.colors, velocity)
        pushed = (inner * along[:, None]).sum(axis=-1)
        for corner in range(3):
            self.gradient += np.bincount(image.corners[:, corner], pushed[:, corner], vertices)
        for row, (i, j) in enumerate(FACE_PAIRS):
            self.faces[row] += np.bincount(image.face, seen * (inner[:, i] * inner[:, j]).sum(axis=-1), faces)
        crossings = image.crossings
        outer = silhouette_derivatives(image, values, velocity)
        pushed = (outer * gradient[crossings.blended][:, None]).sum(axis=-1)
        for end in range(2):
            self.gradient += np.bincount(crossings.ends[:, end], pushed[:, end], vertices)
        blended = share[crossings.blended]
        for row, (i, j) in enumerate(EDGE_PAIRS):
            product = blended * (outer[:, i] * outer[:, j]).sum(axis=-1)
            self.edges[row] += np.bincount(crossings.edge, product, len(self.mesh.edges.ends))

    def _compared(self, photo: PhotoPixels, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Difference `[H, W, 4]` and weight `[H, W, 1]` of each pixel."""
        residual, counted = photo.difference(drawn)
        size = np.sqrt(np.square(residual).sum(axis=-1))
        shown = size[counted & (drawn[..., 3] > 0.5)]
        if len(shown):
            self.usual.append(float(np.median(shown)))
            self.psnr.append(photo.psnr(drawn))
        small = np.minimum(size, self.outlier)
        self.loss += float((counted * small * (size - 0.5 * small)).sum(dtype=np.float64))
        weight = counted * np.minimum(1, self.outlier / np.maximum(size, 1e-9))
        return residual, weight.astype(np.float32)[..., None]
