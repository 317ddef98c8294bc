"""Convert values to what a screen shows, and compute with alpha.

Values are float32 `[..., C]` as `Channels` describes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scenes.domain import Channels
from scenes.errors import BadInput

# The two greys of the checkerboard behind transparent images, as display values.
CHECKER_GREYS = (0.8, 0.6)
# Side of a square of the checkerboard in pixels.
CHECKER_SIDE = 8

Curve = Literal["reinhard", "filmic", "srgb"]
# Exposures that a screen is asked for, in stops either way.
MAX_STOPS = 16.0


@dataclass(frozen=True)
class Tone:
    """How linear light becomes what a screen shows.

    Attributes:
        exposure: stops; light is multiplied by `2 ** exposure` before the curve.
        curve: "reinhard" is `tone_map`, which metrics use too; "filmic" is Narkowicz' fit of the ACES curve; "srgb"
            clips at 1.
    """

    exposure: float = 0.0
    curve: Curve = "reinhard"

    def __post_init__(self) -> None:
        """Raise BadInput for other curves, and for exposures beyond 16 stops."""
        if self.curve not in get_args(Curve):
            raise BadInput(f"a tone curve is {', '.join(get_args(Curve)[:-1])} or {get_args(Curve)[-1]}")
        if not abs(self.exposure) <= MAX_STOPS:
            raise BadInput(f"an exposure lies between {-MAX_STOPS:g} and {MAX_STOPS:g} stops")

    def apply(self, light: np.ndarray) -> np.ndarray:
        """Display values in [0, 1] of linear light, float32."""
        light = light * np.float32(2.0**self.exposure)
        if self.curve == "reinhard":
            return tone_map(light)
        light = np.maximum(light, 0, dtype=np.float32)
        if self.curve == "filmic":
            # Beyond this the curve is at its limit, and the square would overflow.
            light = np.minimum(light, np.float32(1e4))
            light = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
        return linear_to_srgb(np.clip(light, 0, 1))


# The tone of metrics and previews.
DEFAULT_TONE = Tone()


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Convert linear light of 0 or more to sRGB display values (IEC 61966-2-1), float32."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def tone_map(values: np.ndarray) -> np.ndarray:
    """Map linear light to [0, 1] for display: `t(x) = (max(x, 0) / (1 + max(x, 0)))^(1/2.2)`."""
    positive = np.maximum(values, 0, dtype=np.float32)
    return (positive / (1 + positive)) ** np.float32(1 / 2.2)


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """Convert sRGB display values to linear light (IEC 61966-2-1). Negative values are mirrored."""
    size = np.abs(values)
    light = np.where(size <= 0.04045, size / 12.92, ((size + 0.055) / 1.055) ** 2.4)
    return np.copysign(light, values).astype(np.float32)


def premultiply(values: np.ndarray) -> None:
    """Multiply the colours of `[..., C]` by the last channel, alpha, in place."""
    values[..., :-1] *= values[..., -1:]


def unpremultiply(values: np.ndarray) -> np.ndarray:
    """Divide the colours of `[..., C]` by the last channel, alpha; a new array. They are 0 where alpha is 0 or less."""
    values = np.array(values, np.float32)
    alpha = values[..., -1:]
    visible = alpha > 0
    values[..., :-1] = np.where(visible, values[..., :-1] / np.where(visible, alpha, 1), 0)
    return values


def checkerboard(height: int, width: int, *, top: int = 0, left: int = 0, side: int = CHECKER_SIDE) -> np.ndarray:
    """A checkerboard `[height, width, 1]` float32: the part of an endless one that begins at pixel (`left`, `top`)."""
    dark = ((np.arange(top, top + height) // side)[:, None] + (np.arange(left, left + width) // side)[None, :]) % 2
    return np.array(CHECKER_GREYS, np.float32)[dark][..., None]


def to_display(
    values: np.ndarray, channels: Channels, background: np.ndarray | float, tone: Tone = DEFAULT_TONE
) -> np.ndarray:
    """Convert values to what a screen shows.

    Grey becomes three equal channels, linear light is tone-mapped, alpha is composited over the background.

    Args:
        values: `[..., C]` as `channels` describes them.
        channels: names and color space of the values.
        background: sRGB, a number or an array that broadcasts to `[..., 3]`.
        tone: of linear light.

    Returns:
        `[..., 3]` float32 in [0, 1], sRGB.
    """
    colors, alpha = values, None
    if channels.names[-1] == "alpha":
        alpha = np.clip(values[..., -1:], 0, 1)
        colors = (unpremultiply(values) if channels.premultiplied else values)[..., :-1]
    shown = tone.apply(colors) if channels.space == "linear" else np.clip(colors, 0, 1)
    if alpha is not None:
        shown = shown * alpha + background * (1 - alpha)
    return np.broadcast_to(shown, (*shown.shape[:-1], 3)).astype(np.float32, copy=False)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Convert values in [0, 1] to the nearest of 0 .. 255, uint8; values beyond are clipped, NaN becomes 0."""
    return quantize(values, np.uint8)


def quantize(values: np.ndarray, dtype: type[np.unsignedinteger]) -> np.ndarray:
    """Convert values in [0, 1] to the nearest integer of an unsigned type's range.

    Values beyond are clipped, NaN becomes 0.
    """
    bounded = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return (bounded * np.float32(np.iinfo(dtype).max) + np.float32(0.5)).astype(dtype)
