"""What the arrays of an `.npz` are, before any of them is unpacked."""

from __future__ import annotations

import os
import zipfile

import numpy as np


def array_headers(path: str | os.PathLike) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of each array of numbers, by name; `np.load(path)[f"{name}.npy"]` unpacks just as much as that.

    A file that is no such archive raises what `zipfile` and numpy raise.
    """
    found = {}
    with zipfile.ZipFile(path) as packed:
        for name in packed.namelist():
            with packed.open(name) as file:
                # (numbers have headers of the first version; those of later ones may themselves be of any size)
                if name.endswith(".npy") and np.lib.format.read_magic(file) == (1, 0):
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                    if dtype.kind in "biufc":
                        found[name.removesuffix(".npy")] = shape, dtype
    return found
