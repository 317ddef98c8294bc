"""The objective of volumes."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from fields.fit.objectives.base import Objective
from fields.models.field import PointField
from fields.render.projection import project
from fields.render.raster import centres, lattice
from scenes.volume.signal import Volume, to_rgb8

PANEL = 240
GAP = 6
ERROR_GAIN = 10
PROJECTION_STEPS = 96


class VolumeObjective(Objective):
    signal: Volume
    shown = "middle slices and projection of target, fit, error"

    @torch.no_grad()
    def evaluate(self, field: PointField) -> dict[str, float]:
        """PSNR in dB over the range of the file's numbers: of the withheld voxels where there are any, else of all."""
        volume = self.signal
        device = next(field.parameters()).device
        error, count = 0.0, 0
        if volume.held_out is not None:
            parts = (
                (field(torch.from_numpy(coords).to(device)).cpu().numpy(), values)
                for coords, values in volume.held_out_samples()
            )
        else:
            parts = ((self._slab(field, index), volume.values(index)[None]) for index in range(volume.stored.shape[0]))
        for prediction, target in parts:
            error += float(np.square(np.clip(prediction, 0, 1) - target, dtype=np.float64).sum())
            count += target.size
        return {"psnr": -10.0 * math.log10(max(error / count, 1e-12))}

    def _slab(self, field: PointField, index: int) -> np.ndarray:
        width, height, depth = self.signal.domain.shape
        return lattice(field, centres(width), centres(height), centres(depth)[index : index + 1])

    def evaluation_seconds(self, field: PointField) -> float:
        """From the slice in the middle, twice as the first pass is slow."""
        depth = self.signal.stored.shape[0]
        for _ in range(2):
            begun = time.perf_counter()
            values = self._slab(field, depth // 2)
            np.square(values - self.signal.values(depth // 2)[None], dtype=np.float64).sum()
            spent = time.perf_counter() - begun
        return spent * depth

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The slice of the fit through the middle along z."""
        width, height, depth = self.signal.domain.shape
        step = -(-max(width, height) // longest_side)
        return to_rgb8(
            lattice(
                field,
                centres(-(-width // step)),
                centres(-(-height // step)),
                centres(depth)[depth // 2 : depth // 2 + 1],
            )[0]
        )

    def save_preview(self, field: PointField, path: Path) -> None:
        """A row each for target, fit and ten times their difference; middle slices along z, y, x, and a projection."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        middles = [centres(n)[n // 2 : n // 2 + 1] for n in self.signal.domain.shape]
        rows: list[list[np.ndarray]] = [[], [], []]
        for axis, cut in (("z", 2), ("y", 1), ("x", 0)):
            target = self.signal.slice(axis, self.signal.domain.shape[cut] // 2)
            places = [middles[i] if i == cut else centres(n) for i, n in enumerate(self.signal.domain.shape)]
            fit = lattice(field, *places).reshape(target.shape)
            self._add(rows, target, fit, cut)
        extent = tuple(axis.upper - axis.lower for axis in self.signal.domain.axes)
        target, fit = (
            project(values, extent, PANEL, steps=PROJECTION_STEPS) for values in (self._nearest, _values_of(field))
        )
        for row, panel in zip(rows, (to_rgb8(target), to_rgb8(fit), to_rgb8(np.abs(fit - target) * ERROR_GAIN))):
            row.append(panel)
        sheet = np.concatenate(
            [
                np.pad(
                    np.concatenate(
                        [np.pad(panel, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for panel in row], 1
                    ),
                    ((0, GAP), (0, 0), (0, 0)),
                    constant_values=255,
                )
                for row in rows
            ]
        )
        with atomic_write(path) as temporary:
            Pillow.fromarray(sheet[:-GAP, :-GAP]).save(temporary)

    def _add(self, rows: list[list[np.ndarray]], target: np.ndarray, fit: np.ndarray, cut: int) -> None:
        """Scales a slice to its size in the world and puts it into a square panel."""
        from PIL import Image as Pillow

        extents = [axis.upper - axis.lower for axis in self.signal.domain.axes]
        across, down = (extent for i, extent in enumerate(extents) if i != cut)
        scale = PANEL / max(across, down)
        size = max(1, round(across * scale)), max(1, round(down * scale))
        for row, values in zip(rows, (target, fit, np.abs(fit - target) * ERROR_GAIN)):
            panel = np.zeros((PANEL, PANEL, 3), np.uint8)
            small = np.asarray(Pillow.fromarray(to_rgb8(values)).resize(size))
            top, left = (PANEL - size[1]) // 2, (PANEL - size[0]) // 2
            panel[top : top + size[1], left : left + size[0]] = small
            row.append(panel)

    def _nearest(self, points: torch.Tensor) -> torch.Tensor:
        x, y, z = (
            (points[:, i].numpy() * n).astype(np.int64).clip(0, n - 1) for i, n in enumerate(self.signal.domain.shape)
        )
        return torch.from_numpy(self.signal.values(z, y, x))


def _values_of(field: PointField):
    device = next(field.parameters()).device

    @torch.no_grad()
    def values(points: torch.Tensor) -> torch.Tensor:
        return field(points.to(device)).cpu()

    return values
