"""Meshes by formulas, good and hostile: vertices `[V, 3]` and faces `[F, 3]`."""

import numpy as np
import trimesh


def wavy_torus(around: int, across: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed torus whose tube has waves."""
    u, v = np.meshgrid(np.arange(around) * 2 * np.pi / around, np.arange(across) * 2 * np.pi / across, indexing="ij")
    radius = 0.4 + 0.03 * np.cos(5 * u)
    points = np.stack(
        [(1 + radius * np.cos(v)) * np.cos(u), (1 + radius * np.cos(v)) * np.sin(u), radius * np.sin(v)], axis=-1
    )
    return points.reshape(-1, 3), _grid(around, across, closed=True)


def sphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    """The unit sphere by subdividing an icosahedron."""
    mesh = trimesh.creation.icosphere(subdivisions)
    return np.array(mesh.vertices), np.array(mesh.faces)


def spiral() -> tuple[np.ndarray, np.ndarray]:
    """A ramp that turns three times: nearly flat, and three layers deep when seen from above."""
    angle, radius = np.meshgrid(np.linspace(0, 6 * np.pi, 120), np.linspace(0.5, 1, 6), indexing="ij")
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0.02 * angle], axis=-1)
    return points.reshape(-1, 3), _grid(120, 6, closed=False)


def noise(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The zero set of noise on a lattice; about 1.6 `side`^3 faces."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    values = gaussian_filter(np.random.default_rng(3).standard_normal((side, side, side)), 0.7)
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    return vertices.astype(np.float64), faces.astype(np.int64)


def loose_triangles(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Triangles without common vertices."""
    generator = np.random.default_rng(4)
    points = generator.random((count, 1, 3)) + 0.02 * generator.standard_normal((count, 3, 3))
    return points.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3)


def non_manifold(count: int) -> tuple[np.ndarray, np.ndarray]:
    """About `count` faces of a torus, and a third as many between its edges and any of its vertices."""
    side = int((count / 2) ** 0.5)
    vertices, faces = wavy_torus(side, side)
    generator = np.random.default_rng(5)
    edges = faces[generator.integers(0, len(faces), len(faces) // 3)][:, :2]
    # Short ones: a neighbour some steps on.
    third = (edges[:, 0] + generator.integers(2, 6, len(edges))) % len(vertices)
    extra = np.column_stack([edges, third])
    distinct = (extra[:, 2] != extra[:, 0]) & (extra[:, 2] != extra[:, 1])
    return vertices, np.concatenate([faces, extra[distinct]])


def _grid(rows: int, columns: int, *, closed: bool) -> np.ndarray:
    ends = 0 if closed else 1
    i, k = (part.ravel() for part in np.meshgrid(np.arange(rows - ends), np.arange(columns - ends), indexing="ij"))
    here, right = i * columns + k, i * columns + (k + 1) % columns
    below, both = (i + 1) % rows * columns + k, (i + 1) % rows * columns + (k + 1) % columns
    return np.concatenate([np.column_stack([here, below, both]), np.column_stack([here, both, right])])
