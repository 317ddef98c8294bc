"""Turn an image upright by EXIF's orientation."""

from __future__ import annotations

import numpy as np

from scenes.image.storage import Storage

# Steps from the stored image to the upright one: (swap rows and columns, then flip rows, then flip columns).
STEPS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def apply_orientation(pixels: np.ndarray, orientation: int, storage: Storage) -> np.ndarray:
    """Turn and mirror an image `[H, W, C]` as EXIF's `orientation` says.

    Returns:
        The same array for orientation 1 and unknown numbers, else a new contiguous one from `storage`.
    """
    if orientation not in STEPS:
        return pixels
    swap, flip_rows, flip_columns = STEPS[orientation]
    view = pixels.transpose(1, 0, 2) if swap else pixels
    view = view[::-1] if flip_rows else view
    view = view[:, ::-1] if flip_columns else view
    height, width, channels = view.shape
    turned = storage.new(height, width, channels, view.dtype)
    np.copyto(turned, view)
    return turned
