"""How stored values stand for light: transfer functions and primaries, and their conversion to sRGB or linear light.

Sources: ITU-T H.273 (numbers of primaries and transfer functions), ITU-R BT.2100 (PQ, HLG), ITU-R BT.2408 (reference
white), IEC 61966-2-1 (sRGB). Linear light has the primaries of Rec. 709 throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scenes.image.color import srgb_to_linear, unpremultiply
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, row_strips

Curve = Callable[[np.ndarray], np.ndarray]

# Chromaticities: x and y of red, green, blue and white.
REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
# H.273's numbers of primaries: name, chromaticities.
PRIMARIES = {
    1: ("Rec. 709", REC_709),
    4: ("NTSC 1953", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316)),
    5: ("Rec. 601 (625 lines)", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, 0.3127, 0.3290)),
    6: ("Rec. 601 (525 lines)", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290)),
    7: ("SMPTE 240M", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, 0.3127, 0.3290)),
    9: ("Rec. 2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)),
    10: ("CIE XYZ", (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3)),
    11: ("DCI-P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)),
}
# H.273's numbers of transfer functions whose curve is close enough to sRGB's that such images are shown as sRGB.
LIKE_SRGB = (1, 2, 6, 13, 14, 15)
LINEAR, PQ, HLG = 8, 16, 18
TRANSFER_NAMES = {4: "gamma 2.2", 5: "gamma 2.8", LINEAR: "linear", PQ: "PQ", HLG: "HLG"}
# Light that diffuse white has in HDR images, in cd/m² (BT.2408): linear values of 1.
REFERENCE_WHITE = 203.0
# Peak of PQ, and of the display that HLG is shown on, in cd/m².
PQ_PEAK, HLG_PEAK = 10_000.0, 1000.0
# Display gamma of HLG at that peak.
HLG_GAMMA = 1.2
# Luminance of Rec. 2020's primaries.
REC_2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
# White of ICC's connection space, D50, as XYZ.
D50 = np.array([0.9642, 1.0, 0.8249])
# Bradford's cone responses (Lam 1985), for the adaptation to another white.
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Encodings that change no color by more than this are sRGB: 1.5 levels of 8 bits.
SRGB_TOLERANCE = 1.5 / 255
# Encodings of floats that change no light by more than this are linear.
LINEAR_TOLERANCE = 2e-3
# Values that an encoding is tried with, along each channel.
PROBE = np.linspace(0, 1, 9, dtype=np.float32)


@dataclass(frozen=True)
class Encoding:
    """What stored values mean.

    Attributes:
        name: for notes.
        to_linear: from values `[..., C]` float32, integers as fractions of their largest, to linear light.
        matrix: `[3, 3]` from linear light in the encoding's primaries to Rec. 709's; None for grey, and where they are
            the same.
        is_hdr: whether light above 1 is common, so that the image is kept as linear light.
    """

    name: str
    to_linear: Curve
    matrix: np.ndarray | None = None
    is_hdr: bool = False

    def light(self, values: np.ndarray) -> np.ndarray:
        """Linear light `[..., C]` float32 of values `[..., C]` in [0, 1]."""
        linear = self.to_linear(values)
        return linear if self.matrix is None else (linear @ self.matrix.T.astype(np.float32)).astype(np.float32)

    def is_srgb(self, colors: int) -> bool:
        """Whether values of `colors` channels mean what sRGB's do."""
        if self.is_hdr:
            return False
        grid = np.stack(np.meshgrid(*[PROBE] * colors), axis=-1)
        return bool(np.abs(linear_to_srgb(self.light(grid)) - grid).max() <= SRGB_TOLERANCE)


def linear_to_srgb(light: np.ndarray) -> np.ndarray:
    """Encode linear light as sRGB in [0, 1], float32; light beyond [0, 1] is clipped."""
    light = np.clip(light, 0, 1).astype(np.float32, copy=False)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** np.float32(1 / 2.4) - 0.055).astype(np.float32)


def pq_to_linear(values: np.ndarray) -> np.ndarray:
    """Light of PQ values in [0, 1] (BT.2100, table 4); 1 is `REFERENCE_WHITE`."""
    power = np.maximum(values, 0, dtype=np.float64) ** (32 / 2523)
    ratio = np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
    return (ratio ** (16384 / 2610) * (PQ_PEAK / REFERENCE_WHITE)).astype(np.float32)


def hlg_to_linear(values: np.ndarray) -> np.ndarray:
    """Light of HLG `[..., 1 or 3]` in [0, 1] on a display of `HLG_PEAK` (BT.2100, table 5); as `pq_to_linear`."""
    return hlg_on_display(hlg_to_scene(values))


def hlg_to_scene(values: np.ndarray) -> np.ndarray:
    """Light of the scene in [0, 1] of HLG values: the inverse OETF (BT.2100, table 5), float64."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    values = np.maximum(values, 0, dtype=np.float64)
    return np.where(values <= 0.5, values**2 / 3, (np.exp((values - c) / a) + b) / 12)


def hlg_on_display(scene: np.ndarray) -> np.ndarray:
    """Light that a display of `HLG_PEAK` shows of a scene's `[..., 1 or 3]`: the OOTF (BT.2100, table 5).

    1 is `REFERENCE_WHITE`; float32.
    """
    luminance = scene @ REC_2020_LUMINANCE.astype(scene.dtype) if scene.shape[-1] == 3 else scene[..., 0]
    light = scene * (luminance ** (HLG_GAMMA - 1))[..., None]
    return (light * (HLG_PEAK / REFERENCE_WHITE)).astype(np.float32)


def identity(values: np.ndarray) -> np.ndarray:
    """The curve of linear light."""
    return values.astype(np.float32, copy=False)


def gamma_curve(gamma: float) -> Curve:
    """The curve `value ** gamma`, mirrored for negative values."""
    return lambda values: (np.sign(values) * np.abs(values) ** np.float32(gamma)).astype(np.float32)


def to_xyz(chromaticities: tuple[float, ...]) -> np.ndarray:
    """`[3, 3]` from linear light to CIE XYZ, for chromaticities as in `REC_709`; white has the luminance 1."""
    xy = np.asarray(chromaticities, np.float64).reshape(4, 2)
    columns = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)], axis=0)
    white = columns[:, 3] / xy[3, 1]
    return columns[:, :3] * np.linalg.solve(columns[:, :3], white)


def adaptation(white: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`[3, 3]` that takes XYZ colors under one white to those under another (Bradford)."""
    return np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ wanted) / (BRADFORD @ white)) @ BRADFORD


def to_rec709(chromaticities: tuple[float, ...]) -> np.ndarray | None:
    """The `matrix` of an `Encoding` with these primaries. Raises numpy's LinAlgError where they lie on a line."""
    if np.allclose(chromaticities, REC_709, atol=0.002):
        return None
    own, wanted = to_xyz(chromaticities), to_xyz(REC_709)
    return np.linalg.solve(wanted, adaptation(own.sum(axis=1), wanted.sum(axis=1)) @ own)


def d50_to_rec709() -> np.ndarray:
    """`[3, 3]` from ICC's connection space to linear light."""
    wanted = to_xyz(REC_709)
    return np.linalg.solve(wanted, adaptation(D50, wanted.sum(axis=1)))


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of CIE Lab `[..., 3]` under D50: lightness 0 to 100, then a and b; float32."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * D50
    return linear_to_srgb(xyz @ d50_to_rec709().T)


def coded_encoding(primaries: int, transfer: int) -> Encoding | None:
    """The encoding with these numbers of H.273, as cICP chunks, HEIF boxes and videos have them.

    None where it is sRGB's, or a number is unknown or says nothing.
    """
    name, chromaticities = PRIMARIES.get(primaries, ("", REC_709))
    matrix = to_rec709(chromaticities)
    curves: dict[int, Curve] = {
        4: gamma_curve(2.2),
        5: gamma_curve(2.8),
        LINEAR: identity,
        PQ: pq_to_linear,
        HLG: hlg_to_linear,
    }
    if transfer not in curves and (transfer not in LIKE_SRGB or matrix is None):
        return None
    label = " ".join(part for part in (name, TRANSFER_NAMES.get(transfer, "")) if part)
    return Encoding(label, curves.get(transfer, srgb_to_linear), matrix, is_hdr=transfer in (PQ, HLG))


def convert_encoding(image: DecodedImage, encoding: Encoding, storage: Storage) -> str | None:
    """Convert an image to sRGB, or to linear light where it holds floats or is HDR. Alpha is left alone.

    Colors that are multiplied by alpha are divided by it first, unless they are linear already.

    Returns a note on it; None where nothing had to be converted.
    """
    height, width, channels = image.pixels.shape
    alpha = channels in (2, 4)
    colors = channels - alpha
    matrix = encoding.matrix if colors == 3 else None
    encoding = Encoding(encoding.name, encoding.to_linear, matrix, encoding.is_hdr)
    floats = image.pixels.dtype == np.float32
    if _changes_nothing(encoding, colors, floats):
        image.space = "linear" if floats else image.space
        return None
    divide = alpha and image.premultiplied and encoding.to_linear is not identity
    stored = image.pixels
    largest = np.float32(1 if floats else np.iinfo(stored.dtype).max)
    light_out = floats or encoding.is_hdr
    if encoding.is_hdr and not floats:
        image.pixels = storage.new(height, width, channels, np.float32)
    for rows in row_strips(height, width):
        values = np.divide(stored[rows], largest, dtype=np.float32)
        if divide:
            values = unpremultiply(values)
        light = encoding.light(np.ascontiguousarray(values[..., :colors]))
        if light_out:
            image.pixels[rows, :, :colors] = light
            if alpha:
                image.pixels[rows, :, colors:] = values[..., colors:]
        else:
            image.pixels[rows, :, :colors] = np.rint(linear_to_srgb(light) * largest)
    image.premultiplied = image.premultiplied and not divide
    if light_out:
        image.space = "linear"
    if encoding.is_hdr:
        return f"read as linear light from {encoding.name}; 1 is {REFERENCE_WHITE:g} cd/m²"
    wanted = "sRGB" if not floats else "Rec. 709" if encoding.to_linear is identity else "linear light"
    return f"converted from {encoding.name} to {wanted}"


def _changes_nothing(encoding: Encoding, colors: int, floats: bool) -> bool:
    """Whether values of an encoding are sRGB already, or floats linear light."""
    if not floats:
        return encoding.is_srgb(colors)
    grid = np.stack(np.meshgrid(*[PROBE] * colors), axis=-1)
    return bool(np.abs(encoding.light(grid) - grid).max() <= LINEAR_TOLERANCE)
