"""Many fields of one method as one: their tensors stacked along a new first axis, and trained in one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fields.encoders.frequency import Identity
from fields.encoders.tri_plane import TriPlane
from fields.methods.base import Method
from fields.models.factor_grid import FactorField
from fields.models.field import CoordinateField, Field
from fields.networks.native import LinearNetwork
from fields.ops.adam import Adam
from fields.ops.factor_layout import tri_plane
from fields.ops.fused_step import Loss
from fields.ops.plane_stack import PlaneStackLayout, PlaneStackStep
from scenes.domain import Channels, Domain

# Name of the table of a field's planes, and of everything that makes values of features, in a state dict.
TABLE = "encoder.grid.table"
NETWORK = "network."


def why_not_stacked(field: Field) -> str | None:
    """Reason why fields like this one are fitted one after the other, in one line, or None if they can be stacked."""
    if type(field) is FactorField:
        grid = field.grid
        if not isinstance(field.encoder, TriPlane) or not isinstance(field.network, LinearNetwork):
            return "only tri-planes with a network of linear layers are fitted together"
        nodes = _nodes(field)
        if grid.layout != tri_plane(grid.layout.features, nodes):
            return "only tri-planes of one level whose planes are summed are fitted together"
        if field.total_variation or field.l1 or field.coarse_to_fine:
            return "fields with penalties or a coarse-to-fine schedule are not fitted together"
    elif type(field) is not CoordinateField or not isinstance(field.encoder, Identity):
        return "only tri-planes and networks of coordinates are fitted together"
    elif field.domain.dimensions != 3:
        return "only fields over three axes are fitted together"
    network = field.network
    if not isinstance(network, LinearNetwork) or network.biases is None:
        return "only networks of linear layers with biases are fitted together"
    return None


def _nodes(field: FactorField) -> tuple[int, int, int]:
    (x, y), (_, z) = (factor.nodes for factor in field.grid.layout.factors[:2])
    return x, y, z


class FieldStack:
    """The fields of n objects. `state` holds their tensors `[n, ...]` under the names of a single field's state dict.

    With `shared`, the network is one of all objects and has the tensors of a single field, `[1, ...]`.

    Raises ValueError where `why_not_stacked` gives a reason.
    """

    def __init__(
        self,
        method: Method,
        domains: Sequence[Domain],
        channels: Channels,
        seeds: Sequence[int],
        *,
        loss: Loss,
        shared: bool = False,
        start: Mapping[str, Tensor] | None = None,
        frozen: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        """Build the fields.

        seeds: of the objects' initializations; objects with one seed begin with equal weights.
        loss: of the values. start: tensors `[...]` that objects begin with instead. frozen: whether the networks stay
        as they are.
        """
        fields = [method.build_field(domain, channels, seed) for domain, seed in zip(domains, seeds)]
        if reason := why_not_stacked(fields[0]):
            raise ValueError(reason)
        self.method, self.channels, self.domains, self.shared = method, channels, list(domains), shared
        states = [field.state_dict() for field in fields]
        self.state: dict[str, Tensor] = {}
        for name, first in states[0].items():
            rows = [states[0]] if shared and name.startswith(NETWORK) else states
            own = torch.stack([state[name] for state in rows])
            if start is not None and name in start:
                own = start[name].expand_as(first).expand_as(own).clone()
            self.state[name] = own.to(device).contiguous()
        first = fields[0]
        assert isinstance(first, CoordinateField)
        network = first.network
        assert isinstance(network, LinearNetwork)
        # Values are those of the networks times `scale`, plus `offset`.
        self.scale, self.offset = first.scale, first.offset
        names = {id(p): name for name, p in first.named_parameters()}
        weights = [self.state[names[id(w)]] for w in network.weights]
        biases = [self.state[names[id(b)]] for b in network.biases or ()]
        if isinstance(first, FactorField):
            assert isinstance(first.encoder, TriPlane)
            layout = PlaneStackLayout(_nodes(first), first.grid.layout.features, first.encoder.position.octaves)
            table = self.state[TABLE]
        else:
            layout = PlaneStackLayout((2, 2, 2), 0, 0)
            table = weights[0].new_zeros(len(fields), layout.entries, 0)
        self._step = PlaneStackStep(table, weights, biases, layout, activation=network.activation, loss=loss)
        groups = [{"params": [*weights, *biases], "lr": 0.0 if frozen else method.learning_rate, "sparse": False}]
        if layout.features:
            rate = getattr(method, "table_rate", method.learning_rate)
            groups.append({"params": [table], "lr": rate, "sparse": True})
        self.optimizer = Adam(groups)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]

    def __len__(self) -> int:
        return len(self.domains)

    @property
    def backend(self) -> str:
        """Backend of the step: "native-cpu" or "torch"."""
        return "native-cpu" if self._step.native else "torch"

    @property
    def parameters_of_one(self) -> int:
        """Number of values of one field."""
        return sum(tensor[0].numel() for tensor in self.state.values())

    def train(self, coords: Tensor, values: Tensor, weights: Tensor | None, rate_factor: float) -> Tensor:
        """One step: the mean loss of each object before it, `[n]`. Shapes as for `PlaneStackStep`."""
        for group, rate in zip(self.optimizer.param_groups, self._rates):
            group["lr"] = rate * rate_factor
        losses = self._step(coords, (values - self.offset) / self.scale, weights) * self.scale
        self.optimizer.step()
        return losses

    def state_of(self, index: int) -> dict[str, Tensor]:
        """The state dict of one object's field."""
        return {name: tensor[0 if len(tensor) == 1 else index].cpu() for name, tensor in self.state.items()}

    def tensors(self) -> dict[str, Tensor]:
        """Everything that continuing needs."""
        moments = {
            f"optimizer.{i}.{name}": tensor
            for i, entry in self.optimizer.state_dict().items()
            for name, tensor in entry.items()
        }
        return {**{f"field.{name}": tensor for name, tensor in self.state.items()}, **moments}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from `tensors()`. Raises KeyError or RuntimeError for those of another stack."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
