"""Memory for decoded pixels, in RAM or in a mapped file, and the limit on their number."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from scenes.errors import BadInput

# Default of `max_pixels`: a larger file may be a decompression bomb.
MAX_PIXELS = 200_000_000
# Default of `memory`, in bytes.
MEMORY = 256 << 20
# Images are worked on in strips of about this many pixels, to keep temporaries small.
STRIP_PIXELS = 1 << 18


@dataclass(frozen=True)
class Storage:
    """Where the pixels of one image go.

    Attributes:
        max_pixels: larger images are refused.
        memory: bytes that a decoded image may take of the RAM. A larger one is kept in a temporary file that is mapped
            into memory. The file has no name, so it is gone with the process, however that ends. It lies where
            `tempfile` puts it: the environment variable TMPDIR moves it, for example to a disk where /tmp is RAM.
    """

    max_pixels: int = MAX_PIXELS
    memory: int = MEMORY

    def check(self, height: int, width: int) -> None:
        """Raise BadInput where an image is empty or too large. Call this before anything of its size is allocated."""
        if height < 1 or width < 1:
            raise BadInput(f"the image is {width} x {height}: there is nothing to fit")
        if height * width > self.max_pixels:
            raise BadInput(
                f"the image is {width} x {height}, {height * width / 1e6:.0f} megapixels, more than the "
                f"limit of {self.max_pixels / 1e6:g}; raise it with `max_pixels={height * width}` if you trust the file"
            )

    def new(self, height: int, width: int, channels: int, dtype: DTypeLike) -> np.ndarray:
        """An array `[height, width, channels]` with undefined content, in RAM or in a mapped temporary file.

        Raises:
            BadInput: the image is too large, or the disk is full.
        """
        self.check(height, width)
        shape, dtype = (height, width, channels), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size <= self.memory:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="field-studio-") as file:
            try:
                # Claim the space now: a full disk is then an error here, not a crash at a later access.
                if hasattr(os, "posix_fallocate"):  # macOS does not have it
                    os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise BadInput(
                    f"no room for {size / 1e6:,.2f} MB of decoded image in {tempfile.gettempdir()}: "
                    f"{error.strerror}; point TMPDIR to another disk, or raise `memory={size}`"
                ) from error
            return np.memmap(file, dtype, "w+", shape=shape)

    def like(self, array: np.ndarray, dtype: DTypeLike) -> np.ndarray:
        """An array as `new` makes it, of the shape of `array`, `[height, width, channels]`."""
        height, width, channels = array.shape
        return self.new(height, width, channels, dtype)


def row_strips(height: int, width: int) -> list[slice]:
    """Row ranges of about `STRIP_PIXELS` pixels each that cover an image."""
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
