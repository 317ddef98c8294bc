"""Read frames that are pictures: animations (GIF, WebP, PNG, AVIF) and the pages of TIFF files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.gif import gif_profile, with_known_disposals
from scenes.image.modern import nclx_encoding
from scenes.image.png import with_png_encoding
from scenes.image.profile import convert_colors
from scenes.image.read import read_image
from scenes.image.rgb8 import to_rgb8
from scenes.image.storage import Storage
from scenes.image.tiff import whole_pages
from scenes.io.silence import silence_libraries
from scenes.video.color import compressed_to_srgb
from scenes.video.frames import DecodedVideo, FrameBuffer, frame_starts, is_within

if TYPE_CHECKING:
    from PIL.Image import Image

# Frames per second of an animation that does not say, as browsers show it; and what counts as not saying, in ms.
ANIMATION_RATE = 10.0
SHORTEST_DURATION = 10
# Frames per second of a folder of images, and of pages.
FOLDER_RATE = 24.0


def read_animation(
    file: Path, collector: FrameBuffer, part: tuple[float, float] | None, *, ignore_profile: bool = False
) -> DecodedVideo:
    """Read the frames of an animated GIF, WebP, PNG or AVIF file, as sRGB; transparency on black."""
    from PIL import Image, ImageSequence

    times, time, duration, transparent, notes = [], 0.0, 1 / ANIMATION_RATE, False, []
    try:
        content = file.read_bytes()
        content = with_known_disposals(content) if content[:4] == b"GIF8" else content
        with silence_libraries(), Image.open(io.BytesIO(content)) as opened:
            described = None if ignore_profile else _described(file, content, opened)
            # A PNG's default image may be no frame of the animation.
            hidden = bool(opened.info.get("default_image"))
            for index, frame in enumerate(ImageSequence.Iterator(opened)):
                if hidden and index == 0:
                    continue
                pixels = np.asarray(frame.convert("RGBA"))  # WebP's durations are known only then
                # Browsers show frames of 10 ms and less for 100 ms.
                given = frame.info.get("duration") or 0
                duration = given / 1000 if given > SHORTEST_DURATION else 1 / ANIMATION_RATE
                if is_within(time, part):
                    transparent |= bool((pixels[..., 3] < 255).any())
                    if described is not None:
                        pixels, notes = _converted(pixels, described)
                    collector.add(on_black(pixels))
                    times.append(time)
                time += duration
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (the decoder raises many types for damaged bytes)
        raise BadInput(f"the animation is damaged or cut short ({error}); get a fresh copy") from None
    starts, about_times = frame_starts(times, duration, ANIMATION_RATE)
    notes += ["its transparent parts are shown on black"] * transparent
    return DecodedVideo(collector.frames(), starts, notes + about_times)


def _described(file: Path, content: bytes, opened: Image) -> DecodedImage | None:
    """An image of one pixel with what an animation says of its colours; None where it says nothing."""
    image = DecodedImage(np.zeros((1, 1, 4), np.uint8), "srgb", profile=opened.info.get("icc_profile"))
    if opened.format == "PNG":
        with_png_encoding(image, content)
    elif opened.format == "AVIF":
        image.encoding = nclx_encoding(file)
    elif opened.format == "GIF":
        image.profile = gif_profile(content)
    return image if image.encoding or image.profile else None


def _converted(pixels: np.ndarray, described: DecodedImage) -> tuple[np.ndarray, list[str]]:
    """A frame `[H, W, 4]` uint8 as sRGB, and a note on that; HDR is compressed as in films."""
    image = DecodedImage(pixels.copy(), "srgb", encoding=described.encoding, profile=described.profile)
    note = convert_colors(image, Storage())
    if image.space == "linear":
        alpha = np.rint(image.pixels[..., 3:] * 255).astype(np.uint8)
        colors = compressed_to_srgb(image.pixels[..., :3])
        return np.concatenate([colors, alpha], axis=-1), ["its colours are HDR: light beyond white is compressed"]
    return image.pixels, [f"{note} (`ignore_profile` takes the values as stored)"] if note else []


def read_pages(
    file: Path,
    collector: FrameBuffer,
    rate: float | None,
    part: tuple[float, float] | None,
    *,
    ignore_profile: bool = False,
) -> DecodedVideo:
    """Read the pages of a TIFF file as frames, at `rate` or as ImageJ wrote it, else at `FOLDER_RATE` per second."""
    pages, own_rate = whole_pages(file)
    if len(pages) < 2:
        raise BadInput("has one page, which is no clip; `kind=image` opens it")
    used = rate or own_rate or FOLDER_RATE
    notes: list[str] = []
    for index, page in enumerate(pages):
        if not is_within(index / used, part):
            continue
        decoded = read_image(file, layer=str(page + 1), ignore_profile=ignore_profile)
        pixels, changed = to_rgb8(decoded)
        collector.add(on_black(pixels), f"page {page + 1}")
        notes += [note for note in (*decoded.notes, *changed) if note not in notes]
    if not rate:
        notes.insert(0, f"its {len(pages)} pages are shown at {used:.4g} per second; `rate` overrules")
    frames = collector.frames()
    return DecodedVideo(frames, np.arange(len(frames) + 1) / used, notes)


def on_black(pixels: np.ndarray) -> np.ndarray:
    """`[H, W, 3]` uint8 of `[H, W, 3 or 4]` uint8: transparency is composited on black."""
    if pixels.shape[2] == 3 or (pixels[..., 3] == 255).all():
        return pixels[..., :3]
    return (pixels[..., :3] * (pixels[..., 3:] / 255)).round().astype(np.uint8)
