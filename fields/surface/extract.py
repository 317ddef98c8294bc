"""The zero set of a function as a welded triangle mesh: marching cubes in blocks where there is a surface, and nowhere else.

Blocks are found from coarse to fine, by distance where the function is one. They are worked off in slabs across x, each of
which keeps the values on its last plane for the next. A vertex is known by the number of the lattice edge that it is on, an
int64, so vertices of neighbouring blocks and slabs are one without comparing places. Where the surface leaves the blocks,
the block that it goes to is added and the slab done again: a surface that was found anywhere is followed to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit
from fields.surface.lattice import BLOCK, Lattice
from fields.surface.marching_cubes_table import CORNERS, cases

# A distance grows by at most this much more than the way gone: a fitted field is only about one. `coarse_scan` measures it.
STEEPNESS = 1.3
# Cells along an axis that share the first look, where values are distances.
COARSE = 16
# Bytes of the values of a slab; it is at least one block thick.
SLAB_BYTES = 48 << 20
# The value of nodes outside of the box.
OUTSIDE = np.float32(1e30)
# Steps of the search along an edge for the place where the function is zero.
SEARCH = 3
# No vertex is nearer than this share of the edge to a node, so no triangle is a point.
SHORTEST = 1e-3


@dataclass
class Triangles:
    """`vertices` `[V, 3]` float64 in the implicit's box, `faces` `[F, 3]` int64.

    crossed: how many vertices lie where the function is zero, the others where it is cut off; asked: how often the function was.
    """

    vertices: np.ndarray
    faces: np.ndarray
    crossed: int = 0
    asked: int = 0


@torch.no_grad()
def extract(
    implicit: Implicit,
    lattice: Lattice,
    shift: float = 0.0,
    steepness: float = STEEPNESS,
    progress: Callable[[float], None] = lambda share: None,
) -> Triangles:
    """The surface where `implicit.function` is `shift`; empty where there is none.

    Closed: what leaves the lattice is cut off flat. Faces look to where the function is larger. `steepness` is how much the
    function grows at most over the way gone; it does not matter where the values are no distances.
    """
    return _Extraction(implicit, lattice, shift, steepness, progress).run()


@dataclass
class _Slab:
    """What is kept of one that is done."""

    vertices: np.ndarray
    faces: np.ndarray
    # The edges in the last plane, increasing, and the numbers of their vertices.
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
        self.asked = 0
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
            if back:  # the surface goes on in a block of the slab before
                done.pop()
                continue
            done.append(slab)
            self.progress(len(done) / len(starts))
        vertices = np.concatenate([slab.vertices for slab in done]) if done else np.zeros((0, 3))
        faces = np.concatenate([slab.faces for slab in done]) if done else np.zeros((0, 3), np.int64)
        return Triangles(vertices, faces, sum(slab.crossed for slab in done), self.asked)

    def ask(self, places: np.ndarray) -> np.ndarray:
        """The function less the shift at places `[n, 3]`, float32; not a number counts as outside."""
        self.asked += len(places)
        if not len(places):
            return np.zeros(0, np.float32)
        device = self.implicit.device
        values = in_chunks(lambda part: self.implicit.function(part.float().to(device)).cpu(), torch.from_numpy(places))
        return np.nan_to_num(values.numpy() - self.shift, nan=OUTSIDE, posinf=OUTSIDE, neginf=-OUTSIDE)

    # Which blocks

    def _near_blocks(self) -> np.ndarray:
        """bool over all blocks: those whose middle is so near to zero that the surface may reach them; two steps of size."""
        share = COARSE // BLOCK
        blocks = self.lattice.blocks
        chosen = []
        for x in range(-(-int(blocks[0]) // share)):
            plane = np.stack(
                np.meshgrid([x], *(np.arange(-(-n // share)) for n in blocks[1:]), indexing="ij"), axis=-1
            ).reshape(-1, 3)
            chosen.append(plane[self._reaches(plane, COARSE)])
        coarse = np.concatenate(chosen)
        fine = coarse[:, None] * share + np.stack(np.meshgrid(*[np.arange(share)] * 3, indexing="ij"), axis=-1).reshape(
            -1, 3
        )
        fine = fine.reshape(-1, 3)
        fine = fine[(fine < blocks).all(axis=1)]
        fine = fine[self._reaches(fine, BLOCK)]
        active = np.zeros(blocks, bool)
        active[tuple(fine.T)] = True
        return active

    def _reaches(self, index: np.ndarray, size: int) -> np.ndarray:
        """Of cubes of `size` cells with numbers `[n, 3]`: where the surface may pass, or where the lattice's border cuts it."""
        middle = (index + 0.5) * size
        at = self.lattice.places(middle)
        # A middle beyond the box is asked for on the border.
        beyond = np.linalg.norm((self.lattice.lower + (middle - 1) * self.lattice.spacing) - at, axis=1)
        radius = np.linalg.norm(self.lattice.spacing) * size / 2 + beyond
        value = self.ask(at)
        border = ((index * size <= 1) | ((index + 1) * size >= self.lattice.counts + 1)).any(axis=1)
        return (np.abs(value) <= self.steepness * radius) | (border & (value < 0))

    def _crossed_blocks(self) -> np.ndarray:
        """bool over all blocks: where corners differ in sign, and what touches one of those."""
        blocks = self.lattice.blocks
        signs = np.empty(blocks + 1, bool)
        for x in range(int(blocks[0]) + 1):
            index = np.stack(
                np.meshgrid([x * BLOCK], *(np.arange(n + 1) * BLOCK for n in blocks[1:]), indexing="ij"), axis=-1
            ).reshape(-1, 3)
            # (the border itself, for what is cut off there)
            signs[x] = (self.ask(self.lattice.places(index)) < 0).reshape(signs.shape[1:])
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
        """The slab of the blocks `start` to `stop` along x, and whether the one before has to be done again."""
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
        """Fills in the values of all nodes of the blocks that are not known yet."""
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
            found[inside] = self.ask(self.lattice.places(index[inside]))
            # Exactly zero would put several vertices on one node.
            found[found == 0] = np.float32(1e-12)
            values[part] = found

    def _leaks(self, blocks: np.ndarray, start: int, stop: int, shape, values: np.ndarray) -> np.ndarray:
        """Marks as active, and returns, the blocks behind faces of these blocks that the surface goes through."""
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
        """Marching cubes in the blocks; `numbered` vertices are there already."""
        table = cases()
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
        # The edges in the first plane have their vertices from the slab before.
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
        """Where on the edges `[n]` the function is zero, `[n, 3]`, and on how many it is; regula falsi with Illinois' halving."""
        node, axis = np.divmod(edges, 3)
        step = np.array([shape[1] * shape[2], shape[2], 1])[axis]
        low, high = values[node].astype(np.float64), values[node + step].astype(np.float64)
        index = np.stack(np.unravel_index(node, shape), axis=-1).astype(np.float64)
        index[:, 0] += first
        a, b, side = np.zeros(len(edges)), np.ones(len(edges)), np.zeros(len(edges), np.int8)
        t = low / (low - high)
        searched = np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) < OUTSIDE)
        crossed = len(searched)
        for _ in range(SEARCH):
            places = index[searched]
            places[np.arange(len(searched)), axis[searched]] += t[searched]
            value = self.ask(self.lattice.places(places)).astype(np.float64)
            searched, value = searched[value != 0], value[value != 0]
            left = (value < 0) == (low[searched] < 0)
            for which, end, own, other in ((left, a, low, high), (~left, b, high, low)):
                moved = searched[which]
                end[moved], own[moved] = t[moved], value[which]
                mark = np.int8(1 if end is a else -1)
                other[moved[side[moved] == mark]] *= 0.5  # the same end twice: the other one weighs half
                side[moved] = mark
            t[searched] = (a * high - b * low)[searched] / (high - low)[searched]
        # (A cut-off surface ends a hair beyond the border, as no triangle should be without area.)
        index[np.arange(len(edges)), axis] += np.clip(t, SHORTEST, 1 - SHORTEST)
        return self.lattice.lower + (index - 1) * self.lattice.spacing, crossed


def _block_nodes(blocks: np.ndarray, shape) -> np.ndarray:
    """Flat numbers `[n, 125]` of the nodes of blocks `[n, 3]` in an array of that shape."""
    base = (blocks[:, 0] * shape[1] + blocks[:, 1]) * (shape[2] * BLOCK) + blocks[:, 2] * BLOCK
    return base[:, None] + _offsets(shape[1], shape[2])


def _offsets(height: int, depth: int) -> np.ndarray:
    steps = np.arange(BLOCK + 1)
    return ((steps[:, None, None] * height + steps[:, None]) * depth + steps).reshape(-1)
