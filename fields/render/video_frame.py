"""Frames of fields of videos at any time, size and window."""

from __future__ import annotations

import numpy as np
import torch

from fields.models.field import Field, FrameField, PointField
from fields.render.raster import WHOLE, Window, evaluate_lattice, sample_centers


def render_frame(field: Field, time: float, width: int, height: int, window: Window = WHOLE) -> np.ndarray:
    """The frame at `time` in [0, 1], `[height, width, C]` float32.

    field: a PointField over (x, y, t), which is evaluated at the pixels, or a FrameField, whose frame is resampled if
    another size or part of it is asked for. Raises TypeError for other fields.
    """
    x0, y0, x1, y1 = window
    if isinstance(field, PointField):
        x, y = sample_centers(width, x0, x1), sample_centers(height, y0, y1)
        return evaluate_lattice(field, x, y, torch.tensor([time], dtype=torch.float32))[0]
    if not isinstance(field, FrameField):
        raise TypeError(f"a {type(field).__name__} has no frames")
    with torch.no_grad():
        frames = field.frames(torch.tensor([time], dtype=torch.float32, device=field.device))
    return resample(np.ascontiguousarray(frames[0].permute(1, 2, 0).cpu().numpy()), width, height, window)


def resample(image: np.ndarray, width: int, height: int, window: Window = WHOLE) -> np.ndarray:
    """The part `window` of an image `[H, W, C]` float32 at another size, by a Lanczos filter.

    The image itself is returned if nothing changes.
    """
    from PIL import Image

    full_height, full_width = image.shape[:2]
    box = (window[0] * full_width, window[1] * full_height, window[2] * full_width, window[3] * full_height)
    if box == (0, 0, full_width, full_height) and (full_width, full_height) == (width, height):
        return image
    planes = [
        Image.fromarray(np.ascontiguousarray(image[..., channel])).resize(
            (width, height), Image.Resampling.LANCZOS, box
        )
        for channel in range(image.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
