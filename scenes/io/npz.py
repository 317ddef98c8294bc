"""Read `.npz` archives of numeric arrays, knowing their sizes before anything is unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable

import numpy as np


def array_names(path: str | os.PathLike[str]) -> list[str]:
    """Names of an archive's members, without ".npy". Raises what `zipfile` raises where it is no archive."""
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def array_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the numeric arrays of an archive, by name, read from their headers alone.

    Raises what `zipfile` and numpy raise where the file is no such archive.
    """
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                # Numeric arrays have headers of version 1. Headers of later versions may themselves be of any size.
                if name.endswith(".npy") and np.lib.format.read_magic(file) == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                    if dtype.kind in "biufc":
                        shapes[name.removesuffix(".npy")] = shape
    return shapes


def read_arrays(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, np.ndarray]:
    """The named arrays of an archive; no other member is unpacked, and nothing is unpickled.

    Raises what `zipfile` and numpy raise where the file is damaged.
    """
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[f"{name}.npy"] for name in names}
