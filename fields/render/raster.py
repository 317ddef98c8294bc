"""Values of a PointField on a lattice (pictures, sounds, slices, frames), in tiles of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from fields.models.field import PointField

# Points evaluated at once: large enough for full speed, small enough that activations stay below about 100 MB.
TILE_POINTS = 1 << 16


def rows(
    field: PointField, width: int, height: int, window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
) -> Iterator[tuple[int, np.ndarray]]:
    """Strips of the picture, top to bottom: `(first row, values [h, width, C] float32)`.

    The picture has `width` x `height` pixels over `window` = (x0, y0, x1, y1) in the field's [0, 1] coordinates;
    pixel `i` of `n` sits at `(i + 0.5) / n` of it. A strip holds about `TILE_POINTS` values a channel, so memory
    does not grow with the picture.
    """
    x0, y0, x1, y1 = window
    device = next(field.parameters()).device
    # In double, then rounded once: the same pixel gets the same coordinate in a crop and in the whole.
    x = (x0 + (torch.arange(width, dtype=torch.float64) + 0.5) / width * (x1 - x0)).float().to(device)
    y = (y0 + (torch.arange(height, dtype=torch.float64) + 0.5) / height * (y1 - y0)).float().to(device)
    strip = max(1, TILE_POINTS // width)
    for top in range(0, height, strip):
        part = y[top : top + strip]
        coords = torch.stack(torch.broadcast_tensors(x[None, :], part[:, None]), dim=-1).reshape(-1, 2)
        values = [field(piece) for piece in coords.split(TILE_POINTS)]
        yield top, torch.cat(values).reshape(len(part), width, -1).cpu().numpy()


@torch.no_grad()
def picture(
    field: PointField,
    width: int,
    height: int,
    window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    out: np.ndarray | None = None,
) -> np.ndarray:
    """The whole picture `[height, width, C]` float32 (into `out`, which may be a mapped file); see `rows`."""
    if out is None:
        out = np.empty((height, width, len(field.channels)), np.float32)
    for top, strip in rows(field, width, height, window):
        out[top : top + len(strip)] = strip
    return out


def centres(count: int, lower: float = 0.0, upper: float = 1.0) -> torch.Tensor:
    """`lower + (i + 0.5) / count * (upper - lower)`: in double, then rounded once; float32 `[count]`."""
    return (lower + (torch.arange(count, dtype=torch.float64) + 0.5) / count * (upper - lower)).float()


@torch.no_grad()
def lattice(field: PointField, *places: torch.Tensor) -> np.ndarray:
    """Values `[n_D, ..., n_1, C]` float32 at every combination of coordinates, `places` being one tensor `[n]` an axis.

    The first axis of the field is the last of the result but one, as in a picture.
    """
    device = next(field.parameters()).device
    shape = tuple(len(place) for place in places[::-1])
    coords = torch.stack(torch.meshgrid(*places[::-1], indexing="ij")[::-1], dim=-1).reshape(-1, len(places))
    values = np.empty((len(coords), len(field.channels)), np.float32)
    for start in range(0, len(coords), TILE_POINTS):
        values[start : start + TILE_POINTS] = field(coords[start : start + TILE_POINTS].to(device)).cpu().numpy()
    return values.reshape(*shape, -1)
