"""Random occupancy grids, rays and samples for the tests of ray operations."""

import torch

from fields.ops.march import Occupancy, pack_cells
from fields.ops.packed import Samples
from fields.ops.ray_box import ray_box


def random_occupancy(random, cascades=1, resolution=8, fraction=0.3, device="cpu"):
    """A grid over a random box of which about `fraction` of the cells are occupied."""
    cells = torch.rand(cascades, *[resolution] * 3, generator=random) < fraction
    lower = tuple((torch.rand(3, generator=random) - 1.0).tolist())
    upper = tuple(a + b for a, b in zip(lower, (0.5 + torch.rand(3, generator=random)).tolist()))
    return Occupancy(pack_cells(cells).to(device), resolution, lower, upper)


def random_rays(random, count, occupancy, dtype=torch.float64):
    """Origins, directions, near and far of rays through and past the grid's outer box, some of them along axes."""
    origins = torch.randn(count, 3, generator=random, dtype=torch.float64) * 2.0**occupancy.cascades
    directions = torch.rand(count, 3, generator=random, dtype=torch.float64) - 0.5 - origins
    directions[torch.rand(count, 3, generator=random) < 0.1] = 0.0
    directions[:, 0] += (directions == 0).all(-1)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    origins, directions = (x.to(dtype).to(occupancy.words.device) for x in (origins, directions))
    return origins, directions, *ray_box(origins, directions, *occupancy.outer_box)


def random_samples(random, counts, dtype=torch.float64, device="cpu"):
    """Samples in order along each ray, `counts[i]` on ray i, with gaps between them and some of length zero."""
    counts = torch.as_tensor(counts, dtype=torch.int64)
    total = int(counts.sum())
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    pieces = 0.1 + 0.9 * torch.rand(total, 2, generator=random, dtype=torch.float64)
    pieces[torch.rand(total, 2, generator=random) < 0.1] = 0.0
    starts, ends = torch.empty(total, dtype=torch.float64), torch.empty(total, dtype=torch.float64)
    for first, last in zip(offsets[:-1].tolist(), offsets[1:].tolist()):
        edges = pieces[first:last].flatten().cumsum(0) + 0.5
        starts[first:last], ends[first:last] = edges[::2], edges[1::2]
    indices = torch.repeat_interleave(torch.arange(len(counts)), counts)
    return Samples(*(x.to(device) for x in (starts.to(dtype), ends.to(dtype), indices, offsets)))
