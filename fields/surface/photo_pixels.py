"""Photographs as a drawn mesh is compared with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from scenes.posed.camera import Camera
from scenes.posed.view import View

# Coverage from which on a pixel of a photograph without alpha shows the mesh alone.
WHOLE = 0.999


@dataclass(frozen=True)
class PhotoPixels:
    """A photograph, reduced to a size.

    camera: with the intrinsics of that size.
    pixels: `[H, W, 4]` float32, sRGB times alpha, and alpha, in 0 to 1.
    has_alpha: whether the photograph has alpha; else it is 1 here and means nothing.
    counted: `[H, W]` bool, pixels that its mask does not exclude.
    """

    camera: Camera
    pixels: np.ndarray
    has_alpha: bool
    counted: np.ndarray

    def difference(self, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`drawn` (`[H, W, 4]`, like `pixels`) minus the photograph, and which pixels `[H, W]` say something.

        Without alpha those do that the mesh covers.
        """
        counted = self.counted if self.has_alpha else self.counted & (drawn[..., 3] > WHOLE)
        difference = drawn - self.pixels
        if not self.has_alpha:
            difference[..., 3] = 0
        return difference, counted

    def psnr(self, drawn: np.ndarray) -> float:
        """PSNR in dB of a drawn image, over white, on the pixels that say something; infinity where none does."""
        difference, counted = self.difference(drawn)
        error = (difference[..., :3] - difference[..., 3:])[counted]
        return float(-10 * np.log10(max(np.square(error, dtype=np.float64).mean(), 1e-12))) if len(error) else np.inf


def photo_pixels(view: View, max_pixels: int) -> PhotoPixels:
    """The photograph of a view, averaged over areas to at most `max_pixels` pixels."""
    image = view.read_image()
    straight = image.astype(np.float32) / 255
    has_alpha = image.shape[-1] == 4
    alpha = straight[..., 3:] if has_alpha else np.ones((*image.shape[:2], 1), np.float32)
    pixels = np.concatenate([straight[..., :3] * alpha, alpha], axis=-1)
    counted = np.ones(image.shape[:2], np.float32)
    if (mask := view.read_mask()) is not None:
        counted = mask.astype(np.float32)
    height, width = image.shape[:2]
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    camera = Camera(view.pose, view.intrinsics, view.time, name=view.name, split=view.split)
    if scale < 1:
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        camera = camera.resized(width, height)
        planes = [*np.moveaxis(pixels, -1, 0), counted]
        planes = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BOX)) for p in planes]
        pixels, counted = np.stack(planes[:4], axis=-1), planes[4]
    return PhotoPixels(camera, pixels, has_alpha, counted > WHOLE)
