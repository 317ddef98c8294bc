"""Colours of decoded frames: the matrix of films that do not say, HDR and wide gamuts as sRGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenes.image.encoding import (
    HLG,
    LINEAR,
    PQ,
    Encoding,
    coded_encoding,
    hlg_on_display,
    hlg_to_scene,
    linear_to_srgb,
)

if TYPE_CHECKING:
    from av import VideoFrame

# H.273's numbers: a matrix that is not given, those that ffmpeg's scaler knows, and the primaries of wide gamuts.
UNSPECIFIED = 2
REC_709_MATRIX, REC_2020_MATRIX = 1, 9
REC_2020_OTHER_MATRIX = 10
WIDE_PRIMARIES = (9, 11, 12)
# Films without a matrix are Rec. 709 from this height on and Rec. 601 below, as players take them.
HD_HEIGHT = 720
# Light up to here is kept; what is brighter is compressed below 1, which is the reference white of HDR.
KNEE = 0.6
# Entries of the table of a curve: the values of 16 bits, so that nothing is rounded.
LEVELS = 1 << 16


class FrameColors:
    """Converts decoded frames to 8-bit sRGB, as their stream says or else as its first frame."""

    def __init__(self, first: VideoFrame, *, ignore_profile: bool = False) -> None:
        self.notes: list[str] = []
        self._matrix = _matrix(first)
        self.has_alpha = any(component.is_alpha for component in first.format.components)
        self.alpha_seen = False
        self._light: LightTable | None = None
        primaries, transfer = int(first.color_primaries), int(first.color_trc)
        if not ignore_profile and (transfer in (LINEAR, PQ, HLG) or primaries in WIDE_PRIMARIES):
            encoding = coded_encoding(primaries, transfer)
            self._light = LightTable(encoding, transfer) if encoding else None
            self.notes += [f"{self._light.note} (`ignore_profile` takes them as stored)"] if self._light else []

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """The frame as `[H, W, 3]` uint8 sRGB, transparency on black."""
        wide = self._light is not None
        form = ("rgba64le" if wide else "rgba") if self.has_alpha else ("rgb48le" if wide else "rgb24")
        pixels = frame.reformat(format=form, src_colorspace=self._matrix).to_ndarray()
        colors = pixels[..., :3]
        if self._light is not None:
            colors = self._light.srgb(colors)
        if self.has_alpha:
            alpha = pixels[..., 3:]
            largest = 65535 if wide else 255
            if alpha.min() < largest:
                self.alpha_seen = True
                colors = (colors * (alpha / np.float32(largest))).round().astype(np.uint8)
        return np.ascontiguousarray(colors)


class LightTable:
    """Converts 16-bit values of an encoding to 8-bit sRGB by a table of its curve. note: what is done, for people."""

    def __init__(self, encoding: Encoding, transfer: int) -> None:
        self._is_hlg, self._is_hdr = transfer == HLG, encoding.is_hdr
        levels = np.linspace(0, 1, LEVELS, dtype=np.float32)[:, None]
        # The light of HLG on a display depends on all three channels of a pixel, that of the scene does not.
        self._curve = (hlg_to_scene if self._is_hlg else encoding.to_linear)(levels)[:, 0].astype(np.float32)
        self._to_rec709 = None if encoding.matrix is None else encoding.matrix.T.astype(np.float32)
        if not self._is_hdr:
            self.note = f"its colours are converted from {encoding.name} to sRGB"
            return
        display = ", shown as on a display of 1,000 cd/m² (BT.2100)" if self._is_hlg else ""
        self.note = (
            f"its colours are HDR ({'HLG' if self._is_hlg else 'PQ'}){display}: light beyond white is compressed, as "
            "for a screen without HDR"
        )

    def srgb(self, colors: np.ndarray) -> np.ndarray:
        """Colours `[H, W, 3]` uint16 as uint8 sRGB."""
        light = self._curve[colors]
        if self._is_hlg:
            light = hlg_on_display(light)
        if self._to_rec709 is not None:
            light = light @ self._to_rec709
        return compressed_to_srgb(light) if self._is_hdr else _rounded(light)


def compressed_to_srgb(light: np.ndarray) -> np.ndarray:
    """Linear light `[H, W, 3]`, in which 1 is the reference white, as uint8 sRGB with what is brighter than `KNEE`
    compressed."""
    # The brightest channel is compressed and the others with it, so that hues stay.
    brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
    over = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    compressed = np.where(brightest > KNEE, KNEE + (1 - KNEE) * (1 - np.exp(-over)), brightest)
    return _rounded(light * (compressed / brightest))


def _rounded(light: np.ndarray) -> np.ndarray:
    return (linear_to_srgb(light) * 255 + 0.5).astype(np.uint8)


def _matrix(frame: VideoFrame) -> int | None:
    """The matrix to decode with where the frame's own is not given or not known to the scaler; None: the frame's."""
    if frame.format.is_rgb:
        return None
    if frame.colorspace == UNSPECIFIED:
        return REC_709_MATRIX if frame.height >= HD_HEIGHT else None
    return REC_2020_MATRIX if frame.colorspace == REC_2020_OTHER_MATRIX else None
