"""Write videos, whole or not at all: MP4, MOV and MKV (H.264), WebM (VP9), animations (GIF, WebP, PNG), or a folder of
PNG images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_new_folder, check_path_writable

# Ending: codec.
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
# Options of the codecs. The constant rate factor is chosen so that a video can hardly be told from its frames.
CODEC_OPTIONS = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}
# Animations that repeat for ever. Ending: Pillow's format, and its options.
ANIMATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    ".gif": ("GIF", {"optimize": False}),
    ".webp": ("WEBP", {"quality": 90, "method": 4}),
    ".png": ("PNG", {}),
    ".apng": ("PNG", {}),
}
# Unit of the durations in an animation, and the shortest that browsers do not slow down, in milliseconds.
DURATION_UNIT = {"GIF": 10, "WEBP": 1, "PNG": 1}
SHORTEST_DURATION = 20
# Endings of `write_video`, for messages.
ENDINGS = (*CODECS, *ANIMATIONS)


def check_video_writable(path: str | os.PathLike[str]) -> None:
    """Check ending and place before long work. Raises the BadInput of `write_video`."""
    ending = Path(path).suffix.lower()
    if not ending:
        check_new_folder(path)
    elif ending in ENDINGS:
        check_path_writable(path)
    else:
        raise BadInput(
            f"cannot write {path}: {ending} is not a format for videos; use {', '.join(ENDINGS)}, or a name "
            "without ending for a folder of frames"
        )


def write_video(path: str | os.PathLike[str], frames: Iterable[np.ndarray], rate: float) -> list[str]:
    """Write a video in the format of the ending, or a folder of PNG images where there is no ending.

    Args:
        path: the file or folder.
        frames: `[H, W, 3]` uint8 sRGB each; taken one by one, so a generator keeps memory bounded.
        rate: frames per second. A folder does not keep it.

    Returns:
        Notes for the user, one line each, on what the format could not keep.

    Raises:
        BadInput: no such format, a folder that exists and is not empty, or the file cannot be written.
    """
    check_video_writable(path)
    path = Path(path)
    ending = path.suffix.lower()
    if not ending:
        return _write_folder(path, frames)
    with atomic_write(path) as temporary:
        if ending in ANIMATIONS:
            return _write_animation(temporary, frames, rate, *ANIMATIONS[ending])
        return _encode(path, temporary, frames, rate, CODECS[ending])


def _write_folder(path: Path, frames: Iterable[np.ndarray]) -> list[str]:
    from PIL import Image

    path.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        with atomic_write(path / f"{index + 1:05d}.png") as temporary:
            Image.fromarray(frame).save(temporary)
    return []


def _write_animation(
    temporary: Path, frames: Iterable[np.ndarray], rate: float, format: str, options: dict[str, Any]
) -> list[str]:
    """Write an animation with imageio and Pillow. Returns a note where it cannot be as fast as `rate`."""
    import imageio.v3 as imageio

    images = np.stack(list(frames))
    durations = frame_durations(len(images), rate, DURATION_UNIT[format])
    imageio.imwrite(
        temporary, images, plugin="pillow", format=format, is_batch=True, duration=durations, loop=0, **options
    )
    if sum(durations) <= 1000 * len(images) / rate + DURATION_UNIT[format]:
        return []
    return [f"{format} shows {1000 * len(images) / sum(durations):.4g} frames per second, not {rate:.4g}"]


def frame_durations(count: int, rate: float, unit: int) -> list[int]:
    """Durations of an animation's frames in milliseconds, multiples of `unit`.

    They differ by one unit where the rate asks for it, so that the whole is as long as it should be.
    """
    ends = np.rint(np.arange(count + 1) * (1000 / rate / unit)) * unit
    return np.maximum(np.diff(ends), SHORTEST_DURATION).astype(int).tolist()


def _encode(path: Path, temporary: Path, frames: Iterable[np.ndarray], rate: float, codec: str) -> list[str]:
    """Encode with PyAV into `temporary`; `path` is for messages."""
    import av
    import av.error
    from av.video.stream import VideoStream

    notes = []
    try:
        with av.open(str(temporary), "w") as container:
            stream: VideoStream | None = None
            for frame in frames:
                if stream is None:
                    rational = Fraction(rate).limit_denominator(1001)
                    stream = cast(VideoStream, container.add_stream(codec, rate=rational, options=CODEC_OPTIONS[codec]))
                    stream.height, stream.width = frame.shape[:2]
                    odd = frame.shape[0] % 2 or frame.shape[1] % 2
                    # Players expect colour at half resolution, which odd sizes cannot have.
                    stream.pix_fmt = "yuv444p" if odd else "yuv420p"
                    if odd:
                        notes.append("an odd size is written with full colour (4:4:4), which some players refuse")
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
            if stream is not None:
                container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None
    return notes
