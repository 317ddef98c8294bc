"""Products of small grids: tri-planes, planes times lines, lines alone, and whole grids, as one form.

No torch: parameters are counted before torch is imported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

MAX_ENTRIES = (1 << 31) - 1
# No float32 in [0, 1] tells more nodes apart.
MAX_NODES = 1 << 24
MAX_FACTORS_PER_PRODUCT = 16

# What the native code reads (csrc/common/factors.h): `Ruler`, `Factor` and `Product`.
RULER_RECORD = np.dtype([("axis", np.int32), ("nodes", np.int32), ("scale", np.float32), ("shift", np.float32)])
FACTOR_RECORD = np.dtype(
    [("offset", np.int64), ("axes", np.int32), ("ruler", np.int32, 4), ("step", np.int32, 4), ("nodes", np.int32)]
)
PRODUCT_RECORD = np.dtype([("first", np.int32), ("count", np.int32), ("slot", np.int32)])


@dataclass(frozen=True)
class Factor:
    """A grid over some of the axes: `nodes[i]` of them along axis `axes[i]`; the first axis is the fastest in memory."""

    axes: tuple[int, ...]
    nodes: tuple[int, ...]

    @property
    def entries(self) -> int:
        return math.prod(self.nodes)


Product = tuple[Factor, ...]
Sum = tuple[Product, ...]


@dataclass(frozen=True)
class FactorLayout:
    """Features as sums of products of interpolated grids.

    `slots`: what is put side by side; each is a sum of products of factors. Every factor has `features` channels, so a
    point gets `len(slots) * features` numbers. The table is `[entries, features]`, the factors one after another in
    the order in which they stand in `slots`; one factor is `[nodes of the last axis, ..., nodes of the first, features]`.

    `nodes_at_ends`: the first and last node of an axis lie at coordinates 0 and 1, node i at `i / (n - 1)` (torch's
    align_corners=True). It is the default: the papers' codes do it (TensoRF's planes, CAM's grids, gmnerf's tri-planes),
    no part of the domain lies outside the nodes, and a grid keeps its meaning when its resolution changes. Else node
    i lies at `(i + 0.5) / n` like a pixel, and what is further out than the last node has the last node's value.

    ValueError for anything that makes no sense.
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
        if not self.slots or not all(self.slots) or not all(product for slot in self.slots for product in slot):
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
            raise ValueError(f"these grids would have {self.entries:,} entries; the most is {MAX_ENTRIES:,}")

    @cached_property
    def products(self) -> tuple[Product, ...]:
        return tuple(product for slot in self.slots for product in slot)

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """All of them, in the order of the table."""
        return tuple(factor for product in self.products for factor in product)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """The first entry of each factor in the table."""
        offsets, total = [], 0
        for factor in self.factors:
            offsets.append(total)
            total += factor.entries
        return tuple(offsets)

    @cached_property
    def entries(self) -> int:
        """Rows of the table."""
        return sum(factor.entries for factor in self.factors)

    @property
    def parameters(self) -> int:
        """Numbers in the table."""
        return self.entries * self.features

    @property
    def outputs(self) -> int:
        """Features of a point."""
        return len(self.slots) * self.features

    def grids(self, table) -> Iterator:
        """The table's factors (of a numpy or torch table): views `[nodes of the last axis, ..., of the first, features]`."""
        for factor, offset in zip(self.factors, self.offsets):
            yield table[offset : offset + factor.entries].reshape(*reversed(factor.nodes), self.features)

    @cached_property
    def rulers(self) -> tuple[tuple[int, int], ...]:
        """The different (axis, nodes) that there are: a point's place along each is found once."""
        return tuple(dict.fromkeys(pair for factor in self.factors for pair in zip(factor.axes, factor.nodes)))

    def position(self, nodes: int) -> tuple[float, float]:
        """(scale, shift): a coordinate x lies at `x * scale + shift` between the nodes 0 .. nodes - 1."""
        return (nodes - 1.0, 0.0) if self.nodes_at_ends else (float(nodes), -0.5)

    @cached_property
    def records(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rulers, factors and products as the native code reads them."""
        rulers = np.zeros(len(self.rulers), RULER_RECORD)
        for row, (axis, nodes) in zip(rulers, self.rulers):
            row["axis"], row["nodes"] = axis, nodes
            row["scale"], row["shift"] = self.position(nodes)
        factors = np.zeros(len(self.factors), FACTOR_RECORD)
        for row, factor, offset in zip(factors, self.factors, self.offsets):
            row["offset"], row["axes"], row["nodes"] = offset, len(factor.axes), factor.nodes[-1]
            step = 1
            for i, pair in enumerate(zip(factor.axes, factor.nodes)):
                row["ruler"][i], row["step"][i] = self.rulers.index(pair), step
                step *= pair[1]
        products = np.zeros(len(self.products), PRODUCT_RECORD)
        first = 0
        numbered = [(slot, product) for slot, products_ in enumerate(self.slots) for product in products_]
        for row, (slot, product) in zip(products, numbered):
            row["first"], row["count"], row["slot"] = first, len(product), slot
            first += len(product)
        return rulers, factors, products


def _plane(axes: Sequence[int], nodes: Sequence[int]) -> Factor:
    return Factor(tuple(axes), tuple(nodes[axis] for axis in axes))


def dense_grids(features: int, levels: Sequence[Sequence[int]], nodes_at_ends: bool = True) -> FactorLayout:
    """One grid over all axes a level, side by side; `levels`: nodes an axis of each (1 to 4 axes)."""
    axes = range(len(levels[0]))
    return FactorLayout(len(axes), features, tuple(((_plane(axes, nodes),),) for nodes in levels), nodes_at_ends)


def tri_plane(features: int, nodes: Sequence[int], combine: str = "sum", nodes_at_ends: bool = True) -> FactorLayout:
    """The planes (x, y), (x, z), (y, z) of three axes; combine "sum", "product" or "concat"."""
    planes = [_plane(pair, nodes) for pair in combinations(range(3), 2)]
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
    """TensoRF's VM: plane times line, (x, y) z, (x, z) y and (y, z) x side by side; `rank` of each (Chen et al. 2022)."""
    pairs = (((0, 1), 2), ((0, 2), 1), ((1, 2), 0))
    return FactorLayout(3, rank, tuple(((_plane(pair, nodes), _plane((line,), nodes)),) for pair, line in pairs))


def canonical(rank: int, nodes: Sequence[int]) -> FactorLayout:
    """CP: the product of a line an axis, `rank` of them."""
    return FactorLayout(len(nodes), rank, ((tuple(_plane((axis,), nodes) for axis in range(len(nodes))),),))


def k_planes(features: int, levels: Sequence[Sequence[int]]) -> FactorLayout:
    """The product of the planes of all pairs of axes, a level beside the other (Fridovich-Keil et al. 2023)."""
    dimensions = len(levels[0])
    pairs = list(combinations(range(dimensions), 2))
    return FactorLayout(
        dimensions, features, tuple((tuple(_plane(pair, nodes) for pair in pairs),) for nodes in levels)
    )
