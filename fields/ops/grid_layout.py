"""Where a multiresolution grid keeps its numbers. No torch: parameters are counted before torch is imported."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

GridKind = Literal["hash", "dense", "tiled"]

# Multipliers of the spatial hash (Müller et al. 2022, equation 4, and its implementation for the fourth).
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
DENSE, HASHED, WRAPPED = 0, 1, 2
MAX_ENTRIES = 1 << 31
# Cells are numbered with 31 bits, and no float32 tells more of them apart.
MAX_POINTS = 1 << 30


@dataclass(frozen=True)
class GridLevel:
    """One level: cells of width `1 / scale`, `size` entries from entry `offset` of the table on."""

    scale: float  # exactly representable in float32
    resolution: int  # grid points along each axis
    offset: int
    size: int
    hashed: bool  # else addressed row by row, x fastest, modulo `size`


@dataclass(frozen=True)
class GridLayout:
    """Layout of a multiresolution hash grid (Müller et al. 2022, section 3), entry for entry as in tiny-cuda-nn.

    `dimensions` 1 to 4; `features` 1, 2, 4 or 8 numbers an entry; level l has about `base_resolution * growth^l` grid
    points an axis. kind "hash" caps a level at `table_size` entries (a power of two) and hashes where the level does
    not fit; "dense" never caps; "tiled" repeats a level with the period `base_resolution^dimensions` (row-major).
    The table is `[entries, features]`, level after level. Raises ValueError for anything else.

    One deliberate difference: where tiny-cuda-nn's 32-bit strides overflow (2-D levels finer than 65,535 with tables
    larger than 2^16) it may address a level densely that should be hashed; here it is hashed.
    """

    dimensions: int
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
            raise ValueError(f"a grid has 1, 2, 4 or 8 features a level, not {self.features}")
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
                f"the finest level would have {finest:.3g} grid points an axis; the most is {MAX_POINTS:,}"
            )
        if self.entries >= MAX_ENTRIES:
            raise ValueError(f"this grid would have {self.entries:,} entries; the most is {MAX_ENTRIES - 1:,}")

    @cached_property
    def per_level(self) -> tuple[GridLevel, ...]:
        """The levels, coarsest first."""
        levels, offset = [], 0
        for index in range(self.levels):
            scale = self._scale(index)
            resolution = math.ceil(scale) + 1
            points = resolution**self.dimensions
            size = -(-points // 8) * 8
            if self.kind == "hash":
                size = min(size, self.table_size)
            elif self.kind == "tiled":
                size = min(size, self.base_resolution**self.dimensions)
            hashed = self.kind == "hash" and size < points
            levels.append(GridLevel(scale, resolution, offset, size, hashed))
            offset += size
        return tuple(levels)

    def _scale(self, level: int) -> float:
        """`exp2f(level * log2f(growth)) * base - 1`, each operation rounded to float32.

        The two transcendental functions are computed in double and rounded, so that every machine finds the same
        layout; numpy's float32 ones depend on the processor.
        """
        exponent = np.float32(level) * np.float32(math.log2(np.float32(self.growth)))
        factor = np.float32(2.0 ** float(exponent))
        return float(factor * np.float32(self.base_resolution) - np.float32(1.0))

    @cached_property
    def entries(self) -> int:
        """Rows of the table."""
        return self.per_level[-1].offset + self.per_level[-1].size

    @property
    def parameters(self) -> int:
        """Numbers in the table."""
        return self.entries * self.features

    @property
    def outputs(self) -> int:
        """Features that the encoding gives for a point, all levels together."""
        return self.levels * self.features

    def strides(self, level: GridLevel) -> tuple[int, ...]:
        """Steps in the table along each axis of a level that is not hashed; 0 for the axes that wrapped levels drop."""
        strides, stride = [], 1
        for _ in range(self.dimensions):
            strides.append(stride if stride <= level.size else 0)
            stride *= level.resolution
        return tuple(strides)

    @cached_property
    def records(self) -> np.ndarray:
        """The levels as an array of LEVEL_RECORD, which is what the native code reads."""
        rows = np.zeros(self.levels, LEVEL_RECORD)
        for row, level in zip(rows, self.per_level):
            # The upper corners of the last cell leave the level: by less than its size, unless it is wrapped or tiny.
            farthest = sum(stride * level.resolution for stride in self.strides(level))
            addressing = HASHED if level.hashed else DENSE if farthest < 2 * level.size else WRAPPED
            row["offset"], row["scale"], row["resolution"] = level.offset, level.scale, level.resolution
            row["size"], row["addressing"] = level.size, addressing
        return rows
