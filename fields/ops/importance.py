"""New intervals where the weight along rays is (Mildenhall et al. 2020, section 5.2; Barron et al. 2022, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from fields.ops import backends
from fields.ops.packed import Samples, check_packed
from fields.ops.ray_jitter import jitter_of
from fields.ops.ray_kernels import ImportanceCall, run


def importance_edges(
    weights: Tensor,
    samples: Samples,
    count: int,
    seed: int | None = None,
    first_ray: int = 0,
    backend: backends.Backend = "auto",
) -> Tensor:
    """Edges `[N, count + 1]`, ascending, of `count` intervals on each ray that share its weight evenly.

    weights `[S]`, not negative, taken as spread evenly within each sample's interval; `packed.from_edges` makes samples of
    the result. Edge k lies where (k + u) / (count + 1) of a ray's weight is behind it: u = 1/2, or with a seed one number
    in [0, 1) a ray (stratified; see `march` for `first_ray`). A ray whose weights are all zero is cut into equal lengths;
    a ray without samples gets zeros. Carries no gradients.
    """
    check_packed(samples.offsets, len(samples), weights=weights, t_starts=samples.t_starts, t_ends=samples.t_ends)
    if weights.ndim != 1 or count < 1:
        raise ValueError(f"weights are [S] and count at least 1, not {list(weights.shape)} and {count}")
    with torch.no_grad():
        if backends.choose(backend, weights.device.type) == "torch":
            return importance_reference(weights, samples, count + 1, seed, first_ray)
        weights, starts, ends, offsets = (
            x.detach().contiguous() for x in (weights, samples.t_starts, samples.t_ends, samples.offsets)
        )
        out = weights.new_empty(samples.rays, count + 1)
        run(
            "importance",
            ImportanceCall,
            weights,
            rays=samples.rays,
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


def importance_reference(weights: Tensor, samples: Samples, edges: int, seed: int | None, first_ray: int) -> Tensor:
    """The same in plain torch: rays side by side, padded to the longest, and a search in their sums."""
    counts = samples.counts
    longest = max(1, int(counts.max()) if len(counts) else 0)
    place = torch.arange(len(samples), device=weights.device) - samples.offsets[:-1][samples.ray_indices]

    def spread(values: Tensor) -> Tensor:
        return values.new_zeros(samples.rays, longest).index_put((samples.ray_indices, place), values)

    mass, length, starts = spread(weights), spread(samples.t_ends - samples.t_starts), spread(samples.t_starts)
    mass = torch.where(mass.sum(1, keepdim=True) > 0, mass, length)
    sums = mass.cumsum(1)
    share = torch.full_like(sums[:, 0], 0.5) if seed is None else jitter_of(samples.rays, first_ray, seed, weights)
    wanted = (torch.arange(edges, dtype=weights.dtype, device=weights.device) + share[:, None]) / edges * sums[:, -1:]
    last = (counts - 1).clamp(min=0)[:, None]
    found = torch.minimum(torch.searchsorted(sums, wanted, right=True), last)
    here = mass.gather(1, found)
    part = ((wanted - (sums - mass).gather(1, found)) / here).clamp(max=1.0)
    return starts.gather(1, found) + torch.where(here > 0, part, 0.0) * length.gather(1, found)
