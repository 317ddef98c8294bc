"""Layout of factored grids: tri-planes, planes times lines, lines alone and dense grids, in one form.

Without torch, so that parameters can be counted before torch is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

# Entries of a table; the native code counts them with 31 bits.
MAX_ENTRIES = (1 << 31) - 1
# Nodes along an axis; float32 coordinates in [0, 1] cannot tell more of them apart.
MAX_NODES = 1 << 24
# Factors of a product; the native code keeps them in an array of this size.
MAX_FACTORS_PER_PRODUCT = 16

# `GridAxis`, `Factor` and `Product` as the native code reads them (csrc/common/factor_grid.h).
GRID_AXIS_RECORD = np.dtype([("axis", np.int32), ("nodes", np.int32), ("scale", np.float32), ("shift", np.float32)])
FACTOR_RECORD = np.dtype(
    [("offset", np.int64), ("axes", np.int32), ("grid_axis", np.int32, 4), ("stride", np.int32, 4), ("nodes", np.int32)]
)
PRODUCT_RECORD = np.dtype([("first", np.int32), ("count", np.int32), ("slot", np.int32)])


@dataclass(frozen=True)
class Factor:
    """Grid over some of the axes: `nodes[i]` nodes along axis `axes[i]`. The first axis is the fastest in memory."""

    axes: tuple[int, ...]
    nodes: tuple[int, ...]

    @property
    def entries(self) -> int:
        """Number of nodes."""
        return math.prod(self.nodes)


Product = tuple[Factor, ...]
Sum = tuple[Product, ...]


@dataclass(frozen=True)
class FactorLayout:
    """Layout of features that are sums of products of interpolated grids.

    dimensions: 1 to 4.
    features: channels of every factor.
    slots: groups of features that are concatenated; each is a sum of products of factors. A point gets
        `len(slots) * features` values.
    nodes_at_ends: whether the first and last node of an axis lie at coordinates 0 and 1, node i at `i / (n - 1)`
        (torch's align_corners=True). This is the default because the papers' code does it (TensoRF's planes, CAM's
        grids, gmnerf's tri-planes), no part of the domain lies outside the nodes, and a grid keeps its meaning when its
        resolution changes. Otherwise node i lies at `(i + 0.5) / n`, like a pixel, and points beyond the last node have
        its value.

    The table is `[entries, features]`, with the factors one after another in the order of `slots`. The part of one
    factor is `[nodes of the last axis, ..., nodes of the first axis, features]`.

    Raises ValueError for layouts that are empty, too large or inconsistent.
    """

    dimensions: int
    features: int
    slots: tuple[Sum, ...]
    nodes_at_ends: bool = True

    def __post_init__(self) -> None:
        if self.dimensions not in (1, 2, 3, 4):
            raise ValueError(f"grids have 1 to 4 dimensions, not {self.dimensions}")
        if self.features < 1:
            raise ValueError(f"a grid has at least 1 feature, not {self.features}")
        if not self.slots or not all(self.slots) or not all(self.products):
            raise ValueError("every slot needs a product, and every product a factor")
        for product in self.products:
            if len(product) > MAX_FACTORS_PER_PRODUCT:
                raise ValueError(f"a product has at most {MAX_FACTORS_PER_PRODUCT} factors, not {len(product)}")
        for factor in self.factors:
            if not factor.axes or len(set(factor.axes)) != len(factor.axes) or len(factor.nodes) != len(factor.axes):
                raise ValueError(f"a factor has different axes and a number of nodes for each, not {factor}")
            if not all(0 <= axis < self.dimensions for axis in factor.axes):
                raise ValueError(f"{factor} has an axis that {self.dimensions} dimensions lack")
            if not all(1 <= n <= MAX_NODES for n in factor.nodes):
                raise ValueError(f"an axis has 1 to {MAX_NODES:,} nodes, not {factor.nodes}")
        if self.entries > MAX_ENTRIES:
            raise ValueError(f"these grids would have {self.entries:,} entries; at most {MAX_ENTRIES:,} are possible")

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """Products of all slots, in order."""
        return tuple(product for slot in self.slots for product in slot)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Factors of all products, in the order of the table."""
        return tuple(factor for product in self.products for factor in product)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First row of each factor in the table."""
        offsets, total = [], 0
        for factor in self.factors:
            offsets.append(total)
            total += factor.entries
        return tuple(offsets)

    @cached_property
    def entries(self) -> int:
        """Number of rows of the table."""
        return sum(factor.entries for factor in self.factors)

    @property
    def num_parameters(self) -> int:
        """Number of values in the table."""
        return self.entries * self.features

    @property
    def outputs(self) -> int:
        """Number of features of a point."""
        return len(self.slots) * self.features

    def grids(self, table: Any) -> Iterator[Any]:
        """Views of the factors in a numpy or torch table: `[nodes of the last axis, ..., of the first, features]`."""
        for factor, offset in zip(self.factors, self.offsets):
            yield table[offset : offset + factor.entries].reshape(*reversed(factor.nodes), self.features)

    @cached_property
    def grid_axes(self) -> tuple[tuple[int, int], ...]:
        """The distinct pairs (axis, nodes) of the factors. A point's position along each is computed once."""
        return tuple(dict.fromkeys(pair for factor in self.factors for pair in zip(factor.axes, factor.nodes)))

    def position(self, nodes: int) -> tuple[float, float]:
        """(scale, shift) such that coordinate x lies at `x * scale + shift` between the nodes 0 to nodes - 1."""
        return (nodes - 1.0, 0.0) if self.nodes_at_ends else (float(nodes), -0.5)

    @cached_property
    def records(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Grid axes, factors and products as arrays that the native code reads."""
        axes = np.zeros(len(self.grid_axes), GRID_AXIS_RECORD)
        for row, (axis, nodes) in zip(axes, self.grid_axes):
            row["axis"], row["nodes"] = axis, nodes
            row["scale"], row["shift"] = self.position(nodes)
        factors = np.zeros(len(self.factors), FACTOR_RECORD)
        for row, factor, offset in zip(factors, self.factors, self.offsets):
            row["offset"], row["axes"], row["nodes"] = offset, len(factor.axes), factor.nodes[-1]
            stride = 1
            for i, pair in enumerate(zip(factor.axes, factor.nodes)):
                row["grid_axis"][i], row["stride"][i] = self.grid_axes.index(pair), stride
                stride *= pair[1]
        products = np.zeros(len(self.products), PRODUCT_RECORD)
        first = 0
        numbered = [(slot, product) for slot, products_ in enumerate(self.slots) for product in products_]
        for row, (slot, product) in zip(products, numbered):
            row["first"], row["count"], row["slot"] = first, len(product), slot
            first += len(product)
        return axes, factors, products


def _factor(axes: Sequence[int], nodes: Sequence[int]) -> Factor:
    return Factor(tuple(axes), tuple(nodes[axis] for axis in axes))


def dense_grids(features: int, levels: Sequence[Sequence[int]], nodes_at_ends: bool = True) -> FactorLayout:
    """One grid over all axes per level, concatenated. levels: nodes along each axis (1 to 4 axes) of each level."""
    axes = range(len(levels[0]))
    return FactorLayout(len(axes), features, tuple(((_factor(axes, nodes),),) for nodes in levels), nodes_at_ends)


def tri_plane(features: int, nodes: Sequence[int], combine: str = "sum", nodes_at_ends: bool = True) -> FactorLayout:
    """The planes (x, y), (x, z) and (y, z) of three axes.

    nodes: nodes along x, y and z. combine: "sum", "product" or "concat" (else ValueError).
    """
    planes = [_factor(pair, nodes) for pair in combinations(range(3), 2)]
    if combine == "product":
        slots = ((tuple(planes),),)
    elif combine == "sum":
        slots = (tuple((plane,) for plane in planes),)
    elif combine == "concat":
        slots = tuple(((plane,),) for plane in planes)
    else:
        raise ValueError(f"planes are combined by sum, product or concat, not {combine!r}")
    return FactorLayout(3, features, slots, nodes_at_ends)


def vector_matrix(rank: int, nodes: Sequence[int]) -> FactorLayout:
    """TensoRF's VM decomposition (Chen et al. 2022): planes times lines, (x, y) z, (x, z) y and (y, z) x concatenated.

    rank: features of each of the three. nodes: nodes along x, y and z.
    """
    pairs = (((0, 1), 2), ((0, 2), 1), ((1, 2), 0))
    return FactorLayout(3, rank, tuple(((_factor(pair, nodes), _factor((line,), nodes)),) for pair, line in pairs))


def canonical(rank: int, nodes: Sequence[int]) -> FactorLayout:
    """CP decomposition with `rank` features: the product of one line per axis. nodes: nodes along each axis."""
    return FactorLayout(len(nodes), rank, ((tuple(_factor((axis,), nodes) for axis in range(len(nodes))),),))


def k_planes(features: int, levels: Sequence[Sequence[int]]) -> FactorLayout:
    """K-planes (Fridovich-Keil et al. 2023): the product of the planes of all pairs of axes, levels concatenated.

    levels: nodes along each axis of each level.
    """
    dimensions = len(levels[0])
    pairs = list(combinations(range(dimensions), 2))
    return FactorLayout(
        dimensions, features, tuple((tuple(_factor(pair, nodes) for pair in pairs),) for nodes in levels)
    )
