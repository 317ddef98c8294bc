"""Pixels drawn where the error is largest (soft mining, Kheradmand et al. 2024) against pixels drawn evenly.

    python -m benchmarks.soft_mining --store

A map of cells of 8 x 8 pixels follows the errors of the batches. A fraction `mix` of the draws goes to cells in
proportion to their error, the rest anywhere, and a sample that is drawn q times as often as evenly weighs q^-alpha;
alpha = 1 leaves the mean loss as it is. All fits have the same number of steps; what the map costs is not counted
against them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.methods import SHARED
from benchmarks.report import add_arguments, emit, report
from fields.fit.fit import finish, prepare
from fields.fit.trainer import Trainer
from scenes.image.signal import Image

PHOTOGRAPH = "kodim05"
# By method: steps, width of the photograph in pixels, options.
FITS: dict[str, tuple[int, int, dict[str, object]]] = {
    "hashgrid": (400, 512, {}),
    "siren": (600, 256, {"batch": 4096, "learning_rate": 3.5e-4}),
}
# Pairs of alpha and mix.
DRAWS = ((1.0, 0.5), (0.6, 0.5), (0.3, 0.5), (0.6, 0.9))
CELL = 8
# Steps between updates of the map, and the part of a cell's error that an update replaces.
EVERY, RENEWED = 8, 0.3


@dataclass
class MinedPixels:
    """Draws pixels of an image `[H, W, C]` by the errors of a trainer's field; takes the place of the even draw."""

    image: np.ndarray
    alpha: float
    mix: float

    def __post_init__(self) -> None:
        height, width = self.image.shape[:2]
        self.shape = -(-height // CELL), -(-width // CELL)
        self.errors = np.ones(self.shape[0] * self.shape[1])
        self.random = np.random.default_rng(0)
        self.last: tuple[np.ndarray, torch.Tensor, torch.Tensor] | None = None

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Coordinates, values and weights of a batch, as `Objective.batch`."""
        height, width = self.image.shape[:2]
        share = self.mix * self.errors / self.errors.sum() + (1 - self.mix) / self.errors.size
        cells = np.minimum(np.searchsorted(np.cumsum(share), self.random.random(count)), self.errors.size - 1)
        rows, columns = np.divmod(cells, self.shape[1])
        y = np.minimum(rows * CELL + self.random.integers(0, CELL, count), height - 1)
        x = np.minimum(columns * CELL + self.random.integers(0, CELL, count), width - 1)
        coords = torch.from_numpy(np.stack([(x + 0.5) / width, (y + 0.5) / height], 1).astype(np.float32))
        values = torch.from_numpy(self.image[y, x])
        weights = (share[cells] * self.errors.size) ** -self.alpha
        self.last = cells, coords, values
        return coords, values, torch.from_numpy((weights / weights.mean()).astype(np.float32))

    @torch.no_grad()
    def update(self, trainer: Trainer) -> None:
        """A callback that renews the map from the last batch."""
        if trainer.index % EVERY or self.last is None:
            return
        cells, coords, values = self.last
        errors = (trainer.field(coords) - values).pow(2).mean(1).sqrt().numpy()
        counts = np.bincount(cells, minlength=self.errors.size)
        means = np.bincount(cells, errors, self.errors.size) / np.maximum(counts, 1)
        self.errors = np.where(counts > 0, (1 - RENEWED) * self.errors + RENEWED * means, self.errors)


def rows(quick: bool) -> Iterator[dict]:
    """A row for each method and draw, against the even draw."""
    from PIL import Image as Pillow

    for method, (steps, width, settings) in FITS.items():
        with Pillow.open(SHARED / "images" / f"{PHOTOGRAPH}.png") as file:
            small = file.convert("RGB").resize((width, width * file.height // file.width), Pillow.Resampling.LANCZOS)
        image = np.asarray(small, np.float32) / 255.0

        def psnr(draw: MinedPixels | None) -> float:
            trainer, _ = prepare(
                Image.from_array(image, "srgb"),  # noqa: B023
                method,  # noqa: B023
                steps=steps // 4 if quick else steps,  # noqa: B023
                settings=settings,  # noqa: B023
            )
            if draw is None:
                return finish(trainer, None).metrics["psnr"]
            trainer.objective.batch = draw.batch
            return finish(trainer, None, [draw.update]).metrics["psnr"]

        even = psnr(None)
        for alpha, mix in DRAWS:
            name = f"{method}:{PHOTOGRAPH}:alpha{alpha:g}-mix{mix:g}"
            value = psnr(MinedPixels(image, alpha, mix))
            print(f"{name}: {value:.2f} dB, drawn evenly {even:.2f}", file=sys.stderr)
            yield {
                "id": name,
                "value": value,
                "unit": "dB",
                "against": "drawn evenly",
                "against_value": even,
                "ratio": value / even,
            }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soft_mining", description=(__doc__ or "").split("\n")[0]
    )
    add_arguments(parser)
    options = parser.parse_args()
    emit(report("soft_mining", list(rows(options.quick))), options)


if __name__ == "__main__":
    main()
