"""Read videos: files that PyAV decodes (MP4, MOV, WebM, MKV, AVI, ...), animated GIFs, and folders of images."""

from __future__ import annotations

import hashlib
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import ENDINGS, read_image
from scenes.io.files import file_digest, read_head
from scenes.io.silence import silence_libraries
from scenes.video.frames import DecodedVideo, FrameBuffer, FrameCollector, frame_starts, is_within

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Frames per second of a folder of images.
FOLDER_RATE = 24.0
# Frames per second of a GIF that does not say, as browsers show it.
GIF_RATE = 10.0
# Frames per second of a video file that does not say.
DEFAULT_RATE = 24.0
IMAGE_ENDINGS = tuple(ending for endings in ENDINGS.values() for ending in endings)
# A file is cut off where less than this fraction of its announced duration is there.
MIN_DURATION = 0.98
# One frame of this many may be missing, and at least one, before a file counts as cut off.
FRAMES_PER_MISSING = 50


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in natural order: numbers in names count as numbers, so 10 comes after 9.

    Raises:
        BadInput: the folder cannot be listed.
    """

    def natural(path: Path) -> list[Any]:
        return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", path.name)]

    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.name[0] != "."]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be listed: {error.strerror}") from error
    return sorted(found, key=natural)


def source_identity(source: Path) -> dict[str, Any]:
    """`bytes`, `mtime_ns` and `sha256` of a video file, or of a folder's images and their names together."""
    files = image_files(source) if source.is_dir() else [source]
    states = [file.stat() for file in files]
    if source.is_dir():
        digest = hashlib.sha256("\n".join(f"{file.name} {file_digest(file)}" for file in files).encode()).hexdigest()
    else:
        digest = file_digest(source)
    return {
        "bytes": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
        "sha256": digest,
    }


def read_video(
    path: str | os.PathLike[str],
    source: Path,
    *,
    part: tuple[float, float] | None,
    rate: float | None,
    max_pixels: int,
    memory: int,
) -> DecodedVideo:
    """Read the frames of a video file or a folder of images.

    Args:
        path: the source as the user named it, for messages.
        source: the file or folder.
        part: (start, end) in seconds; only frames shown within it are kept.
        rate: frames per second, instead of the file's own times.
        max_pixels: limit over all frames together.
        memory: bytes that frames may take of the RAM; see `scenes.image.storage.Storage`.

    Raises:
        BadInput: the source is no video, is damaged or too large, or its frames differ in size.
    """
    collector = FrameBuffer(max_pixels, memory)
    try:
        if source.is_dir():
            video = _read_folder(source, collector, rate or FOLDER_RATE, part)
        elif read_head(source, 4) == b"GIF8":
            video = _read_gif(source, collector, part)
        else:
            video = decode_video_file(source, collector, part)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith(str(path)) else f"{path}: {text}") from None
    if rate and not source.is_dir():
        video.starts = np.arange(len(video.frames) + 1) / rate
    return video


def _read_folder(folder: Path, collector: FrameBuffer, rate: float, part: tuple[float, float] | None) -> DecodedVideo:
    files = image_files(folder)
    if not files:
        raise BadInput(f"the folder holds no images ({', '.join(IMAGE_ENDINGS[:8])}, ...)")
    notes: list[str] = []
    for index, file in enumerate(files):
        if not is_within(index / rate, part):
            continue
        decoded = read_image(file)
        if decoded.space != "srgb":
            raise BadInput(f"{file.name} holds linear (HDR) light; convert the frames to 8-bit images first")
        collector.add(_to_rgb8(decoded.pixels, decoded.premultiplied), file.name)
        notes += [note for note in decoded.notes if note not in notes]
    frames = collector.frames()
    return DecodedVideo(frames, np.arange(len(frames) + 1) / rate, notes)


def _to_rgb8(pixels: np.ndarray, premultiplied: bool) -> np.ndarray:
    """`[H, W, 3]` uint8: grey is repeated, transparency composited on black, 16 bits rounded."""
    largest = np.iinfo(pixels.dtype).max
    colors = pixels[..., :-1] if pixels.shape[2] in (2, 4) else pixels
    if colors is not pixels and not premultiplied and (pixels[..., -1] != largest).any():
        colors = (colors * (pixels[..., -1:] / largest)).round().astype(pixels.dtype)
    if largest != 255:
        colors = (colors / 257.0).round().astype(np.uint8)
    return np.repeat(colors, 3, axis=2) if colors.shape[2] == 1 else colors


def _read_gif(file: Path, collector: FrameBuffer, part: tuple[float, float] | None) -> DecodedVideo:
    from PIL import Image, ImageSequence

    times, time, duration = [], 0.0, 1 / GIF_RATE
    try:
        with silence_libraries(), Image.open(file) as opened:
            for frame in ImageSequence.Iterator(opened):
                duration = (frame.info.get("duration") or 1000 / GIF_RATE) / 1000
                if is_within(time, part):
                    collector.add(np.asarray(frame.convert("RGB")))
                    times.append(time)
                time += duration
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (the decoder raises many types for damaged bytes)
        raise BadInput(f"the GIF is damaged or cut short ({error}); get a fresh copy") from None
    return DecodedVideo(collector.frames(), frame_starts(times, duration, GIF_RATE))


def decode_video_file(file: Path, collector: FrameCollector, part: tuple[float, float] | None) -> DecodedVideo:
    """Decode a video file with PyAV and give its frames to `collector`, upright, `[H, W, 3]` uint8.

    Args:
        file: the file.
        collector: receives the frames.
        part: (start, end) in seconds; only frames shown within it are kept.

    Raises:
        BadInput: the file is damaged or cut off, or has no video. The message does not name the file.
    """
    import av
    import av.error
    import av.logging

    av.logging.set_level(av.logging.PANIC)
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise BadInput("has no video track; if it is audio, `kind=audio` opens WAV, FLAC and Ogg")
            stream = container.streams.video[0]
            rate, times, duration = _decode_frames(container, stream, collector, part)
            notes = ["its audio is left out"] if container.streams.audio else []
    except BadInput:
        raise
    except (av.error.FFmpegError, ValueError, RuntimeError, LookupError) as error:
        own_words = error.strerror if isinstance(error, av.error.FFmpegError) else None
        reason = own_words or str(error) or type(error).__name__
        raise BadInput(
            f"cannot be decoded after {collector.count} frames ({reason.lower()}); get a fresh copy, or convert it to "
            "H.264 MP4 with ffmpeg"
        ) from None
    return DecodedVideo(collector.frames(), frame_starts(times, duration, rate), notes)


def _decode_frames(
    container: InputContainer, stream: VideoStream, collector: FrameCollector, part: tuple[float, float] | None
) -> tuple[float, list[float], float | None]:
    """Decode a stream into `collector`.

    Returns:
        The average rate in frames per second, the times of the kept frames in seconds, and the duration of the last
        one in seconds, None where the file does not say.
    """
    stream.thread_type = "AUTO"
    rate = float(stream.average_rate or DEFAULT_RATE)
    time_base = stream.time_base or 0
    begin = float((stream.start_time or 0) * time_base)
    times: list[float] = []
    last, decoded, time = None, 0, 0.0
    for frame in container.decode(stream):
        decoded += 1
        frame_base = frame.time_base or time_base
        time = float(frame.pts * frame_base) - begin if frame.pts is not None else math.nan
        if part is not None and time >= part[1]:
            return rate, times, last
        if not is_within(time, part):
            continue
        pixels = frame.to_ndarray(format="rgb24")
        collector.add(np.rot90(pixels, round(frame.rotation / 90) % 4) if frame.rotation else pixels)
        times.append(time)
        last = float(frame.duration * frame_base) if frame.duration else None
    announced = _announced_seconds(container, stream)
    if announced and time + 2 / rate < MIN_DURATION * announced:
        raise BadInput(f"is cut off: it should last {announced:.2f} s and ends after {time:.2f} s; get a fresh copy")
    if stream.frames and decoded < stream.frames - max(1, stream.frames // FRAMES_PER_MISSING):
        raise BadInput(
            f"is cut off: {stream.frames} frames are announced and {decoded} can be decoded; get a fresh copy"
        )
    return rate, times, last


def _announced_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Announced duration of the video; 0 where the file does not say.

    The container's duration counts only where there is no other stream: it may be that of the audio.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration / 1e6
    return 0.0
