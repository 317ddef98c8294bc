"""Which photographs or frames are left out before cameras are looked for: blurred ones and doubles of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Longest side in pixels at which sharpness is measured: noise and compression matter less than in the full photograph.
SHARPNESS_SIDE = 640
# Longest side in pixels of the pictures that doubles are found with.
THUMBNAIL_SIDE = 96
# Neighbours before and after a picture that its sharpness is compared with.
NEIGHBOURS = 4
# A picture is blurred where its sharpness is below this fraction of its neighbours' median.
BLURRED_FRACTION = 0.55
# Of fewer pictures than this none is left out as blurred: each is needed, and their median says little.
MIN_COMPARED = 12
# Two pictures are doubles where what differs would be explained by a shift of less than this many pixels of a
# thumbnail, a four-hundredth of the picture.
DOUBLE_SHIFT = 0.25
# Rows and columns that are averaged for the coarse gradients which sharpness is relative to.
COARSE = 4
# Smallest root mean square gradient of a thumbnail, in levels of 8 bits, so that plain pictures are compared too.
MIN_GRADIENT = 0.5


@dataclass(frozen=True, eq=False)
class Look:
    """What decides whether a picture is used.

    Attributes:
        sharpness: energy of fine gradients per energy of coarse ones, in the direction in which it is least.
        thumbnail: `[h, w]` float32 gray levels.
    """

    sharpness: float
    thumbnail: np.ndarray


def look_at_picture(pixels: np.ndarray) -> Look:
    """Measure a picture `[H, W, 3]` uint8."""
    from PIL import Image

    gray = Image.fromarray(pixels).convert("L")
    small = _fitted(gray, SHARPNESS_SIDE)
    thumbnail = _fitted(gray, THUMBNAIL_SIDE)
    return Look(sharpness(np.asarray(small, np.float32)), np.asarray(thumbnail, np.float32))


def sharpness(gray: np.ndarray) -> float:
    """How much of the gradients of a picture `[H, W]` is fine, in the direction in which it is least.

    Relative to coarse gradients it depends little on what the picture shows; motion blurs one direction only.
    """
    height, width = (size - size % COARSE for size in gray.shape)
    if min(height, width) < 2 * COARSE:
        return 0.0
    gray = gray[:height, :width]
    coarse = gray.reshape(height // COARSE, COARSE, width // COARSE, COARSE).mean(axis=(1, 3))
    return min(
        fine / max(wide, 1e-3) for fine, wide in zip(_gradient_energies(gray), _gradient_energies(coarse), strict=True)
    )


def _gradient_energies(gray: np.ndarray) -> list[float]:
    """Mean squared differences along the rows, the columns and both diagonals."""
    differences = (
        gray[:, 1:] - gray[:, :-1],
        gray[1:] - gray[:-1],
        gray[1:, 1:] - gray[:-1, :-1],
        gray[1:, :-1] - gray[:-1, 1:],
    )
    return [float(np.square(difference).mean()) for difference in differences]


def rejected(looks: Sequence[Look], names: Sequence[str]) -> dict[int, str]:
    """The indices of pictures to leave out, in the order in which they were taken, and why.

    Of two doubles the sharper one stays.
    """
    reasons = _blurred(looks)
    for double, kept in _doubles(looks, set(reasons)).items():
        reasons[double] = f"nearly the same as {names[kept]}"
    return dict(sorted(reasons.items()))


def _blurred(looks: Sequence[Look]) -> dict[int, str]:
    if len(looks) < MIN_COMPARED:
        return {}
    values = np.array([look.sharpness for look in looks])
    reasons = {}
    for index, value in enumerate(values):
        first = min(max(0, index - NEIGHBOURS), len(values) - 2 * NEIGHBOURS - 1)
        around = np.delete(values[first : first + 2 * NEIGHBOURS + 1], index - first)
        fraction = value / max(float(np.median(around)), 1e-9)
        if fraction < BLURRED_FRACTION:
            reasons[index] = f"blurred: {fraction:.0%} of the sharpness of its neighbours"
    return reasons


def _doubles(looks: Sequence[Look], ignored: set[int]) -> dict[int, int]:
    """Index of a double: index of the picture that it is a double of."""
    kept: list[int] = []
    doubles: dict[int, int] = {}
    for index in sorted((i for i in range(len(looks)) if i not in ignored), key=lambda i: -looks[i].sharpness):
        same = next((other for other in kept if shift_between(looks[index], looks[other]) < DOUBLE_SHIFT), None)
        if same is None:
            kept.append(index)
        else:
            doubles[index] = same
    return doubles


def shift_between(a: Look, b: Look) -> float:
    """The shift, in pixels of a thumbnail, that would explain the difference of two pictures of the same size.

    Infinity where the sizes differ. The difference of a picture and its copy moved by less than a pixel is the gradient
    times the shift.
    """
    if a.thumbnail.shape != b.thumbnail.shape:
        return float("inf")
    difference = a.thumbnail - b.thumbnail
    gradient = max(np.sqrt(np.square(axis).mean()) for axis in np.gradient(a.thumbnail))
    return float(np.sqrt(np.square(difference).mean()) / max(gradient, MIN_GRADIENT))


def _fitted(image, side: int):  # noqa: ANN001, ANN202  (Pillow is imported lazily)
    """A Pillow image, made smaller so that no side is longer than `side`."""
    from PIL import Image

    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX)
