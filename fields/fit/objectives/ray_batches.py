"""Batches of rays through the pixels of posed views, and how many rays a step takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from scenes.posed.pixels import PixelRays
from scenes.posed.signal import BACKGROUNDS, RadianceScene
from scenes.sampling import philox

# Rays of the first step, as a fraction of the samples that a step should have.
FIRST_RAYS = 1 / 128
# Samples that may be queried for each sample that light reaches; if there are more, a step takes fewer rays.
QUERIES_PER_SAMPLE = 6
# Bounds of the number of rays per step.
MIN_RAYS = 64
MAX_RAYS = 1 << 17
# Offset of the random stream of backgrounds from that of the rays of the same step.
BACKGROUND_STREAM = 1 << 40


class RayBatch(NamedTuple):
    """N rays of a training step, in units of the scene's cube.

    origins, directions: `[N, 3]`, directions of unit length; colors: what they show, `[N, 3]`.
    background: the color behind the scene, `[3]` or `[N, 3]`; None if the field learns it.
    times: `[N]` in [0, 1], or None; views: index of the training view of each ray, `[N]`.
    jitter: seed that jitters the samples.
    alpha: opacity that the pixels have, `[N]`, or None.
    """

    origins: Tensor
    directions: Tensor
    colors: Tensor
    background: Tensor | None
    times: Tensor | None
    views: Tensor
    jitter: int
    alpha: Tensor | None = None


class RayCount:
    """Number of rays per step, chosen so that about `samples` samples per step are ones that light reaches."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.rays = max(MIN_RAYS, int(samples * FIRST_RAYS))

    def adapt(self, reached: int, queried: int) -> None:
        """Choose the number of rays of the next step, at most twice as many as now.

        reached: samples of this step that light reaches; queried: samples whose density was queried.
        """
        per_ray = max(reached, queried / QUERIES_PER_SAMPLE, 1) / self.rays
        self._set(min(int(self.samples / per_ray), 2 * self.rays))

    def adapt_at_once(self, reached: int, queried: int) -> None:
        """`adapt` without the limit, for samples that do not change as the field takes shape."""
        self._set(int(self.samples * self.rays / max(reached, queried / QUERIES_PER_SAMPLE, 1)))

    def _set(self, rays: int) -> None:
        self.rays = max(MIN_RAYS, min(MAX_RAYS, rays))


def ray_batch(
    scene: RadianceScene, rays: PixelRays, background: str, *, step: int, seed: int, device: torch.device
) -> RayBatch:
    """The training batch of these rays: their colors on the background, on a device.

    background: "random", "white", "black" or "learned", the option of `fields.methods.radiance.SceneOptions`.
    """
    origins, directions, colors, views = (
        torch.from_numpy(array).to(device) for array in (rays.origins, rays.directions, rays.colors, rays.views)
    )
    behind = None
    if background == "random":
        words = philox(seed, step + BACKGROUND_STREAM).random_raw(-(-3 * len(colors) // 8))
        values = words.view(np.uint8)[: 3 * len(colors)].reshape(-1, 3)
        behind = torch.from_numpy(values.astype(np.float32) / 255.0).to(device)
    elif background in BACKGROUNDS:
        behind = torch.full((3,), BACKGROUNDS[background], device=device)
    alpha = None
    if rays.alpha is not None:
        alpha = torch.from_numpy(rays.alpha).to(device)
        # Views with alpha teach a learned background nothing: they are composited on the one they are scored on.
        known = torch.full((3,), BACKGROUNDS[scene.background], device=device) if behind is None else behind
        colors = colors * alpha + known * (1.0 - alpha)
    times = None if rays.times is None else torch.from_numpy(rays.times).to(device)
    jitter = (seed * 1_000_003 + step) & 0xFFFFFFFF
    opaque = None if alpha is None else alpha[:, 0]
    return RayBatch(origins, directions, colors, behind, times, views, jitter, opaque)
