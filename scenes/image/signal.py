"""Images as signals: pixels over x and y."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.image.color import CHECKER_SIDE, checkerboard, premultiply, to_bytes, to_display
from scenes.image.decoded import DecodedImage
from scenes.image.holes import fill_holes
from scenes.image.storage import MAX_PIXELS, MEMORY, STRIP_PIXELS, Storage, row_strips
from scenes.image.write import check_image_writable, write_image
from scenes.io.files import array_digest, file_digest, file_state, input_file
from scenes.lattice import PIXEL_CUBIC, Lattice
from scenes.sampling import StratifiedSampler, held_out_mask, true_indices
from scenes.signal import Signal, changed_options

__all__ = ["Image", "check_image_writable", "open_image", "write_image"]

# Names of the channels by their number.
CHANNEL_NAMES = {1: ("grey",), 2: ("grey", "alpha"), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}
# Samples that `Image.held_out_samples` gives at a time.
CHUNK_SAMPLES = 1 << 16
# Fraction of each batch that is drawn in holes, where there are any.
HOLE_FRACTION = 1 / 8


class Image(Signal):
    """An image, kept as its file has it and converted when samples are drawn.

    Training values are float32: divided by the largest integer, so in [0, 1] and sRGB, or as they are for linear (HDR)
    images.

    With alpha, values are *premultiplied* (`channels.premultiplied`): a transparent pixel is 0 whatever colour its file
    hides there. So hidden colours need not be fitted and do not bleed into visible ones, and interpolated values are
    right. `pixels` stay as the file has them; writers divide by alpha again where a format needs it.

    Holes are pixels that are neither valid nor held out. They get a smooth guess from their surroundings, and an eighth
    of each batch is drawn there: a model that sees nothing there fills large holes with noise.

    Attributes:
        pixels: `[H, W, C]` uint8, uint16 or float32, possibly a memory-mapped file. Accepted NaN or infinite pixels
            are 0.
        valid: None for every pixel, or bool `[H, W]`: False where no training sample comes from, as the pixel is
            masked out, invalid or held out.
        held_out: None, or bool `[H, W]`: the pixels withheld for scoring.
    """

    kind = "image"

    def __init__(
        self,
        decoded: DecodedImage,
        source: dict[str, Any],
        valid: np.ndarray | None = None,
        held_out: np.ndarray | None = None,
    ) -> None:
        """Use `open_image` or `Image.from_array` instead."""
        self.pixels = np.ascontiguousarray(decoded.pixels) if not decoded.pixels.flags.c_contiguous else decoded.pixels
        names = CHANNEL_NAMES[self.pixels.shape[2]]
        alpha = names[-1] == "alpha"
        self.channels = Channels(names, decoded.space, premultiplied=alpha)
        self.domain = Domain(
            (Axis("x", 0.0, float(self.width), "px", self.width), Axis("y", 0.0, float(self.height), "px", self.height))
        )
        self.source = source
        self.notes = tuple(decoded.notes)
        self.valid = valid
        self.held_out = held_out
        self._must_premultiply = alpha and not decoded.premultiplied
        self._usable = None if valid is None else true_indices(valid.reshape(-1))
        self._sampler = StratifiedSampler(self.height * self.width if self._usable is None else len(self._usable))
        self._holes, self._guesses = self._fill_holes()
        self._hole_sampler = StratifiedSampler(len(self._holes))
        self._x = _pixel_centres(self.width)
        self._y = _pixel_centres(self.height)

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
        refuse_invalid: bool = False,
    ) -> Image:
        """Make a signal of an array. It is copied only where its type or layout demands it; do not write to it later.

        Args:
            array: `[H, W]` or `[H, W, C]` with C from 1 to 4: grey, grey and alpha, RGB, RGBA. uint8 and uint16 are
                sRGB over their full range; bool is black and white.
            space: what floats are: "srgb" (in [0, 1]) or "linear".
            premultiplied: whether colours are multiplied by alpha.
            mask: bool `[H, W]`, True where to fit.
            held_out: as in `open_image`.
            seed: as in `open_image`.
            refuse_invalid: as in `open_image`.

        Raises:
            BadInput: the array is no image or an option cannot be used.
        """
        pixels = _checked_pixels(np.asarray(array), space)
        if pixels.dtype == np.float32 and not np.isfinite(pixels).all():
            pixels = pixels.copy()  # holes are filled in place
        if mask is not None:
            mask = np.asarray(mask, bool)
        source = {
            "path": "array",
            "bytes": pixels.nbytes,
            "mtime_ns": 0,
            "sha256": array_digest(pixels),
            "options": changed_options(open_image, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid),
        }
        decoded = DecodedImage(pixels, space or "srgb", premultiplied)
        return _assemble(decoded, source, mask=mask, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.pixels.shape[1]

    def values(self, y0: int = 0, y1: int | None = None, x0: int = 0, x1: int | None = None) -> np.ndarray:
        """Training values of rows `y0:y1` and columns `x0:x1`, by default of all: a new array `[h, w, C]` float32."""
        return self.part(slice(y0, y1), slice(x0, x1))

    def part(self, rows: slice, columns: slice) -> np.ndarray:
        """Training values of some rows and columns, such as every n-th: a new array `[h, w, C]` float32."""
        return self._to_values(self.pixels[rows, columns])

    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Signal.batch` and `StratifiedSampler`: every usable pixel once per epoch, each batch in raster order.

        Samples of holes, where there are any, come at the end.
        """
        in_holes = min(int(count * HOLE_FRACTION), len(self._holes))
        index = self._sampler.indices(step, count - in_holes, seed)
        coords, values = self._samples(index if self._usable is None else self._usable[index])
        if not in_holes:
            return coords, values
        index = self._hole_sampler.indices(step, in_holes, seed)
        coords = np.concatenate([coords, self._coords(self._holes[index])])
        return coords, np.concatenate([values, self._guesses[index]])

    @cached_property
    def lattice(self) -> Lattice | None:
        """See `Signal.lattice`: cubic; beside a light of an HDR image as dark and as bright as what surrounds it.

        None where pixels are held out, as nearly everything between the others is made of them.
        """
        if self.held_out is not None:
            return None
        linear = self.channels.space == "linear"
        return Lattice(
            self.pixels,
            self._to_values,
            filters=(PIXEL_CUBIC, PIXEL_CUBIC),
            usable=self.valid,
            limits="neighbours" if linear else (0.0, 1.0),
        )

    def held_out_samples(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate over the held-out pixels in raster order: coords `[n, 2]` and values `[n, C]`, n <= 65,536."""
        if self.held_out is not None:
            index = true_indices(self.held_out.reshape(-1))
            for start in range(0, len(index), CHUNK_SAMPLES):
                yield self._samples(index[start : start + CHUNK_SAMPLES])

    def on_grid(self, side: int) -> np.ndarray:
        """See `Signal.on_grid`. Holes are as the file has them. Memory stays bounded."""
        from PIL import Image as Pillow

        shrink = max(1, min(self.height, self.width) // (2 * side))
        rows = shrink * max(1, STRIP_PIXELS // (self.width * shrink))
        strips = [_average_blocks(self.values(top, top + rows), shrink) for top in range(0, self.height, rows)]
        values = np.concatenate(strips)
        box = (0, 0, self.width / shrink, self.height / shrink)
        planes = (Pillow.fromarray(np.ascontiguousarray(values[..., c])) for c in range(values.shape[2]))
        return np.stack([np.asarray(plane.resize((side, side), Pillow.Resampling.BILINEAR, box)) for plane in planes])

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The image for people: `[h, w, 3]` uint8 sRGB, at most `longest_side` pixels wide and high, never enlarged.

        Linear light is tone-mapped, transparency shows a checkerboard. Memory does not grow with the image.
        """
        shrink = max(self.height, self.width) / longest_side
        # Averages of blocks are cheap; a good filter does the last factor of 2 to 4.
        step = max(1, int(shrink / 2))
        shown = np.empty((-(-self.height // step), -(-self.width // step), 3), np.uint8)
        rows = step * max(1, STRIP_PIXELS // (self.width * step))
        checker_side = round(CHECKER_SIDE * max(1, shrink))
        for top in range(0, self.height, rows):
            values = self.values(top, top + rows)
            board = checkerboard(len(values), self.width, top=top, side=checker_side)
            blocks = _average_blocks(to_display(values, self.channels, board), step)
            shown[top // step : top // step + len(blocks)] = to_bytes(blocks)
        if shrink <= 1:
            return shown
        from PIL import Image as Pillow

        size = (max(1, round(self.width / shrink)), max(1, round(self.height / shrink)))
        # The box leaves out the part of the last block that lies beyond the image.
        box = (0, 0, self.width / step, self.height / step)
        return np.asarray(Pillow.fromarray(shown).resize(size, Pillow.Resampling.LANCZOS, box))

    def check_unchanged(self) -> None:
        """Raise BadInput where the file is no longer the one that was read. An array never changes."""
        if self.source["path"] == "array":
            return
        file = input_file(self.source["path"])
        recorded = {key: self.source[key] for key in ("bytes", "mtime_ns")}
        if file_state(file) != recorded and file_digest(file) != self.source["sha256"]:
            raise BadInput(f"{self.source['path']}: the file has changed since it was read; start again with it")

    def _fill_holes(self) -> tuple[np.ndarray, np.ndarray]:
        """Raster indices of the holes `[n]`, and guesses of their values `[n, C]`."""
        holes = np.zeros(0, np.uint32)
        if self.valid is not None:
            known = self.valid if self.held_out is None else self.valid | self.held_out
            holes = true_indices(~known.reshape(-1))
        if self.valid is None or not len(holes):
            return holes, np.zeros((0, self.pixels.shape[2]), np.float32)
        values = self.values()
        # One channel at a time, to use less memory.
        guesses = [
            fill_holes(values[..., channel : channel + 1], self.valid).reshape(-1)[holes]
            for channel in range(values.shape[2])
        ]
        return holes, np.stack(guesses, axis=-1)

    def _samples(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coords `[n, 2]` and values `[n, C]` of the pixels with these raster indices."""
        return self._coords(index), self._to_values(self.pixels.reshape(-1, self.pixels.shape[2]).take(index, axis=0))

    def _coords(self, index: np.ndarray) -> np.ndarray:
        y = index // self.width
        x = index - y * self.width
        coords = np.empty((len(index), 2), np.float32)
        coords[:, 0] = self._x[x]
        coords[:, 1] = self._y[y]
        return coords

    def _to_values(self, stored: np.ndarray) -> np.ndarray:
        """Training values of stored pixels `[..., C]`: a new float32 array."""
        if stored.dtype == np.float32:
            values = np.array(stored)
        else:
            values = np.divide(stored, np.float32(np.iinfo(stored.dtype).max), dtype=np.float32)
        if self._must_premultiply:
            premultiply(values)
        return values


def open_image(
    path: str | os.PathLike[str],
    *,
    memory: int = MEMORY,
    max_pixels: int = MAX_PIXELS,
    mask: str | os.PathLike[str] | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    refuse_invalid: bool = False,
    layer: str | None = None,
    ignore_profile: bool = False,
) -> Image:
    """Open an image file; see `scenes.image.read` for the formats.

    Args:
        path: the file, or "skimage:NAME" for a photograph that comes with scikit-image.
        memory: bytes that the decoded image may take of the RAM; a larger one is kept in a mapped temporary file.
        max_pixels: largest number of pixels; larger images are refused before they are decoded.
        mask: an image file of the same size. Only where it is white (at least half) are training samples drawn.
        held_out: fraction of the pixels, in (0, 1), that is never trained on but scored.
        seed: seed of the choice of held-out pixels.
        refuse_invalid: refuse an image with NaN or infinite pixels, instead of treating these as holes.
        layer: as in `read_image`: the name of an EXR file's layer, or the number from 1 of a page or frame.
        ignore_profile: take the colours as they are stored, without the file's profile, gamma or primaries.

    Raises:
        BadInput: the image cannot be read, holds nothing to fit, or an option cannot be used.
    """
    file = input_file(path)
    storage = Storage(max_pixels, memory)
    source = {
        "path": str(path),
        **file_state(file),
        "sha256": file_digest(file),
        "options": changed_options(
            open_image,
            memory=memory,
            max_pixels=max_pixels,
            mask=mask and str(mask),
            held_out=held_out,
            seed=seed,
            refuse_invalid=refuse_invalid,
            layer=layer,
            ignore_profile=ignore_profile,
        ),
    }
    decoded = _read_unchanging(path, file, source, storage, layer=layer, ignore_profile=ignore_profile)
    white = None
    if mask is not None:
        mask_file = input_file(mask)
        source["mask_sha256"] = file_digest(mask_file)
        white = _read_mask(mask_file, decoded, storage)
    return _assemble(decoded, source, mask=white, held_out=held_out, seed=seed, refuse_invalid=refuse_invalid)


def _checked_pixels(pixels: np.ndarray, space: str | None) -> np.ndarray:
    """An array from Python as `[H, W, C]` uint8, uint16 or float32. Raises BadInput where it is no image."""
    shape = list(pixels.shape)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in CHANNEL_NAMES or 0 in pixels.shape:
        raise BadInput(f"an array of shape {shape} is not an image; give [H, W] or [H, W, 1 to 4]")
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype in (np.uint8, np.uint16):
        if space not in (None, "srgb"):
            raise BadInput(f'images of integers are "srgb"; for "{space}" give floats')
        return pixels
    if pixels.dtype.kind == "f":
        if space not in ("srgb", "linear"):
            raise BadInput('say what the floats are: space="srgb" for display values in [0, 1], or space="linear"')
        return pixels.astype(np.float32, copy=False)
    raise BadInput(f"images of {pixels.dtype} cannot be used; give uint8, uint16 or floats")


def _read_unchanging(
    path: str | os.PathLike[str], file: Path, source: dict[str, Any], storage: Storage, **options: Any
) -> DecodedImage:
    """Read a file. Raises BadInput where it changed since its digest in `source` was taken: parts may be of each."""
    from scenes.image.read import read_image

    def check() -> None:
        with suppress(OSError):
            if file_state(file) == {key: source[key] for key in ("bytes", "mtime_ns")}:
                return
        raise BadInput(f"{path}: the file changed while it was read; wait until it is written, then try again")

    try:
        decoded = read_image(file, storage, **options)
    except BadInput:
        check()
        raise
    check()
    return decoded


def _read_mask(file: Path, image: DecodedImage, storage: Storage) -> np.ndarray:
    """Read the mask of an image: bool `[H, W]`, True where it is white."""
    from scenes.image.read import read_image

    mask = Image(read_image(file, storage), {})
    height, width = image.pixels.shape[:2]
    if (mask.height, mask.width) != (height, width):
        raise BadInput(
            f"{file}: the mask is {mask.width} x {mask.height} and the image {width} x {height}; "
            "make them the same size"
        )
    colors = len(mask.channels) - ("alpha" in mask.channels.names)
    white = np.empty((height, width), bool)
    for rows in row_strips(height, width):
        white[rows] = mask.values(rows.start, rows.stop)[..., :colors].mean(axis=-1) >= 0.5
    if not white.any():
        raise BadInput(f"{file}: the mask is black everywhere; make it white where the image is to be fitted")
    return white


def _assemble(
    decoded: DecodedImage,
    source: dict[str, Any],
    *,
    mask: np.ndarray | None,
    held_out: float,
    seed: int,
    refuse_invalid: bool,
) -> Image:
    """The signal without the pixels that the mask leaves out, that are NaN or infinite, or that are held out."""
    name = source["path"]
    height, width = decoded.pixels.shape[:2]
    if mask is not None and mask.shape != (height, width):
        raise BadInput(
            f"{name}: the mask is {mask.shape[1]} x {mask.shape[0]} and the image {width} x {height}; "
            "make them the same size"
        )
    valid = _without_invalid(decoded, mask, name, refuse_invalid)
    if valid is not None and not valid.any():
        raise BadInput(f"{name}: no pixel is left to fit, all are masked out or invalid; change the mask")
    flat = None if valid is None else valid.reshape(-1)
    held = held_out_mask(height * width, held_out, seed, name=name, valid=flat)
    if held is not None:
        held = held.reshape(height, width)
        valid = ~held if valid is None else valid & ~held
    return Image(decoded, source, valid, held)


def _without_invalid(
    decoded: DecodedImage, valid: np.ndarray | None, name: str, refuse_invalid: bool
) -> np.ndarray | None:
    """Remove pixels that are NaN or infinite from `valid` and set them to 0.

    Raises BadInput where there are any and they are to be refused.
    """
    finite = _finite(decoded.pixels)
    if finite is None:
        return valid
    invalid = finite.size - np.count_nonzero(finite)
    y, x = np.unravel_index(np.argmin(finite), finite.shape)
    found = f"{invalid:,} of {finite.size:,} pixels hold NaN or infinity, the first at x {x}, y {y}"
    if refuse_invalid:
        raise BadInput(f"{name}: {found}; leave `refuse_invalid` out to treat them as holes")
    height, width = finite.shape
    for rows in row_strips(height, width):
        decoded.pixels[rows][~finite[rows]] = 0
    decoded.notes.append(
        f"{found}: they are holes, filled from what surrounds them and not scored; `refuse_invalid` refuses such files"
    )
    return finite if valid is None else valid & finite


def _finite(pixels: np.ndarray) -> np.ndarray | None:
    """bool `[H, W]`: which pixels are finite in every channel; None where all are."""
    if pixels.dtype != np.float32:
        return None
    height, width = pixels.shape[:2]
    finite = np.empty((height, width), bool)
    for rows in row_strips(height, width):
        np.isfinite(pixels[rows]).all(axis=-1, out=finite[rows])
    return None if finite.all() else finite


def _pixel_centres(samples: int) -> np.ndarray:
    """`(i + 0.5) / samples`, computed in double precision and rounded once to float32."""
    return ((np.arange(samples) + 0.5) / samples).astype(np.float32)


def _average_blocks(image: np.ndarray, step: int) -> np.ndarray:
    """Average `[h, w, C]` over blocks of `step` x `step` pixels; the blocks at the far edges may be smaller."""
    if step == 1:
        return image
    rows, columns = np.arange(0, image.shape[0], step), np.arange(0, image.shape[1], step)
    total = np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)
    heights = np.minimum(step, image.shape[0] - rows)[:, None, None]
    widths = np.minimum(step, image.shape[1] - columns)[None, :, None]
    return total / (heights * widths)
