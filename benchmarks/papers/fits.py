"""What the experiments share: photographs of a given side, and small fits with a fixed number of steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from scenes.image.signal import Image
from scenes.signal import Signal

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def photograph(name: str, side: int, grey: bool = False, held_out: float = 0.0) -> Image:
    """The middle square of one of scikit-image's images, averaged down to `side` x `side`."""
    import skimage.data

    return _square(getattr(skimage.data, name)(), side, grey, held_out)


def _square(pixels: np.ndarray, side: int, grey: bool, held_out: float = 0.0) -> Image:
    from skimage.transform import resize

    short = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - short) // 2, (pixels.shape[1] - short) // 2
    pixels = pixels[top : top + short, left : left + short].astype(np.float64) / 255
    if grey and pixels.ndim == 3:
        pixels = pixels.mean(-1)
    small = np.asarray(resize(pixels, (side, side), anti_aliasing=True))
    return Image.from_array(np.round(small * 255).astype(np.uint8), held_out=held_out)


def kodak(side: int) -> list[Image]:
    """The middle squares of Kodak's images in the shared data, grey, averaged down to `side` x `side`.

    None where that is not there.
    """
    from skimage.io import imread

    return [_square(imread(file), side, grey=True) for file in sorted((SHARED / "images").glob("kodim*.png"))]


def bach():
    """The music of SIREN's page, from the shared data; None where that is not there."""
    import scenes

    file = SHARED / "audio" / "gt_bach.wav"
    return scenes.load(str(file), "audio") if file.is_file() else None


def fitted(signal: Signal, method, *, steps: int, seed: int, bits: int = 32):
    import fields

    return fields.fit_field(signal, method, steps=steps, seed=seed, bits=bits)


def psnr_of(signal: Signal, method, *, steps: int, seed: int, bits: int = 32) -> tuple[float, int]:
    """PSNR over the samples that were fitted (or over the held-out ones, where there are any) and the number of stored
    parameters.
    """
    result = fitted(signal, method, steps=steps, seed=seed, bits=bits)
    return result.metrics["psnr"], result.field.num_parameters


def every_second_pixel(image: Image):
    """The image of every second pixel along both axes, and a function that scores a field of it on all pixels (PSNR,
    dB).
    """
    import torch

    pixels = image.values()
    height, width = pixels.shape[:2]

    def psnr(field) -> float:
        # In the small image the pixel that was the 2i-th lies at (2i + 1) / n.
        x, y = ((torch.arange(n) + 1.0) / n for n in (width, height))
        coords = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
        with torch.no_grad():
            found = torch.cat([field(rows) for rows in coords.split(64)]).clamp(0, 1)
        return -10 * math.log10(float((found - torch.from_numpy(pixels)).square().mean()))

    return Image.from_array(np.ascontiguousarray(pixels[::2, ::2]), "srgb"), psnr


def summary(identity: str, values: Iterable[float], **more: object) -> dict:
    values = list(values)
    return {
        "id": identity,
        "value": _round(mean(values)),
        "unit": "dB",
        "spread": _round(stdev(values)) if len(values) > 1 else 0.0,
        **more,
    }


def _round(value: float) -> float:
    """To hundredths of a decibel; small errors keep two digits."""
    return round(value, 2) if abs(value) >= 1 else float(f"{value:.2g}")
