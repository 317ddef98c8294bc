"""How many bits a pixel a stored field takes."""

from __future__ import annotations

import math

from scenes.domain import Domain


def bits_per_pixel(kind: str, domain: Domain, stored: int) -> float | None:
    """Of `stored` bytes, over all pixels of the picture or of all frames; None for kinds that have no pixels."""
    return 8 * stored / math.prod(domain.shape) if kind in ("image", "video") else None
