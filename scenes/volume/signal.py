"""Volumes as signals: values on a regular grid of voxels."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal, source_record
from scenes.io.files import array_digest, input_file
from scenes.sampling import held_out_mask
from scenes.signal import changed_options
from scenes.volume.read import MAX_CHANNELS, Voxels, read_volume

# Default of `max_pixels`: a larger file may be a mistake or a decompression bomb.
MAX_VOXELS = 1 << 30
# Voxels whose range is found at a time.
SLAB_VOXELS = 1 << 22
# Types that are kept as they are; other numeric types become float32.
STORED_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.float32)


class Volume(GridSignal):
    """A volume: `stored` is `[D, H, W, C]` with the axes z, y, x; integers of up to 16 bits, or float32.

    Training values are 0 at the smallest value of the file (`channels.lower`) and 1 at the largest (`channels.upper`).
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
        """Make a signal of an array.

        Args:
            array: `[D, H, W]` or `[D, H, W, C]` with C from 1 to 4, of any numeric type.
            spacing: distance between voxels along x, y and z, in `unit`.
            unit: unit of the axes.
            held_out: as in `open_volume`.
            seed: as in `open_volume`.

        Raises:
            BadInput: the array is no volume, is constant, or holds NaN or infinity.
        """
        array = np.asarray(array)
        volume = _assemble(Voxels(array, spacing, unit), {"path": "array"}, held_out, seed)
        volume.source["sha256"] = array_digest(array)
        return volume

    def slice(self, axis: str, index: int) -> np.ndarray:
        """Training values `[h, w, C]` of the voxels at `index` along "x", "y" or "z".

        Of the other two axes, the first in the alphabet runs to the right and the other one down.
        """
        before = (slice(None),) * {"z": 0, "y": 1, "x": 2}[axis]
        return self.values(*before, index)

    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """The middle slice along z, `[h, w, 3]` uint8, with every n-th voxel so that it fits `longest_side`."""
        middle = self.stored.shape[0] // 2
        step = -(-max(self.stored.shape[1:3]) // longest_side)
        return to_rgb8(self.values(middle, slice(None, None, step), slice(None, None, step)))

    def describe(self) -> str:
        """Size, spacing and range of values in a few words."""
        axes = self.domain.axes
        size = " x ".join(str(n) for n in self.domain.grid_shape)
        spacing = ""
        if axes[0].unit != "voxel":
            steps = ((axis.upper - axis.lower) / n for axis, n in zip(axes, self.domain.grid_shape))
            spacing = f" of {' x '.join(f'{step:.3g}' for step in steps)} {axes[0].unit}"
        return f"{size} voxels{spacing}, values {self.channels.lower:g} to {self.channels.upper:g}"


def to_rgb8(values: np.ndarray) -> np.ndarray:
    """Training values `[..., C]` as colours `[..., 3]` uint8: of three channels RGB, else the mean channel as grey."""
    colors = values if values.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    return (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8)


def open_volume(
    path: str | os.PathLike[str], *, held_out: float = 0.0, seed: int = 0, max_pixels: int = MAX_VOXELS
) -> Volume:
    """Open a volume file; see `scenes.volume.read` for the formats.

    Args:
        path: the file.
        held_out: fraction of the voxels, in (0, 1), that is never trained on but scored.
        seed: seed of the choice of held-out voxels.
        max_pixels: largest number of voxels; larger files are refused before they are decoded.

    Raises:
        BadInput: the file cannot be read, holds nothing to fit, or an option cannot be used.
    """
    file = input_file(path)
    options = changed_options(open_volume, held_out=held_out, seed=seed, max_pixels=max_pixels)
    voxels = read_volume(path, file, max_pixels)
    return _assemble(voxels, source_record(path, file, options), held_out, seed)


def _assemble(voxels: Voxels, source: dict[str, Any], held_out: float, seed: int) -> Volume:
    name, array = source["path"], voxels.array
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or not 1 <= array.shape[3] <= MAX_CHANNELS:
        raise BadInput(
            f"{name}: an array of shape {list(voxels.array.shape)} is not a volume; it should be "
            f"[depth, height, width], or that and 1 to {MAX_CHANNELS} channels"
        )
    if not array.size:
        raise BadInput(f"{name}: the volume is {' x '.join(map(str, array.shape[2::-1]))}: there is nothing to fit")
    array = _to_stored_type(name, array)
    lower, upper = _value_range(name, array)
    depth, height, width, channels = array.shape
    domain = Domain(
        tuple(
            Axis(axis, 0.0, samples * size, voxels.unit, samples)
            for axis, samples, size in zip("xyz", (width, height, depth), voxels.spacing)
        )
    )
    names = ("value",) if channels == 1 else tuple(f"channel {i + 1}" for i in range(channels))
    gain = 1.0 / (upper - lower)
    return Volume(
        array,
        domain,
        Channels(names, "scalar", lower=lower, upper=upper),
        source,
        gain=gain,
        shift=-lower * gain,
        held_out=held_out_mask(depth * height * width, held_out, seed, name=name),
        notes=voxels.notes,
    )


def _to_stored_type(name: str, array: np.ndarray) -> np.ndarray:
    """The array in native byte order, in one of `STORED_TYPES`."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise BadInput(f"{name}: values of the type {array.dtype} cannot be fitted; give integers or floats")
    native = array.dtype.newbyteorder("=")
    if native in STORED_TYPES:
        return array.astype(native, copy=False)
    return array.astype(np.float32)


def _value_range(name: str, array: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value. Works slab by slab, since the array may be a mapped file."""
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
