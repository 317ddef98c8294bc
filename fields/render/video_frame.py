"""Frames of fields of videos at any time, size and window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fields.models.field import Field, FrameField, PointField
from fields.models.regions import MAX_POINTS
from fields.render.raster import WHOLE, Window, evaluate_lattice, sample_centers

# A moment that is nearer to that of a fitted frame, in distances between frames, is that frame's.
SAME_MOMENT = 1e-3
# Gaps between frames that are judged, and the longest side in pixels of the frames that this takes.
JUDGED_GAPS = 3
JUDGED_SIDE = 96
# Half-way between two frames, pixels that are quiet may change by this many times as much as from one to the other, and
# by this much in any case, in the range of the values.
MAX_TEAR = 2.0
MIN_TEAR = 4 / 255
# Rendered frames that are kept: the two of a gap.
KEPT_FRAMES = 2


def render_frame(
    field: Field, time: float, width: int, height: int, window: Window = WHOLE, *, most: int = MAX_POINTS
) -> np.ndarray:
    """The frame at `time` in [0, 1], `[height, width, C]` float32.

    field: a PointField over (x, y, t), which is evaluated at the pixels, or a FrameField, whose frame is resampled if
    another size or part of it is asked for. Raises TypeError for other fields.
    most: as in `fields.render.raster.evaluate_image`. A frame is of a moment, whatever the size of its pixels.
    """
    x0, y0, x1, y1 = window
    if isinstance(field, PointField):
        x, y = sample_centers(width, x0, x1), sample_centers(height, y0, y1)
        footprint = (x1 - x0) / width, (y1 - y0) / height, 0.0
        moment = torch.tensor([time], dtype=torch.float32)
        return evaluate_lattice(field, x, y, moment, footprint=footprint, most=most)[0]
    if not isinstance(field, FrameField):
        raise TypeError(f"a {type(field).__name__} has no frames")
    with torch.no_grad():
        frames = field.frames(torch.tensor([time], dtype=torch.float32, device=field.device))
    return resample(np.ascontiguousarray(frames[0].permute(1, 2, 0).cpu().numpy()), width, height, window)


class FilmFrames:
    """Frames of a field of a film at any moment.

    A field is fitted at the moments of frames alone. What it is between them depends on how it is built: the fine cells
    of a grid that no frame touched are as they were before the first step, and show as confetti. Where that is so, the
    frames between two fitted ones are their linear blend, and those before the first and after the last are these.

    Attributes:
        blended: whether that is so. It is told from the pixels that hardly change from one fitted frame to the next:
            half-way a field that joins the two hardly changes them either.
    """

    def __init__(self, field: Field) -> None:
        self._field = field
        self._times = np.array(field.domain.axes[2].fitted_coords)
        # Fitted frames that were rendered last, by time, size and window.
        self._kept: dict[tuple, np.ndarray] = {}
        self.blended = self._is_torn()

    def frame(
        self, time: float, width: int, height: int, window: Window = WHOLE, *, most: int = MAX_POINTS
    ) -> np.ndarray:
        """The frame at `time` in [0, 1], as `render_frame` gives it."""
        if not self.blends([time]):
            return render_frame(self._field, time, width, height, window, most=most)
        after = int(np.searchsorted(self._times, time))
        if not 0 < after < len(self._times):
            return self._fitted(min(after, len(self._times) - 1), width, height, window, most)
        before, behind = self._times[after - 1], self._times[after]
        weight = np.float32((time - before) / (behind - before))
        one = self._fitted(after - 1, width, height, window, most)
        return one + weight * (self._fitted(after, width, height, window, most) - one)

    def blends(self, times: Sequence[float]) -> bool:
        """Whether a frame at one of these moments is not the field's own."""
        off = np.abs(self._times[:, None] - np.asarray(times)).min(axis=0)
        return self.blended and bool(off.max() > SAME_MOMENT / len(self._times))

    def _fitted(self, index: int, width: int, height: int, window: Window, most: int) -> np.ndarray:
        key = index, width, height, window, most
        if key not in self._kept:
            for old in list(self._kept)[: 1 - KEPT_FRAMES]:
                del self._kept[old]
            self._kept[key] = render_frame(self._field, float(self._times[index]), width, height, window, most=most)
        return self._kept[key]

    def _is_torn(self) -> bool:
        """Whether the field is something else between the fitted frames than near them."""
        gaps = np.unique(np.linspace(0, len(self._times) - 2, JUDGED_GAPS).astype(int)) if len(self._times) > 1 else ()
        across, down = self._field.domain.grid_shape[:2]
        scale = min(1.0, JUDGED_SIDE / max(across, down))
        size = max(1, round(across * scale)), max(1, round(down * scale))
        return sum(self._tears(int(gap), *size) for gap in gaps) * 2 > len(gaps)

    def _tears(self, gap: int, width: int, height: int) -> bool:
        # At points: means over pixels would hide what is torn.
        one, other = (self._fitted(index, width, height, WHOLE, 1) for index in (gap, gap + 1))
        half = render_frame(self._field, float(self._times[gap : gap + 2].mean()), width, height, most=1)
        changes = np.square(one - other).mean(axis=-1).reshape(-1)
        off = np.square(half - (one + other) / 2).mean(axis=-1).reshape(-1)
        quiet = changes <= np.median(changes)
        allowed = max(MAX_TEAR * float(changes[quiet].mean()) ** 0.5, MIN_TEAR)
        return float(off[quiet].mean()) ** 0.5 > allowed


def resample(image: np.ndarray, width: int, height: int, window: Window = WHOLE) -> np.ndarray:
    """The part `window` of an image `[H, W, C]` float32 at another size, by a Lanczos filter.

    The image itself is returned if nothing changes.
    """
    from PIL import Image

    full_height, full_width = image.shape[:2]
    box = (window[0] * full_width, window[1] * full_height, window[2] * full_width, window[3] * full_height)
    if box == (0, 0, full_width, full_height) and (full_width, full_height) == (width, height):
        return image
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel])).resize(
            (width, height), Image.Resampling.LANCZOS, box
        )
        for channel in range(image.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
