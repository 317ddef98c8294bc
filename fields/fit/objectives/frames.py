"""The objective of videos, for fields that give whole frames (NeRV)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fields.fit.metrics.samples import SIGMA, WINDOW
from fields.fit.objectives.video import FramesOfVideo
from fields.models.field import FrameField

# Weight of the absolute error in NeRV's loss; 1 - SSIM has the rest ("Fusion6" in its code).
ABSOLUTE_WEIGHT = 0.7


class FrameObjective(FramesOfVideo[FrameField]):
    """Fits the frames of a video at times. A batch is whole frames: times `[B]` and frames `[B, 3, H, W]`."""

    requires = FrameField
    takes_points = False

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        chosen = self.signal.training_frames[shuffled(len(self.signal.training_frames), step, count, seed)]
        frames = torch.from_numpy(self.signal.values(chosen)).permute(0, 3, 1, 2).contiguous()
        return torch.from_numpy(self.signal.times[chosen]).to(device), frames.to(device)

    def loss(self, field: FrameField, batch: tuple[Tensor, ...]) -> Tensor:
        times, target = batch
        prediction = field.frames(times)
        if self.loss_name == "l2":
            return ((prediction - target) ** 2).mean()
        absolute = (prediction - target).abs().mean()
        if self.loss_name == "l1" or min(target.shape[-2:]) < WINDOW:
            return absolute
        return ABSOLUTE_WEIGHT * absolute + (1 - ABSOLUTE_WEIGHT) * (1 - similarity(prediction, target))


def shuffled(total: int, step: int, count: int, seed: int) -> np.ndarray:
    """Indices of the frames of one step, out of 0 to `total` - 1, in rising order; a pure function.

    Each frame occurs once per epoch; each epoch has an order of its own. `count`: frames per step.
    """
    steps = math.ceil(total / count)
    epoch, step_of_epoch = divmod(step, steps)
    order = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64))).permutation(total)
    return np.sort(order[step_of_epoch * count : (step_of_epoch + 1) * count])


def similarity(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean SSIM of images `[B, C, H, W]` in [0, 1], over the 11-pixel Gaussian windows inside; differentiable."""
    channels = target.shape[1]
    offsets = torch.arange(WINDOW, dtype=target.dtype, device=target.device) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, WINDOW)

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(image, kernel[..., None, :], groups=channels), kernel[..., None], groups=channels)

    mean_p, mean_t = blur(prediction), blur(target)
    variance_p = blur(prediction * prediction) - mean_p**2
    variance_t = blur(target * target) - mean_t**2
    covariance = blur(prediction * target) - mean_p * mean_t
    c1, c2 = 0.01**2, 0.03**2
    return (
        (2 * mean_p * mean_t + c1)
        * (2 * covariance + c2)
        / ((mean_p**2 + mean_t**2 + c1) * (variance_p + variance_t + c2))
    ).mean()
