"""Read videos: files that PyAV decodes (MP4, MOV, WebM, MKV, AVI, ...), animations that Pillow decodes (GIF, WebP, PNG,
AVIF), and folders of images.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import ENDINGS, read_image
from scenes.image.rgb8 import to_rgb8
from scenes.io.files import file_digest, read_head
from scenes.io.silence import silence_libraries
from scenes.video.decode import decode_video_file
from scenes.video.frames import DecodedVideo, FrameBuffer, frame_starts, is_within

# Frames per second of a folder of images.
FOLDER_RATE = 24.0
# Frames per second of an animation that does not say, as browsers show it; and what counts as not saying, in ms.
ANIMATION_RATE = 10.0
SHORTEST_DURATION = 10
# First bytes of animations.
ANIMATION_HEADS = ((0, b"GIF8"), (8, b"WEBP"), (0, b"\x89PNG"), (4, b"ftypavis"))
# An array in a folder is more often poses or depths than a frame.
IMAGE_ENDINGS = tuple(ending for format, endings in ENDINGS.items() if format != "NPY" for ending in endings)


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
        elif any(read_head(source).startswith(magic, at) for at, magic in ANIMATION_HEADS):
            video = _read_animation(source, collector, part)
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
        pixels, changed = to_rgb8(decoded)
        collector.add(_on_black(pixels), file.name)
        notes += [note for note in (*decoded.notes, *changed) if note not in notes]
    frames = collector.frames()
    return DecodedVideo(frames, np.arange(len(frames) + 1) / rate, notes)


def _on_black(pixels: np.ndarray) -> np.ndarray:
    """`[H, W, 3]` uint8 of `[H, W, 3 or 4]` uint8: transparency is composited on black."""
    if pixels.shape[2] == 3 or (pixels[..., 3] == 255).all():
        return pixels[..., :3]
    return (pixels[..., :3] * (pixels[..., 3:] / 255)).round().astype(np.uint8)


def _read_animation(file: Path, collector: FrameBuffer, part: tuple[float, float] | None) -> DecodedVideo:
    """Read the frames of an animated GIF, WebP, PNG or AVIF file; transparency on black."""
    from PIL import Image, ImageSequence

    times, time, duration, transparent = [], 0.0, 1 / ANIMATION_RATE, False
    try:
        with silence_libraries(), Image.open(file) as opened:
            for frame in ImageSequence.Iterator(opened):
                pixels = np.asarray(frame.convert("RGBA"))  # WebP's durations are known only then
                # Browsers show frames of 10 ms and less for 100 ms.
                given = frame.info.get("duration") or 0
                duration = given / 1000 if given > SHORTEST_DURATION else 1 / ANIMATION_RATE
                if is_within(time, part):
                    transparent |= bool((pixels[..., 3] < 255).any())
                    collector.add(_on_black(pixels))
                    times.append(time)
                time += duration
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (the decoder raises many types for damaged bytes)
        raise BadInput(f"the animation is damaged or cut short ({error}); get a fresh copy") from None
    starts, notes = frame_starts(times, duration, ANIMATION_RATE)
    return DecodedVideo(collector.frames(), starts, ["its transparent parts are shown on black"] * transparent + notes)
