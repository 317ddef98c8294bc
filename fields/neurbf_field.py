"""The field of adaptive radial basis functions and a hash grid."""

from __future__ import annotations

from fields.encoders.rbf import GridAndKernels
from fields.field import CoordinateField
from fields.ops import backends


class NeuRbfField(CoordinateField):
    """Coords `[..., D]` → features of the grid and of the nearest kernels → values `[..., C]`."""

    encoder: GridAndKernels

    @property
    def backend(self) -> str:
        kernels = self.encoder.kernels
        return "torch" if kernels.requested_backend == "torch" else backends.name(kernels.features.device.type)
