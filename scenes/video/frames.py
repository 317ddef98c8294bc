"""Decoded videos, and the storage that their frames are collected in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from scenes.errors import BadInput
from scenes.image.storage import Storage

# Default of `max_pixels`, over all frames together.
MAX_PIXELS = 2_000_000_000
# Frames count as evenly spaced where none is off by more than this fraction of a frame.
JITTER = 0.1
# Frames of the first storage; it grows by doubling.
FIRST_FRAMES = 8
# Tolerance in seconds when a frame's time is compared with a part's limits.
TIME_TOLERANCE = 1e-6


@dataclass(frozen=True)
class FilmOptions:
    """How a film is read.

    Attributes:
        ignore_profile: take colours as they are stored, without HDR curves, wide gamuts and profiles.
        keep_fields: take interlaced frames as they are stored, with the fields of two moments in each.
    """

    ignore_profile: bool = False
    keep_fields: bool = False


DEFAULT_OPTIONS = FilmOptions()


@dataclass
class DecodedVideo:
    """A video as its file holds it.

    Attributes:
        frames: `[T, H, W, 3]` uint8 sRGB, possibly a memory-mapped file.
        starts: `[T + 1]` seconds, increasing: when each frame is shown, and at last when the last one ends.
        notes: one-line remarks for the user.
        pixel_aspect: width of a pixel divided by its height.
    """

    frames: np.ndarray
    starts: np.ndarray
    notes: list[str] = field(default_factory=list)
    pixel_aspect: float = 1.0


def square_size(width: int, height: int, pixel_aspect: float) -> tuple[int, int]:
    """Width and height in square pixels: a frame is stretched along the longer side of its pixels, so none are lost.

    Even where the frame's own size is, as players want it.
    """
    if pixel_aspect >= 1:
        return _stretched(width, pixel_aspect), height
    return width, _stretched(height, 1 / pixel_aspect)


def _stretched(samples: int, factor: float) -> int:
    """`samples` times `factor`, to the nearest even number where `samples` is even."""
    return 2 * round(samples * factor / 2) if samples % 2 == 0 else round(samples * factor)


class FrameCollector(Protocol):
    """Receives a video's frames one by one. `count` is the number of frames so far."""

    count: int

    def add(self, frame: np.ndarray, /) -> None:
        """Take a frame `[H, W, 3]` uint8; the array may be reused by the caller."""

    def frames(self) -> np.ndarray:
        """End the collection. Returns the frames `[T, H, W, 3]`, or none where they were kept elsewhere."""
        ...


class FrameBuffer:
    """Collect frames in storage that grows, in RAM or in a mapped file.

    Args:
        max_pixels: limit over all frames together.
        memory: bytes that frames may take of the RAM; see `Storage`.
    """

    def __init__(self, max_pixels: int, memory: int) -> None:
        self.storage = Storage(max_pixels, memory)
        self.count = 0
        self._buffer: np.ndarray | None = None

    def add(self, frame: np.ndarray, name: str | None = None) -> None:
        """Copy a frame.

        Args:
            frame: `[H, W, 3]` uint8.
            name: name of the frame in messages; by default its number.

        Raises:
            BadInput: the frame has another size than the first, or there are too many pixels.
        """
        if self._buffer is None:
            self._buffer = self._allocate(FIRST_FRAMES, frame.shape)
        if frame.shape != self._buffer.shape[1:]:
            height, width = self._buffer.shape[1:3]
            raise BadInput(
                f"{name or f'frame {self.count + 1}'} is {frame.shape[1]} x {frame.shape[0]} and the first is "
                f"{width} x {height}; make all frames the same size"
            )
        if self.count == len(self._buffer):
            larger = self._allocate(self.count * 2, frame.shape)
            larger[: self.count] = self._buffer
            self._buffer = larger
        self._buffer[self.count] = frame
        self.count += 1

    def frames(self) -> np.ndarray:
        """All frames, `[T, H, W, 3]` uint8. Raises BadInput where there are none."""
        if self._buffer is None:
            raise BadInput("holds no frames")
        return self._buffer[: self.count]

    def _allocate(self, count: int, shape: tuple[int, ...]) -> np.ndarray:
        """Storage for `count` frames, or for as many as the limit allows."""
        height, width = shape[:2]
        limit = self.storage.max_pixels // max(1, height * width)
        if self.count >= limit:
            raise BadInput(
                f"has more than {limit} frames of {width} x {height}, {self.storage.max_pixels / 1e6:g} megapixels in "
                "all; raise the limit with `max_pixels=N`, or open a part of it with `part=START,END`"
            )
        count = min(count, limit)
        return self.storage.new(count * height, width, 3, np.uint8).reshape(count, height, width, 3)


def frame_starts(times: Sequence[float], last: float | None, rate: float) -> tuple[np.ndarray, list[str]]:
    """`DecodedVideo.starts` of frames that are shown at `times`, and a note where these cannot be used.

    Args:
        times: seconds at which each frame is shown. Where any is NaN or they do not increase, all are replaced by
            even ones.
        last: seconds for which the last frame is shown; by default the median of the others.
        rate: frames per second of even times.
    """
    found = np.asarray(times, np.float64)
    if not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        return np.arange(len(found) + 1) / rate, [
            f"its frames have no times or disordered ones: they are shown at {rate:.4g} per second; `rate` overrules"
        ]
    if len(found) == 0:
        return np.zeros(1), []
    duration = last or (float(np.median(np.diff(found))) if len(found) > 1 else 1 / rate)
    return np.append(found, found[-1] + duration) - found[0], []


def is_within(time: float, part: tuple[float, float] | None) -> bool:
    """Whether a frame that is shown at `time` seconds belongs to `part` = (start, end)."""
    return part is None or part[0] <= time + TIME_TOLERANCE < part[1]
