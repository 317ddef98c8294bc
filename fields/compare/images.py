"""Images of a comparison: crops where the methods err most, with error maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scenes.io.atomic import atomic_write

if TYPE_CHECKING:
    from fields.compare.comparison import Comparison

# How many times larger than the difference an error map is drawn.
ERROR_GAIN = 10
# Number of regions that are shown enlarged.
CROPS = 3
# A region has an eighth of the image's longest side, and at least so many pixels where the image has them.
CROP_FRACTION = 8
MIN_CROP = 24
# Pixels of the crop sheet: side of a crop, space between crops, height of the headings.
TILE = 200
GAP = 6
HEADING = 22
FONT_SIZE = 14


def error_map(fit: np.ndarray, target: np.ndarray, gain: float = ERROR_GAIN) -> np.ndarray:
    """`gain` times the absolute difference of two images `[H, W, 3]` uint8, clipped; uint8."""
    return np.clip(np.abs(fit.astype(np.int16) - target) * gain, 0, 255).astype(np.uint8)


def read_rgb(path: Path) -> np.ndarray:
    """An image file as `[H, W, 3]` uint8."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def save_image(path: Path, image: np.ndarray) -> None:
    """Write `[H, W, 3]` uint8 to an image file, whole or not at all."""
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(image).save(temporary)


def finished_images(comparison: Comparison) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """The target, and for each method its first finished fit, as images of one size.

    Returns `(None, {})` before a fit is finished.
    """
    fits: dict[str, np.ndarray] = {}
    for row in comparison.rows:
        file = comparison.path / row["run"] / "shown.png"
        if row["status"] == "finished" and row["method"] not in fits and file.is_file():
            fits[row["method"]] = read_rgb(file)
    target = comparison.path / "target.png"
    return (read_rgb(target), fits) if fits and target.is_file() else (None, {})


def worst_regions(target: np.ndarray, fits: dict[str, np.ndarray], count: int = CROPS) -> list[tuple[int, int, int]]:
    """`(left, top, side)` in pixels of the squares with the largest error, summed over the fits.

    Returns up to `count` squares that do not overlap, the worst first.
    """
    errors = [np.square(fit.astype(np.float32) - target).mean(axis=2) for fit in fits.values()]
    error = np.sum(errors, axis=0, dtype=np.float64)
    height, width = target.shape[:2]
    side = max(4, min(height, width, max(MIN_CROP, max(height, width) // CROP_FRACTION)))
    # Sums over all squares by a summed-area table.
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    regions: list[tuple[int, int, int]] = []
    while len(regions) < count and sums.max() >= 0:
        top, left = np.unravel_index(np.argmax(sums), sums.shape)
        regions.append((int(left), int(top), side))
        sums[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = -1
    return regions


def crop_sheet(target: np.ndarray, fits: dict[str, np.ndarray], regions: list[tuple[int, int, int]]) -> np.ndarray:
    """An image with a column for the target and for each method, and two rows for each region.

    The first row of a region is the crop, the second its error map. Returns `[H, W, 3]` uint8.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = [("target", target), *fits.items()]
    width, height = len(columns) * (TILE + GAP) - GAP, HEADING + len(regions) * 2 * (TILE + GAP) - GAP
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_SIZE)
    for column, (name, image) in enumerate(columns):
        x = column * (TILE + GAP)
        pen.text((x + 2, 2), name, (20, 20, 20), font=font)
        for row, (left, top, side) in enumerate(regions):
            window = np.s_[top : top + side, left : left + side]
            y = HEADING + 2 * row * (TILE + GAP)
            sheet.paste(_enlarged(image[window]), (x, y))
            if column:
                sheet.paste(_enlarged(error_map(image[window], target[window])), (x, y + TILE + GAP))
    return np.asarray(sheet)


def _enlarged(crop: np.ndarray):
    from PIL import Image

    return Image.fromarray(crop).resize((TILE, TILE), Image.Resampling.NEAREST)
