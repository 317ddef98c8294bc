"""Samples along rays in packed form: each ray has as many as it needs, stored one ray after another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fields.ops import backends


@dataclass(frozen=True)
class Samples:
    """S intervals on N rays. Those of ray i have the indices `offsets[i]` to `offsets[i + 1]`, front to back.

    t_starts, t_ends: `[S]`, in units of the ray's direction.
    ray_indices: `[S]` int64, the ray of each sample.
    offsets: `[N + 1]` int64, from 0 to S.
    """

    t_starts: Tensor
    t_ends: Tensor
    ray_indices: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.t_starts)

    @property
    def num_rays(self) -> int:
        """Number of rays, N."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> Tensor:
        """Samples per ray, `[N]` int64."""
        return self.offsets.diff()

    @property
    def midpoints(self) -> Tensor:
        """Midpoint of each interval, `[S]`."""
        return (self.t_starts + self.t_ends) * 0.5

    def positions(self, origins: Tensor, directions: Tensor) -> Tensor:
        """Points `[S, 3]` at the midpoints, for rays with origins and directions `[N, 3]`."""
        # Gathering one row of six values is four times as fast as gathering two rows of three.
        rays = torch.cat([origins, directions], dim=-1).index_select(0, self.ray_indices)
        return torch.addcmul(rays[:, :3], self.midpoints[:, None], rays[:, 3:])

    def select(self, mask: Tensor, chosen: Tensor | None = None) -> Samples:
        """Samples where `mask` (`[S]` bool) is true, on the same N rays.

        chosen: their indices `[n]`, for a caller who has them: on a GPU, finding how many there are takes a wait.
        """
        chosen = mask.nonzero().flatten() if chosen is None else chosen
        before = torch.zeros(len(mask) + 1, dtype=torch.int64, device=mask.device)
        torch.cumsum(mask, 0, out=before[1:])
        return Samples(
            self.t_starts.index_select(0, chosen),
            self.t_ends.index_select(0, chosen),
            self.ray_indices.index_select(0, chosen),
            before[self.offsets],
        )


def from_edges(edges: Tensor) -> Samples:
    """The K intervals between the K + 1 ascending edges of each ray, `[N, K + 1]`. ValueError if K is 0."""
    rays, count = edges.shape[0], edges.shape[1] - 1
    if count < 1:
        raise ValueError(f"a ray needs two edges or more, not {list(edges.shape)}")
    of_ray = torch.arange(rays, device=edges.device)
    return Samples(
        edges[:, :-1].reshape(-1),
        edges[:, 1:].reshape(-1),
        of_ray.repeat_interleave(count),
        torch.arange(rays + 1, device=edges.device) * count,
    )


def ray_indices_of(offsets: Tensor, num_samples: int) -> Tensor:
    """Ray of each sample, `[num_samples]` int64, from the offsets `[N + 1]`."""
    return torch.repeat_interleave(
        torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff(), output_size=num_samples
    )


def padded_by_ray(values: Tensor, samples: Samples, length: int) -> Tensor:
    """Values `[S]` of the samples as one row per ray, `[N, length]`, padded with zeros.

    length: at least the number of samples of every ray.
    """
    index = torch.arange(len(samples), device=values.device) - samples.offsets[:-1][samples.ray_indices]
    return values.new_zeros(samples.num_rays, length).index_put((samples.ray_indices, index), values)


def check_packed(offsets: Tensor, num_samples: int, **tensors: Tensor) -> None:
    """Raise ValueError unless `offsets` divides the samples into rays and every tensor has one entry per sample.

    The tensors must be `[num_samples, ...]`, of one floating dtype and on one device. That the offsets ascend is
    checked on the CPU only, because on a GPU the check would have to wait for the device.
    """
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if tensor.ndim < 1 or len(tensor) != num_samples:
            raise ValueError(
                f"{name} must have an entry for each of the {num_samples} samples, not {list(tensor.shape)}"
            )
        if tensor.dtype != first.dtype or tensor.device != first.device:
            raise ValueError(
                f"all must be {first.dtype} on {first.device}; {name} is {tensor.dtype} on {tensor.device}"
            )
    if first.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"samples are float32 or float64, not {first.dtype}")
    if offsets.ndim != 1 or len(offsets) < 1 or offsets.dtype != torch.int64 or offsets.device != first.device:
        raise ValueError(
            f"offsets must be [rays + 1] int64 on {first.device}, "
            f"not {list(offsets.shape)} {offsets.dtype} on {offsets.device}"
        )
    if backends.device_type(offsets) == "cpu" and (
        int(offsets[0]) != 0 or int(offsets[-1]) != num_samples or bool((offsets.diff() < 0).any())
    ):
        raise ValueError(f"offsets must rise from 0 to the number of samples, {num_samples}")
