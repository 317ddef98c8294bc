"""What every reader of clips gives, and the limits on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from scenes.errors import BadInput
from scenes.image.storage import Storage

MAX_PIXELS = 2_000_000_000
# Frames are taken for evenly spaced where none is off by more than this share of a frame.
JITTER = 0.1


@dataclass
class DecodedVideo:
    """`frames` `[T, H, W, 3]` uint8 sRGB (may be a mapped file); `starts` `[T + 1]`: when each frame is shown, in seconds, and
    at the end when the last one ends; increasing."""

    frames: np.ndarray
    starts: np.ndarray
    notes: list[str] = field(default_factory=list)


class FrameBuffer:
    """Takes frames one by one into growing storage; refuses one of another size than the first."""

    def __init__(self, max_pixels: int, memory: int) -> None:
        self.storage = Storage(max_pixels, memory)
        self.count = 0
        self._buffer: np.ndarray | None = None

    def add(self, frame: np.ndarray, name: str | None = None) -> None:
        """`frame` is `[H, W, 3]` uint8; `name` is how a message calls it."""
        if self._buffer is None:
            self._buffer = self._room(8, frame.shape)
        if frame.shape != self._buffer.shape[1:]:
            height, width = self._buffer.shape[1:3]
            raise BadInput(
                f"{name or f'frame {self.count + 1}'} is {frame.shape[1]} x {frame.shape[0]} and the first is {width} x {height}; "
                "make all frames the same size"
            )
        if self.count == len(self._buffer):
            larger = self._room(self.count * 2, frame.shape)
            larger[: self.count] = self._buffer
            self._buffer = larger
        self._buffer[self.count] = frame
        self.count += 1

    def frames(self) -> np.ndarray:
        if not self.count:
            raise BadInput("holds no frames")
        return self._buffer[: self.count]

    def _room(self, count: int, shape: tuple[int, ...]) -> np.ndarray:
        height, width = shape[:2]
        most = self.storage.max_pixels // max(1, height * width)
        if self.count >= most:
            raise BadInput(
                f"has more than {most} frames of {width} x {height}, {self.storage.max_pixels / 1e6:g} megapixels in all; raise the "
                f"limit with --max-pixels, or fit a part of it with --part"
            )
        count = min(count, most)
        return self.storage.new(count * height, width, 3, np.uint8).reshape(count, height, width, 3)


def frame_starts(times: list[float], last: float | None, rate: float) -> np.ndarray:
    """`DecodedVideo.starts` of the frames that are shown from `times` on, the last one for `last` seconds.

    Times that are missing or do not increase are replaced by even ones at `rate`.
    """
    found = np.asarray(times, np.float64)
    if len(found) == 0 or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        return np.arange(len(found) + 1) / rate
    step = last or (float(np.median(np.diff(found))) if len(found) > 1 else 1 / rate)
    return np.append(found, found[-1] + step) - found[0]


def part_of(starts: np.ndarray, part: tuple[float, float] | None) -> Iterator[int]:
    """The frames that are shown within `part` = (start, end) seconds."""
    for index, start in enumerate(starts[:-1]):
        if part is None or part[0] <= start + 1e-6 < part[1]:
            yield index
