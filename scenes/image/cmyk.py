"""Convert CMYK to RGB: by its ICC profile where there is one, else by the simple formula, which is approximate."""

from __future__ import annotations

import io

import numpy as np

from scenes.image.storage import Storage, row_strips

APPROXIMATE = "converted from CMYK without a colour profile: colours are approximate"


def cmyk_to_rgb(pixels: np.ndarray, profile: bytes | None, storage: Storage) -> tuple[np.ndarray, str]:
    """Convert `[H, W, 4 or 5]` uint8 or uint16, ink from 0 to full, perhaps with alpha, to `[H, W, 3 or 4]`.

    Returns the new array and a note.
    """
    height, width, channels = pixels.shape
    out = storage.new(height, width, channels - 1, pixels.dtype)
    largest = np.float32(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else np.float32(1)
    transform, note = _transform(profile) if pixels.dtype.kind == "u" else (None, APPROXIMATE)
    for rows in row_strips(height, width):
        inks = pixels[rows, :, :4]
        if transform is None:
            paper = 1 - np.divide(inks, largest, dtype=np.float32)
            colors = paper[..., :3] * paper[..., 3:] * largest
        else:
            colors = transform(inks)
        out[rows, :, :3] = np.rint(colors) if pixels.dtype.kind == "u" else colors
        out[rows, :, 3:] = pixels[rows, :, 4:]
    return out, note


def _transform(profile: bytes | None):  # noqa: ANN202
    """From strips of ink to strips of sRGB by a profile, in the strips' own integers, and a note; else None."""
    from PIL import Image, ImageCms

    if not profile:
        return None, APPROXIMATE
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            "CMYK",
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        name = ImageCms.getProfileDescription(source).strip()
    except (ImageCms.PyCMSError, OSError):
        return None, APPROXIMATE

    def convert(inks: np.ndarray) -> np.ndarray:
        if inks.dtype == np.uint16:
            return _convert_16bit(inks, profile)
        image = Image.frombytes("CMYK", inks.shape[1::-1], np.ascontiguousarray(inks).tobytes())
        return np.asarray(ImageCms.applyTransform(image, transform))

    return convert, f"converted from CMYK by its profile '{name}'"


def _convert_16bit(inks: np.ndarray, profile: bytes) -> np.ndarray:
    import imagecodecs

    from scenes.image.profile import BLACK_POINT_COMPENSATION, NO_OPTIMIZATION, RELATIVE

    return imagecodecs.cms_transform(
        np.ascontiguousarray(inks),
        profile,
        imagecodecs.cms_profile("srgb"),
        intent=RELATIVE,
        flags=NO_OPTIMIZATION | BLACK_POINT_COMPENSATION,
        colorspace="cmyk",
        outcolorspace="rgb",
        outdtype=np.uint16,
    )
