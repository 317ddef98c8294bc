"""Samples where a small density field proposes them, for unbounded scenes (Barron et al. 2022, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.ops.composite import compositing_weights
from fields.ops.importance import importance_edges
from fields.ops.packed import Samples, from_edges
from fields.ops.ray_jitter import ray_jitter
from fields.sampling.contraction import spaced_edges

Density = Callable[[Tensor], Tensor]
# Fraction of a ray's weight that is spread over its whole length: the proposal may have missed something there.
PADDING = 0.01


@dataclass(frozen=True)
class ProposedSamples:
    """Result of `propose`.

    samples: where to query the field, equally many on every ray.
    edges: their edges, `[N, count + 1]`.
    rounds: edges `[N, K + 1]` and weights `[N, K]` of each proposal, for `envelope_loss`.
    """

    samples: Samples
    edges: Tensor
    rounds: tuple[tuple[Tensor, Tensor], ...]


def propose(
    densities: list[Density],
    origins: Tensor,
    directions: Tensor,
    *,
    near: Tensor,
    far: Tensor,
    counts: list[int],
    seed: int | None = None,
    first_ray: int = 0,
    anneal: float = 1.0,
    knee: float = 2.0,
) -> ProposedSamples:
    """Choose samples of N rays by one or more rounds of proposals.

    densities: one function per round, points `[M, 3]` to densities `[M]`.
    origins, directions: `[N, 3]`; near, far: ends of the rays, `[N]`, far may be infinite.
    counts: number of intervals in each round and, last, of the result.
    seed: shifts the samples of each ray by part of an interval (`fields.ops.ray_jitter`); None: no jitter.
    first_ray: index of the first ray, which its jitter depends on.
    anneal: exponent of the weights, from 0 (even samples, at the start of training) to 1.
    knee: distance up to which the intervals of the first round have equal length; beyond it their length is equal in
        1 / distance.

    The intervals of each further round enclose equal parts of the weight that the round before found. Gradients flow
    to the densities through the weights in `rounds`; the samples carry none.

    Raises ValueError if counts and densities do not fit or anneal is out of range.
    """
    if len(counts) != len(densities) + 1 or not densities:
        raise ValueError(f"{len(densities)} rounds of proposals have {len(densities) + 1} counts, not {len(counts)}")
    if not 0.0 <= anneal <= 1.0:
        raise ValueError(f"anneal is between 0 and 1, not {anneal}")
    edges = spaced_edges(near, far, counts[0], knee)
    if seed is not None:
        edges = _jittered(edges, ray_jitter(len(edges), first_ray, seed, edges))
    rounds = []
    for index, (density, count) in enumerate(zip(densities, counts[1:], strict=True)):
        samples = from_edges(edges)
        weights = compositing_weights(density(samples.positions(origins, directions)), samples)
        rounds.append((edges, weights.reshape(len(edges), -1)))
        histogram = rounds[-1][1].detach().clamp(min=0.0)
        histogram = torch.where(histogram > 0, histogram, 0.0) ** anneal if anneal < 1.0 else histogram
        # The padding is the same for every interval, so distant (longer) intervals get less of it per unit of length.
        histogram = histogram + PADDING * histogram.sum(dim=1, keepdim=True) / histogram.shape[1] + 1e-6
        edges = importance_edges(
            histogram.reshape(-1),
            samples,
            count,
            seed=None if seed is None else seed + index + 1,
            first_ray=first_ray,
        )
    return ProposedSamples(from_edges(edges), edges, tuple(rounds))


def _jittered(edges: Tensor, jitter: Tensor) -> Tensor:
    """Move the inner edges of each ray together, by `jitter` `[N]` - 0.5 intervals, so that lengths stay similar."""
    shift = jitter[:, None] - 0.5
    lengths = torch.where(shift > 0, edges[:, 2:] - edges[:, 1:-1], edges[:, 1:-1] - edges[:, :-2])
    return torch.cat([edges[:, :1], edges[:, 1:-1] + shift * lengths, edges[:, -1:]], dim=1)


def envelope_loss(edges: Tensor, weights: Tensor, proposal_edges: Tensor, proposal_weights: Tensor) -> Tensor:
    """Weight of the field that a proposal does not bound, per ray, `[N]` (mip-NeRF 360, equation 13).

    edges, weights: histogram of the field, `[N, K + 1]` and `[N, K]`; proposal_edges, proposal_weights: likewise.

    The loss is zero where the weight of every interval is at most the sum of the proposal's intervals that it overlaps.
    Only `proposal_weights` receives gradients. Raises ValueError for shapes that do not fit.
    """
    if (
        edges.shape[1] != weights.shape[1] + 1
        or proposal_edges.shape[1] != proposal_weights.shape[1] + 1
        or len(edges) != len(proposal_edges)
    ):
        raise ValueError(
            f"edges are [N, K + 1] for weights [N, K], not {list(edges.shape)}, {list(weights.shape)}, "
            f"{list(proposal_edges.shape)} and {list(proposal_weights.shape)}"
        )
    edges, weights = edges.detach().contiguous(), weights.detach()
    cumulative = torch.cat([proposal_weights.new_zeros(len(edges), 1), proposal_weights.cumsum(1)], dim=1)
    boundaries = proposal_edges.detach().contiguous()
    last = proposal_weights.shape[1]
    first = (torch.searchsorted(boundaries, edges[:, :-1].contiguous(), right=True) - 1).clamp(0, last)
    beyond = torch.searchsorted(boundaries, edges[:, 1:].contiguous()).clamp(0, last)
    allowed = cumulative.gather(1, beyond) - cumulative.gather(1, first)
    return ((weights - allowed).clamp(min=0.0).square() / (weights + 1e-7)).sum(1)
