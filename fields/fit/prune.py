"""Prune a field: small weights become zero, and training goes on with the rest.

NeRV's compression (Chen et al. 2021, section 3.3).
"""

from __future__ import annotations

import math

import torch

from fields.models.field import Field
from scenes.errors import BadInput

# Fraction of the steps after which a fit that is to keep a fraction of its weights drops the others.
PRUNE_AT = 0.7


class Pruner:
    """Keep the largest weights of a field, and set the others to zero whenever it is called.

    `keep_fraction`: fraction of the weights to keep, above 0 and up to 1.
    `exclude`: first parts of the names of tensors that are never pruned; by default the head of a generator, which is
    small and affects every pixel.

    All tensors of two axes or more are compared together. Where an encoder (tables, planes) holds most of them, only
    its tensors are pruned, as weights of a decoder have another scale. Weights that are zero already count as small, so
    a pruned field keeps the same weights.
    """

    def __init__(self, field: Field, keep_fraction: float, exclude: tuple[str, ...] = ("generator.head",)) -> None:
        if not 0 < keep_fraction <= 1:
            raise BadInput(
                f"`keep_fraction={keep_fraction}`: of the weights a fraction above 0 and up to 1 can be kept"
            )
        found = {
            name: tensor
            for name, tensor in field.named_parameters()
            if tensor.dim() > 1 and not name.startswith(exclude)
        }
        encoder = [tensor for name, tensor in found.items() if name.startswith("encoder.")]
        mostly = 2 * sum(tensor.numel() for tensor in encoder) > sum(tensor.numel() for tensor in found.values())
        chosen = encoder if mostly else list(found.values())
        sizes = torch.cat([tensor.detach().abs().flatten() for tensor in chosen])
        drop = sizes.numel() - math.ceil(keep_fraction * sizes.numel())
        limit = sizes.kthvalue(drop).values if drop else torch.tensor(-1.0)
        self._masks = [(tensor, tensor.detach().abs() > limit) for tensor in chosen]
        self()

    @torch.no_grad()
    def __call__(self, *_: object) -> None:
        for tensor, mask in self._masks:
            tensor.mul_(mask)
