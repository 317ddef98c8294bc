"""EXIF's eight orientations."""

from __future__ import annotations

import numpy as np

from scenes.image.storage import Storage

# From the stored picture to the upright one: (swap rows and columns first, then flip rows, flip columns).
STEPS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def upright(pixels: np.ndarray, orientation: int, storage: Storage) -> np.ndarray:
    """The picture `[H, W, C]` turned and mirrored as EXIF's `orientation` says, contiguous; unknown numbers mean 1."""
    if orientation not in STEPS:
        return pixels
    swap, flip_rows, flip_columns = STEPS[orientation]
    view = pixels.transpose(1, 0, 2) if swap else pixels
    view = view[::-1] if flip_rows else view
    view = view[:, ::-1] if flip_columns else view
    turned = storage.new(*view.shape, view.dtype)
    np.copyto(turned, view)
    return turned
