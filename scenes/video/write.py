"""Write videos, whole or not at all: MP4, MOV and MKV (H.264), WebM (VP9), GIF, or a folder of PNG images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_new_folder, check_path_writable

# Ending: codec.
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
# Options of the codecs. The constant rate factor is chosen so that a video can hardly be told from its frames.
CODEC_OPTIONS = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}
# Shortest duration of a GIF's frame, in hundredths of a second: browsers slow shorter ones down.
GIF_MIN_DURATION = 2
GIF_COLORS = 256


def check_video_writable(path: str | os.PathLike[str]) -> None:
    """Check ending and place before long work. Raises the BadInput of `write_video`."""
    ending = Path(path).suffix.lower()
    if not ending:
        check_new_folder(path)
    elif ending in (*CODECS, ".gif"):
        check_path_writable(path)
    else:
        raise BadInput(
            f"cannot write {path}: {ending} is not a format for videos; use {', '.join(CODECS)}, .gif, or a name "
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
        if ending == ".gif":
            return _write_gif(temporary, frames, rate)
        return _encode(path, temporary, frames, rate, CODECS[ending])


def _write_folder(path: Path, frames: Iterable[np.ndarray]) -> list[str]:
    from PIL import Image

    path.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        with atomic_write(path / f"{index + 1:05d}.png") as temporary:
            Image.fromarray(frame).save(temporary)
    return []


def _write_gif(temporary: Path, frames: Iterable[np.ndarray], rate: float) -> list[str]:
    from PIL import Image

    duration = max(GIF_MIN_DURATION, round(100 / rate))  # hundredths of a second
    images = [Image.fromarray(frame).quantize(GIF_COLORS, Image.Quantize.FASTOCTREE) for frame in frames]
    images[0].save(temporary, save_all=True, append_images=images[1:], duration=duration * 10, loop=0, optimize=False)
    changed = abs(100 / duration - rate) > 0.01 * rate
    return [f"GIF shows {100 / duration:.4g} frames per second, not {rate:.4g}"] if changed else []


def _encode(path: Path, temporary: Path, frames: Iterable[np.ndarray], rate: float, codec: str) -> list[str]:
    """Encode with PyAV into `temporary`; `path` is for messages."""
    import av
    import av.error
    import av.logging
    from av.video.stream import VideoStream

    notes = []
    av.logging.set_level(av.logging.PANIC)
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
