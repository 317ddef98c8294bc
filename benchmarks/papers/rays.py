"""A scene fitted with the same number of samples on every ray, as the authors of CAM have it: their norm mixes the
samples of a ray.

The product itself samples where cells are occupied, so that rays have any number of samples, and standardises every
sample alone.
"""

from __future__ import annotations

import math
from pathlib import Path

SCENES = Path(__file__).resolve().parents[3] / "shared" / "data" / "nerf"
CHUNK = 512


def scene():
    """Lego at 200 x 200 from the shared data, or the procedural duck where that is not there; and its name."""
    import scenes

    lego = SCENES / "lego_200"
    return (
        (scenes.load(str(lego), "radiance"), "lego")
        if lego.is_dir()
        else (scenes.load("procedural:duck", "radiance"), "duck")
    )


def scored(
    signal, options: dict, mixed: bool, *, steps: int, rays: int, samples: int, views: int, seed: int
) -> tuple[float, int]:
    """Mean PSNR of some views for testing after `steps` steps of `cam` with `options`, and its parameters.

    `mixed`: the norm is over a ray's samples too.
    """
    import numpy as np
    import torch

    from fields.methods.registry import make_method
    from fields.models.radiance import EncodedRadiance
    from fields.networks.cam import ModulatedMLP

    method = make_method("cam", {"sampling": "cells", "initial_density": 1.0, **options}).prepare(signal)
    field = method.build_field(signal.domain, signal.channels, seed)
    assert isinstance(field, EncodedRadiance)
    if mixed:
        network = field.trunk.network
        assert isinstance(network, ModulatedMLP)
        network.normalise = 2
    optimizer = torch.optim.Adam(
        [{"params": group["params"], "lr": group["lr"]} for group in method.field_groups(field)]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: method.rate_factor(step, steps))
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        drawn = signal.rays(step, rays, seed)
        target = torch.from_numpy(drawn.colors)
        if drawn.alpha is not None:
            alpha = torch.from_numpy(drawn.alpha)
            target = target * alpha + (1.0 - alpha)
        optimizer.zero_grad()
        found = _colors(field, torch.from_numpy(drawn.origins), torch.from_numpy(drawn.directions), samples, generator)
        (found - target).square().mean().backward()
        optimizer.step()
        schedule.step()
    scores = []
    for view in signal.test[:: max(1, len(signal.test) // views)][:views]:
        stride = max(1, view.intrinsics.width // 100)
        origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in view.rays(stride))
        origins, directions = field.to_cube(origins), directions.float()
        with torch.no_grad():
            parts = [_colors(field, o, d, samples, None) for o, d in zip(origins.split(CHUNK), directions.split(CHUNK))]
        target = torch.from_numpy(signal.image(view)[::stride, ::stride]).reshape(-1, 3)
        scores.append(-10 * math.log10(float((torch.cat(parts).clamp(0, 1) - target).square().mean())))
    return sum(scores) / len(scores), field.num_parameters


def _colors(field, origins, directions, samples: int, generator):
    """Colours `[R, 3]` on white of rays `[R, 3]` in units of the cube.

    `samples` intervals of equal length, jittered where there is a generator.
    """
    import torch

    from fields.ops.ray_box import ray_box

    near, far = ray_box(origins, directions, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    length = ((far - near) / samples)[:, None]
    inside = (
        torch.full((len(origins), samples), 0.5)
        if generator is None
        else torch.rand(len(origins), samples, generator=generator)
    )
    distances = near[:, None] + (torch.arange(samples) + inside) * length
    points = origins[:, None] + distances[..., None] * directions[:, None]
    towards = directions[:, None].expand_as(points)
    density, feature = field.density(field.to_coords(points), None, towards)
    absorbed = density * length
    light = torch.exp(-torch.cumsum(absorbed, 1) + absorbed)
    weights = light * (1.0 - torch.exp(-absorbed))
    return (weights[..., None] * field.color(feature, towards)).sum(1) + 1.0 - weights.sum(1, keepdim=True)
