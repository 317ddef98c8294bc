"""From values to what a person sees, and the arithmetic of alpha.

Values are float32 `[..., C]` as `Channels` describes them. Numpy only.
"""

from __future__ import annotations

import numpy as np

from scenes.domain import Channels

# The two greys of the checkerboard behind transparent pictures, and the side of its squares in pixels.
CHECKERS = (0.8, 0.6)
CHECKER_SIDE = 8


def tone_map(values: np.ndarray) -> np.ndarray:
    """`t(x) = (max(x, 0) / (1 + max(x, 0)))^(1/2.2)`: linear light `[...]` to [0, 1], for eyes and for 8 bits."""
    positive = np.maximum(values, 0, dtype=np.float32)
    return (positive / (1 + positive)) ** np.float32(1 / 2.2)


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """The sRGB curve undone (IEC 61966-2-1): display values `[...]` to linear light; negative ones mirrored."""
    size = np.abs(values)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, values).astype(np.float32)


def premultiply(values: np.ndarray) -> None:
    """Colours times alpha, in place; `[..., C]`, alpha last."""
    values[..., :-1] *= values[..., -1:]


def unpremultiply(values: np.ndarray) -> np.ndarray:
    """Colours divided by alpha, a new array `[..., C]`; 0 where alpha is 0 or less."""
    values = np.array(values, np.float32)
    alpha = values[..., -1:]
    seen = alpha > 0
    values[..., :-1] = np.where(seen, values[..., :-1] / np.where(seen, alpha, 1), 0)
    return values


def checkerboard(height: int, width: int, top: int = 0, left: int = 0, side: int = CHECKER_SIDE) -> np.ndarray:
    """`[height, width, 1]` float32, the part of an endless board whose first pixel is (`left`, `top`)."""
    dark = ((np.arange(top, top + height) // side)[:, None] + (np.arange(left, left + width) // side)[None, :]) % 2
    return np.array(CHECKERS, np.float32)[dark][..., None]


def to_display(values: np.ndarray, channels: Channels, background: np.ndarray | float) -> np.ndarray:
    """Values `[..., C]` as a screen shows them: `[..., 3]` float32 in [0, 1], sRGB.

    Grey becomes three equal channels, linear light is tone-mapped, alpha is composited over `background` (sRGB, a
    number or an array that broadcasts to `[..., 3]`).
    """
    colors, alpha = values, None
    if channels.names[-1] == "alpha":
        alpha = np.clip(values[..., -1:], 0, 1)
        colors = (unpremultiply(values) if channels.premultiplied else values)[..., :-1]
    shown = tone_map(colors) if channels.space == "linear" else np.clip(colors, 0, 1)
    if alpha is not None:
        shown = shown * alpha + background * (1 - alpha)
    return np.broadcast_to(shown, (*shown.shape[:-1], 3)).astype(np.float32, copy=False)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """[0, 1] to the nearest of 0 .. 255, uint8, clipped."""
    return quantize(values, np.uint8)


def quantize(values: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """[0, 1] to the nearest whole number of an unsigned integer type's range; beyond is clipped, NaN is 0."""
    bounded = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return (bounded * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)
