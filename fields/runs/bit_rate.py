"""Bits per pixel of a stored field."""

from __future__ import annotations

import math

from fields.kinds import KINDS
from scenes.domain import Domain


def bits_per_pixel(kind: str, domain: Domain, stored: int) -> float | None:
    """Bits per pixel of a field of `stored` bytes, over all pixels of an image or of all frames of a video.

    None for kinds of signals that have no pixels.
    """
    if not KINDS[kind].has_pixels:
        return None
    return 8 * stored / math.prod(samples or 1 for samples in domain.shape)
