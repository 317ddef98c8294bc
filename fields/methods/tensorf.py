"""`tensorf`: a volume as a sum of planes times lines (VM) or products of lines (CP), then a basis and a small MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod, join_levels
from fields.methods.heads import HeadShape, build_head, head_parameters
from fields.methods.options import Undecided, undecided
from fields.ops.factor_layout import FactorLayout, canonical, vector_matrix
from scenes.domain import Domain

if TYPE_CHECKING:
    import torch
    from torch import nn

    from fields.encoders.factor_grid import GridInitializer


class TensoRF(DecodedGridMethod):
    name = "tensorf"
    summary = "low-rank factors of the volume: planes times lines (vm) or lines alone (cp), then a small MLP"
    paper = "Chen et al. 2022, TensoRF: Tensorial Radiance Fields"
    factors = 3
    dimensions = (3,)
    why_dimensions = "it factors the volume of three axes into planes and lines"
    size_options = ("resolution", "features", "basis", "levels", "width", "hidden_layers")

    learning_rate: float = Option(
        3e-3, gt=0, le=1, description="Adam's learning rate for the basis and the MLP. Lower it if the loss jumps."
    )
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's learning rate for the factors.")
    kind: Literal["vm", "cp"] = Option(
        "vm", description="vm: (x,y) z + (x,z) y + (y,z) x. cp: x y z, which is far smaller and slower to learn."
    )
    features: Undecided[int] = undecided(
        "Rank: number of products of each kind. Default: 16 for vm, 96 for cp.", ge=1, le=1024
    )
    basis: int = Option(
        27,
        ge=1,
        le=1024,
        description="Outputs of the linear map between the products and the MLP. Not used with head=linear.",
    )

    def default_features(self, dimensions: int) -> int:
        return 16 if self.kind == "vm" else 96

    def layout(self) -> FactorLayout:
        make = vector_matrix if self.kind == "vm" else canonical
        return join_levels([make(self.features, nodes) for nodes in self.nodes()])

    def network_inputs(self) -> int:
        return self.basis

    def _after_basis(self, channels: int) -> HeadShape:
        return HeadShape(self.basis, self.width, self.hidden_layers, channels, bias=True)

    def network_parameters(self, channels: int) -> int:
        # With a linear head the basis is the head.
        if self.head == "linear":
            return self.layout().outputs * channels
        return self.layout().outputs * self.basis + head_parameters(self.head, self._after_basis(channels))

    def initializer(self, domain: Domain, generator: torch.Generator) -> GridInitializer:
        # The official code's 0.1 suits products of two factors. Products of three would be almost zero with it.
        deviation = 0.1 if self.kind == "vm" else 0.1 ** (2 / 3)
        return lambda grid, axes: grid.normal_(0.0, deviation, generator=generator)

    def network(self, channels: int, generator: torch.Generator) -> nn.Module:
        from torch import nn

        from fields.networks.layers import initialize_uniform

        basis = nn.Linear(self.layout().outputs, channels if self.head == "linear" else self.basis, bias=False)
        initialize_uniform([basis], generator)
        if self.head == "linear":
            return basis
        return nn.Sequential(basis, build_head(self.head, self._after_basis(channels), generator))
