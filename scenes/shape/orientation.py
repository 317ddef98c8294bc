"""Orient the faces of a mesh: consistently within each body, outwards, and cavities inwards.

Files mix orientations: of whole bodies, of parts of one, of mirrored copies. Winding numbers, which tell inside from
outside, are right for any number of bodies once each of them is oriented.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from scenes.shape.geometry import Mesh

# Vertices of a shell that are looked at to find out whether it lies in another one, and how many have to.
PROBES = 64
MIN_INSIDE = 0.9
# Shells that are looked into: the largest ones. It takes a millisecond for each where there are a hundred thousand.
MAX_CONTAINERS = 5000
# Volume below which a body has no inside, as a fraction of the cube of its diagonal.
MIN_VOLUME = 1e-9


Nested = Literal["cavities", "solid"]


def oriented(mesh: Mesh, nested: Nested = "cavities") -> Mesh:
    """The mesh with all bodies oriented. `notes` of the result say what was changed.

    Open surfaces are made consistent, and turned all together so that their volume is positive. Equal vertices have to
    be merged.

    Args:
        nested: "cavities": a closed shell inside of another one is a cavity, one inside of a cavity is solid, and so on
            (parity). "solid": every closed shell is filled.
    """
    patches = _Patches(mesh.vertices, mesh.faces)
    solid = patches.solid
    cavity = patches.depth % 2 == 1 if nested == "cavities" else np.zeros(patches.count, bool)
    inward = solid & (patches.volumes < 0)
    reverse = solid & (inward != cavity)
    if patches.volumes[~solid].sum() < 0:
        reverse |= ~solid
    flips = patches.inconsistent ^ reverse[patches.label]
    if not flips.any():
        return mesh
    notes = list(mesh.notes)
    mixed = np.unique(patches.label[patches.inconsistent])
    if len(mixed):
        count = int(patches.inconsistent.sum())
        notes.append(
            f"{count:,} of {len(flips):,} faces were reversed: they looked the other way than their neighbours"
        )
    if (turned := int((reverse & solid & ~cavity).sum())) and patches.count > 1:
        notes.append(f"{turned} of {patches.count} bodies were inside out, and are turned")
    if filled := int((reverse & solid & cavity).sum()):
        shells = "closed shell lies" if filled == 1 else "closed shells lie"
        notes.append(
            f"{filled} {shells} inside of another one and {'is a cavity' if filled == 1 else 'are cavities'} here, "
            "though not in the file (`nested=solid` fills cavities)"
        )
    return replace(
        mesh,
        faces=np.ascontiguousarray(np.where(flips[:, None], mesh.faces[:, ::-1], mesh.faces)),
        colors=mesh.colors and mesh.colors.flipped(flips),
        notes=notes,
    )


@dataclass
class _Edges:
    """Pairs of faces that share an edge which no third face has. same: both go along it in one direction."""

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray


class _Patches:
    """Faces that are connected by edges of two faces, for vertices `[V, 3]` and faces `[F, 3]`.

    Attributes:
        label: `[F]`, the patch of each face.
        count: number of patches.
        inconsistent: `[F]`, faces to reverse so that each patch is consistent: the smaller part by area.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        self.faces = faces
        # Volumes are taken about the mean vertex, so that those of open patches do not depend on where the mesh is.
        self.vertices = vertices - vertices.mean(axis=0)
        self._pairs = pairs = _shared_edges(faces)
        size = len(faces)
        ones = np.ones(len(pairs.first), np.int8)
        self._graph = coo_matrix((ones, (pairs.first, pairs.second)), (size, size))
        self.count, self.label = connected_components(self._graph, directed=False)
        self.inconsistent = self._inconsistent()

    @cached_property
    def _normals(self) -> np.ndarray:
        """Doubled area vectors `[F, 3]` of the faces as in the file."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    @cached_property
    def volumes(self) -> np.ndarray:
        """Signed volumes `[count]` after `inconsistent` faces are reversed."""
        signs = np.where(self.inconsistent, -1.0, 1.0)
        cones = np.einsum("fc,fc->f", self.vertices[self.faces[:, 0]], self._normals) * signs / 6
        return np.bincount(self.label, cones, self.count)

    @cached_property
    def solid(self) -> np.ndarray:
        """Which patches `[count]` are closed, consistent, and have a volume."""
        pairs = self._pairs
        # Each face has three edges; all are shared by two faces in a closed patch. Where patches meet at an edge of
        # more faces, they are closed if each has two of them.
        shared = np.bincount(self.label[pairs.first], minlength=self.count) * 2
        shared += self._paired_elsewhere
        closed = shared == 3 * np.bincount(self.label, minlength=self.count)
        agrees = pairs.same == (self.inconsistent[pairs.first] != self.inconsistent[pairs.second])
        closed[self.label[pairs.first[~agrees]]] = False
        lower, upper = self._bounds
        return closed & (np.abs(self.volumes) > MIN_VOLUME * np.linalg.norm(upper - lower, axis=1) ** 3)

    @cached_property
    def _paired_elsewhere(self) -> np.ndarray:
        """Number `[count]` of each patch's sides at edges of more than two faces of which the patch has two."""
        keys = _edge_keys(self.faces)
        _, index, counts = np.unique(keys, return_inverse=True, return_counts=True)
        crowded = np.flatnonzero(counts[index] > 2)
        owner = self.label[crowded // 3]
        both = index[crowded].astype(np.int64) * self.count + owner
        _, which, number = np.unique(both, return_inverse=True, return_counts=True)
        return np.bincount(owner[number[which] == 2], minlength=self.count)

    @cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corners `[count, 3]` of the patches' boxes."""
        order = np.argsort(self.label, kind="stable")
        starts = np.searchsorted(self.label[order], np.arange(self.count))
        corners = self.vertices[self.faces[order]]
        return np.minimum.reduceat(corners.min(axis=1), starts), np.maximum.reduceat(corners.max(axis=1), starts)

    @cached_property
    def depth(self) -> np.ndarray:
        """Number `[count]` of other solid patches that a solid patch lies in; 0 for the others."""
        import igl

        depth = np.zeros(self.count, np.int64)
        solid = np.flatnonzero(self.solid)
        lower, upper = self._bounds
        if len(solid) < 2:
            return depth
        order = np.argsort(self.label, kind="stable")
        starts = np.searchsorted(self.label[order], np.arange(self.count + 1))
        sizes = np.linalg.norm((upper - lower)[solid], axis=1)
        for outer in solid[np.argsort(-sizes)[:MAX_CONTAINERS]]:
            within = (lower[solid] > lower[outer]).all(axis=1) & (upper[solid] < upper[outer]).all(axis=1)
            inner = solid[within]
            if not len(inner):
                continue
            own = order[starts[outer] : starts[outer + 1]]
            shell = np.where(self.inconsistent[own, None], self.faces[own, ::-1], self.faces[own])
            probes = [self._probes(order[starts[patch] : starts[patch + 1]]) for patch in inner]
            winding = np.asarray(igl.fast_winding_number(self.vertices, shell, np.concatenate(probes)))
            inside = np.split(np.abs(winding) > 0.5, np.cumsum([len(part) for part in probes])[:-1])
            depth[inner] += np.array([part.mean() >= MIN_INSIDE for part in inside])
        return depth

    def _probes(self, faces: np.ndarray) -> np.ndarray:
        """Some of the corners of faces, `[n, 3]`."""
        chosen = faces[np.linspace(0, len(faces) - 1, min(PROBES, len(faces))).astype(np.int64)]
        return self.vertices[self.faces[chosen, 0]]

    def _inconsistent(self) -> np.ndarray:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import breadth_first_order

        size, pairs = len(self.faces), self._pairs
        if not pairs.same.any():
            return np.zeros(size, bool)
        # One more node connects the patches, so that one search goes through all of them.
        _, roots = np.unique(self.label, return_index=True)
        rows = np.concatenate([pairs.first, np.full(len(roots), size)])
        columns = np.concatenate([pairs.second, roots])
        graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), (size + 1, size + 1)).tocsr()
        _, parent = breadth_first_order(graph, size, directed=False)
        parent[size] = size
        keys = np.minimum(pairs.first, pairs.second) * size + np.maximum(pairs.first, pairs.second)
        order = np.argsort(keys)
        child = np.arange(size)
        wanted = np.minimum(child, parent[:size]).astype(np.int64) * size + np.maximum(child, parent[:size])
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        found = order[at]
        turned = np.zeros(size + 1, bool)
        turned[:size] = (keys[found] == wanted) & pairs.same[found]
        # Whether a face is turned against the root is the parity of the turns on its path; paths are halved in length.
        parent = parent.astype(np.int64)
        while (parent != size).any():
            turned ^= turned[parent]
            parent = parent[parent]
        turned = turned[:size]
        areas = np.linalg.norm(self._normals, axis=1)
        total = np.bincount(self.label, areas, self.count)
        most = np.bincount(self.label, areas * turned, self.count) > total / 2
        return turned ^ most[self.label]


def _edge_keys(faces: np.ndarray) -> np.ndarray:
    """A number `[3 F]` for each undirected side of the faces, face by face."""
    starts, ends = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    return np.minimum(starts, ends) * (int(faces.max()) + 1) + np.maximum(starts, ends)


def _shared_edges(faces: np.ndarray) -> _Edges:
    keys = _edge_keys(faces)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.flatnonzero(begins)
    counts = np.diff(np.append(starts, len(ordered)))
    starts = starts[counts == 2]
    one, other = order[starts], order[starts + 1]
    forward = (faces < np.roll(faces, -1, axis=1)).reshape(-1)
    return _Edges(one // 3, other // 3, forward[one] == forward[other])
