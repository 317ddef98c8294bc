"""A picture of a two-dimensional PointField: its values on a lattice of pixels, in tiles of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from fields.field import PointField

# Points evaluated at once: large enough for full speed, small enough that activations stay below about 100 MB.
TILE_POINTS = 1 << 16


def rows(field: PointField, width: int, height: int,
         window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)) -> Iterator[tuple[int, np.ndarray]]:
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
        part = y[top:top + strip]
        coords = torch.stack(torch.broadcast_tensors(x[None, :], part[:, None]), dim=-1).reshape(-1, 2)
        values = [field(piece) for piece in coords.split(TILE_POINTS)]
        yield top, torch.cat(values).reshape(len(part), width, -1).cpu().numpy()


@torch.no_grad()
def picture(field: PointField, width: int, height: int, window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
            out: np.ndarray | None = None) -> np.ndarray:
    """The whole picture `[height, width, C]` float32 (into `out`, which may be a mapped file); see `rows`."""
    if out is None:
        out = np.empty((height, width, len(field.channels)), np.float32)
    for top, strip in rows(field, width, height, window):
        out[top:top + len(strip)] = strip
    return out
