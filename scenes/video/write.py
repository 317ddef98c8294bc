"""Frames to clips, whole or not at all: MP4 (H.264), WebM, GIF, or a folder of PNG pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

FILMS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx-vp9"}
# The constant rate factor: visually hardly different from the field itself.
QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "24", "b": "0"}}


def check_video_writable(path: str | os.PathLike) -> None:
    """Raises BadInput about ending or place: to be called before long work."""
    path = Path(path)
    ending = path.suffix.lower()
    if not ending:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise BadInput(
                f"cannot write frames to {path}: it is there already and not an empty folder; give another place"
            )
        if not path.parent.is_dir():
            raise BadInput(f"cannot write frames to {path}: its folder does not exist; make the folder first")
        return
    if ending not in (*FILMS, ".gif"):
        raise BadInput(
            f"cannot write {path}: {ending} is not a format for clips; use {', '.join(FILMS)}, .gif, or a name without "
            "ending for a folder of frames"
        )
    check_path_writable(path)


def write_video(path: str | os.PathLike, frames: Iterable[np.ndarray], rate: float) -> list[str]:
    """Writes frames `[H, W, 3]` uint8 sRGB, taken one by one, `rate` a second. Returns notes, one line each."""
    check_video_writable(path)
    path = Path(path)
    ending = path.suffix.lower()
    if not ending:
        return _folder(path, frames)
    with atomic_write(path) as temporary:
        return (
            _gif(temporary, frames, rate) if ending == ".gif" else _film(path, temporary, frames, rate, FILMS[ending])
        )


def _folder(path: Path, frames: Iterable[np.ndarray]) -> list[str]:
    from PIL import Image

    path.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        with atomic_write(path / f"{index + 1:05d}.png") as temporary:
            Image.fromarray(frame).save(temporary)
    return []


def _gif(temporary: Path, frames: Iterable[np.ndarray], rate: float) -> list[str]:
    from PIL import Image

    shown = max(2, round(100 / rate))  # hundredths of a second; browsers slow shorter ones down
    pictures = [Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE) for frame in frames]
    pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=shown * 10, loop=0, optimize=False)
    return (
        [f"GIF shows {100 / shown:.4g} frames a second, not {rate:.4g}"]
        if abs(100 / shown - rate) > 0.01 * rate
        else []
    )


def _film(path: Path, temporary: Path, frames: Iterable[np.ndarray], rate: float, codec: str) -> list[str]:
    import av

    notes = []
    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open(str(temporary), "w") as container:
            stream = None
            for frame in frames:
                if stream is None:
                    stream = container.add_stream(
                        codec, rate=Fraction(rate).limit_denominator(1001), options=QUALITY[codec]
                    )
                    stream.height, stream.width = frame.shape[:2]
                    odd = frame.shape[0] % 2 or frame.shape[1] % 2
                    # Players expect halved colour, which odd sizes cannot have.
                    stream.pix_fmt = "yuv444p" if odd else "yuv420p"
                    notes += (
                        ["an odd size is written with full colour (4:4:4), which some players refuse"] if odd else []
                    )
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
            container.mux(stream.encode())
    except av.error.FFmpegError as error:
        raise BadInput(f"cannot write {path}: {error.strerror or error}") from None
    return notes
