"""Marching cubes on the blocks of a lattice that a surface passes through: the zero set of a function as a welded mesh.

Active blocks are found from coarse to fine (`fields.surface.active_blocks`). They are processed in slabs across x; a
slab passes the values on its last plane to the next. A vertex is identified by the int64 index of its lattice edge, so
neighbouring blocks and slabs share vertices without comparing positions. Where the surface leaves the active blocks,
the next block becomes active and the slab is processed again: a surface that was found anywhere is followed to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.active_blocks import blocks_near_surface, blocks_with_sign_change
from fields.surface.implicit import Implicit
from fields.surface.lattice import BLOCK, Lattice
from fields.surface.marching_cubes_table import CORNERS, marching_cubes_table

# Assumed largest slope of a distance. A fitted field is a distance only approximately; `coarse_scan` measures its
# slope.
STEEPNESS = 1.3
# Bytes of the values of a slab, which is at least one block thick.
SLAB_BYTES = 48 << 20
# Blocks, and nodes, that are processed at once.
BLOCKS_AT_ONCE = 4096
NODES_AT_ONCE = 1 << 20
# Value of nodes outside of the box.
OUTSIDE = 1e30
# Steps of the root search along an edge.
SEARCH_STEPS = 3
# Least distance of a vertex from a node, as a fraction of the edge: no triangle becomes a point.
MIN_EDGE_FRACTION = 1e-3

Shape = tuple[int, int, int]
# Called with the fraction of the work that is done, from 0 to 1.
ProgressCallback = Callable[[float], None]


def no_progress(fraction: float) -> None:
    """A progress callback that does nothing."""


@dataclass
class Triangles:
    """A triangle mesh in the implicit's box.

    vertices: `[V, 3]` float64.
    faces: `[F, 3]` int64, oriented towards larger values.
    crossed: number of vertices at a zero of the function; the others lie where the box cuts the surface off.
    evaluations: points at which the function was evaluated.
    """

    vertices: np.ndarray
    faces: np.ndarray
    crossed: int = 0
    evaluations: int = 0


@torch.no_grad()
def extract(
    implicit: Implicit,
    lattice: Lattice,
    *,
    shift: float = 0.0,
    steepness: float = STEEPNESS,
    progress: ProgressCallback = no_progress,
) -> Triangles:
    """Extract the surface where `implicit.function` equals `shift`, as a closed mesh; empty where there is none.

    lattice: its resolution and its box; a surface that leaves the box is cut off flat.
    steepness: largest slope of the function; unused if the implicit's type is "values".
    """
    shifted = ShiftedFunction(implicit, shift)
    if implicit.type == "values":
        active = blocks_with_sign_change(shifted, lattice)
    else:
        active = blocks_near_surface(shifted, lattice, steepness)
    return Extraction(shifted, lattice, active).run(progress)


class ShiftedFunction:
    """The function of an implicit minus a shift, at positions `[n, 3]`, `[n]` float32; NaN becomes `OUTSIDE`.

    evaluations: number of positions so far.
    """

    def __init__(self, implicit: Implicit, shift: float = 0.0) -> None:
        self._implicit = implicit
        self._shift = np.float32(shift)
        self.evaluations = 0

    def __call__(self, positions: np.ndarray) -> np.ndarray:
        self.evaluations += len(positions)
        if not len(positions):
            return np.zeros(0, np.float32)
        device = self._implicit.device
        values = in_chunks(
            lambda part: self._implicit.function(part.float().to(device)).cpu(), torch.from_numpy(positions)
        )
        return np.nan_to_num(values.numpy() - self._shift, nan=OUTSIDE, posinf=OUTSIDE, neginf=-OUTSIDE)


@dataclass
class _Slab:
    """The result of a slab, and the state that the next one needs.

    tail, tail_vertices: edges in the last plane, increasing, and the indices of their vertices.
    plane, plane_values: nodes of the last plane and their values.
    """

    vertices: np.ndarray
    faces: np.ndarray
    tail: np.ndarray
    tail_vertices: np.ndarray
    crossed: int
    plane: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    plane_values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class Extraction:
    """Marching cubes over the active blocks of a lattice.

    active: blocks that the surface may pass through, `[x, y, z]` bool; more become active where it leaves them.
    """

    def __init__(self, function: ShiftedFunction, lattice: Lattice, active: np.ndarray) -> None:
        self.function = function
        self.lattice = lattice
        self.active = active
        self.nodes = lattice.nodes

    def run(self, progress: ProgressCallback = no_progress) -> Triangles:
        """Process all slabs, and again those that the surface turns out to come back to."""
        plane_bytes = 4 * int(self.nodes[1] * self.nodes[2])
        thickness = max(1, int(SLAB_BYTES // (plane_bytes * BLOCK)))
        starts = list(range(0, int(self.lattice.blocks[0]), thickness))
        done: list[_Slab] = []
        while len(done) < len(starts):
            start = starts[len(done)]
            slab = self._slab(start, min(start + thickness, int(self.lattice.blocks[0])), done)
            if slab is None:
                # The surface continues in a block of the slab before.
                done.pop()
                continue
            done.append(slab)
            progress(len(done) / len(starts))
        vertices = np.concatenate([slab.vertices for slab in done]) if done else np.zeros((0, 3))
        faces = np.concatenate([slab.faces for slab in done]) if done else np.zeros((0, 3), np.int64)
        return Triangles(vertices, faces, sum(slab.crossed for slab in done), self.function.evaluations)

    def _slab(self, start: int, stop: int, done: list[_Slab]) -> _Slab | None:
        """Process the blocks `start` to `stop` along x. None if the slab before has to be processed again first."""
        before = done[-1] if done else None
        first_plane = start * BLOCK
        shape = ((stop - start) * BLOCK + 1, int(self.nodes[1]), int(self.nodes[2]))
        values = np.empty(shape, np.float32).reshape(-1)
        known = np.zeros(len(values), bool)
        if before is not None:
            values[before.plane], known[before.plane] = before.plane_values, True
        added = blocks = np.argwhere(self.active[start:stop])
        while len(added):
            self._evaluate_nodes(added, first_plane, shape, values, known)
            leaks = self._leaks(added, start, shape, values)
            if (leaks[:, 0] < 0).any():
                return None
            added = leaks[leaks[:, 0] < stop - start]
            blocks = np.concatenate([blocks, added])
        faces_of_edges = _triangles(blocks, shape, values)
        slab = self._number_vertices(faces_of_edges, first_plane, shape, values, done)
        last_plane = shape[1] * shape[2]
        slab.plane = np.flatnonzero(known[-last_plane:])
        slab.plane_values = values[-last_plane:][slab.plane]
        return slab

    def _evaluate_nodes(
        self, blocks: np.ndarray, first_plane: int, shape: Shape, values: np.ndarray, known: np.ndarray
    ) -> None:
        """Evaluate all nodes of the blocks whose values are not known yet."""
        wanted = np.zeros(len(values), bool)
        for part in _parts(blocks):
            wanted[_block_nodes(part, shape).reshape(-1)] = True
        wanted &= ~known
        flat = np.flatnonzero(wanted)
        known[flat] = True
        for start in range(0, len(flat), NODES_AT_ONCE):
            part = flat[start : start + NODES_AT_ONCE]
            index = np.stack(np.unravel_index(part, shape), axis=-1)
            index[:, 0] += first_plane
            inside = self.lattice.within(index)
            found = np.full(len(part), OUTSIDE, np.float32)
            found[inside] = self.function(self.lattice.positions(index[inside]))
            # Exactly zero would put several vertices on one node.
            found[found == 0] = np.float32(1e-12)
            values[part] = found

    def _leaks(self, blocks: np.ndarray, start: int, shape: Shape, values: np.ndarray) -> np.ndarray:
        """Activate and return the blocks behind those faces of these blocks that the surface passes through."""
        found = []
        for part in _parts(blocks):
            inside = _block_values(part, shape, values) < 0
            for axis in range(3):
                for side, step in ((0, -1), (BLOCK, 1)):
                    face = inside.take(side, axis=axis + 1).reshape(len(part), -1)
                    beyond = part[face.any(axis=1) & ~face.all(axis=1)]
                    beyond[:, axis] += step
                    found.append(beyond)
        beyond = np.unique(np.concatenate(found), axis=0)
        offset = np.array([start, 0, 0])
        beyond = beyond[((beyond + offset >= 0) & (beyond + offset < self.lattice.blocks)).all(axis=1)]
        beyond = beyond[~self.active[tuple((beyond + offset).T)]]
        self.active[tuple((beyond + offset).T)] = True
        return beyond

    def _number_vertices(
        self, edges_of_faces: np.ndarray, first_plane: int, shape: Shape, values: np.ndarray, done: list[_Slab]
    ) -> _Slab:
        """Turn triangles of edges `[F, 3]` into triangles of vertices, which continue those of the slabs before."""
        before = done[-1] if done else None
        num_before = sum(len(part.vertices) for part in done)
        edges, faces = np.unique(edges_of_faces, return_inverse=True)
        faces = faces.reshape(-1, 3)
        # Edges in the first plane have their vertices in the slab before.
        vertex_of_edge = np.full(len(edges), -1, np.int64)
        if before is not None and len(before.tail):
            position = np.minimum(np.searchsorted(before.tail, edges), len(before.tail) - 1)
            same = before.tail[position] == edges
            vertex_of_edge[same] = before.tail_vertices[position[same]]
        new = vertex_of_edge < 0
        vertex_of_edge[new] = num_before + np.arange(np.count_nonzero(new))
        first_of_last_plane = (shape[0] - 1) * shape[1] * shape[2] * 3
        tail = edges >= first_of_last_plane
        vertices, crossed = self._vertices(edges[new], first_plane, shape, values)
        return _Slab(
            vertices=vertices,
            faces=vertex_of_edge[faces],
            tail=edges[tail] - first_of_last_plane,
            tail_vertices=vertex_of_edge[tail],
            crossed=crossed,
        )

    def _vertices(
        self, edges: np.ndarray, first_plane: int, shape: Shape, values: np.ndarray
    ) -> tuple[np.ndarray, int]:
        """Positions `[n, 3]` of the zeros on edges `[n]`, and how many edges have one, by the Illinois method."""
        node, axis = np.divmod(edges, 3)
        step = np.array([shape[1] * shape[2], shape[2], 1])[axis]
        low, high = values[node].astype(np.float64), values[node + step].astype(np.float64)
        index = np.stack(np.unravel_index(node, shape), axis=-1).astype(np.float64)
        index[:, 0] += first_plane
        a, b, side = np.zeros(len(edges)), np.ones(len(edges)), np.zeros(len(edges), np.int8)
        t = low / (low - high)
        searched = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) < OUTSIDE)
        crossed = len(searched)
        for _ in range(SEARCH_STEPS):
            positions = index[searched]
            positions[np.arange(len(searched)), axis[searched]] += t[searched]
            value = self.function(self.lattice.positions(positions)).astype(np.float64)
            searched, value = searched[value != 0], value[value != 0]
            left = (value < 0) == (low[searched] < 0)
            for which, end, own, other in ((left, a, low, high), (~left, b, high, low)):
                moved = searched[which]
                end[moved], own[moved] = t[moved], value[which]
                mark = np.int8(1 if end is a else -1)
                other[moved[side[moved] == mark]] *= 0.5
                side[moved] = mark
            t[searched] = (a * high - b * low)[searched] / (high - low)[searched]
        # A surface that is cut off ends slightly beyond the border, so that every triangle has an area.
        index[np.arange(len(edges)), axis] += np.clip(t, MIN_EDGE_FRACTION, 1 - MIN_EDGE_FRACTION)
        return self.lattice.lower + (index - 1) * self.lattice.spacing, crossed


def _triangles(blocks: np.ndarray, shape: Shape, values: np.ndarray) -> np.ndarray:
    """Triangles of marching cubes in blocks, each as the three edges on which its corners lie, `[F, 3]` int64.

    The edge from node n of the array of that shape along axis k has the index 3 n + k.
    """
    table = marching_cubes_table()
    edges = [np.zeros((0, 3), np.int64)]
    for part in _parts(blocks):
        inside = _block_values(part, shape, values) < 0
        case = np.zeros((len(part), BLOCK, BLOCK, BLOCK), np.uint8)
        for bit, (x, y, z) in enumerate(CORNERS):
            case |= inside[:, x : x + BLOCK, y : y + BLOCK, z : z + BLOCK].astype(np.uint8) << np.uint8(bit)
        crossed = np.argwhere((case > 0) & (case < 255))
        case = case[tuple(crossed.T)]
        cells = part[crossed[:, 0]] * BLOCK + crossed[:, 1:]
        count = table.count[case]
        triangle = np.repeat(table.first[case] - np.cumsum(count) + count, count) + np.arange(count.sum())
        node = np.repeat(cells, count, axis=0)[:, None] + table.offset[triangle]
        edges.append(((node[..., 0] * shape[1] + node[..., 1]) * shape[2] + node[..., 2]) * 3 + table.axis[triangle])
    return np.concatenate(edges)


def _parts(blocks: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks `[n, 3]` in parts of at most `BLOCKS_AT_ONCE`, which bounds the memory."""
    for start in range(0, len(blocks), BLOCKS_AT_ONCE):
        yield blocks[start : start + BLOCKS_AT_ONCE]


def _block_values(blocks: np.ndarray, shape: Shape, values: np.ndarray) -> np.ndarray:
    """Values at the nodes of blocks `[n, 3]`, `[n, 5, 5, 5]`."""
    return values[_block_nodes(blocks, shape)].reshape(-1, BLOCK + 1, BLOCK + 1, BLOCK + 1)


def _block_nodes(blocks: np.ndarray, shape: Shape) -> np.ndarray:
    """Flat indices `[n, 125]` of the nodes of blocks `[n, 3]` in an array of that shape."""
    base = (blocks[:, 0] * shape[1] + blocks[:, 1]) * (shape[2] * BLOCK) + blocks[:, 2] * BLOCK
    steps = np.arange(BLOCK + 1)
    offsets = (steps[:, None, None] * shape[1] + steps[:, None]) * shape[2] + steps
    return base[:, None] + offsets.reshape(-1)
