"""Videos as signals: pixels over x, y and time."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal
from scenes.image.storage import MEMORY
from scenes.io.files import array_digest, input_file
from scenes.lattice import PIXEL_CUBIC, Lattice
from scenes.sampling import StratifiedSampler, check_held_out
from scenes.signal import changed_options
from scenes.video.frames import JITTER, MAX_PIXELS, DecodedVideo, FilmOptions, square_size
from scenes.video.read import read_video, source_identity


class Video(GridSignal):
    """A video: `stored` is `[T, H, W, 3]` uint8 sRGB with the axes t, y, x. Training values are in [0, 1].

    Attributes:
        times: `[T]` float32 in [0, 1], the position of each frame along t: the middle of the time in which it is shown,
            so a variable frame rate keeps its timing.
        evenly_spaced: whether `times` are evenly spaced.
        held_out_frames: `[n]` int64, the frames withheld for scoring.
        training_frames: `[T - n]` int64, the other frames.
    """

    kind = "video"

    def __init__(
        self, video: DecodedVideo, source: dict[str, Any], held_out_frames: np.ndarray, start: float = 0.0
    ) -> None:
        """Keep a decoded video as a signal; `start` is the time of its first frame in seconds."""
        count, height, width, _ = video.frames.shape
        duration = float(video.starts[-1])
        shown_width, shown_height = square_size(width, height, video.pixel_aspect)
        midpoints = (video.starts[:-1] + video.starts[1:]) / 2 / duration
        even = (np.arange(count) + 0.5) / count
        self.evenly_spaced = bool(np.abs(midpoints - even).max() * count <= JITTER)
        self.times = (even if self.evenly_spaced else midpoints).astype(np.float32)
        self.training_frames = np.setdiff1d(np.arange(count), held_out_frames)
        fitted = None
        if not self.evenly_spaced or len(held_out_frames):
            fitted = tuple(map(float, self.times[self.training_frames]))
        domain = Domain(
            (
                Axis("x", 0.0, float(shown_width), "px", width),
                Axis("y", 0.0, float(shown_height), "px", height),
                Axis("t", start, start + duration, "s", count, fitted),
            )
        )
        channels = Channels(("red", "green", "blue"), "srgb")
        super().__init__(video.frames, domain, channels, source, gain=1 / 255, notes=video.notes)
        if not self.evenly_spaced:
            lengths = np.diff(video.starts) * 1000
            self.notes += (
                f"variable frame rate ({lengths.min():.0f} to {lengths.max():.0f} ms per frame); every frame keeps "
                "its time",
            )
        self._axis_coords[2] = self.times
        self.held_out_frames = held_out_frames
        self._sampler = StratifiedSampler(len(self.training_frames) * height * width)

    @classmethod
    def from_array(cls, frames: np.ndarray, rate: float = 24.0, *, held_out: float = 0.0) -> Video:
        """Make a signal of frames.

        Args:
            frames: `[T, H, W, 3]` uint8 sRGB.
            rate: frames per second.
            held_out: as in `open_video`.

        Raises:
            BadInput: the array is no video, or `held_out` cannot be used.
        """
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
            raise BadInput(f"an array of {frames.dtype} {list(frames.shape)} is not a video; give [T, H, W, 3] uint8")
        video = DecodedVideo(frames, np.arange(len(frames) + 1) / rate)
        return _assemble(video, {"path": "array", "sha256": array_digest(frames)}, held_out)

    @property
    def rate(self) -> float:
        """Average number of frames per second."""
        axis = self.domain.axes[2]
        return len(self.times) / (axis.upper - axis.lower)

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch`: every pixel of the training frames once per epoch, each batch in raster order."""
        index = self._sampler.indices(step, count, seed)
        if len(self.held_out_frames):
            width, height, _ = self.domain.grid_shape
            frame, pixel = np.divmod(index, width * height)
            index = self.training_frames[frame] * (width * height) + pixel
        return self._samples(index)

    @cached_property
    def lattice(self) -> Lattice:
        """See `Signal.lattice`: of the pixels of each frame. What moves is not where a mean of two frames has it."""
        usable = None
        if len(self.held_out_frames):
            frames = np.isin(np.arange(len(self.stored)), self.training_frames)
            usable = np.broadcast_to(frames[:, None, None], self.stored.shape[:-1])
        return Lattice(
            self.stored,
            self._to_values,
            filters=(PIXEL_CUBIC, PIXEL_CUBIC, None),
            usable=usable,
            positions={2: self.times},
            limits=self.between_limits,
        )

    def evaluation_frames(self) -> np.ndarray:
        """Indices of the frames that metrics are computed on: the held-out ones where there are any, else all."""
        return self.held_out_frames if len(self.held_out_frames) else self.training_frames

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The middle frame in its true shape, `[h, w, 3]` uint8, of every n-th pixel so that it fits `longest_side`."""
        frame = self.stored[len(self.stored) // 2]
        step = -(-max(frame.shape[:2]) // longest_side)
        return in_true_shape(np.array(frame[::step, ::step]), self.domain)

    def describe(self) -> str:
        """Number and size of the frames, rate and held-out frames in a few words."""
        width, height, count = self.domain.grid_shape
        shown = (
            ""
            if (width, height) == self.domain.shown_size
            else f", shown as {' x '.join(map(str, self.domain.shown_size))}"
        )
        held_out = f", {len(self.held_out_frames)} frames held out" if len(self.held_out_frames) else ""
        return f"{count} frames of {width} x {height} at {self.rate:.4g} per second{shown}{held_out}"


def in_true_shape(frame: np.ndarray, domain: Domain) -> np.ndarray:
    """A frame `[h, w, 3]` uint8, stretched where the pixels of its video are not square."""
    from PIL import Image

    height, width = frame.shape[:2]
    stored, shown = domain.grid_shape, domain.shown_size
    size = max(1, round(width * shown[0] / stored[0])), max(1, round(height * shown[1] / stored[1]))
    return frame if size == (width, height) else np.asarray(Image.fromarray(frame).resize(size))


def open_video(
    path: str | os.PathLike[str],
    *,
    part: tuple[float, float] | None = None,
    rate: float | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    memory: int = MEMORY,
    ignore_profile: bool = False,
    keep_fields: bool = False,
) -> Video:
    """Open a video file or a folder of images; see `scenes.video.read`.

    Args:
        path: the file or folder.
        part: (start, end) in seconds; only this part is loaded. Default: all of it.
        rate: frames per second. Default: what the file says; 24 for a folder and for pages.
        held_out: fraction of the frames, in (0, 1), that is never trained on but scored. They are evenly spread: 0.5
            holds out every second frame.
        seed: has no effect, as nothing is drawn at random.
        max_pixels: largest number of pixels of all frames together; larger videos are refused.
        memory: bytes that decoded frames may take of the RAM; more of them are kept in a mapped temporary file.
        ignore_profile: take colours as they are stored, without HDR curves, wide gamuts and profiles.
        keep_fields: take interlaced frames as they are stored, instead of joining their fields.

    Raises:
        BadInput: the video cannot be read or an option cannot be used.
    """
    source_path = Path(path).expanduser()
    if not source_path.is_dir():
        source_path = input_file(path)
    video = read_video(
        path,
        source_path,
        part=part,
        rate=rate,
        max_pixels=max_pixels,
        memory=memory,
        options=FilmOptions(ignore_profile, keep_fields),
    )
    options = changed_options(
        open_video,
        part=list(part) if part else None,
        rate=rate,
        held_out=held_out,
        max_pixels=max_pixels,
        memory=memory,
        ignore_profile=ignore_profile,
        keep_fields=keep_fields,
    )
    source = {"path": str(path), **source_identity(source_path), "options": options}
    return _assemble(video, source, held_out, part[0] if part else 0.0)


def _assemble(video: DecodedVideo, source: dict[str, Any], held_out: float, start: float = 0.0) -> Video:
    count = len(video.frames)
    held_out_frames = np.zeros(0, np.int64)
    if held_out:
        check_held_out(held_out)
        # A frame is held out where the running total of the fraction passes a whole number. That spreads them evenly.
        # The first frame never is.
        total = np.floor(np.arange(count + 1) * held_out + 1e-9)
        held_out_frames = np.flatnonzero(np.diff(total))
        held_out_frames = held_out_frames[held_out_frames > 0]
        if not len(held_out_frames) or len(held_out_frames) == count:
            raise BadInput(
                f"{source['path']}: `held_out={held_out}` of {count} frames leaves none to "
                f"{'fit' if len(held_out_frames) else 'score'}; give another fraction"
            )
    return Video(video, source, held_out_frames, start)
