"""What the experiments share: photographs of a given side, and small fits with a fixed number of steps."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean, stdev

import numpy as np

from scenes.image import Image


def photograph(name: str, side: int, grey: bool = False, held_out: float = 0.0) -> Image:
    """The middle square of one of scikit-image's pictures, averaged down to `side` x `side`."""
    import skimage.data
    from skimage.transform import resize

    pixels = getattr(skimage.data, name)()
    short = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - short) // 2, (pixels.shape[1] - short) // 2
    pixels = pixels[top:top + short, left:left + short].astype(np.float64) / 255
    if grey and pixels.ndim == 3:
        pixels = pixels.mean(-1)
    small = resize(pixels, (side, side), anti_aliasing=True)
    return Image.from_array(np.round(small * 255).astype(np.uint8), held_out=held_out)


def psnr_of(image: Image, method, *, steps: int, seed: int) -> tuple[float, int]:
    """PSNR over the pixels that were fitted (or over the withheld ones, where there are any) and the number of stored numbers."""
    import fields

    result = fields.fit_field(image, method, steps=steps, seed=seed)
    return result.metrics["psnr"], result.field.stored_numbers


def summary(identity: str, values: Iterable[float], **more: object) -> dict:
    values = list(values)
    return {"id": identity, "value": round(mean(values), 2), "unit": "dB", "spread": round(stdev(values), 2) if len(values) > 1 else 0.0, **more}
