"""Field of a hash grid and a layer of Gaussian units."""

from __future__ import annotations

from fields.encoders.hash_grid import HashGrid
from fields.models.field import CoordinateField
from fields.networks.gaussian_rbf import GaussianRbf
from fields.ops import backends


class RbfField(CoordinateField):
    """Coords `[..., D]` → features of the grid → Gaussian units → values `[..., C]`.

    Grid and units are native where there is a library for the device.
    """

    encoder: HashGrid
    network: GaussianRbf

    @property
    def backend(self) -> str:
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)
