"""Convert pixels from an embedded ICC profile to sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from scenes.image.storage import row_strips

# LittleCMS's flag against its optimised tables for 16 bits, which are off by up to 7 % near the edge of the gamut.
NO_OPTIMIZATION = 0x0100


def convert_to_srgb(pixels: np.ndarray, profile: bytes) -> str | None:
    """Convert the colours of an image to sRGB in place; alpha is left alone.

    Args:
        pixels: `[H, W, C]` uint8 or uint16.
        profile: the ICC profile that they are in.

    Returns:
        A note on the conversion, or on why the profile is ignored; None where it was sRGB.
    """
    try:
        name, space = profile_info(profile)
        if "srgb" in name.lower():
            return None
        colors = 1 if pixels.shape[2] <= 2 else 3
        if space != {1: "GRAY", 3: "RGB"}[colors]:
            return f"the colour profile '{name}' is for {space}, not for this image: ignored"
        transform = _transform_8bit(profile, colors) if pixels.dtype == np.uint8 else _transform_16bit(profile, colors)
        for rows in row_strips(*pixels.shape[:2]):
            pixels[rows, :, :colors] = transform(np.ascontiguousarray(pixels[rows, :, :colors]))[..., :colors]
        return f"converted from the colour profile '{name}' to sRGB"
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


def _transform_8bit(profile: bytes, colors: int) -> Callable[[np.ndarray], np.ndarray]:
    """Conversion of uint8 strips `[h, W, colors]` to sRGB `[h, W, 3]` with Pillow."""
    from PIL import Image, ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "L" if colors == 1 else "RGB",
        "RGB",
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
            flags=NO_OPTIMIZATION,
            colorspace="gray" if colors == 1 else "rgb",
            outcolorspace="rgb",
            outdtype=np.uint16,
        )

    return convert
