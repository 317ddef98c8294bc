"""What the last linear layer of a field's network sees: the features that two architectures are compared in.

The encodings of two architectures have no common meaning; what comes after their networks is one linear map away from the same
values (specification: the feature is taken after the density head, not before it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.models.field import Field
from fields.networks.mlp import MLP
from fields.networks.skip_mlp import SkipMLP

# Points at which a teacher's features are looked at for their mean and spread.
PROBES = 4096


def output_layer(field: Field) -> nn.Linear | None:
    """The last linear layer, or None where the network has none (a linear head, splines, convolutions)."""
    network = getattr(field, "network", None)
    network = getattr(network, "network", network)
    for name in ("output", "output_real"):
        if isinstance(layer := getattr(network, name, None), nn.Linear):
            return layer
    return None


def last_features(field: Field, coords: Tensor) -> Tensor:
    """`[N, W]`: what `output_layer(field)` sees at `coords` `[N, D]`; differentiable in the field's parameters."""
    if isinstance(network := field.network, (MLP, SkipMLP)):
        return network.penultimate(field.encoder(coords))
    seen: list[Tensor] = []
    handle = output_layer(field).register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    try:
        field(coords)
    finally:
        handle.remove()
    return seen[0].reshape(len(coords), -1)


class FeatureMatch(nn.Module):
    """The mean square of `map(student) - teacher`, in units of the teacher's spread; the map is linear and learned.

    Where the head is shared, the student's features must be the teacher's own: there is no map then.
    """

    def __init__(self, teacher: Field, student: Field, shared: bool, seed: int) -> None:
        super().__init__()
        wide, narrow = output_layer(teacher).in_features, output_layer(student).in_features
        coords = torch.rand(PROBES, teacher.domain.dimensions, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            features = last_features(teacher, coords.to(next(teacher.parameters()).device))
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("spread", features.std(dim=0).mean().clamp(min=1e-6))
        self.map = None
        if not shared:
            # The identity as far as it reaches, so that a student of the teacher's own architecture begins in its frame.
            self.map = nn.Linear(narrow, wide, device=features.device)
            with torch.no_grad():
                self.map.weight.copy_(torch.eye(wide, narrow))
                self.map.bias.zero_()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student = student if self.map is None else self.map(student)
        return (((student - teacher) / self.spread) ** 2).mean()
