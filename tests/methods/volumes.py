"""A procedural signal over 3 or 4 axes and its objective, for methods that take no images."""

import numpy as np
import torch

from fields.fit.objectives.base import Objective
from scenes.domain import Axis, Channels, Domain
from scenes.signal import Signal


def solids(coords):
    """A soft ball and a slab with waves, two channels in [0, 1]; with a fourth axis the ball moves along x."""
    x, y, z, *t = coords.T
    centre = 0.4 + 0.2 * (t[0] if t else 0.0)
    ball = 1 / (1 + np.exp(40 * (np.sqrt((x - centre) ** 2 + (y - 0.5) ** 2 + (z - 0.6) ** 2) - 0.25)))
    waves = 0.5 + 0.5 * np.sin(12 * x) * np.sin(9 * y + 5 * z)
    return np.stack([ball, waves * (1 - ball)], -1).astype(np.float32)


class Volume(Signal):
    kind = "volume"
    channels = Channels(("density", "waves"), "linear")
    source: dict = {}

    def __init__(self, *shape):
        self.domain = Domain(tuple(Axis(name, 0, 1, "s" if name == "t" else "m", n) for name, n in zip("xyzt", shape)))
        if None in shape or len(shape) < 3:  # these serve to be refused or counted
            return
        centres = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
        self.coords = np.stack(centres, -1).reshape(-1, len(shape)).astype(np.float32)
        self.values = solids(self.coords)

    def batch(self, step, count, seed):
        chosen = np.random.default_rng((seed, step)).integers(len(self.coords), size=count)
        return self.coords[chosen], self.values[chosen]

    def preview(self, longest_side=1024):
        raise NotImplementedError


class VolumeObjective(Objective):
    @torch.no_grad()
    def evaluate(self, field, seconds=float("inf")):
        """PSNR at points between the samples."""
        coords = np.random.default_rng(9).random((20000, self.signal.domain.dimensions), dtype=np.float32)
        error = field(torch.from_numpy(coords)).numpy() - solids(coords)
        return {"psnr": float(-10 * np.log10((error**2).mean()))}

    def evaluation_seconds(self, field):
        return 0.1

    def preview(self, field, longest_side=1024):
        raise NotImplementedError

    def save_preview(self, field, path):
        raise NotImplementedError
