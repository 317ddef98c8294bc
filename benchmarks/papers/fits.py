"""What the experiments share: photographs of a given side, and small fits with a fixed number of steps."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean, stdev

import numpy as np

from scenes.image import Image
from scenes.signal import Signal


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


def fitted(signal: Signal, method, *, steps: int, seed: int, bits: int = 32):
    import fields

    return fields.fit_field(signal, method, steps=steps, seed=seed, bits=bits)


def psnr_of(signal: Signal, method, *, steps: int, seed: int, bits: int = 32) -> tuple[float, int]:
    """PSNR over the samples that were fitted (or over the withheld ones, where there are any) and the number of stored numbers."""
    result = fitted(signal, method, steps=steps, seed=seed, bits=bits)
    return result.metrics["psnr"], result.field.stored_numbers


def summary(identity: str, values: Iterable[float], **more: object) -> dict:
    values = list(values)
    return {"id": identity, "value": _round(mean(values)), "unit": "dB", "spread": _round(stdev(values)) if len(values) > 1 else 0.0, **more}


def _round(value: float) -> float:
    """To hundredths of a decibel; small errors keep two digits."""
    return round(value, 2) if abs(value) >= 1 else float(f"{value:.2g}")
