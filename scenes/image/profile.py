"""Convert pixels from an embedded ICC profile to sRGB, or to linear light where they are floats."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from scenes.image.decoded import DecodedImage
from scenes.image.encoding import PROBE, SRGB_TOLERANCE, Encoding, convert_encoding
from scenes.image.icc import profile_encoding
from scenes.image.storage import Storage, row_strips

# LittleCMS's flags: no optimised tables for 16 bits, which are off by up to 7 % near the edge of the gamut; and black
# of one medium becomes black of the other.
NO_OPTIMIZATION, BLACK_POINT_COMPENSATION = 0x0100, 0x2000
# LittleCMS's relative colorimetric intent.
RELATIVE = 1
# Names of profiles' color spaces by the number of colors of an image.
SPACES = {1: "GRAY", 3: "RGB"}


def convert_colors(image: DecodedImage, storage: Storage) -> str | None:
    """Convert an image as its encoding says, else as its profile does. Returns a note; None where nothing changes."""
    if image.encoding is not None:
        return convert_encoding(image, image.encoding, storage)
    return convert_profile(image, image.profile, storage) if image.profile else None


def convert_profile(image: DecodedImage, profile: bytes, storage: Storage) -> str | None:
    """Convert the colors of an image from a profile's to sRGB, or linear light; alpha is left alone.

    What the profile contains decides, not its name: curves and primaries are computed, tables go through LittleCMS.

    Returns:
        A note on the conversion, or on why the profile is ignored; None where it is sRGB's.
    """
    try:
        name, space = profile_info(profile)
        colors = 1 if image.pixels.shape[2] <= 2 else 3
        label = f"the colour profile '{name}'"
        if space != SPACES[colors]:
            return f"{label} is for {space}, not for this image: ignored"
        encoding = profile_encoding(profile, label)
        if encoding is None and image.pixels.dtype == np.float32:
            encoding = Encoding(label, _lut_to_linear(profile, colors))
        if encoding is not None:
            return convert_encoding(image, encoding, storage)
        return _convert_with_lut(image.pixels, profile, colors, label)
    except ImportError as error:
        return f"the colour profile is ignored: {error.name} is not installed"
    except Exception as error:  # noqa: BLE001  (LittleCMS fails in many ways in two libraries; the pixels are still good)
        return f"the colour profile cannot be used and is ignored ({error})"


def profile_info(profile: bytes) -> tuple[str, str]:
    """Name of an ICC profile, and its color space: "RGB", "GRAY", "CMYK", ..."""
    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    name = ImageCms.getProfileDescription(opened).strip() or "without a name"
    space = opened.profile.xcolor_space  # pyright: ignore[reportAttributeAccessIssue]
    return name, space.strip()


def _convert_with_lut(pixels: np.ndarray, profile: bytes, colors: int, label: str) -> str | None:
    """Convert integers `[H, W, C]` in place by a profile of tables."""
    transform = _transform_8bit(profile, colors) if pixels.dtype == np.uint8 else _transform_16bit(profile, colors)
    largest = np.iinfo(pixels.dtype).max
    grid = np.rint(np.stack(np.meshgrid(*[PROBE] * colors), axis=-1) * largest).astype(pixels.dtype)
    grid = np.ascontiguousarray(grid.reshape(1, -1, colors))
    change = np.abs(transform(grid)[..., :colors].astype(np.int64) - grid)
    if change.max() <= SRGB_TOLERANCE * largest:
        return None
    for rows in row_strips(*pixels.shape[:2]):
        pixels[rows, :, :colors] = transform(np.ascontiguousarray(pixels[rows, :, :colors]))[..., :colors]
    return f"converted from {label} to sRGB"


def _transform_8bit(profile: bytes, colors: int) -> Callable[[np.ndarray], np.ndarray]:
    """Conversion of uint8 strips `[h, W, colors]` to sRGB `[h, W, 3]` with Pillow."""
    from PIL import Image, ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "L" if colors == 1 else "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )

    def convert(strip: np.ndarray) -> np.ndarray:
        image = Image.fromarray(strip[..., 0] if colors == 1 else strip)
        return np.asarray(ImageCms.applyTransform(image, transform))

    return convert


def _transform_16bit(profile: bytes, colors: int) -> Callable[[np.ndarray], np.ndarray]:
    """Conversion of uint16 strips `[h, W, colors]` to sRGB `[h, W, 3]` with imagecodecs."""
    import imagecodecs

    def convert(strip: np.ndarray) -> np.ndarray:
        return imagecodecs.cms_transform(
            strip[..., 0] if colors == 1 else strip,
            profile,
            imagecodecs.cms_profile("srgb"),
            intent=RELATIVE,
            flags=NO_OPTIMIZATION | BLACK_POINT_COMPENSATION,
            colorspace="gray" if colors == 1 else "rgb",
            outcolorspace="rgb",
            outdtype=np.uint16,
        )

    return convert


def _lut_to_linear(profile: bytes, colors: int) -> Callable[[np.ndarray], np.ndarray]:
    """Curve of an `Encoding`: floats through tables of 16 bits, so values are clipped to [0, 1]."""
    from scenes.image.color import quantize, srgb_to_linear

    transform = _transform_16bit(profile, colors)
    return lambda values: srgb_to_linear(transform(quantize(values, np.uint16))[..., :colors] / np.float32(65535))
