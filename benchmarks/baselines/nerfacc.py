"""nerfacc's traversal of an occupancy grid and its compositing, on the problem `march` of the kernel benchmark."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from fields.ops.bench import Rays


def march_and_composite(rays: Rays) -> Callable[[], object]:
    """Its pass: samples in occupied cells, then colour, opacity and depth, and the gradients of density and colours.

    Raises whatever the package raises where it or its CUDA extension is absent.
    """
    nerfacc: Any = import_module("nerfacc")
    device = rays.origins.device
    estimator = nerfacc.OccGridEstimator([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], resolution=len(rays.cells)).to(device)
    estimator.binaries = rays.cells[None]
    count, step = len(rays.origins), float(rays.step)

    def traverse() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return estimator.sampling(rays.origins, rays.directions, render_step_size=step)

    density, colors = rays.density_and_colors(len(traverse()[0]))

    def whole() -> None:
        density.grad = colors.grad = None
        ray_indices, t_starts, t_ends = traverse()
        weights, _, _ = nerfacc.render_weight_from_density(
            t_starts, t_ends, density, ray_indices=ray_indices, n_rays=count
        )
        midpoints = ((t_starts + t_ends) * 0.5)[:, None]
        color, opacity, depth = (
            nerfacc.accumulate_along_rays(weights, values, ray_indices=ray_indices, n_rays=count)
            for values in (colors, None, midpoints)
        )
        torch.autograd.backward([color, opacity[:, 0], depth[:, 0]], rays.gradients)

    return whole
