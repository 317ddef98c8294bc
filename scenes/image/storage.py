"""Where decoded pixels go, and how many are allowed."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass

import numpy as np

from scenes.errors import BadInput

# Beyond this a file is taken for a decompression bomb until the user says otherwise.
MAX_PIXELS = 200_000_000
MEMORY = 256 << 20
# Strips of about this many pixels keep temporaries small where a picture is worked through.
STRIP_PIXELS = 1 << 18


@dataclass(frozen=True)
class Storage:
    """`max_pixels`: larger pictures are refused. `memory`, bytes: what a decoded picture may take of the RAM; a larger
    one goes to a temporary file that is mapped into memory, has no name any more, and so is gone with the process,
    however that ends. The file lies where `tempfile` puts it: TMPDIR moves it (to a disk, where /tmp is RAM)."""

    max_pixels: int = MAX_PIXELS
    memory: int = MEMORY

    def check(self, height: int, width: int) -> None:
        """To be called before anything of the picture's size is allocated."""
        if height < 1 or width < 1:
            raise BadInput(f"the picture is {width} x {height}: there is nothing to fit")
        if height * width > self.max_pixels:
            raise BadInput(
                f"the picture is {width} x {height}, {height * width / 1e6:.0f} megapixels, more than the "
                f"limit of {self.max_pixels / 1e6:g}; raise it with --max-pixels {height * width} (max_pixels in Python) "
                "if you trust the file"
            )

    def new(self, height: int, width: int, channels: int, dtype: np.dtype | type) -> np.ndarray:
        """`[height, width, channels]`, content undefined, in RAM or in a mapped temporary file."""
        self.check(height, width)
        shape, dtype = (height, width, channels), np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        if size <= self.memory:
            return np.empty(shape, dtype)
        with tempfile.TemporaryFile(prefix="picture-") as file:
            try:
                # Claims the space now: a full disk is an error here, and not a crash at some later access.
                if hasattr(os, "posix_fallocate"):  # macOS has not
                    os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise BadInput(
                    f"no room for {size / 1e6:,.2f} MB of decoded picture in {tempfile.gettempdir()}: "
                    f"{error.strerror}; point TMPDIR to another disk, or raise memory={size}"
                ) from error
            return np.memmap(file, dtype, "w+", shape=shape)


def strips(height: int, width: int) -> list[slice]:
    """Row ranges of about STRIP_PIXELS pixels that cover a picture."""
    rows = max(1, STRIP_PIXELS // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]
