"""The sharpest frame of each stretch of a film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenes.errors import BadInput


class SharpestFrames:
    """Finds the sharpest frame of each stretch, as a collector for `scenes.video.read.decode_video_file`.

    Args:
        stretch: number of frames of a stretch.
        save: gets the frame `[H, W, 3]` uint8 and its number in the film, from 0.
        progress: is called with the number of frames so far.
    """

    def __init__(
        self,
        stretch: int,
        save: Callable[[np.ndarray, int], None],
        progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.stretch, self.save, self.progress = stretch, save, progress
        self.count = 0
        self._best: tuple[float, np.ndarray, int] | None = None

    def add(self, frame: np.ndarray, /) -> None:
        """Take the next frame `[H, W, 3]` uint8, and save the sharpest one at the end of a stretch."""
        gray = frame[::2, ::2, 1].astype(np.float32)
        # A frame is as blurred as in the direction in which it has the least fine gradients.
        sharp = min(float(np.square(np.diff(gray, axis=axis)).mean()) for axis in (0, 1))
        if self._best is None or sharp > self._best[0]:
            self._best = sharp, frame.copy(), self.count
        self.count += 1
        self.progress(self.count)
        if self.count % self.stretch == 0:
            self.frames()

    def frames(self) -> np.ndarray:
        """End the stretch. Returns no frames, as they are saved."""
        if self._best is not None:
            self.save(self._best[1], self._best[2])
            self._best = None
        return np.zeros((0, 1, 1, 3), np.uint8)


def count_frames(source: Path) -> int:
    """Number of frames that a film announces. Raises BadInput where it cannot be opened."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            return stream.frames or int(float(container.duration or 0) / 1e6 * float(stream.average_rate or 24))
    except (FFmpegError, IndexError, ValueError):
        raise BadInput(f"{source}: is neither a film that can be read nor a folder or zip of photographs") from None
