"""Encoders: modules from coordinates `[..., D]` in [0, 1] to features `[..., F]`."""

from __future__ import annotations

from fields.encoders.factor_grid import FactorGrid
from fields.encoders.footprint import FootprintEncoder
from fields.encoders.frequency import FixedEncoding, Fourier, Frequency, Identity
from fields.encoders.hash_grid import HashGrid
from fields.encoders.rbf import GridAndKernels, RbfKernels
from fields.encoders.tri_plane import TriPlane
from fields.ops.grid_layout import GridLayout

__all__ = [
    "FactorGrid",
    "FixedEncoding",
    "FootprintEncoder",
    "Fourier",
    "Frequency",
    "GridAndKernels",
    "GridLayout",
    "HashGrid",
    "Identity",
    "RbfKernels",
    "TriPlane",
]
