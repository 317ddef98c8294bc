"""Training samples of a stack of shapes, as arrays of one size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scenes.errors import BadInput
from scenes.procedural.part_shapes import PartShape
from scenes.sampling import StratifiedSampler
from scenes.shape.samples import training_points
from scenes.shape.signal import SURFACE, TRAINING, Shape, generator

# Points more than are wanted that are drawn of each shape, since those outside of the cube are dropped.
SPARE = 1.06
# Points at which a fitted shape is compared with its source.
SCORED_POINTS = 1 << 15
# Points on the surface that are kept with a fitted shape.
SURFACE_POINTS = 2048


@dataclass(frozen=True)
class ShapeSamples:
    """Samples of one shape. coords `[S, 3]`, values `[S, C]` float32; inside: which of `scored` `[Q, 3]` are inside.

    `inside` is None for unsigned distances. surface: points on the surface, evenly by area, `[2048, 3]`; parts: the
    index of the part of each of them, uint8, where the shape has parts, with their names.
    """

    coords: np.ndarray
    values: np.ndarray
    scored: np.ndarray
    inside: np.ndarray | None
    surface: np.ndarray
    parts: np.ndarray | None
    part_names: tuple[str, ...]


def draw_samples(shape: Shape, count: int) -> ShapeSamples:
    """`count` training samples of a shape, in the order of a space-filling curve, and what its fit is scored on."""
    points = training_points(shape.surface, int(count * SPARE), generator(TRAINING))
    if len(points) < count:
        raise BadInput(f"{shape.source['path']}: too few points near its surface are in its cube")
    kept = np.sort(generator(TRAINING).permutation(len(points))[:count])
    points = points[kept]
    scored = shape.volume_points(SCORED_POINTS)
    inside = None if shape.quantity == "unsigned" else shape.surface.inside(scored)
    surface = shape.surface.sample(SURFACE_POINTS, generator(SURFACE)).points
    parts, names = None, ()
    if isinstance(shape, PartShape):
        own = shape.solids.part_names(surface)
        names = tuple(sorted({part.name for part in shape.solids.parts}))
        parts = np.searchsorted(np.array(names), own).astype(np.uint8)
    return ShapeSamples(points, shape.values(points), scored, inside, surface, parts, names)


class StackSamples:
    """Samples of n shapes `[n, S, ...]`, of which each step takes the same rows of all shapes."""

    def __init__(self, shapes: list[Shape], samples: list[ShapeSamples], device: torch.device | str = "cpu") -> None:
        self.coords = torch.from_numpy(np.stack([s.coords for s in samples])).to(device)
        self.values = torch.from_numpy(np.stack([s.values for s in samples])).to(device)
        weights = [shape.weights(s.values) for shape, s in zip(shapes, samples)]
        self.weights = torch.from_numpy(np.stack(weights)).to(device)
        self._sampler = StratifiedSampler(self.coords.shape[1])

    def batch(self, step: int, count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        """Coords `[n, P, 3]`, values `[n, P, C]` and weights of losses `[n, P]`; a pure function of its arguments."""
        rows = torch.from_numpy(self._sampler.indices(step, count, seed)).to(self.coords.device)
        return self.coords[:, rows], self.values[:, rows], self.weights[:, rows]
