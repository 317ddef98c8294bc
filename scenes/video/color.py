"""Colours of decoded frames: the matrix of films that do not say, HDR in PQ, and what is read as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scenes.image.encoding import HLG, PQ, coded_encoding, linear_to_srgb

if TYPE_CHECKING:
    from av import VideoFrame

# H.273's numbers: a matrix that is not given, those that ffmpeg's scaler knows, and the primaries of wide gamuts.
UNSPECIFIED = 2
REC_709_MATRIX, REC_2020_MATRIX = 1, 9
REC_2020_OTHER_MATRIX = 10
WIDE_PRIMARIES = {9: "Rec. 2020", 11: "DCI-P3", 12: "Display P3"}
# Films without a matrix are Rec. 709 from this height on and Rec. 601 below, as players take them.
HD_HEIGHT = 720
# Light up to here is kept; what is brighter is compressed below 1, which is the reference white of HDR.
KNEE = 0.6
# Entries of the table of the PQ curve: the values of 16 bits, so that nothing is rounded.
LEVELS = 1 << 16


class FrameColors:
    """Converts decoded frames to 8-bit sRGB, as their stream says or else as its first frame."""

    def __init__(self, first: VideoFrame) -> None:
        self.notes: list[str] = []
        self._is_pq = first.color_trc == PQ
        self._matrix = _matrix(first)
        self.has_alpha = any(component.is_alpha for component in first.format.components)
        self.alpha_seen = False
        if self._is_pq:
            self.notes.append("its colours are HDR (PQ): light beyond white is compressed, as for a screen without HDR")
            encoding = coded_encoding(int(first.color_primaries), PQ)
            assert encoding is not None
            levels = np.linspace(0, 1, LEVELS, dtype=np.float32)[:, None]
            self._linear = encoding.to_linear(levels)[:, 0]
            self._to_rec709 = np.eye(3) if encoding.matrix is None else encoding.matrix
        elif first.color_trc == HLG:
            self.notes.append("its colours are HDR (HLG): they are read as they are, paler than on an HDR screen")
        elif name := WIDE_PRIMARIES.get(int(first.color_primaries)):
            self.notes.append(
                f"its colours are {name}: they are read as they are, paler than on a screen of that gamut"
            )

    def rgb(self, frame: VideoFrame) -> np.ndarray:
        """The frame as `[H, W, 3]` uint8 sRGB, transparency on black."""
        form = ("rgba64le" if self._is_pq else "rgba") if self.has_alpha else ("rgb48le" if self._is_pq else "rgb24")
        pixels = frame.reformat(format=form, src_colorspace=self._matrix).to_ndarray()
        colors = pixels[..., :3]
        if self._is_pq:
            colors = self._from_pq(colors)
        if self.has_alpha:
            alpha = pixels[..., 3:]
            largest = 65535 if self._is_pq else 255
            if alpha.min() < largest:
                self.alpha_seen = True
                colors = (colors * (alpha / np.float32(largest))).round().astype(np.uint8)
        return np.ascontiguousarray(colors)

    def _from_pq(self, colors: np.ndarray) -> np.ndarray:
        light = self._linear[colors] @ self._to_rec709.T.astype(np.float32)
        # The brightest channel is compressed and the others with it, so that hues stay.
        brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
        over = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
        compressed = np.where(brightest > KNEE, KNEE + (1 - KNEE) * (1 - np.exp(-over)), brightest)
        return (linear_to_srgb(light * (compressed / brightest)) * 255 + 0.5).astype(np.uint8)


def _matrix(frame: VideoFrame) -> int | None:
    """The matrix to decode with where the frame's own is not given or not known to the scaler; None: the frame's."""
    if frame.format.is_rgb:
        return None
    if frame.colorspace == UNSPECIFIED:
        return REC_709_MATRIX if frame.height >= HD_HEIGHT else None
    return REC_2020_MATRIX if frame.colorspace == REC_2020_OTHER_MATRIX else None
