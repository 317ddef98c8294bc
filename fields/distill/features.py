"""Features in which two architectures are compared: the inputs of the last linear layer of their networks.

The encodings of two architectures have no common meaning. The inputs of the last layers are one linear map away from
the same values. As in the specification, the feature is taken after the density head, not before it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.models.cam import CamField
from fields.models.field import CoordinateField, Field
from fields.networks.native import NativeNetwork

# Names of the last layer in the networks that have one, and in those that wrap another network.
OUTPUT_LAYERS = ("network.output", "network.output_real", "network.network.output", "network.network.output_real")
# Points at which the mean and spread of a teacher's features are measured.
PROBES = 4096
# Smallest spread of features, in their units: a constant feature has none.
MIN_SPREAD = 1e-6


def output_layer(field: Field) -> nn.Linear | None:
    """The last linear layer of a field's network; None where there is none (a linear head, splines, convolutions)."""
    modules = dict(field.named_modules())
    return next((layer for name in OUTPUT_LAYERS if isinstance(layer := modules.get(name), nn.Linear)), None)


def last_features(field: Field, coords: Tensor) -> Tensor:
    """Inputs `[N, W]` of `output_layer(field)` at `coords` `[N, D]` in [0, 1].

    Differentiable in the field's parameters.
    """
    if isinstance(field, CoordinateField) and isinstance(field.network, NativeNetwork):
        return field.network.penultimate(field.encoder(coords))
    if isinstance(field, CamField):
        return field.penultimate(coords)
    layer = output_layer(field)
    assert layer is not None
    inputs_seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda layer, inputs: inputs_seen.append(inputs[0]))
    try:
        field(coords)
    finally:
        handle.remove()
    return inputs_seen[0].reshape(len(coords), -1)


class FeatureMatch(nn.Module):
    """Mean squared difference of `map(student)` and teacher features, in units of the teacher's spread.

    The map is linear and learned. With `shared`, for a student that begins with the teacher's whole network, there is
    no map, as its features must be the teacher's own.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, teacher: Field, student: Field, shared: bool, seed: int) -> None:
        super().__init__()
        wide, narrow = _width(teacher), _width(student)
        coords = torch.rand(PROBES, teacher.domain.dimensions, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            features = last_features(teacher, coords.to(next(teacher.parameters()).device))
        self.register_buffer("mean", features.mean(dim=0))
        self.register_buffer("spread", features.std(dim=0).mean().clamp(min=MIN_SPREAD))
        self.map = None
        if not shared:
            # The identity, as far as it reaches: the features of a student of the teacher's own architecture may be
            # the teacher's.
            self.map = nn.Linear(narrow, wide, device=features.device)
            with torch.no_grad():
                self.map.weight.copy_(torch.eye(wide, narrow))
                self.map.bias.zero_()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        student = student if self.map is None else self.map(student)
        return (((student - teacher) / self.spread) ** 2).mean()


def _width(field: Field) -> int:
    """Number of features of `last_features(field, ...)`."""
    layer = output_layer(field)
    assert layer is not None
    return layer.in_features
