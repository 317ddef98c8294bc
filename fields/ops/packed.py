"""Samples along rays, packed: as many a ray as it needs, one ray's after another's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Intervals on N rays, S in all; those of ray i are `offsets[i]` to `offsets[i + 1]`, front to back.

    t_starts, t_ends `[S]`: in units of the ray's direction; ray_indices `[S]` int64; offsets `[N + 1]` int64, from 0 to S.
    """

    t_starts: Tensor
    t_ends: Tensor
    ray_indices: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        return len(self.t_starts)

    @property
    def rays(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> Tensor:
        """Samples of each ray, `[N]`."""
        return self.offsets.diff()

    @property
    def middles(self) -> Tensor:
        return (self.t_starts + self.t_ends) * 0.5

    def positions(self, origins: Tensor, directions: Tensor) -> Tensor:
        """The middles as points `[S, 3]` on rays `[N, 3]`."""
        # (one row of six numbers is taken four times as fast as two of three)
        rays = torch.cat([origins, directions], dim=-1).index_select(0, self.ray_indices)
        return torch.addcmul(rays[:, :3], self.middles[:, None], rays[:, 3:])

    def keep(self, which: Tensor) -> Samples:
        """Only the samples where `which` `[S]` bool is true; the rays stay."""
        chosen = which.nonzero().flatten()
        before = torch.zeros(len(which) + 1, dtype=torch.int64, device=which.device)
        torch.cumsum(which, 0, out=before[1:])
        return Samples(
            *(x.index_select(0, chosen) for x in (self.t_starts, self.t_ends, self.ray_indices)), before[self.offsets]
        )


def from_edges(edges: Tensor) -> Samples:
    """The K intervals between the K + 1 edges of each ray, edges `[N, K + 1]`, ascending."""
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


def indices_of(offsets: Tensor, samples: int) -> Tensor:
    """The ray of each sample, `[S]` int64."""
    return torch.repeat_interleave(
        torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff(), output_size=samples
    )


def check_packed(offsets: Tensor, samples: int, **tensors: Tensor) -> None:
    """ValueError unless `offsets` cuts `samples` and the tensors are `[samples]` (or `[samples, ...]`) of one floating dtype.

    The order of the offsets is looked at on the CPU only: a GPU would have to be waited for.
    """
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if len(tensor) != samples or tensor.ndim < 1:
            raise ValueError(f"{name} must have an entry for each of the {samples} samples, not {list(tensor.shape)}")
        if tensor.dtype != first.dtype or tensor.device != first.device:
            raise ValueError(
                f"all must be {first.dtype} on {first.device}; {name} is {tensor.dtype} on {tensor.device}"
            )
    if first.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"samples are float32 or float64, not {first.dtype}")
    if offsets.ndim != 1 or len(offsets) < 1 or offsets.dtype != torch.int64 or offsets.device != first.device:
        raise ValueError(
            f"offsets must be [rays + 1] int64 on {first.device}, not {list(offsets.shape)} {offsets.dtype} on {offsets.device}"
        )
    if offsets.device.type == "cpu" and (
        int(offsets[0]) != 0 or int(offsets[-1]) != samples or bool((offsets.diff() < 0).any())
    ):
        raise ValueError(f"offsets must rise from 0 to the number of samples, {samples}")
