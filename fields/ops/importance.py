"""Importance sampling along rays: new intervals where the weight is.

Mildenhall et al. 2020, section 5.2; Barron et al. 2022, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.packed import Samples, check_packed, padded_by_ray
from fields.ops.ray_jitter import ray_jitter
from fields.ops.ray_kernels import ImportanceCall, run


def importance_edges(
    weights: Tensor,
    samples: Samples,
    count: int,
    *,
    seed: int | None = None,
    first_ray: int = 0,
    backend: backends.Backend = "auto",
) -> Tensor:
    """Ascending edges `[N, count + 1]` of `count` intervals per ray that divide its weight evenly.

    weights: `[S]`, not negative, of samples with the same dtype. Each weight is taken as uniform over its interval.
    seed, first_ray: stratified edges. Edge k is where the fraction `(k + u) / (count + 1)` of a ray's weight lies
        before it, with u = 1/2, or with a seed one value in [0, 1) per ray (`march` describes `first_ray`).

    A ray whose weights are all zero is divided into equal lengths; a ray without samples gets zeros.
    `packed.from_edges` makes samples of the result. It carries no gradients.

    Raises ValueError for shapes, dtypes or offsets that do not fit together, and for a count below 1.
    """
    check_packed(samples.offsets, len(samples), weights=weights, t_starts=samples.t_starts, t_ends=samples.t_ends)
    if weights.ndim != 1 or count < 1:
        raise ValueError(f"weights are [S] and count at least 1, not {list(weights.shape)} and {count}")
    with torch.no_grad():
        if backends.choose(backend, backends.device_type(weights)) == "torch":
            return importance_reference(weights, samples, count + 1, seed=seed, first_ray=first_ray)
        weights, starts, ends, offsets = (
            x.detach().contiguous() for x in (weights, samples.t_starts, samples.t_ends, samples.offsets)
        )
        out = weights.new_empty(samples.num_rays, count + 1)
        run(
            "importance",
            ImportanceCall,
            weights,
            rays=samples.num_rays,
            first_ray=first_ray,
            edges=count + 1,
            jitter=seed is not None,
            seed=(seed or 0) & 0xFFFFFFFF,
            weights=weights,
            starts=starts,
            ends=ends,
            offsets=offsets,
            out=out,
        )
        return out


def importance_reference(weights: Tensor, samples: Samples, edges: int, *, seed: int | None, first_ray: int) -> Tensor:
    """`importance_edges` in plain torch, `[N, edges]`: a search in the cumulative weights of padded rays."""
    counts = samples.counts
    longest = max(1, int(counts.max()) if len(counts) else 0)
    mass, length, starts = (
        padded_by_ray(values, samples, longest)
        for values in (weights, samples.t_ends - samples.t_starts, samples.t_starts)
    )
    mass = torch.where(mass.sum(1, keepdim=True) > 0, mass, length)
    sums = mass.cumsum(1)
    jitter = (
        torch.full_like(sums[:, 0], 0.5) if seed is None else ray_jitter(samples.num_rays, first_ray, seed, weights)
    )
    indices = torch.arange(edges, dtype=weights.dtype, device=weights.device)
    wanted = (indices + jitter[:, None]) / edges * sums[:, -1:]
    last = (counts - 1).clamp(min=0)[:, None]
    found = torch.minimum(torch.searchsorted(sums, wanted, right=True), last)
    here = mass.gather(1, found)
    fraction = ((wanted - (sums - mass).gather(1, found)) / here).clamp(max=1.0)
    return starts.gather(1, found) + torch.where(here > 0, fraction, 0.0) * length.gather(1, found)
