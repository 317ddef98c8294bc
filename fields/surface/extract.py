"""Marching cubes on the blocks of a lattice that the surface passes through: the zero set of a function as a welded
mesh.

Active blocks are found from coarse to fine; where the function is a distance, it tells which blocks the surface can
reach. Blocks are processed in slabs across x; a slab passes the values on its last plane to the next. A vertex is
identified by the int64 index of its lattice edge, so neighbouring blocks and slabs share vertices without comparing
positions. Where the surface leaves the active blocks, the next block becomes active and the slab is processed again: a
surface that was found anywhere is followed to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit
from fields.surface.lattice import BLOCK, Lattice
from fields.surface.marching_cubes_table import CORNERS, marching_cubes_table

# Assumed largest slope of a distance. A fitted field is a distance only approximately; `coarse_scan` measures its
# slope.
STEEPNESS = 1.3
# Cells along an axis of the coarse blocks that are tested first, where values are distances.
COARSE = 16
# Bytes of the values of a slab, which is at least one block thick.
SLAB_BYTES = 48 << 20
# Value of nodes outside of the box.
OUTSIDE = np.float32(1e30)
# Steps of the root search along an edge.
SEARCH_STEPS = 3
# Least distance of a vertex from a node, as a fraction of the edge: no triangle becomes a point.
MIN_EDGE_FRACTION = 1e-3


@dataclass
class Triangles:
    """`vertices` `[V, 3]` float64 in the implicit's box, `faces` `[F, 3]` int64.

    `crossed`: number of vertices at a zero of the function; the others lie where the box cuts the surface off.
    `evaluations`: points at which the function was evaluated.
    """

    vertices: np.ndarray
    faces: np.ndarray
    crossed: int = 0
    evaluations: int = 0


@torch.no_grad()
def extract(
    implicit: Implicit,
    lattice: Lattice,
    shift: float = 0.0,
    steepness: float = STEEPNESS,
    progress: Callable[[float], None] = lambda share: None,
) -> Triangles:
    """Extract the surface where `implicit.function` equals `shift`; empty where there is none.

    The mesh is closed: a surface that leaves the lattice is cut off flat. Faces are oriented towards larger values.
    `steepness`: largest slope of the function; unused where the values are no distances.
    """
    return _Extraction(implicit, lattice, shift, steepness, progress).run()


@dataclass
class _Slab:
    """The result of a slab, and the state that the next one needs."""

    vertices: np.ndarray
    faces: np.ndarray
    # Edges in the last plane, increasing, and the indices of their vertices.
    tail: np.ndarray
    tail_vertices: np.ndarray
    crossed: int
    # Nodes of the last plane and their values.
    plane: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    plane_values: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))


class _Extraction:
    def __init__(self, implicit: Implicit, lattice: Lattice, shift: float, steepness: float, progress) -> None:
        self.implicit, self.lattice, self.shift, self.progress = implicit, lattice, np.float32(shift), progress
        self.steepness = steepness
        self.nodes = lattice.nodes
        self.evaluations = 0
        self.active = self._near_blocks() if implicit.type != "values" else self._crossed_blocks()

    def run(self) -> Triangles:
        plane_bytes = 4 * int(self.nodes[1] * self.nodes[2])
        thick = max(1, int(SLAB_BYTES // (plane_bytes * BLOCK)))
        starts = list(range(0, int(self.lattice.blocks[0]), thick))
        done: list[_Slab] = []
        while len(done) < len(starts):
            start = starts[len(done)]
            stop = min(start + thick, int(self.lattice.blocks[0]))
            slab, back = self._slab(start, stop, done)
            # The surface continues in a block of the slab before.
            if back:
                done.pop()
                continue
            done.append(slab)
            self.progress(len(done) / len(starts))
        vertices = np.concatenate([slab.vertices for slab in done]) if done else np.zeros((0, 3))
        faces = np.concatenate([slab.faces for slab in done]) if done else np.zeros((0, 3), np.int64)
        return Triangles(vertices, faces, sum(slab.crossed for slab in done), self.evaluations)

    def ask(self, positions: np.ndarray) -> np.ndarray:
        """Values minus the shift at positions `[n, 3]`, float32; NaN counts as outside."""
        self.evaluations += len(positions)
        if not len(positions):
            return np.zeros(0, np.float32)
        device = self.implicit.device
        values = in_chunks(
            lambda part: self.implicit.function(part.float().to(device)).cpu(), torch.from_numpy(positions)
        )
        return np.nan_to_num(values.numpy() - self.shift, nan=OUTSIDE, posinf=OUTSIDE, neginf=-OUTSIDE)

    # Active blocks

    def _near_blocks(self) -> np.ndarray:
        """Blocks whose center is near enough to the surface that it may pass through them, tested in two sizes.

        Bool.
        """
        ratio = COARSE // BLOCK
        blocks = self.lattice.blocks
        chosen = []
        for x in range(-(-int(blocks[0]) // ratio)):
            plane = np.stack(
                np.meshgrid([x], *(np.arange(-(-n // ratio)) for n in blocks[1:]), indexing="ij"), axis=-1
            ).reshape(-1, 3)
            chosen.append(plane[self._reaches(plane, COARSE)])
        coarse = np.concatenate(chosen)
        fine = coarse[:, None] * ratio + np.stack(np.meshgrid(*[np.arange(ratio)] * 3, indexing="ij"), axis=-1).reshape(
            -1, 3
        )
        fine = fine.reshape(-1, 3)
        fine = fine[(fine < blocks).all(axis=1)]
        fine = fine[self._reaches(fine, BLOCK)]
        active = np.zeros(blocks, bool)
        active[tuple(fine.T)] = True
        return active

    def _reaches(self, index: np.ndarray, size: int) -> np.ndarray:
        """Whether the surface may pass through cubes of `size` cells with indices `[n, 3]`, or the border cuts it
        there.
        """
        center = (index + 0.5) * size
        at = self.lattice.positions(center)
        # A center beyond the box is evaluated on the border.
        beyond = np.linalg.norm((self.lattice.lower + (center - 1) * self.lattice.spacing) - at, axis=1)
        radius = np.linalg.norm(self.lattice.spacing) * size / 2 + beyond
        value = self.ask(at)
        border = ((index * size <= 1) | ((index + 1) * size >= self.lattice.counts + 1)).any(axis=1)
        return (np.abs(value) <= self.steepness * radius) | (border & (value < 0))

    def _crossed_blocks(self) -> np.ndarray:
        """Blocks whose corners differ in sign, and their neighbours; bool."""
        blocks = self.lattice.blocks
        signs = np.empty(blocks + 1, bool)
        for x in range(int(blocks[0]) + 1):
            index = np.stack(
                np.meshgrid([x * BLOCK], *(np.arange(n + 1) * BLOCK for n in blocks[1:]), indexing="ij"), axis=-1
            ).reshape(-1, 3)
            signs[x] = (self.ask(self.lattice.positions(index)) < 0).reshape(signs.shape[1:])
        corners = [signs[x : x + blocks[0], y : y + blocks[1], z : z + blocks[2]] for x, y, z in CORNERS]
        some, every = np.logical_or.reduce(corners), np.logical_and.reduce(corners)
        crossed = some & ~every
        for axis in range(3):
            for side in (0, -1):
                border = np.moveaxis(crossed, axis, 0)
                border[side] |= np.moveaxis(some, axis, 0)[side]
        from scipy.ndimage import binary_dilation

        return binary_dilation(crossed, np.ones((3, 3, 3), bool))

    # One slab

    def _slab(self, start: int, stop: int, done: list[_Slab]) -> tuple[_Slab | None, bool]:
        """Process the blocks `start` to `stop` along x; also whether the slab before has to be processed again."""
        before = done[-1] if done else None
        first = start * BLOCK
        shape = ((stop - start) * BLOCK + 1, int(self.nodes[1]), int(self.nodes[2]))
        values = np.empty(shape, np.float32).reshape(-1)
        known = np.zeros(len(values), bool)
        if before is not None:
            values[before.plane], known[before.plane] = before.plane_values, True
        fresh = np.argwhere(self.active[start:stop])
        blocks = fresh
        while len(fresh):
            self._ask_nodes(fresh, first, shape, values, known)
            leaks = self._leaks(fresh, start, stop, shape, values)
            behind = leaks[:, 0] < 0
            if behind.any():
                return None, True
            fresh = leaks[leaks[:, 0] < stop - start]
            blocks = np.concatenate([blocks, fresh])
        slab = self._triangles(blocks, first, shape, values, before, sum(len(part.vertices) for part in done))
        last = shape[1] * shape[2]
        slab.plane = np.flatnonzero(known[-last:])
        slab.plane_values = values[-last:][slab.plane]
        return slab, False

    def _ask_nodes(self, blocks: np.ndarray, first: int, shape, values: np.ndarray, known: np.ndarray) -> None:
        """Evaluate all nodes of the blocks whose values are not known yet."""
        wanted = np.zeros(len(values), bool)
        for part in np.array_split(blocks, -(-len(blocks) // 4096)):
            wanted[_block_nodes(part, shape).reshape(-1)] = True
        wanted &= ~known
        flat = np.flatnonzero(wanted)
        known[flat] = True
        for start in range(0, len(flat), 1 << 20):
            part = flat[start : start + (1 << 20)]
            index = np.stack(np.unravel_index(part, shape), axis=-1)
            index[:, 0] += first
            inside = self.lattice.within(index)
            found = np.full(len(part), OUTSIDE, np.float32)
            found[inside] = self.ask(self.lattice.positions(index[inside]))
            # Exactly zero would put several vertices on one node.
            found[found == 0] = np.float32(1e-12)
            values[part] = found

    def _leaks(self, blocks: np.ndarray, start: int, stop: int, shape, values: np.ndarray) -> np.ndarray:
        """Activate and return the blocks behind those faces of these blocks that the surface passes through."""
        found = []
        for part in np.array_split(blocks, -(-len(blocks) // 4096)):
            inside = values[_block_nodes(part, shape)].reshape(-1, BLOCK + 1, BLOCK + 1, BLOCK + 1) < 0
            for axis in range(3):
                for side, step in ((0, -1), (BLOCK, 1)):
                    face = inside.take(side, axis=axis + 1).reshape(len(part), -1)
                    beyond = part[face.any(axis=1) & ~face.all(axis=1)]
                    beyond[:, axis] += step
                    found.append(beyond)
        beyond = np.unique(np.concatenate(found), axis=0)
        whole = beyond + np.array([start, 0, 0])
        beyond = beyond[((whole >= 0) & (whole < self.lattice.blocks)).all(axis=1)]
        whole = tuple((beyond + np.array([start, 0, 0])).T)
        beyond = beyond[~self.active[whole]]
        self.active[tuple((beyond + np.array([start, 0, 0])).T)] = True
        return beyond

    def _triangles(
        self, blocks: np.ndarray, first: int, shape, values: np.ndarray, before: _Slab | None, numbered: int
    ) -> _Slab:
        """Run marching cubes in the blocks; vertices are numbered from `numbered` on."""
        table = marching_cubes_table()
        keys = []
        for part in np.array_split(blocks, -(-len(blocks) // 4096)) if len(blocks) else []:
            inside = values[_block_nodes(part, shape)].reshape(-1, BLOCK + 1, BLOCK + 1, BLOCK + 1) < 0
            code = np.zeros((len(part), BLOCK, BLOCK, BLOCK), np.uint8)
            for bit, (x, y, z) in enumerate(CORNERS):
                code |= inside[:, x : x + BLOCK, y : y + BLOCK, z : z + BLOCK].astype(np.uint8) << np.uint8(bit)
            where = np.argwhere((code > 0) & (code < 255))
            code = code[tuple(where.T)]
            cells = part[where[:, 0]] * BLOCK + where[:, 1:]
            count = table.count[code]
            triangle = np.repeat(table.first[code] - np.cumsum(count) + count, count) + np.arange(count.sum())
            node = np.repeat(cells, count, axis=0)[:, None] + table.offset[triangle]
            keys.append(((node[..., 0] * shape[1] + node[..., 1]) * shape[2] + node[..., 2]) * 3 + table.axis[triangle])
        keys = np.concatenate(keys) if keys else np.zeros((0, 3), np.int64)
        edges, faces = np.unique(keys, return_inverse=True)
        faces = faces.reshape(-1, 3)
        # Edges in the first plane have their vertices in the slab before.
        number = np.full(len(edges), -1, np.int64)
        if before is not None and len(before.tail):
            place = np.minimum(np.searchsorted(before.tail, edges), len(before.tail) - 1)
            same = before.tail[place] == edges
            number[same] = before.tail_vertices[place[same]]
        new = number < 0
        number[new] = numbered + np.arange(np.count_nonzero(new))
        last = (shape[0] - 1) * shape[1] * shape[2] * 3
        tail = edges >= last
        vertices, crossed = self._vertices(edges[new], first, shape, values)
        return _Slab(vertices, number[faces], edges[tail] - last, number[tail], crossed)

    def _vertices(self, edges: np.ndarray, first: int, shape, values: np.ndarray) -> tuple[np.ndarray, int]:
        """Zeros of the function on edges `[n]`: positions `[n, 3]`, and how many edges have one. Illinois method."""
        node, axis = np.divmod(edges, 3)
        step = np.array([shape[1] * shape[2], shape[2], 1])[axis]
        low, high = values[node].astype(np.float64), values[node + step].astype(np.float64)
        index = np.stack(np.unravel_index(node, shape), axis=-1).astype(np.float64)
        index[:, 0] += first
        a, b, side = np.zeros(len(edges)), np.ones(len(edges)), np.zeros(len(edges), np.int8)
        t = low / (low - high)
        searched = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) < OUTSIDE)
        crossed = len(searched)
        for _ in range(SEARCH_STEPS):
            positions = index[searched]
            positions[np.arange(len(searched)), axis[searched]] += t[searched]
            value = self.ask(self.lattice.positions(positions)).astype(np.float64)
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


def _block_nodes(blocks: np.ndarray, shape) -> np.ndarray:
    """Flat numbers `[n, 125]` of the nodes of blocks `[n, 3]` in an array of that shape."""
    base = (blocks[:, 0] * shape[1] + blocks[:, 1]) * (shape[2] * BLOCK) + blocks[:, 2] * BLOCK
    return base[:, None] + _offsets(shape[1], shape[2])


def _offsets(height: int, depth: int) -> np.ndarray:
    steps = np.arange(BLOCK + 1)
    return ((steps[:, None, None] * height + steps[:, None]) * depth + steps).reshape(-1)
