"""Close the holes of a mesh with patches that are as smooth as a membrane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fields.surface.topology import face_areas

# Holes with more edges are not small gaps, but sides that nothing is known about; they are closed flat.
MAX_SMALL = 100
# A rim with no more vertices than this is closed around one new vertex.
MAX_FAN = 6


@dataclass(frozen=True)
class ClosedHoles:
    """A mesh whose holes are closed. The vertices of the original mesh come first, in their order.

    vertices: `[V, 3]`; faces: `[F, 3]`.
    small, large: numbers of holes with at most `MAX_SMALL` edges and with more.
    fraction: fraction of the new mesh's area that the patches have.
    """

    vertices: np.ndarray
    faces: np.ndarray
    small: int
    large: int
    fraction: float


def close_holes(vertices: np.ndarray, faces: np.ndarray) -> ClosedHoles:
    """Close all holes of a mesh without edges of more than two faces.

    Each hole gets rings of vertices, each with half as many as the one around it, until a single vertex is left. Small
    holes continue the curvature of the surface around them; large ones are the membrane of their rim, which is flat
    where the rim is.
    """
    loops = boundary_loops(faces)
    result, closed = close_loops(vertices, faces, loops)
    areas = face_areas(result, closed)
    small = sum(len(loop) <= MAX_SMALL for loop in loops)
    fraction = float(areas[len(faces) :].sum() / max(areas.sum(), 1e-300))
    return ClosedHoles(result, closed, small, len(loops) - small, fraction)


def close_loops(
    vertices: np.ndarray, faces: np.ndarray, loops: list[np.ndarray], *, flat: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Close some of the `boundary_loops` of a mesh: new vertices and faces follow those of the mesh.

    flat: whether small holes are closed by membranes, too.
    """
    all_vertices, all_faces, count = [vertices], [faces], len(vertices)
    around = _Neighbourhoods(len(vertices), faces)
    for loop in loops:
        patch, added = patch_of_loop(loop, count)
        if added:
            smooth = len(loop) <= MAX_SMALL and not flat
            ring = around.faces_at(loop) if smooth else np.zeros((0, 3), np.int64)
            all_vertices.append(_positions(vertices, loop, patch, ring, count, added, smooth=smooth))
        all_faces.append(patch)
        count += added
    return np.concatenate(all_vertices), np.concatenate(all_faces)


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Rims of the holes of a mesh: vertices in the order in which a patch's faces have to run along them.

    A rim that touches itself in a vertex is divided there.
    """
    if not len(faces):
        return []
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    base = int(faces.max()) + 1
    forward, backward = edges[:, 0] * base + edges[:, 1], edges[:, 1] * base + edges[:, 0]
    open_edges = edges[~np.isin(forward, backward)][:, ::-1]
    following: dict[int, list[int]] = {}
    for start, end in open_edges.tolist():
        following.setdefault(start, []).append(end)
    loops = []
    for start in list(following):
        while following.get(start):
            loops.extend(_walk(start, following))
    return loops


def _walk(start: int, following: dict[int, list[int]]) -> list[np.ndarray]:
    """Follow open edges from a vertex until none is left; every closed part of the way is a loop."""
    loops, path, place = [], [start], {start: 0}
    while following.get(path[-1]):
        vertex = following[path[-1]].pop()
        if vertex not in place:
            place[vertex] = len(path)
            path.append(vertex)
            continue
        first = place[vertex]
        loop = path[first:]
        if len(loop) > 2:
            loops.append(np.array(loop, np.int64))
        for left in path[first + 1 :]:
            del place[left]
        del path[first + 1 :]
    return loops


def patch_of_loop(loop: np.ndarray, count: int) -> tuple[np.ndarray, int]:
    """Faces `[F, 3]` that close a loop, and how many new vertices they need; those have the indices from `count`."""
    if len(loop) == 3:
        return loop[None], 0
    parts, ring, added = [], loop, 0
    while len(ring) > MAX_FAN:
        inner = count + added + np.arange((len(ring) + 1) // 2)
        added += len(inner)
        even, odd = ring[0::2], ring[1::2]
        after, beyond = np.roll(even, -1), np.roll(inner, -1)
        n = len(odd)
        parts += [
            np.stack([even[:n], odd, inner[:n]], axis=1),
            np.stack([odd, after[:n], beyond[:n]], axis=1),
            np.stack([odd, beyond[:n], inner[:n]], axis=1),
        ]
        if len(ring) % 2:
            # The last vertex of the ring is followed by the first.
            parts.append(np.array([[ring[-1], ring[0], inner[0]], [ring[-1], inner[0], inner[-1]]]))
        ring = inner
    centre = np.full(len(ring), count + added)
    parts.append(np.stack([ring, np.roll(ring, -1), centre], axis=1))
    return np.concatenate(parts), added + 1


class _Neighbourhoods:
    """Finds the faces around vertices."""

    def __init__(self, count: int, faces: np.ndarray) -> None:
        self.faces = faces
        self.order = np.argsort(faces.reshape(-1), kind="stable") // 3
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(faces.reshape(-1), minlength=count))])

    def faces_at(self, vertices: np.ndarray) -> np.ndarray:
        """The faces that touch any of these vertices, `[n, 3]`."""
        found = [self.order[self.starts[v] : self.starts[v + 1]] for v in vertices.tolist()]
        return self.faces[np.unique(np.concatenate(found))]


def _positions(
    vertices: np.ndarray,
    loop: np.ndarray,
    patch: np.ndarray,
    ring: np.ndarray,
    first: int,
    added: int,
    *,
    smooth: bool,
) -> np.ndarray:
    """Positions `[added, 3]` of a patch's vertices: the least sum of squares of their differences from the mean of
    their neighbours, and where it is smooth of those of the rim's vertices, too.

    ring: faces around the rim, `[n, 3]`.
    """
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    local, index = np.unique(np.concatenate([patch, ring]), return_inverse=True)
    cells = index.reshape(-1, 3)
    edges = np.concatenate([cells[:, [0, 1]], cells[:, [1, 2]], cells[:, [2, 0]]])
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    size = len(local)
    adjacent = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (size, size)).tocsr()
    degree = np.asarray(adjacent.sum(axis=1)).reshape(-1)
    differences = (diags(np.ones(size)) - diags(1 / degree) @ adjacent).tocsr()
    free = local >= first
    rows = free | np.isin(local, loop) if smooth else free
    known = np.zeros((size, 3))
    known[~free] = vertices[local[~free]]
    matrix, target = differences[rows][:, free], -(differences[rows] @ known)
    return np.asarray(spsolve((matrix.T @ matrix).tocsc(), matrix.T @ target)).reshape(added, 3)
