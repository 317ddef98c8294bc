"""Samples where the weight is, found by a small field of density alone: for unbounded scenes (Barron et al. 2022, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.ops.composite import weights_of
from fields.ops.importance import importance_edges
from fields.ops.packed import Samples, from_edges
from fields.ops.ray_jitter import jitter_of
from fields.sampling.contraction import spaced_edges

Density = Callable[[Tensor], Tensor]
# Of a ray's weight, spread over its whole length: where a proposal sees nothing there may be something all the same.
PADDING = 0.01


@dataclass(frozen=True)
class Proposed:
    """samples: where to ask the field, as many on every ray. rounds: of each proposal its edges `[N, K + 1]` and weights `[N, K]`, for
    `envelope_loss`."""

    samples: Samples
    edges: Tensor
    rounds: tuple[tuple[Tensor, Tensor], ...]


def propose(
    densities: list[Density],
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    counts: list[int],
    seed: int | None = None,
    first_ray: int = 0,
    anneal: float = 1.0,
    knee: float = 2.0,
) -> Proposed:
    """Samples of N rays `[N, 3]` between near and far `[N]`, far may be infinite.

    densities: one a round, points `[M, 3]` → `[M]`; counts: samples of each round and, last, of what is asked for. The first round's are
    of equal length up to the distance `knee` and in 1 / distance beyond, each further one's share the weight that the one before found, to the power `anneal` (0: evenly;
    towards 1 as training goes on). A seed moves the samples of each ray by a share of an interval (`fields.ops.march`); weights have gradients
    in the densities, samples have none. ValueError where counts do not fit.
    """
    if len(counts) != len(densities) + 1 or not densities:
        raise ValueError(f"{len(densities)} rounds of proposals have {len(densities) + 1} counts, not {len(counts)}")
    if not 0.0 <= anneal <= 1.0:
        raise ValueError(f"anneal is between 0 and 1, not {anneal}")
    edges = spaced_edges(near, far, counts[0], knee)
    if seed is not None:
        # Inner edges move together, so that intervals stay of about one length.
        share = jitter_of(len(edges), first_ray, seed, edges)[:, None] - 0.5
        lengths = torch.where(share > 0, edges[:, 2:] - edges[:, 1:-1], edges[:, 1:-1] - edges[:, :-2])
        edges = torch.cat([edges[:, :1], edges[:, 1:-1] + share * lengths, edges[:, -1:]], dim=1)
    rounds = []
    for turn, (density, count) in enumerate(zip(densities, counts[1:])):
        samples = from_edges(edges)
        weights = weights_of(density(samples.positions(origins, directions)), samples)
        rounds.append((edges, weights.reshape(len(edges), -1)))
        guide = rounds[-1][1].detach().clamp(min=0.0)
        guide = torch.where(guide > 0, guide, 0.0) ** anneal if anneal < 1.0 else guide
        # (what is spread is spread as the intervals are, which are longer farther away)
        guide = guide + PADDING * guide.sum(dim=1, keepdim=True) / guide.shape[1] + 1e-6
        edges = importance_edges(
            guide.reshape(-1), samples, count, None if seed is None else seed + turn + 1, first_ray
        )
    return Proposed(from_edges(edges), edges, tuple(rounds))


def envelope_loss(edges: Tensor, weights: Tensor, proposal_edges: Tensor, proposal_weights: Tensor) -> Tensor:
    """How much of the field's weight a proposal does not allow for, `[N]` (equation 13): zero where every interval's weight is at most
    the sum of those of the proposal's that it touches. Edges `[N, K + 1]`, weights `[N, K]`; gradients go to the proposal's weights alone.
    """
    if (
        edges.shape[1] != weights.shape[1] + 1
        or proposal_edges.shape[1] != proposal_weights.shape[1] + 1
        or len(edges) != len(proposal_edges)
    ):
        raise ValueError(
            f"edges are [N, K + 1] for weights [N, K], not {list(edges.shape)}, {list(weights.shape)}, {list(proposal_edges.shape)} "
            f"and {list(proposal_weights.shape)}"
        )
    edges, weights = edges.detach().contiguous(), weights.detach()
    behind = torch.cat([proposal_weights.new_zeros(len(edges), 1), proposal_weights.cumsum(1)], dim=1)
    places = proposal_edges.detach().contiguous()
    last = proposal_weights.shape[1]
    first = (torch.searchsorted(places, edges[:, :-1].contiguous(), right=True) - 1).clamp(0, last)
    beyond = torch.searchsorted(places, edges[:, 1:].contiguous()).clamp(0, last)
    allowed = behind.gather(1, beyond) - behind.gather(1, first)
    return ((weights - allowed).clamp(min=0.0).square() / (weights + 1e-7)).sum(1)
