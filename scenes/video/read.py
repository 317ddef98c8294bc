"""Clips to frames: what PyAV decodes (MP4, MOV, WebM, MKV, AVI, ...), animated GIFs, and folders of pictures."""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import ENDINGS, read_image
from scenes.io.files import file_digest, read_head
from scenes.io.silence import silence_libraries
from scenes.video.frames import DecodedVideo, FrameBuffer, frame_starts

FOLDER_RATE = 24.0
PICTURES = tuple(ending for endings in ENDINGS.values() for ending in endings)


def image_files(folder: Path) -> list[Path]:
    """The pictures of a folder; numbers in names count as numbers, so that 10 comes after 9."""

    def natural(path: Path) -> list:
        return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", path.name)]

    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be listed: {error.strerror}") from error
    return sorted(found, key=natural)


def source_identity(place: Path) -> dict:
    """`bytes`, `mtime_ns` and `sha256` of a file, or of a folder's pictures and their names together."""
    files = image_files(place) if place.is_dir() else [place]
    states = [file.stat() for file in files]
    if place.is_dir():
        digest = hashlib.sha256("\n".join(f"{file.name} {file_digest(file)}" for file in files).encode()).hexdigest()
    else:
        digest = file_digest(place)
    return {
        "bytes": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
        "sha256": digest,
    }


def read_video(
    path, place: Path, *, part: tuple[float, float] | None, rate: float | None, max_pixels: int, memory: int
) -> DecodedVideo:
    """The frames of a file or a folder, of `part` = (start, end) seconds only; `rate` replaces the frame rate that it has."""
    collector = FrameBuffer(max_pixels, memory)
    try:
        if place.is_dir():
            clip = _folder(place, collector, rate or FOLDER_RATE, part)
        elif read_head(place, 4) == b"GIF8":
            clip = _gif(place, collector, part)
        else:
            clip = decode_video_file(place, collector, part)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith(str(path)) else f"{path}: {text}") from None
    if rate and not place.is_dir():
        clip.starts = np.arange(len(clip.frames) + 1) / rate
    return clip


def _within(time: float, part: tuple[float, float] | None) -> bool:
    return part is None or part[0] <= time + 1e-6 < part[1]


def _folder(folder: Path, collector: FrameBuffer, rate: float, part: tuple[float, float] | None) -> DecodedVideo:
    files = image_files(folder)
    if not files:
        raise BadInput(f"the folder holds no pictures ({', '.join(PICTURES[:8])}, ...)")
    notes: list[str] = []
    for index, file in enumerate(files):
        if not _within(index / rate, part):
            continue
        decoded = read_image(file)
        if decoded.space != "srgb":
            raise BadInput(f"{file.name} holds linear (HDR) light; turn the frames into 8-bit pictures first")
        collector.add(_rgb(decoded.pixels, decoded.premultiplied), file.name)
        notes += [note for note in decoded.notes if note not in notes]
    frames = collector.frames()
    return DecodedVideo(frames, np.arange(len(frames) + 1) / rate, notes)


def _rgb(pixels: np.ndarray, premultiplied: bool) -> np.ndarray:
    """`[H, W, 3]` uint8: grey is spread, transparency lies on black, 16 bits are rounded."""
    largest = np.iinfo(pixels.dtype).max
    colors = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    if colors is not pixels and not premultiplied and (pixels[..., -1] != largest).any():
        colors = (colors * (pixels[..., -1:] / largest)).round().astype(pixels.dtype)
    if largest != 255:
        colors = (colors / 257.0).round().astype(np.uint8)
    return np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors


def _gif(file: Path, collector: FrameBuffer, part: tuple[float, float] | None) -> DecodedVideo:
    from PIL import Image, ImageSequence

    times, time, last = [], 0.0, 0.1
    try:
        with silence_libraries(), Image.open(file) as opened:
            for frame in ImageSequence.Iterator(opened):
                # A GIF without durations is shown at ten frames a second by browsers.
                last = (frame.info.get("duration") or 100) / 1000
                if _within(time, part):
                    collector.add(np.asarray(frame.convert("RGB")))
                    times.append(time)
                time += last
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (the decoder raises whatever the bytes made it stumble over)
        raise BadInput(f"the GIF is damaged or cut short ({error}); get a fresh copy") from None
    frames = collector.frames()
    return DecodedVideo(frames, frame_starts(times, last, 10.0))


def decode_video_file(file: Path, collector: FrameBuffer, part: tuple[float, float] | None) -> DecodedVideo:
    """Adds the frames of a film to `collector`, upright `[H, W, 3]` uint8; BadInput, without the file's name, where it is damaged."""
    import av

    notes, times, last = [], [], None
    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise BadInput("has no picture track; if it is a sound, --kind audio reads WAV, FLAC and Ogg")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or 24)
            begun = float((stream.start_time or 0) * stream.time_base)
            announced, length, seen, time = stream.frames, _announced_seconds(container, stream), 0, 0.0
            for frame in container.decode(stream):
                seen += 1
                time = float(frame.pts * frame.time_base) - begun if frame.pts is not None else math.nan
                if part is not None and time >= part[1]:
                    announced = length = 0
                    break
                if not _within(time, part):
                    continue
                pixels = frame.to_ndarray(format="rgb24")
                collector.add(np.rot90(pixels, round(frame.rotation / 90) % 4) if frame.rotation else pixels)
                times.append(time)
                last = float(frame.duration * frame.time_base) if frame.duration else None
            if container.streams.audio:
                notes.append("its sound is left out")
    except BadInput:
        raise
    except (av.error.FFmpegError, ValueError, RuntimeError, LookupError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadInput(
            f"cannot be decoded after {collector.count} frames ({reason.lower()}); get a fresh copy, or convert it to H.264 MP4 "
            "with ffmpeg"
        ) from None
    if length and time + 2 / rate < 0.98 * length:
        raise BadInput(f"is cut off: it should last {length:.2f} s and ends after {time:.2f} s; get a fresh copy")
    if announced and seen < announced - max(1, announced // 50):
        raise BadInput(f"is cut off: {announced} frames are announced and {seen} can be decoded; get a fresh copy")
    frames = collector.frames()
    return DecodedVideo(frames, frame_starts(times, last, rate), notes)


def _announced_seconds(container, stream) -> float:
    """How long the pictures should last; 0 where the file does not say (with sound, a container's length may be that of the sound)."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / 1e6
    return 0.0
