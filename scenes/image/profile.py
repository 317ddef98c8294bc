"""Embedded ICC profiles: the numbers of a picture, turned into sRGB."""

from __future__ import annotations

import io

import numpy as np

from scenes.image.storage import strips

NO_OPTIMISATION = 0x0100  # LittleCMS's tables for 16 bits are off by up to 7 % near the edge of the gamut


def convert_to_srgb(pixels: np.ndarray, profile: bytes) -> str | None:
    """Converts `[H, W, C]` uint8 or uint16 in place, alpha untouched; a note about it, or None where it was sRGB.

    A profile that cannot be used is named in the note, and the pixels stay.
    """
    try:
        name, kind = describe(profile)
        if "srgb" in name.lower():
            return None
        colors = 1 if pixels.shape[2] <= 2 else 3
        if kind != {1: "GRAY", 3: "RGB"}[colors]:
            return f"the colour profile '{name}' is for {kind}, not for this picture: ignored"
        transform = _transform_8(profile, colors) if pixels.dtype == np.uint8 else _transform_16(profile, colors)
        for rows in strips(*pixels.shape[:2]):
            pixels[rows, :, :colors] = transform(np.ascontiguousarray(pixels[rows, :, :colors]))[..., :colors]
        return f"converted from the colour profile '{name}' to sRGB"
    except ImportError as error:
        return f"the colour profile is ignored: {error.name} is not installed"
    except Exception as error:  # LittleCMS, by way of two libraries, refuses in many words; the picture is still good
        return f"the colour profile cannot be used and is ignored ({error})"


def describe(profile: bytes) -> tuple[str, str]:
    """The name of a profile, and the colours it is for: "RGB", "GRAY", "CMYK", ..."""
    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return (ImageCms.getProfileDescription(opened).strip() or "without a name"), opened.profile.xcolor_space.strip()


def _transform_8(profile: bytes, colors: int):
    from PIL import Image, ImageCms

    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        "L" if colors == 1 else "RGB",
        "RGB",
    )
    return lambda strip: np.asarray(
        ImageCms.applyTransform(Image.fromarray(strip[..., 0] if colors == 1 else strip), transform)
    )


def _transform_16(profile: bytes, colors: int):
    import imagecodecs

    return lambda strip: imagecodecs.cms_transform(
        strip[..., 0] if colors == 1 else strip,
        profile,
        imagecodecs.cms_profile("srgb"),
        flags=NO_OPTIMISATION,
        colorspace="gray" if colors == 1 else "rgb",
        outcolorspace="rgb",
        outdtype=np.uint16,
    )
