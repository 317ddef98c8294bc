"""What a comparison looks like: crops where the methods err most, with error maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fields.compare.comparison import Comparison

ERROR_GAIN = 10
CROPS = 3
TILE, GAP, MARGIN = 200, 6, 22


def error_map(fit: np.ndarray, target: np.ndarray, gain: float = ERROR_GAIN) -> np.ndarray:
    """`gain` times the absolute difference of two pictures `[H, W, 3]` uint8."""
    return np.clip(np.abs(fit.astype(np.int16) - target) * gain, 0, 255).astype(np.uint8)


def read(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB"))


def shown(comparison: Comparison) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """The target, and each method's first finished fit, as pictures of one size; `(None, {})` where nothing is finished."""
    fits: dict[str, np.ndarray] = {}
    for row in comparison.rows:
        file = comparison.path / row["run"] / "shown.png"
        if row["status"] == "finished" and row["method"] not in fits and file.is_file():
            fits[row["method"]] = read(file)
    target = comparison.path / "target.png"
    return (read(target), fits) if fits and target.is_file() else (None, {})


def worst_places(target: np.ndarray, fits: dict[str, np.ndarray], count: int = CROPS) -> list[tuple[int, int, int]]:
    """`(left, top, side)` of squares in which the fits miss the target most, all together, and which do not overlap."""
    error = sum(np.square(fit.astype(np.float32) - target).mean(axis=2) for fit in fits.values())
    height, width = error.shape
    side = max(4, min(height, width, max(24, max(height, width) // 8)))
    total = np.pad(error.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    places = []
    while len(places) < count and boxes.max() >= 0:
        top, left = np.unravel_index(np.argmax(boxes), boxes.shape)
        places.append((int(left), int(top), side))
        boxes[max(0, top - side + 1) : top + side, max(0, left - side + 1) : left + side] = -1
    return places


def crop_sheet(target: np.ndarray, fits: dict[str, np.ndarray], places: list[tuple[int, int, int]]) -> np.ndarray:
    """A column for the target and for each method, two rows a place: the crop, and ten times the difference below it."""
    from PIL import Image, ImageDraw, ImageFont

    columns = [("target", target), *fits.items()]
    width, height = len(columns) * (TILE + GAP) - GAP, MARGIN + len(places) * 2 * (TILE + GAP) - GAP
    sheet = Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for column, (name, picture) in enumerate(columns):
        across = column * (TILE + GAP)
        pen.text((across + 2, 2), name, (20, 20, 20), font=font)
        for row, (left, top, side) in enumerate(places):
            part = picture[top : top + side, left : left + side]
            down = MARGIN + 2 * row * (TILE + GAP)
            sheet.paste(_enlarged(part), (across, down))
            if column:
                sheet.paste(
                    _enlarged(error_map(part, target[top : top + side, left : left + side])),
                    (across, down + TILE + GAP),
                )
    return np.asarray(sheet)


def _enlarged(part: np.ndarray):
    from PIL import Image

    return Image.fromarray(part).resize((TILE, TILE), Image.Resampling.NEAREST)
