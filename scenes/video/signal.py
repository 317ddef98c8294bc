"""Clips as signals: pixels over x, y and time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal
from scenes.image.storage import MEMORY
from scenes.io.files import input_file
from scenes.sampling import StratifiedSampler
from scenes.video.frames import JITTER, MAX_PIXELS, DecodedVideo
from scenes.video.read import read_video, source_identity


class Video(GridSignal):
    """A clip: `stored` `[T, H, W, 3]` uint8 sRGB with the axes t, y, x; fitted values in [0, 1].

    `times` `[T]` float32 in [0, 1] says where along t each frame sits: in the middle of the stretch in which it is shown,
    so a variable frame rate keeps its timing. `held_out_frames` are the frames withheld for scoring, `training_frames` the others.
    """

    kind = "video"

    def __init__(self, clip: DecodedVideo, source: dict, held_out_frames: np.ndarray, start: float = 0.0) -> None:
        count, height, width, _ = clip.frames.shape
        length = float(clip.starts[-1])
        domain = Domain(
            (
                Axis("x", 0.0, float(width), "px", width),
                Axis("y", 0.0, float(height), "px", height),
                Axis("t", start, start + length, "s", count),
            )
        )
        super().__init__(
            clip.frames,
            domain,
            Channels(("red", "green", "blue"), "srgb"),
            source,
            gain=1 / 255,
            notes=tuple(clip.notes),
        )
        middles = (clip.starts[:-1] + clip.starts[1:]) / 2 / length
        even = (np.arange(count) + 0.5) / count
        self.even = bool(np.abs(middles - even).max() * count <= JITTER)
        self.times = (even if self.even else middles).astype(np.float32)
        if not self.even:
            steps = np.diff(clip.starts) * 1000
            self.notes += (
                f"variable frame rate ({steps.min():.0f} to {steps.max():.0f} ms a frame); every frame keeps its time",
            )
        self._centres[2] = self.times
        self.held_out_frames = held_out_frames
        self.training_frames = np.setdiff1d(np.arange(count), held_out_frames)
        self._sampler = StratifiedSampler(len(self.training_frames) * height * width)

    @classmethod
    def from_array(cls, frames: np.ndarray, rate: float = 24.0, *, held_out: float = 0.0) -> Video:
        """The signal of frames `[T, H, W, 3]` uint8, `rate` a second."""
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise BadInput(f"an array of {frames.dtype} {list(frames.shape)} is not a clip; give [T, H, W, 3] uint8")
        content = hashlib.sha256(np.ascontiguousarray(frames)).hexdigest()
        return _assemble(
            DecodedVideo(frames, np.arange(len(frames) + 1) / rate), {"path": "array", "sha256": content}, held_out
        )

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        axis = self.domain.axes[2]
        return axis.samples / (axis.upper - axis.lower)

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        index = self._sampler.indices(step, count, seed)
        if len(self.held_out_frames):
            width, height, _ = self.domain.shape
            place, pixel = np.divmod(index, width * height)
            index = self.training_frames[place] * (width * height) + pixel
        return self._samples(index)

    def evaluation_frames(self) -> np.ndarray:
        """The frames that metrics are of: the withheld ones where there are any, else all."""
        return self.held_out_frames if len(self.held_out_frames) else self.training_frames

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The frame in the middle, `[h, w, 3]` uint8; every n-th pixel of it."""
        frame = self.stored[len(self.stored) // 2]
        step = -(-max(frame.shape[:2]) // longest_side)
        return np.array(frame[::step, ::step])

    def describe(self) -> str:
        width, height, count = self.domain.shape
        held = f", {len(self.held_out_frames)} frames withheld" if len(self.held_out_frames) else ""
        return f"{count} frames of {width} x {height} at {self.rate:.4g} a second{held}"


def open_video(
    path: str | os.PathLike,
    *,
    part: tuple[float, float] | None = None,
    rate: float | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    memory: int = MEMORY,
) -> Video:
    """The clip in a file or in a folder of pictures; see `scenes.video.read`.

    part        (start, end) in seconds: only that stretch
    rate        frames a second, instead of what the file says (a folder says nothing: 24)
    held_out    share of the frames that is never trained on, evenly spread; 0.5 withholds every second one
    max_pixels  of all frames together; larger clips are refused
    memory      bytes: decoded frames beyond this lie in a mapped temporary file instead of the RAM

    Raises BadInput with one line for whatever makes that impossible. Nothing is drawn at random: `seed` changes nothing.
    """
    place = Path(path).expanduser()
    if not place.is_dir():
        place = input_file(path)
    clip = read_video(path, place, part=part, rate=rate, max_pixels=max_pixels, memory=memory)
    options = {
        "part": list(part) if part else None,
        "rate": rate,
        "held_out": held_out,
        "max_pixels": max_pixels if max_pixels != MAX_PIXELS else None,
        "memory": memory if memory != MEMORY else None,
    }
    source = {
        "path": str(path),
        **source_identity(place),
        "options": {name: value for name, value in options.items() if value},
    }
    return _assemble(clip, source, held_out, part[0] if part else 0.0)


def _assemble(clip: DecodedVideo, source: dict, held_out: float, start: float = 0.0) -> Video:
    count = len(clip.frames)
    if held_out and not 0 < held_out < 1:
        raise BadInput(f"a share of {held_out} cannot be held out; give a number between 0 and 1, such as 0.5")
    held = np.zeros(0, np.int64)
    if held_out:
        # Frame i is withheld where the running total of the share passes a whole number: evenly spread, never the first.
        total = np.floor(np.arange(count + 1) * held_out + 1e-9)
        held = np.flatnonzero(np.diff(total))
        held = held[held > 0]
        if not len(held) or len(held) == count:
            raise BadInput(
                f"{source['path']}: holding out {held_out} of {count} frames leaves none to {'fit' if len(held) else 'score'}; "
                "give another share"
            )
    return Video(clip, source, held, start)
