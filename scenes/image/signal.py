"""Pictures as signals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.image.color import CHECKER_SIDE, checkerboard, premultiply, to_bytes, to_display
from scenes.image.decoded import DecodedImage
from scenes.image.holes import fill_holes
from scenes.image.storage import MAX_PIXELS, MEMORY, STRIP_PIXELS, Storage, strips
from scenes.image.write import check_image_writable, write_image
from scenes.io.files import file_digest, file_state, input_file
from scenes.sampling import StratifiedSampler, draw_held_out, true_indices
from scenes.signal import Signal

__all__ = ["Image", "check_image_writable", "open_image", "write_image"]

NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
# The samples that `held_out_samples` gives at a time.
CHUNK_SAMPLES = 1 << 16
# Of a batch that are drawn in holes, where there are any.
FILL_SHARE = 1 / 8


class Image(Signal):
    """A picture: `pixels` `[H, W, C]` as stored (uint8, uint16 or float32; may be a memory-mapped file).

    Values are float32: stored / largest for integers, in [0, 1] and sRGB; as they are for linear (HDR) pictures.

    Where there is alpha, values are *premultiplied* (`channels.premultiplied`): a transparent pixel is 0 whatever
    colour its file hides there, so hidden colours neither have to be fitted nor bleed into the visible ones, and what
    a field interpolates between the two is right. `pixels` stay as the file has them; writers divide by alpha again
    where a format wants it.

    `valid` is None (every pixel) or bool `[H, W]`: False where no training sample comes from because it is masked out,
    invalid or held out. `held_out` is None or bool `[H, W]`: the pixels withheld for scoring. Invalid (NaN, infinite)
    pixels that were accepted are 0 in `pixels`.

    Holes (neither valid nor held out) get a smooth guess from what surrounds them, which an eighth of each batch is drawn from: a
    field that sees nothing there fills large holes with noise.
    """

    kind = "image"

    def __init__(
        self, decoded: DecodedImage, source: dict, valid: np.ndarray | None = None, held_out: np.ndarray | None = None
    ):
        """Use `open_image` or `Image.from_array`."""
        self.pixels = np.ascontiguousarray(decoded.pixels) if not decoded.pixels.flags.c_contiguous else decoded.pixels
        names = NAMES[self.pixels.shape[2]]
        alpha = names[-1] == "alpha"
        self.channels = Channels(names, decoded.space, premultiplied=alpha)
        self.domain = Domain(
            (Axis("x", 0.0, float(self.width), "px", self.width), Axis("y", 0.0, float(self.height), "px", self.height))
        )
        self.source = source
        self.notes = tuple(decoded.notes)
        self.valid = valid
        self.held_out = held_out
        self._straight = alpha and not decoded.premultiplied
        self._usable = None if valid is None else true_indices(valid.reshape(-1))
        self._sampler = StratifiedSampler(self.height * self.width if valid is None else len(self._usable))
        self._holes, self._guess = self._fill_holes()
        self._hole_sampler = StratifiedSampler(len(self._holes))
        self._x = _centres(self.width)
        self._y = _centres(self.height)

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        space: str | None = None,
        *,
        premultiplied: bool = False,
        mask: np.ndarray | None = None,
        held_out: float = 0.0,
        seed: int = 0,
        ignore_invalid: bool = False,
    ) -> Image:
        """The signal of an array `[H, W]` or `[H, W, C]`, C from 1 to 4 (grey, grey + alpha, RGB, RGBA).

        uint8 and uint16 are sRGB over their full range; bool is black and white. For floats, `space` says what they
        are: "srgb" (in [0, 1]) or "linear". `mask` is bool `[H, W]`, True where to fit. The rest is as in `open_image`.
        The array is not copied unless its type or layout demands it; do not write to it afterwards.
        """
        pixels = np.asarray(array)
        if pixels.ndim == 2:
            pixels = pixels[..., None]
        if pixels.ndim != 3 or pixels.shape[2] not in NAMES or 0 in pixels.shape:
            raise BadInput(f"an array of shape {list(np.shape(array))} is not a picture; give [H, W] or [H, W, 1 to 4]")
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        if pixels.dtype in (np.uint8, np.uint16):
            if space not in (None, "srgb"):
                raise BadInput(f'pictures of integers are "srgb"; for "{space}" give floats')
        elif pixels.dtype.kind == "f":
            if space not in ("srgb", "linear"):
                raise BadInput('say what the floats are: space="srgb" for display values in [0, 1], or space="linear"')
            pixels = pixels.astype(np.float32, copy=False)
        else:
            raise BadInput(f"pictures of {pixels.dtype} cannot be used; give uint8, uint16 or floats")
        if ignore_invalid and pixels.dtype == np.float32:
            pixels = pixels.copy()  # holes are filled in place
        if mask is not None:
            mask = np.asarray(mask, bool)
        content = hashlib.sha256(np.ascontiguousarray(pixels))
        source = {"path": "array", "bytes": pixels.nbytes, "mtime_ns": 0, "sha256": content.hexdigest()}
        source["options"] = _options(held_out=held_out, seed=seed, ignore_invalid=ignore_invalid)
        return _assemble(
            DecodedImage(pixels, space or "srgb", premultiplied), source, mask, held_out, seed, ignore_invalid
        )

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    def values(self, y0: int = 0, y1: int | None = None, x0: int = 0, x1: int | None = None) -> np.ndarray:
        """The tile of rows `y0:y1` and columns `x0:x1`, by default the whole: `[h, w, C]` float32, a new array."""
        return self._to_values(self.pixels[y0:y1, x0:x1])

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch` and `StratifiedSampler`: every usable pixel once an epoch, each batch in raster order."""
        fill = min(int(count * FILL_SHARE), len(self._holes))
        index = self._sampler.indices(step, count - fill, seed)
        samples = self._samples(index if self._usable is None else self._usable[index])
        if not fill:
            return samples
        index = self._hole_sampler.indices(step, fill, seed)
        guesses = self._coords(self._holes[index]), self._guess[index]
        return tuple(np.concatenate(parts) for parts in zip(samples, guesses))

    def held_out_samples(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Coords `[n, 2]` and values `[n, C]` of the withheld pixels in raster order, n <= 65,536 at a time."""
        if self.held_out is not None:
            index = true_indices(self.held_out.reshape(-1))
            for start in range(0, len(index), CHUNK_SAMPLES):
                yield self._samples(index[start : start + CHUNK_SAMPLES])

    def on_grid(self, side: int) -> np.ndarray:
        """See `Signal.on_grid`; holes are as the file has them."""
        from PIL import Image as pillow

        shrink = max(1, min(self.height, self.width) // (2 * side))
        rows = shrink * max(1, STRIP_PIXELS // (self.width * shrink))
        strips = [_average_blocks(self.values(top, top + rows), shrink) for top in range(0, self.height, rows)]
        values = np.concatenate(strips)
        box = (0, 0, self.width / shrink, self.height / shrink)
        return np.stack(
            [
                np.asarray(
                    pillow.fromarray(np.ascontiguousarray(values[..., channel])).resize(
                        (side, side), pillow.Resampling.BILINEAR, box
                    )
                )
                for channel in range(values.shape[2])
            ]
        )

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The picture for people, `[h, w, 3]` uint8 sRGB: at most `longest_side` pixels wide and high, never enlarged.

        Linear light is tone-mapped, transparency shows a checkerboard. Memory does not grow with the picture.
        """
        shrink = max(self.height, self.width) / longest_side
        step = max(1, int(shrink / 2))  # cheap averages first, and a good filter for the last factor of 2 to 4
        shown = np.empty((-(-self.height // step), -(-self.width // step), 3), np.uint8)
        rows = step * max(1, STRIP_PIXELS // (self.width * step))
        for top in range(0, self.height, rows):
            values = self.values(top, top + rows)
            board = checkerboard(*values.shape[:2], top=top, side=round(CHECKER_SIDE * max(1, shrink)))
            blocks = _average_blocks(to_display(values, self.channels, board), step)
            shown[top // step : top // step + len(blocks)] = to_bytes(blocks)
        if shrink <= 1:
            return shown
        from PIL import Image as pillow

        size = (max(1, round(self.width / shrink)), max(1, round(self.height / shrink)))
        # The part of the last block that lies beyond the picture is left out.
        box = (0, 0, self.width / step, self.height / step)
        return np.asarray(pillow.fromarray(shown).resize(size, pillow.Resampling.LANCZOS, box))

    def check_unchanged(self) -> None:
        """Raises BadInput where the file is no longer the one that was read (an array never changes)."""
        if self.source["path"] == "array":
            return
        file = input_file(self.source["path"])
        seen = {key: self.source[key] for key in ("bytes", "mtime_ns")}
        if file_state(file) != seen and file_digest(file) != self.source["sha256"]:
            raise BadInput(
                f"{self.source['path']}: the file has changed since it was read; run again on what is there now"
            )

    def _fill_holes(self) -> tuple[np.ndarray, np.ndarray]:
        """The places of the holes, and the guesses `[n, C]`; none where only scored pixels are missing."""
        holes = np.zeros(0, np.uint32)
        if self.valid is not None:
            holes = true_indices(~(self.valid if self.held_out is None else self.valid | self.held_out).reshape(-1))
        if not len(holes):
            return holes, np.zeros((0, self.pixels.shape[2]), np.float32)
        values = self.values()
        guess = [
            fill_holes(values[..., channel : channel + 1], self.valid).reshape(-1)[holes]
            for channel in range(values.shape[2])
        ]
        return holes, np.stack(guess, axis=-1)  # (a channel at a time for the memory's sake)

    def _samples(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[n, 2]` and values `[n, C]` of the pixels at these places in raster order."""
        return self._coords(index), self._to_values(self.pixels.reshape(-1, self.pixels.shape[2]).take(index, axis=0))

    def _coords(self, index: np.ndarray) -> np.ndarray:
        y = index // self.width
        x = index - y * self.width
        coords = np.empty((len(index), 2), np.float32)
        coords[:, 0] = self._x[x]
        coords[:, 1] = self._y[y]
        return coords

    def _to_values(self, stored: np.ndarray) -> np.ndarray:
        """Stored numbers `[..., C]` as values: a new float32 array."""
        if stored.dtype == np.float32:
            values = np.array(stored)
        else:
            values = np.divide(stored, np.float32(np.iinfo(stored.dtype).max), dtype=np.float32)
        if self._straight:
            premultiply(values)
        return values


def open_image(
    path: str | os.PathLike,
    *,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    mask: str | os.PathLike | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    ignore_invalid: bool = False,
) -> Image:
    """The picture in a file, or of skimage:NAME; see `scenes.image.read` for the formats.

    memory          bytes: a larger decoded picture lives in a mapped temporary file instead of the RAM
    max_pixels      larger pictures are refused unread
    mask            a picture of the same size: only where it is white (at least half) are training samples drawn
    held_out        share of the pixels, in (0, 1), that is never trained on, drawn at random from `seed`
    ignore_invalid  take NaN and infinite pixels for holes, instead of refusing the picture

    Raises BadInput with one line for whatever makes that impossible.
    """
    file = input_file(path)
    storage = Storage(max_pixels, memory)
    source = {"path": str(path)} | _identity(file)
    source["options"] = _options(
        memory=memory,
        max_pixels=max_pixels,
        mask=mask and str(mask),
        held_out=held_out,
        seed=seed,
        ignore_invalid=ignore_invalid,
    )
    decoded = _read_steady(path, file, source, storage)
    fit_here = None
    if mask is not None:
        mask_file = input_file(mask)
        source["mask_sha256"] = file_digest(mask_file)
        fit_here = _read_mask(mask_file, decoded, storage)
    return _assemble(decoded, source, fit_here, held_out, seed, ignore_invalid)


def _identity(file: Path) -> dict:
    return file_state(file) | {"sha256": file_digest(file)}


def _read_steady(path: str | os.PathLike, file: Path, identity: dict, storage: Storage) -> DecodedImage:
    """Reads; refuses what changed between the digest and the end of reading, since part of it would be of each."""
    from scenes.image.read import read_image

    problem = None
    try:
        decoded = read_image(file, storage)
    except BadInput as error:
        problem = error
    try:
        steady = file_state(file) == {key: identity[key] for key in ("bytes", "mtime_ns")}
    except OSError:
        steady = False
    if not steady:
        raise BadInput(
            f"{path}: the file changed while it was read; wait until it is written, then run again"
        ) from problem
    if problem is not None:
        raise problem
    return decoded


def _read_mask(file: Path, picture: DecodedImage, storage: Storage) -> np.ndarray:
    """bool `[H, W]`, True where the mask is white."""
    from scenes.image.read import read_image

    mask = Image(read_image(file, storage), {})
    height, width = picture.pixels.shape[:2]
    if (mask.height, mask.width) != (height, width):
        raise BadInput(
            f"{file}: the mask is {mask.width} x {mask.height} and the picture {width} x {height}; "
            "make them the same size"
        )
    colors = len(mask.channels) - ("alpha" in mask.channels.names)
    white = np.empty((height, width), bool)
    for rows in strips(height, width):
        white[rows] = mask.values(rows.start, rows.stop)[..., :colors].mean(axis=-1) >= 0.5
    if not white.any():
        raise BadInput(f"{file}: the mask is black everywhere; make it white where the picture is to be fitted")
    return white


def _assemble(
    decoded: DecodedImage, source: dict, mask: np.ndarray | None, held_out: float, seed: int, ignore_invalid: bool
) -> Image:
    """The signal with its holes: what the mask leaves out, what is not a number, what is held out."""
    valid = mask
    name, shape = source["path"], decoded.pixels.shape[:2]
    if mask is not None and mask.shape != shape:
        raise BadInput(
            f"{name}: the mask is {mask.shape[1]} x {mask.shape[0]} and the picture "
            f"{shape[1]} x {shape[0]}; make them the same size"
        )
    if (finite := _finite(decoded.pixels)) is not None:
        bad = finite.size - np.count_nonzero(finite)
        if not ignore_invalid:
            y, x = np.unravel_index(np.argmin(finite), shape)
            raise BadInput(
                f"{name}: {bad} of {finite.size} pixels hold NaN or infinity, the first at x {x}, y {y}; "
                "--ignore-invalid treats them as holes"
            )
        for rows in strips(*shape):
            decoded.pixels[rows][~finite[rows]] = 0
        decoded.notes.append(f"{bad} pixels hold NaN or infinity and are treated as holes")
        valid = finite if valid is None else valid & finite
    if valid is not None and not valid.any():
        raise BadInput(f"{name}: no pixel is left to fit, all are masked out or invalid; change the mask")
    held = None
    if held_out:
        if not 0 < held_out < 1:
            raise BadInput(f"a share of {held_out} cannot be held out; give a number between 0 and 1, such as 0.1")
        held = draw_held_out(shape[0] * shape[1], held_out, seed).reshape(shape)
        if valid is not None:
            held &= valid
            valid = valid & ~held
        else:
            valid = ~held
        if not held.any() or not valid.any():
            raise BadInput(
                f"{name}: holding out {held_out} of so few pixels leaves none "
                f"{'to fit' if held.any() else 'to score'}; give another share"
            )
    return Image(decoded, source, valid, held)


def _finite(pixels: np.ndarray) -> np.ndarray | None:
    """bool `[H, W]`: which pixels are finite in every channel; None where all are."""
    if pixels.dtype != np.float32:
        return None
    finite = np.empty(pixels.shape[:2], bool)
    for rows in strips(*finite.shape):
        np.isfinite(pixels[rows]).all(axis=-1, out=finite[rows])
    return None if finite.all() else finite


def _options(**options) -> dict:
    """Those that are not as by default, for `scenes.reopen`."""
    defaults = {
        "memory": MEMORY,
        "max_pixels": MAX_PIXELS,
        "mask": None,
        "held_out": 0.0,
        "seed": 0,
        "ignore_invalid": False,
    }
    return {name: value for name, value in options.items() if value != defaults[name]}


def _centres(samples: int) -> np.ndarray:
    """`(i + 0.5) / samples`, in double and then rounded once to float32."""
    return ((np.arange(samples) + 0.5) / samples).astype(np.float32)


def _average_blocks(picture: np.ndarray, step: int) -> np.ndarray:
    """`[h, w, 3]` averaged over blocks of `step` x `step`; the blocks at the far edges may be smaller."""
    if step == 1:
        return picture
    rows, columns = np.arange(0, picture.shape[0], step), np.arange(0, picture.shape[1], step)
    total = np.add.reduceat(np.add.reduceat(picture, rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, picture.shape[0]))[:, None, None]
    widths = np.diff(np.append(columns, picture.shape[1]))[None, :, None]
    return total / (heights * widths)
