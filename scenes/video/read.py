"""Read videos: files that PyAV decodes (MP4, MOV, WebM, MKV, AVI, ...), animations that Pillow decodes (GIF, WebP, PNG,
AVIF), pages of TIFF files, and folders of images.
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
from scenes.video.animation import FOLDER_RATE, on_black, read_animation, read_pages
from scenes.video.decode import decode_video_file
from scenes.video.frames import DEFAULT_OPTIONS, DecodedVideo, FilmOptions, FrameBuffer, is_within

# First bytes of animations, and of files with pages.
ANIMATION_HEADS = ((0, b"GIF8"), (8, b"WEBP"), (0, b"\x89PNG"), (4, b"ftypavis"))
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
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
    options: FilmOptions = DEFAULT_OPTIONS,
) -> DecodedVideo:
    """Read the frames of a video file or a folder of images.

    Args:
        path: the source as the user named it, for messages.
        source: the file or folder.
        part: (start, end) in seconds; only frames shown within it are kept.
        rate: frames per second, instead of the file's own times.
        max_pixels: limit over all frames together.
        memory: bytes that frames may take of the RAM; see `scenes.image.storage.Storage`.
        options: how colours and fields are read.

    Raises:
        BadInput: the source is no video, is damaged or too large, or its frames differ in size.
    """
    collector = FrameBuffer(max_pixels, memory)
    try:
        if source.is_dir():
            video = _read_folder(source, collector, rate or FOLDER_RATE, part, options)
        elif any(read_head(source).startswith(magic, at) for at, magic in ANIMATION_HEADS):
            video = read_animation(source, collector, part, ignore_profile=options.ignore_profile)
        elif read_head(source).startswith(TIFF_HEADS):
            video = read_pages(source, collector, rate, part, ignore_profile=options.ignore_profile)
        else:
            video = decode_video_file(source, collector, part, options=options)
    except BadInput as error:
        text = str(error)
        raise BadInput(text if text.startswith(str(path)) else f"{path}: {text}") from None
    if rate and not source.is_dir():
        video.starts = np.arange(len(video.frames) + 1) / rate
    return video


def _read_folder(
    folder: Path, collector: FrameBuffer, rate: float, part: tuple[float, float] | None, options: FilmOptions
) -> DecodedVideo:
    files = image_files(folder)
    if not files:
        raise BadInput(f"the folder holds no images ({', '.join(IMAGE_ENDINGS[:8])}, ...)")
    notes: list[str] = []
    for index, file in enumerate(files):
        if not is_within(index / rate, part):
            continue
        decoded = read_image(file, ignore_profile=options.ignore_profile)
        pixels, changed = to_rgb8(decoded)
        collector.add(on_black(pixels), file.name)
        notes += [note for note in (*decoded.notes, *changed) if note not in notes]
    frames = collector.frames()
    return DecodedVideo(frames, np.arange(len(frames) + 1) / rate, notes)
