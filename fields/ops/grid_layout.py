"""Memory layout of multiresolution grids. Without torch, so that parameters can be counted before torch is imported."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal

import numpy as np

GridKind = Literal["hash", "dense", "tiled"]

# Multipliers of the spatial hash (Müller et al. 2022, equation 4; the fourth is from its implementation).
PRIMES = (1, 2654435761, 805459861, 3674653429)

# One level as the native code reads it (`GridLevel` in csrc/common/grid.h).
LEVEL_RECORD = np.dtype(
    [
        ("offset", np.int64),
        ("scale", np.float32),
        ("resolution", np.uint32),
        ("size", np.uint32),
        ("addressing", np.uint32),
    ]
)
# Values of `addressing` in csrc/common/grid.h.
DENSE = 0
HASHED = 1
WRAPPED = 2
# Entries of a table; the native code counts them with 31 bits.
MAX_ENTRIES = 1 << 31
# Grid points along an axis; the native code numbers cells with 31 bits, and float32 cannot tell more of them apart.
MAX_POINTS = 1 << 30
# Entries of a level are a multiple of this, as in tiny-cuda-nn.
LEVEL_ALIGNMENT = 8


@dataclass(frozen=True, kw_only=True)
class GridLevel:
    """One level of a grid: cells of width `1 / scale`, and `size` entries from entry `offset` of the table.

    scale: cells along the unit cube's edge, exactly representable in float32.
    resolution: grid points along each axis.
    hashed: whether entries are found by the spatial hash. Otherwise the address is row-major with x fastest, modulo
        size.
    """

    scale: float
    resolution: int
    offset: int
    size: int
    hashed: bool


@dataclass(frozen=True)
class GridLayout:
    """Layout of a multiresolution hash grid (Müller et al. 2022, section 3), entry for entry as in tiny-cuda-nn.

    dimensions: 1 to 4.
    levels: 1 to 64. Level l has about `base_resolution * growth^l` grid points along each axis.
    features: channels per entry: 1, 2, 4 or 8.
    table_size: a power of two.
    kind: "hash" limits a level to `table_size` entries and hashes where the level does not fit. "dense" has no limit.
        "tiled" repeats a level with a period of `base_resolution^dimensions` entries in row-major order.

    The table is `[entries, features]`, level after level. Raises ValueError for any other value.

    One deliberate difference from tiny-cuda-nn: where its 32-bit strides overflow (2-D levels finer than 65,535 with
    tables larger than 2^16), it may address a level densely that should be hashed. Here that level is hashed.
    """

    dimensions: int
    _: KW_ONLY
    levels: int = 16
    features: int = 2
    base_resolution: int = 16
    growth: float = 2.0
    table_size: int = 1 << 19
    kind: GridKind = "hash"

    def __post_init__(self) -> None:
        if self.dimensions not in (1, 2, 3, 4):
            raise ValueError(f"a grid has 1 to 4 dimensions, not {self.dimensions}")
        if not 1 <= self.levels <= 64:
            raise ValueError(f"a grid has 1 to 64 levels, not {self.levels}")
        if self.features not in (1, 2, 4, 8):
            raise ValueError(f"a grid has 1, 2, 4 or 8 features per level, not {self.features}")
        if self.base_resolution < 1:
            raise ValueError(f"the base resolution must be at least 1, not {self.base_resolution}")
        if not (math.isfinite(self.growth) and self.growth >= 1.0):
            raise ValueError(f"growth must be a finite number of at least 1, not {self.growth}")
        if self.kind not in ("hash", "dense", "tiled"):
            raise ValueError(f"a grid is hash, dense or tiled, not {self.kind!r}")
        if self.table_size < 1 or self.table_size & (self.table_size - 1):
            raise ValueError(f"the table size must be a power of two, not {self.table_size}")
        finest = self.base_resolution * self.growth ** (self.levels - 1)
        if finest > MAX_POINTS:
            raise ValueError(
                f"the finest level would have {finest:.3g} grid points per axis; at most {MAX_POINTS:,} are possible"
            )
        if self.entries >= MAX_ENTRIES:
            raise ValueError(f"this grid would have {self.entries:,} entries; at most {MAX_ENTRIES - 1:,} are possible")

    @cached_property
    def per_level(self) -> tuple[GridLevel, ...]:
        """The levels, coarsest first."""
        levels, offset = [], 0
        for index in range(self.levels):
            scale = self._scale(index)
            resolution = math.ceil(scale) + 1
            points = resolution**self.dimensions
            size = -(-points // LEVEL_ALIGNMENT) * LEVEL_ALIGNMENT
            if self.kind == "hash":
                size = min(size, self.table_size)
            elif self.kind == "tiled":
                size = min(size, self.base_resolution**self.dimensions)
            hashed = self.kind == "hash" and size < points
            levels.append(GridLevel(scale=scale, resolution=resolution, offset=offset, size=size, hashed=hashed))
            offset += size
        return tuple(levels)

    def _scale(self, level: int) -> float:
        """`exp2f(level * log2f(growth)) * base - 1`, each operation rounded to float32.

        The two transcendental functions are computed in double and then rounded, so that every machine finds the same
        layout; numpy's float32 versions depend on the processor.
        """
        exponent = np.float32(level) * np.float32(math.log2(np.float32(self.growth)))
        factor = np.float32(2.0 ** float(exponent))
        return float(factor * np.float32(self.base_resolution) - np.float32(1.0))

    @cached_property
    def entries(self) -> int:
        """Number of rows of the table."""
        return self.per_level[-1].offset + self.per_level[-1].size

    @property
    def num_parameters(self) -> int:
        """Number of values in the table."""
        return self.entries * self.features

    @property
    def outputs(self) -> int:
        """Features of the encoding at a point, of all levels together."""
        return self.levels * self.features

    def strides(self, level: GridLevel) -> tuple[int, ...]:
        """Steps in the table along each axis of a level that is not hashed.

        0 for the axes that a wrapped level ignores, because one step along them exceeds its size.
        """
        strides, stride = [], 1
        for _ in range(self.dimensions):
            strides.append(stride if stride <= level.size else 0)
            stride *= level.resolution
        return tuple(strides)

    @cached_property
    def records(self) -> np.ndarray:
        """The levels as an array of LEVEL_RECORD, as the native code reads them."""
        rows = np.zeros(self.levels, LEVEL_RECORD)
        for row, level in zip(rows, self.per_level):
            # The upper corners of the last cell may lie outside the level, by less than its size unless it is wrapped
            # or tiny. One subtraction brings them back in a dense level.
            farthest = sum(stride * level.resolution for stride in self.strides(level))
            addressing = HASHED if level.hashed else DENSE if farthest < 2 * level.size else WRAPPED
            row["offset"], row["scale"], row["resolution"] = level.offset, level.scale, level.resolution
            row["size"], row["addressing"] = level.size, addressing
        return rows
