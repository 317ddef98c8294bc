"""From files to signals. Numpy and file libraries only; importing this is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenes.signal import Signal


def load(source: str, kind: str = "auto", **options) -> Signal:
    """The signal that a file holds."""
    from scenes.image import open_image

    return open_image(source, **options)
