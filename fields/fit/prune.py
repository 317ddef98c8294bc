"""Small weights are set to zero, and training goes on with the rest (NeRV's compression, Chen et al. 2021, section 3.3)."""

from __future__ import annotations

import math

import torch

from fields.models.field import Field
from scenes.errors import BadInput

# When a fit that is to keep only a share of its weights drops the others, as a share of its steps.
PRUNE_AT = 0.7


class Pruner:
    """Keeps the share `keep` of the largest weights of `field` and holds the others at zero, whenever it is called.

    All tensors of two axes or more are compared together, but for those under `spare` (the head of a generator, which is
    small and touches every pixel); where an encoder holds most of the numbers (tables, planes), only its own are, as a
    decoder's weights mean something else. What is zero already counts as small, so a pruned field keeps what it has.
    """

    def __init__(self, field: Field, keep: float, spare: tuple[str, ...] = ("generator.head",)) -> None:
        if not 0 < keep <= 1:
            raise BadInput(f"a share of {keep} cannot be kept; give a number above 0 and up to 1")
        found = {
            name: tensor for name, tensor in field.named_parameters() if tensor.dim() > 1 and not name.startswith(spare)
        }
        encoder = [tensor for name, tensor in found.items() if name.startswith("encoder.")]
        mostly = 2 * sum(tensor.numel() for tensor in encoder) > sum(tensor.numel() for tensor in found.values())
        chosen = encoder if mostly else list(found.values())
        sizes = torch.cat([tensor.detach().abs().flatten() for tensor in chosen])
        drop = sizes.numel() - math.ceil(keep * sizes.numel())
        limit = sizes.kthvalue(drop).values if drop else torch.tensor(-1.0)
        self._masks = [(tensor, tensor.detach().abs() > limit) for tensor in chosen]
        self()

    @torch.no_grad()
    def __call__(self, *_: object) -> None:
        for tensor, mask in self._masks:
            tensor.mul_(mask)
