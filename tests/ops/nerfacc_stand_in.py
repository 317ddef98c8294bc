"""nerfacc's packed functions in plain Python, with the names, arguments and results that it documents."""

from types import SimpleNamespace

import torch


def traverse_grids(
    origins, directions, binaries, boxes, *, near_planes, far_planes, step_size, cone_angle, traverse_steps_limit
):
    """Intervals of each ray whose midpoints lie in full cells of the finest box around them; edges are added up."""
    resolution = torch.tensor(binaries.shape[1:])
    vals, left, right, rays = [], [], [], []
    for ray in range(len(origins)):
        start, far, count, joined = near_planes[ray], far_planes[ray], 0, False
        while count < traverse_steps_limit:
            end = start + max(step_size, float(cone_angle * start))
            middle = (start + end) / 2
            if not middle < far:
                break
            if _occupied(origins[ray] + middle * directions[ray], binaries, boxes, resolution):
                if joined:
                    left[-1] = True
                else:
                    vals, left, right, rays = [*vals, start], [*left, True], [*right, False], [*rays, ray]
                vals, left, right, rays = [*vals, end], [*left, False], [*right, True], [*rays, ray]
                count += 1
            joined = bool(vals) and rays[-1] == ray and bool(vals[-1] == end)
            start = end
    intervals = SimpleNamespace(
        vals=torch.stack(vals),
        is_left=torch.tensor(left),
        is_right=torch.tensor(right),
        ray_indices=torch.tensor(rays),
    )
    return intervals, None, None


def _occupied(point, binaries, boxes, resolution):
    for cells, box in zip(binaries, boxes):
        place = (point - box[:3]) / (box[3:] - box[:3])
        if ((place >= 0) & (place < 1)).all():
            return bool(cells[tuple((place * resolution).long().tolist())])
    return False


def render_weight_from_density(t_starts, t_ends, density, packed_info):
    """Weights, transmittance before and opacity of samples, of which a ray has `packed_info[i, 1]`."""
    absorbed = density * (t_ends - t_starts)
    parts = [absorbed[first : first + count] for first, count in packed_info.tolist()]
    light = torch.cat([torch.exp(-(part.cumsum(0) - part)) for part in parts])
    alpha = 1 - torch.exp(-absorbed)
    return light * alpha, light, alpha


def accumulate_along_rays(weights, values=None, ray_indices=None, n_rays=None):
    """Sums of weights, or of weighted values `[S, C]`, over each ray: `[N, 1]` or `[N, C]`."""
    source = weights[:, None] if values is None else weights[:, None] * values
    return source.new_zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)
