"""Evaluate a PointField on regular lattices: images, audio, slices, frames. Memory stays bounded, as tiles are used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from fields.models.field import PointField

# A rectangle x0, y0, x1, y1 in the field's [0, 1] coordinates.
Window = tuple[float, float, float, float]
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
# Points evaluated at once: large enough for full speed, small enough that activations stay below about 100 MB.
TILE_POINTS = 1 << 16


def sample_centers(count: int, lower: float = 0.0, upper: float = 1.0) -> torch.Tensor:
    """Centers of `count` equal samples between `lower` and `upper`, float32 `[count]`.

    They are computed in double and rounded once, so that a pixel has the same coordinate in a crop and in the whole.
    """
    return (lower + (torch.arange(count, dtype=torch.float64) + 0.5) / count * (upper - lower)).float()


@torch.no_grad()
def evaluate_image(
    field: PointField, width: int, height: int, window: Window = WHOLE, out: np.ndarray | None = None
) -> np.ndarray:
    """Values of a field with two axes at the pixels of an image, `[height, width, C]` float32.

    window: the part of the domain that the image shows; pixel `i` of `n` lies at `(i + 0.5) / n` of its side.
    out: array to write into, which may be a mapped file; None: a new one.
    """
    if out is None:
        out = np.empty((height, width, len(field.channels)), np.float32)
    for top, strip in evaluate_strips(field, width, height, window):
        out[top : top + len(strip)] = strip
    return out


def evaluate_strips(
    field: PointField, width: int, height: int, window: Window = WHOLE
) -> Iterator[tuple[int, np.ndarray]]:
    """Strips of the image of `evaluate_image` from top to bottom: first row, and values `[h, width, C]` float32.

    A strip has about `TILE_POINTS` pixels, so memory does not grow with the image.
    """
    for rows in image_strips(width, height):
        yield rows.start, evaluate_rows(field, width, height, rows, window)


def image_strips(width: int, height: int) -> list[slice]:
    """The rows of an image in strips of about `TILE_POINTS` pixels, from top to bottom."""
    strip = max(1, TILE_POINTS // width)
    return [slice(top, min(top + strip, height)) for top in range(0, height, strip)]


@torch.no_grad()
def evaluate_rows(field: PointField, width: int, height: int, rows: slice, window: Window = WHOLE) -> np.ndarray:
    """The rows `[h, width, C]` float32 of the image of `evaluate_image`."""
    x0, y0, x1, y1 = window
    x, y = sample_centers(width, x0, x1).to(field.device), sample_centers(height, y0, y1)[rows].to(field.device)
    coords = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).reshape(-1, 2)
    values = [field(piece) for piece in coords.split(TILE_POINTS)]
    return torch.cat(values).reshape(len(y), width, -1).cpu().numpy()


@torch.no_grad()
def evaluate_lattice(field: PointField, *positions: torch.Tensor) -> np.ndarray:
    """Values at every combination of coordinates, `[n_D, ..., n_1, C]` float32.

    positions: coordinates in [0, 1] along each axis of the field, `[n_1]` to `[n_D]`. The first axis of the field is
        the last but one of the result, as in images.
    """
    shape = tuple(len(axis) for axis in positions[::-1])
    coords = torch.stack(torch.meshgrid(*positions[::-1], indexing="ij")[::-1], dim=-1).reshape(-1, len(positions))
    values = np.empty((len(coords), len(field.channels)), np.float32)
    for start in range(0, len(coords), TILE_POINTS):
        values[start : start + TILE_POINTS] = field(coords[start : start + TILE_POINTS].to(field.device)).cpu().numpy()
    return values.reshape(*shape, -1)
