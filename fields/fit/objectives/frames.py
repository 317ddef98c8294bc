"""The objective of clips whose field gives whole frames (NeRV and its kin)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fields.fit.metrics.samples import SIGMA, WINDOW
from fields.fit.objectives.video import VideoObjective
from fields.models.field import FrameField

# NeRV's loss weighs the absolute error with this and one minus SSIM with the rest ("Fusion6" in its code).
ABSOLUTE_SHARE = 0.7


class FrameObjective(VideoObjective):
    """A batch is whole frames: times `[B]` and frames `[B, 3, H, W]`."""

    requires = FrameField

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
        return ABSOLUTE_SHARE * absolute + (1 - ABSOLUTE_SHARE) * (1 - similarity(prediction, target))

    @torch.no_grad()
    def frame(self, field: FrameField, moment: float) -> np.ndarray:
        times = torch.tensor([moment], dtype=torch.float32, device=next(field.parameters()).device)
        return np.ascontiguousarray(field.frames(times)[0].permute(1, 2, 0).cpu().numpy())


def shuffled(total: int, step: int, count: int, seed: int) -> np.ndarray:
    """The frames of one step, of 0 .. `total` - 1: each once an epoch, in an order of the epoch's own. A pure function."""
    steps = math.ceil(total / count)
    epoch, turn = divmod(step, steps)
    order = np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64))).permutation(total)
    return np.sort(order[turn * count : (turn + 1) * count])


def similarity(prediction: Tensor, target: Tensor) -> Tensor:
    """The mean SSIM of `[B, C, H, W]` in [0, 1] (11-pixel Gaussian window, where it fits), differentiable."""
    channels = target.shape[1]
    offsets = torch.arange(WINDOW, dtype=target.dtype, device=target.device) - WINDOW // 2
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, WINDOW)

    def blur(picture: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(picture, kernel[..., None, :], groups=channels), kernel[..., None], groups=channels)

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
