"""`tensorf`: the volume as a sum of planes times lines (VM) or of products of lines (CP), a linear basis, a small MLP or none."""

from __future__ import annotations

from typing import Literal

from pydantic import Field as Option

from fields.methods.grids import DecodedGridMethod, side_by_side
from fields.methods.heads import HeadShape, build_head, head_parameters
from fields.ops.factor_layout import FactorLayout, canonical, vector_matrix


class TensoRF(DecodedGridMethod):
    name = "tensorf"
    summary = "low-rank factors of the volume: planes times lines (vm) or lines alone (cp), then a small MLP"
    paper = "Chen et al. 2022, TensoRF: Tensorial Radiance Fields"
    factors = 3
    dimensions = (3,)
    why_dimensions = "it factors the volume of three axes into planes and lines"

    learning_rate: float = Option(3e-3, gt=0, le=1, description="Adam's step size for the basis and the MLP")
    table_rate: float = Option(5e-2, gt=0, le=1, description="Adam's step size for the factors")
    kind: Literal["vm", "cp"] = Option(
        "vm", description="vm: (x,y) z + (x,z) y + (y,z) x; cp: x y z, far smaller and slower to learn"
    )
    features: int | None = Option(
        None, ge=1, le=1024, description="rank: products of each kind; none: 16 for vm, 96 for cp"
    )
    basis: int = Option(
        27,
        ge=1,
        le=1024,
        description="outputs of the linear map between the products and the MLP; head=linear has no other map",
    )

    def default_features(self, dimensions: int) -> int:
        return 16 if self.kind == "vm" else 96

    def layout(self) -> FactorLayout:
        make = vector_matrix if self.kind == "vm" else canonical
        return side_by_side([make(self.features, nodes) for nodes in self.nodes()])

    def network_inputs(self) -> int:
        return self.basis

    def network_parameters(self, channels: int) -> int:
        if self.head == "linear":  # (the basis is one)
            return self.layout().outputs * channels
        head = head_parameters(self.head, HeadShape(self.basis, self.width, self.hidden_layers, channels, bias=True))
        return self.layout().outputs * self.basis + head

    def start(self, domain, generator):
        # The official code's 0.1 suits products of two; of three it would be almost nothing.
        deviation = 0.1 if self.kind == "vm" else 0.1 ** (2 / 3)
        return lambda grid, axes: grid.normal_(0.0, deviation, generator=generator)

    def network(self, channels: int, generator):
        import torch

        from fields.networks.layers import initialize_uniform

        basis = torch.nn.Linear(self.layout().outputs, channels if self.head == "linear" else self.basis, bias=False)
        initialize_uniform([basis], generator)
        if self.head == "linear":
            return basis
        return torch.nn.Sequential(
            basis,
            build_head(
                self.head, HeadShape(self.basis, self.width, self.hidden_layers, channels, bias=True), generator
            ),
        )
