"""The field of a hash grid and a layer of Gaussian units."""

from __future__ import annotations

from fields.encoders.hash_grid import HashGrid
from fields.models.field import CoordinateField
from fields.networks.gaussian_rbf import GaussianRbf
from fields.ops import backends


class RbfField(CoordinateField):
    """Coords `[..., D]` → grid features → Gaussian units → values `[..., C]`; both parts native where there is a library."""

    encoder: HashGrid
    network: GaussianRbf

    @property
    def backend(self) -> str:
        if self.encoder.requested_backend == "torch":
            return "torch"
        return backends.name(self.encoder.table.device.type)
