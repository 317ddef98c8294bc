"""Pictures as signals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenes.colour import CHECKER_SIDE, checkerboard, premultiply, to_bytes, to_display
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.pictures.decoded import Decoded
from scenes.sampling import StratifiedSampler
from scenes.signal import Signal

NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
# Rows (batches, strips) are converted to float so many pixels at a time.
CHUNK_PIXELS = 1 << 16


class Image(Signal):
    """A picture: `pixels` `[H, W, C]` as stored (uint8, uint16 or float32; may be a memory-mapped file).

    Values are float32: stored / largest for integers, in [0, 1] and sRGB; as they are for linear (HDR) pictures.
    Where there is alpha, values are *premultiplied* (`channels.premultiplied`): a transparent pixel is 0 whatever
    colour its file hides there, so hidden colours neither have to be fitted nor bleed into the visible ones, and
    interpolation between the two is right. Writers divide by alpha again where a format wants it.

    `valid` is None (all) or bool `[H, W]`: False where no training sample comes from. `held_out` is None or bool
    `[H, W]`: the pixels withheld for scoring.
    """

    kind = "image"

    def __init__(self, decoded: Decoded, source: dict):
        self.pixels = decoded.pixels
        names = NAMES[self.pixels.shape[2]]
        alpha = names[-1] == "alpha"
        self.channels = Channels(names, decoded.space, premultiplied=alpha)
        self._straight = alpha and not decoded.premultiplied
        self.domain = Domain((Axis("x", 0.0, float(self.width), "px", self.width),
                              Axis("y", 0.0, float(self.height), "px", self.height)))
        self.source = source
        self.notes = tuple(decoded.notes)
        self.valid: np.ndarray | None = None
        self.held_out: np.ndarray | None = None
        self._usable: np.ndarray | None = None
        self._sampler = StratifiedSampler(self.height * self.width)
        self._x = _centres(self.width)
        self._y = _centres(self.height)

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def values(self, y0: int = 0, y1: int | None = None, x0: int = 0, x1: int | None = None) -> np.ndarray:
        """The tile of rows `y0:y1` and columns `x0:x1`: `[h, w, C]` float32."""
        return self._to_values(self.pixels[y0:y1, x0:x1])

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch` and `StratifiedSampler`: every pixel once an epoch, each batch in raster order."""
        index = self._sampler.indices(step, count, seed)
        if self._usable is not None:
            index = self._usable[index]
        return self._samples(index)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        import PIL.Image

        shrink = max(self.height, self.width) / longest_side
        step = max(1, int(shrink))
        shown = np.empty((-(-self.height // step), -(-self.width // step), 3), np.uint8)
        rows = step * max(1, CHUNK_PIXELS // (self.width * step))
        for top in range(0, self.height, rows):
            values = self.values(top, top + rows)
            board = checkerboard(*values.shape[:2], top=top, side=CHECKER_SIDE * step)
            strip = to_display(values, self.channels, board)
            shown[top // step:-(-(top + len(strip)) // step)] = to_bytes(_shrink(strip, step))
        if shrink <= 1:
            return shown
        size = (max(1, round(self.width / shrink)), max(1, round(self.height / shrink)))
        return np.asarray(PIL.Image.fromarray(shown).resize(size, PIL.Image.Resampling.BOX))

    def _samples(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[n, 2]` and values `[n, C]` of the pixels with these places in raster order."""
        y = index // self.width
        x = index - y * self.width
        coords = np.empty((len(index), 2), np.float32)
        coords[:, 0] = self._x[x]
        coords[:, 1] = self._y[y]
        return coords, self._to_values(self.pixels.reshape(-1, self.pixels.shape[2]).take(index, axis=0))

    def _to_values(self, stored: np.ndarray) -> np.ndarray:
        """Stored numbers `[..., C]` as values: a new float32 array."""
        if stored.dtype == np.float32:
            values = np.array(stored)
        else:
            values = np.divide(stored, np.float32(np.iinfo(stored.dtype).max), dtype=np.float32)
        if self._straight:
            premultiply(values)
        return values


def _centres(samples: int) -> np.ndarray:
    """`(i + 0.5) / samples`, in double and then rounded once to float32."""
    return ((np.arange(samples) + 0.5) / samples).astype(np.float32)


def _shrink(picture: np.ndarray, step: int) -> np.ndarray:
    """`[h, w, 3]` averaged over blocks of `step` x `step`; the blocks at the far edges may be smaller."""
    if step == 1:
        return picture
    rows, columns = np.arange(0, picture.shape[0], step), np.arange(0, picture.shape[1], step)
    total = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, picture.shape[0]))[:, None, None]
    widths = np.diff(np.append(columns, picture.shape[1]))[None, :, None]
    return total / (heights * widths)


def open_image(path: str | os.PathLike) -> Image:
    from scenes.pictures.read import read_picture

    if str(path).startswith("skimage:"):
        import skimage.data
        name = str(path).partition(":")[2]
        files = [f for f in Path(skimage.data.__path__[0]).glob(f"{name}.*") if f.suffix in (".png", ".jpg")]
        if not files:
            raise BadInput(f"{path}: scikit-image brings no such photograph")
        file = files[0]
    else:
        file = Path(path)
    if not file.is_file():
        raise BadInput(f"{path}: no such file")
    state = file.stat()
    source = {"path": str(path), "bytes": state.st_size, "mtime_ns": state.st_mtime_ns,
              "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    return Image(read_picture(file), source)
