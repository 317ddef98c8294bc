"""Windows into the signal of a flat run, and the error of its field there, for a screen.

They stand beside the windows of `fields.export.viewers`. A signal is shown as it was sampled: enlarged, its samples are
blocks; reduced, they are averaged. The error is that at samples, where the field was fitted, never between them.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch

from fields.export.viewers import SAMPLES_PER_COLUMN, Viewer, Window, check_window
from fields.models.field import PointField
from fields.render.raster import evaluate_lattice
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.color import DEFAULT_TONE, Tone, to_bytes
from scenes.image.signal import Image
from scenes.signal import Signal
from scenes.video.signal import Video
from scenes.volume.signal import Volume

# How many times larger than the difference an error is drawn, at most.
MAX_GAIN = 1000.0
# Samples that a reduced window averages. Of more, every n-th along each side is taken.
MAX_AVERAGED = 4_000_000


class SignalWindows:
    """Windows into an image, a video, a volume or audio, and of the error of a field that was fitted to it."""

    def __init__(self, viewer: Viewer, signal: Signal) -> None:
        """Raise BadInput for signals that are not viewed through a window."""
        if viewer.solid or not isinstance(signal, (Image, Video, Volume, Audio)):
            raise BadInput("signals of this kind have no window")
        self.viewer = viewer
        self.signal = signal

    def window(
        self,
        box: Window,
        width: int,
        height: int,
        *,
        position: float = 0.5,
        axis: str = "z",
        tone: Tone = DEFAULT_TONE,
    ) -> np.ndarray:
        """The signal over a part of its domain, `[height, width, 3 or 4]` uint8; see `Viewer.window`.

        Of a video the frame that is shown at `position`. Raises BadInput as `Viewer.window`, and outside of the domain.
        """
        check_window(box, width, height, position, axis)
        if isinstance(self.signal, Audio):
            index = self._audio_samples(box, width)
            return self.viewer.drawn(self.signal.values(index).reshape(width, SAMPLES_PER_COLUMN, -1), height)
        (c0, c1), (r0, r1) = self._covered(box, axis)
        step = max(1, math.ceil(math.sqrt((c1 - c0) * (r1 - r0) / MAX_AVERAGED)))
        values = self._samples(slice(c0, c1, step), slice(r0, r1, step), self._index(position, axis), axis)
        columns, rows = self._grid(axis)[:2]
        part = [(box[i] * n - first) / step for i, n, first in zip(range(4), (columns, rows) * 2, (c0, r0) * 2)]
        return self.viewer.drawn(_resized(values, width, height, part), height, tone)

    def error(
        self,
        box: Window,
        width: int,
        height: int,
        *,
        position: float = 0.5,
        axis: str = "z",
        tone: Tone = DEFAULT_TONE,
        gain: float = 10.0,
    ) -> np.ndarray:
        """`gain` times the difference of field and signal as they are shown, `[height, width, 3 or 4]` uint8.

        Each pixel has that of the sample it lies in; of a reduced window, of one sample of each pixel. Waveforms show
        the difference with its sign. Raises BadInput as `window`, and for gains beyond 1,000.
        """
        check_window(box, width, height, position, axis)
        if not 0 < gain <= MAX_GAIN:
            raise BadInput(f"an error is drawn at most {MAX_GAIN:g} times as large")
        if isinstance(self.signal, Audio):
            index = self._audio_samples(box, width)
            places = torch.from_numpy(((index + 0.5) / self.signal.num_samples).astype(np.float32))
            found = evaluate_lattice(cast(PointField, self.viewer.field), places)
            difference = np.clip((found - self.signal.values(index)) * gain, -1, 1)
            return self.viewer.drawn(difference.reshape(width, SAMPLES_PER_COLUMN, -1), height)
        columns, rows, _ = self._grid(axis)
        (c0, n_columns, c_step), (r0, n_rows, r_step) = (
            _blocks(first, last, pixels) for (first, last), pixels in zip(self._covered(box, axis), (width, height))
        )
        index = self._index(position, axis)
        middle_c, middle_r = c0 + c_step // 2, r0 + r_step // 2
        fitted = self._samples(
            slice(middle_c, middle_c + n_columns * c_step, c_step),
            slice(middle_r, middle_r + n_rows * r_step, r_step),
            index,
            axis,
        )
        # Blocks have an odd side, so that their centres are those of samples.
        snapped = (c0 / columns, r0 / rows, (c0 + n_columns * c_step) / columns, (r0 + n_rows * r_step) / rows)
        found = self.viewer.values(snapped, n_columns, n_rows, self._position(index, axis), axis, most=1)
        shown = [self.viewer.drawn(values, n_rows, tone).astype(np.int16) for values in (found, fitted)]
        difference = to_bytes(np.abs(shown[0] - shown[1]) * np.float32(gain / 255))
        x, y = (
            np.clip(((low + (np.arange(pixels) + 0.5) / pixels * (high - low)) * n - first) // step, 0, most - 1)
            for low, high, pixels, n, first, step, most in (
                (box[0], box[2], width, columns, c0, c_step, n_columns),
                (box[1], box[3], height, rows, r0, r_step, n_rows),
            )
        )
        return difference[y.astype(int)[:, None], x.astype(int)[None, :]]

    def sample(self, x: float, y: float, *, position: float = 0.5, axis: str = "z") -> tuple[np.ndarray, np.ndarray]:
        """Values `[C]` of the signal's sample at a point in [0, 1], and those of the field there, float32.

        Raises BadInput for audio, and for points outside.
        """
        if isinstance(self.signal, Audio) or not (0 <= x <= 1 and 0 <= y <= 1):
            raise BadInput("there is no sample at this point")
        columns, rows, _ = self._grid(axis)
        c, r = min(columns - 1, int(x * columns)), min(rows - 1, int(y * rows))
        index = self._index(position, axis)
        fitted = self._samples(slice(c, c + 1), slice(r, r + 1), index, axis)[0, 0]
        pixel = (c / columns, r / rows, (c + 1) / columns, (r + 1) / rows)
        return fitted, self.viewer.values(pixel, 1, 1, self._position(index, axis), axis)[0, 0]

    def _grid(self, axis: str) -> tuple[int, int, int]:
        """Samples to the right, downwards, and along what `position` chooses."""
        shape = list(self.signal.domain.grid_shape)
        across = shape.pop(("x", "y", "z").index(axis)) if isinstance(self.signal, Volume) else 1
        if isinstance(self.signal, Video):
            across = shape.pop()
        return shape[0], shape[1], across

    def _covered(self, box: Window, axis: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last sample that a window touches, to the right and downwards."""
        found = []
        for low, high, count in zip(box[:2], box[2:], self._grid(axis)):
            first = min(count - 1, max(0, int(low * count)))
            found.append((first, min(count, max(first + 1, math.ceil(high * count)))))
        return found[0], found[1]

    def _index(self, position: float, axis: str) -> int:
        """Number of the frame or slice at a position."""
        if isinstance(self.signal, Video):
            return int(np.abs(self.signal.times - position).argmin())
        count = self._grid(axis)[2]
        return min(count - 1, max(0, int(position * count)))

    def _position(self, index: int, axis: str) -> float:
        if isinstance(self.signal, Video):
            return float(self.signal.times[index])
        return (index + 0.5) / self._grid(axis)[2]

    def _samples(self, columns: slice, rows: slice, index: int, axis: str) -> np.ndarray:
        """Training values `[h, w, C]` of some samples of a frame or slice."""
        if isinstance(self.signal, Image):
            return self.signal.part(rows, columns)
        if isinstance(self.signal, Video):
            return self.signal.values(index, rows, columns)
        part = {"z": (index, rows, columns), "y": (rows, index, columns), "x": (rows, columns, index)}[axis]
        return cast(Volume, self.signal).values(*part)

    def _audio_samples(self, box: Window, width: int) -> np.ndarray:
        """Numbers of the samples at the points of a waveform `width` pixels wide."""
        count = self.signal.domain.grid_shape[0]
        points = width * SAMPLES_PER_COLUMN
        places = (box[0] + (np.arange(points) + 0.5) / points * (box[2] - box[0])) * count
        return np.clip(places.astype(np.int64), 0, count - 1)


def _blocks(first: int, last: int, pixels: int) -> tuple[int, int, int]:
    """First sample, number and odd side of the blocks of samples that as many pixels show, one block each at most."""
    side = -(-(last - first) // pixels)
    side = min(side + (side + 1) % 2, last - first)
    side -= (side + 1) % 2
    return first, max(1, (last - first) // side), side


def _resized(values: np.ndarray, width: int, height: int, part: list[float]) -> np.ndarray:
    """A part (left, top, right, bottom) of an image `[h, w, C]` float32: averaged where reduced, blocks elsewhere."""
    from PIL import Image as Pillow

    limits = (values.shape[1], values.shape[0]) * 2
    left, top, right, bottom = (min(max(0.0, value), float(limit)) for value, limit in zip(part, limits))
    if left >= right or top >= bottom:
        raise BadInput("this window lies outside of the signal")
    planes = [
        Pillow.fromarray(np.ascontiguousarray(values[..., channel])).resize(
            (width, height), Pillow.Resampling.BOX, (left, top, right, bottom)
        )
        for channel in range(values.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
