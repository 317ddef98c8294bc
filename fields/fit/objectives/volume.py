"""The objective of volumes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fields.fit.objectives.base import ERROR_GAIN, MIN_ERROR, Objective, held_out_values
from fields.fit.scoring import parts_within, scored_part
from fields.models.field import PointField
from fields.render.projection import maximum_projection
from fields.render.raster import evaluate_lattice, sample_centers
from scenes.volume.signal import Volume, to_rgb8

# Side of each image of a preview, and the space between them, in pixels.
PANEL = 240
GAP = 6
# Samples along each ray of the projection.
PROJECTION_STEPS = 96


class VolumeObjective(Objective[Volume, PointField]):
    """Fits the voxels of a volume."""

    shown = "middle slices and projection of target, fit, error"

    @torch.no_grad()
    def evaluate(self, field: PointField, seconds: float = math.inf) -> dict[str, float]:
        """PSNR in dB over the range of the file's values: of the held-out voxels where there are any, else of all."""
        volume = self.signal
        if volume.held_out is not None:
            prediction, target, self.scored = held_out_values(field, volume.held_out_samples(), seconds)
            return {"psnr": _psnr(_squared_error(prediction, target), target.size)}
        depth = volume.stored.shape[0]
        errors: dict[int, float] = {}
        sizes: dict[int, int] = {}
        for index in parts_within(depth, seconds):
            prediction, target = self._slice(field, index)[0], volume.values(index)
            if volume.valid is not None:
                prediction, target = prediction[volume.valid[index]], target[volume.valid[index]]
            errors[index], sizes[index] = _squared_error(prediction, target), target.size
        self.scored = scored_part(len(errors), depth, "slices")
        return {"psnr": _psnr(sum(errors[index] for index in sorted(errors)), max(1, sum(sizes.values())))}

    def evaluation_seconds(self, field: PointField) -> float:
        """Estimate from the slice in the middle. The first time it is evaluated does not count, as it is slower."""
        depth = self.signal.stored.shape[0]
        self._slice_error(field, depth // 2)
        begun = time.perf_counter()
        self._slice_error(field, depth // 2)
        return (time.perf_counter() - begun) * depth

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The slice of the fit in the middle along z."""
        width, height, depth = self.signal.domain.grid_shape
        step = -(-max(width, height) // longest_side)
        middle = sample_centers(depth)[depth // 2 : depth // 2 + 1]
        return to_rgb8(
            evaluate_lattice(field, sample_centers(-(-width // step)), sample_centers(-(-height // step)), middle)[0]
        )

    def save_preview(self, field: PointField, path: Path) -> None:
        """Write rows of target, fit and ten times their difference; the columns are middle slices and a projection."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        shape = self.signal.domain.grid_shape
        middles = [sample_centers(n)[n // 2 : n // 2 + 1] for n in shape]
        rows: list[list[np.ndarray]] = [[], [], []]
        for axis, cut in (("z", 2), ("y", 1), ("x", 0)):
            target = self.signal.slice(axis, shape[cut] // 2)
            positions = [middles[i] if i == cut else sample_centers(n) for i, n in enumerate(shape)]
            fit = evaluate_lattice(field, *positions).reshape(target.shape)
            for row, values in zip(rows, (target, fit, np.abs(fit - target) * ERROR_GAIN)):
                row.append(self._slice_panel(values, cut))
        x, y, z = self._extents()
        target, fit = (
            maximum_projection(values, (x, y, z), PANEL, steps=PROJECTION_STEPS)
            for values in (self._nearest, _values_of(field))
        )
        for row, values in zip(rows, (target, fit, np.abs(fit - target) * ERROR_GAIN)):
            row.append(to_rgb8(values))
        with atomic_write(path) as temporary:
            Pillow.fromarray(_sheet(rows)).save(temporary)

    def _slice(self, field: PointField, index: int) -> np.ndarray:
        """The fit's slice `[1, H, W, C]` along z."""
        width, height, depth = self.signal.domain.grid_shape
        return evaluate_lattice(
            field, sample_centers(width), sample_centers(height), sample_centers(depth)[index : index + 1]
        )

    def _slice_error(self, field: PointField, index: int) -> float:
        difference = self._slice(field, index) - self.signal.values(index)[None]
        return float(np.square(difference, dtype=np.float64).sum())

    def _extents(self) -> list[float]:
        return [axis.upper - axis.lower for axis in self.signal.domain.axes]

    def _slice_panel(self, values: np.ndarray, cut: int) -> np.ndarray:
        """A slice across the axis `cut` in the middle of a square image, in its physical proportions."""
        from PIL import Image as Pillow

        across, down = (extent for axis, extent in enumerate(self._extents()) if axis != cut)
        scale = PANEL / max(across, down)
        width, height = max(1, round(across * scale)), max(1, round(down * scale))
        panel = np.zeros((PANEL, PANEL, 3), np.uint8)
        top, left = (PANEL - height) // 2, (PANEL - width) // 2
        resized = np.asarray(Pillow.fromarray(to_rgb8(values)).resize((width, height)))
        panel[top : top + height, left : left + width] = resized
        return panel

    def _nearest(self, points: torch.Tensor) -> torch.Tensor:
        """Values `[N, C]` of the nearest voxels at points `[N, 3]` in [0, 1]."""
        shape = self.signal.domain.grid_shape
        x, y, z = ((points[:, i].numpy() * n).astype(np.int64).clip(0, n - 1) for i, n in enumerate(shape))
        return torch.from_numpy(self.signal.values(z, y, x))


def _squared_error(prediction: np.ndarray, target: np.ndarray) -> float:
    return float(np.square(np.clip(prediction, 0, 1) - target, dtype=np.float64).sum())


def _psnr(squared_error: float, count: int) -> float:
    return -10.0 * math.log10(max(squared_error / count, MIN_ERROR))


def _sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Images `[PANEL, PANEL, 3]` in rows and columns, with white space between them."""
    framed = [
        np.concatenate([np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in row], axis=1)
        for row in rows
    ]
    return np.concatenate(framed)[:-GAP, :-GAP]


def _values_of(field: PointField) -> Callable[[torch.Tensor], torch.Tensor]:
    @torch.no_grad()
    def values(points: torch.Tensor) -> torch.Tensor:
        return field(points.to(field.device)).cpu()

    return values
