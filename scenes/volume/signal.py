"""Volumes as signals: numbers on a lattice of voxels."""

from __future__ import annotations

import hashlib
import os

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.io.files import input_file
from scenes.lattice import Lattice, held_out_mask, source_record
from scenes.volume.read import Voxels, read_volume

# Files of more are taken for a mistake or a decompression bomb until the user says otherwise.
MAX_VOXELS = 1 << 30
SLAB_VOXELS = 1 << 22


class Volume(Lattice):
    """A volume: `stored` `[D, H, W, C]` with the axes z, y, x; integers of up to 16 bits, or float32.

    Fitted values run from 0 at the smallest number of the file (`channels.lower`) to 1 at the largest (`channels.upper`).
    """

    kind = "volume"

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        *,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        unit: str = "voxel",
        held_out: float = 0.0,
        seed: int = 0,
    ) -> Volume:
        """The signal of `[D, H, W]` or `[D, H, W, C]`; `spacing` is the size of a voxel along x, y, z in `unit`."""
        array = np.asarray(array)
        source = {"path": "array", "sha256": hashlib.sha256(np.ascontiguousarray(array)).hexdigest()}
        return _assemble(Voxels(array, spacing, unit), source, held_out, seed)

    def slice(self, axis: str, index: int) -> np.ndarray:
        """Fitted values `[h, w, C]` of the voxels at `index` along "x", "y" or "z"; the axis that comes first in the
        alphabet runs to the right, the other one down."""
        places = [slice(None)] * 3
        places[{"z": 0, "y": 1, "x": 2}[axis]] = index
        return self.values(*places)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The slice through the middle along z, `[h, w, 3]` uint8; at most that long, every n-th voxel."""
        middle = self.stored.shape[0] // 2
        step = -(-max(self.stored.shape[1:3]) // longest_side)
        return to_rgb8(self.values(middle, slice(None, None, step), slice(None, None, step)))

    def describe(self) -> str:
        size = " x ".join(f"{axis.samples}" for axis in self.domain.axes)
        first = self.domain.axes[0]
        spacing = (
            ""
            if first.unit == "voxel"
            else " of "
            + " x ".join(f"{(axis.upper - axis.lower) / axis.samples:.3g}" for axis in self.domain.axes)
            + f" {first.unit}"
        )
        return f"{size} voxels{spacing}, values {self.channels.lower:g} to {self.channels.upper:g}"


def to_rgb8(values: np.ndarray) -> np.ndarray:
    """Fitted values `[..., C]` as `[..., 3]` uint8: three channels as colours, else the mean of the channels as grey."""
    colors = values if values.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    return (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8)


def open_volume(
    path: str | os.PathLike, *, held_out: float = 0.0, seed: int = 0, max_pixels: int = MAX_VOXELS
) -> Volume:
    """The volume in a file; see `scenes.volume.read` for the formats.

    held_out    share of the voxels, in (0, 1), that is never trained on, drawn at random from `seed`
    max_pixels  files of more voxels are refused unread

    Raises BadInput with one line for whatever makes that impossible.
    """
    file = input_file(path)
    options = {"held_out": held_out, "seed": seed, "max_pixels": max_pixels if max_pixels != MAX_VOXELS else None}
    options = {name: value for name, value in options.items() if value}
    voxels = read_volume(path, file, max_pixels)
    return _assemble(voxels, source_record(path, file, options), held_out, seed)


def _assemble(voxels: Voxels, source: dict, held_out: float, seed: int) -> Volume:
    name, array = source["path"], voxels.array
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not 1 <= array.shape[3] <= 4:
        raise BadInput(
            f"{name}: an array of shape {list(voxels.array.shape)} is not a volume; it should be [depth, height, width], "
            "or that and 1 to 4 channels"
        )
    if not array.size:
        raise BadInput(f"{name}: the volume is {' x '.join(map(str, array.shape[2::-1]))}: there is nothing to fit")
    array = _storable(name, array)
    lower, upper = _range(name, array)
    depth, height, width = array.shape[:3]
    domain = Domain(
        tuple(
            Axis(axis, 0.0, samples * size, voxels.unit, samples)
            for axis, samples, size in zip("xyz", (width, height, depth), voxels.spacing)
        )
    )
    names = ("value",) if array.shape[3] == 1 else tuple(f"channel {i + 1}" for i in range(array.shape[3]))
    channels = Channels(names, "scalar", lower=lower, upper=upper)
    gain = 1.0 / (upper - lower)
    return Volume(
        array,
        domain,
        channels,
        source,
        gain=gain,
        shift=-lower * gain,
        held_out=held_out_mask(depth * height * width, held_out, seed, name),
        notes=voxels.notes,
    )


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise BadInput(f"{name}: numbers of the type {array.dtype} cannot be fitted; give integers or floats")
    native = array.dtype.newbyteorder("=")
    if native in (np.uint8, np.int8, np.uint16, np.int16, np.float32):
        return array.astype(native, copy=False)
    return array.astype(np.float32)


def _range(name: str, array: np.ndarray) -> tuple[float, float]:
    """Smallest and largest number; slab by slab, since the array may be a mapped file."""
    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    lows, highs = [], []
    for first in range(0, len(array), slab):
        part = array[first : first + slab]
        lows.append(float(part.min()))
        highs.append(float(part.max()))
    lower, upper = min(lows), max(highs)
    if not np.isfinite([*lows, *highs]).all():
        raise BadInput(f"{name}: holds NaN or infinity; replace them first")
    if lower == upper:
        raise BadInput(f"{name}: every voxel is {lower:g}: there is nothing to fit")
    return lower, upper
