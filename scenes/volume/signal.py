"""Volumes as signals: values on a regular grid of voxels."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from scenes.domain import Axis, Channels, Domain, World
from scenes.errors import BadInput
from scenes.grid_signal import GridSignal, source_record
from scenes.io.files import array_digest, file_digest, input_file
from scenes.sampling import held_out_mask
from scenes.signal import changed_options
from scenes.volume.read import read_volume, volume_files
from scenes.volume.voxels import MAX_CHANNELS, Voxels

# Default of `max_pixels`: a larger file may be a mistake or a decompression bomb.
MAX_VOXELS = 1 << 30
# Voxels whose range is found at a time.
SLAB_VOXELS = 1 << 22
# Types that are kept as they are; others become float32.
STORED_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.float32)
# Integers look like labels where there are this many, and this fraction of neighbours in the middle slice is equal.
MIN_LABELS, MAX_LABELS = 3, 64
MIN_EQUAL_NEIGHBOURS = 0.9
# Ranges of values that float32 can hold.
MIN_RANGE, MAX_RANGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max) / 2
# Voxels that are looked at for labels.
MAX_EXAMINED = 1 << 22


class Volume(GridSignal):
    """A volume: `stored` is `[D, H, W, C]` with the axes z, y, x; integers of up to 16 bits, or float32.

    Values of other types that lie on a large offset are stored as training values.

    Training values are 0 at the smallest value of the file (`channels.lower`) and 1 at the largest (`channels.upper`).

    Voxels that are NaN or infinite have no value, as outside of a mask: they are fitted as background, which is 0 where
    the range holds it, else the smallest value, and not scored.

    Attributes:
        valid: None for every voxel, or bool `[D, H, W]`: False where the file has no value.
    """

    kind = "volume"
    valid: np.ndarray | None = None

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        *,
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        unit: str = "voxel",
        held_out: float = 0.0,
        seed: int = 0,
        refuse_invalid: bool = False,
    ) -> Volume:
        """Make a signal of an array.

        Args:
            array: `[D, H, W]` or `[D, H, W, C]` with C from 1 to 4, of any numeric type.
            spacing: distance between voxels along x, y and z, in `unit`.
            unit: unit of the axes.
            held_out: as in `open_volume`.
            seed: as in `open_volume`.
            refuse_invalid: as in `open_volume`.

        Raises:
            BadInput: the array is no volume, is constant, or holds what is to be refused.
        """
        array = np.asarray(array)
        volume = _assemble(
            Voxels(array, spacing, unit), {"path": "array"}, held_out, seed, refuse_invalid=refuse_invalid
        )
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
        digits = ".12g" if self.channels.needs_float64 else "g"
        return f"{size} voxels{spacing}, values {self.channels.lower:{digits}} to {self.channels.upper:{digits}}"


def to_rgb8(values: np.ndarray) -> np.ndarray:
    """Training values `[..., C]` as colours `[..., 3]` uint8: of three channels RGB, else the mean channel as grey."""
    colors = values if values.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    return (np.clip(colors, 0, 1) * 255 + 0.5).astype(np.uint8)


def open_volume(
    path: str | os.PathLike[str],
    *,
    layer: str | int | None = None,
    held_out: float = 0.0,
    seed: int = 0,
    max_pixels: int = MAX_VOXELS,
    refuse_invalid: bool = False,
) -> Volume:
    """Open a volume file, or a folder of slices; see `scenes.volume.read` for the formats.

    Args:
        path: the file or folder.
        layer: number of the volume, from 1, where the file holds a series of them. Default: the first.
        held_out: fraction of the voxels, in (0, 1), that is never trained on but scored.
        seed: seed of the choice of held-out voxels.
        max_pixels: largest number of voxels; larger files are refused before they are decoded.
        refuse_invalid: refuse a file with NaN or infinite values, instead of taking these as background.

    Raises:
        BadInput: the file cannot be read, holds nothing to fit, or an option cannot be used.
    """
    source = Path(path).expanduser()
    if not source.is_dir():
        source = input_file(path)
    options = changed_options(
        open_volume,
        layer=layer,
        held_out=held_out,
        seed=seed,
        max_pixels=max_pixels,
        refuse_invalid=refuse_invalid,
    )
    voxels = read_volume(path, source, max_pixels, _frame_number(path, layer))
    record = _folder_record(path, source, options) if source.is_dir() else source_record(path, source, options)
    return _assemble(voxels, record, held_out, seed, refuse_invalid=refuse_invalid)


def _frame_number(path: str | os.PathLike[str], layer: str | int | None) -> int:
    """The number, from 0, of the volume that the option `layer` asks for."""
    text = str(1 if layer is None else layer)
    if not text.isdecimal() or int(text) < 1:
        raise BadInput(f"{path}: `layer={layer}`: a volume of a series is named by its number from 1")
    return int(text) - 1


def _folder_record(path: str | os.PathLike[str], folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """As `source_record`, of the files that make a volume."""
    files = volume_files(folder)
    states = [file.stat() for file in files]
    names = "\n".join(f"{file.relative_to(folder)} {file_digest(file)}" for file in files)
    return {
        "path": str(path),
        "bytes": sum(state.st_size for state in states),
        "mtime_ns": max(state.st_mtime_ns for state in states),
        "sha256": hashlib.sha256(names.encode()).hexdigest(),
        "options": options,
    }


def _assemble(voxels: Voxels, source: dict[str, Any], held_out: float, seed: int, *, refuse_invalid: bool) -> Volume:
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
    array = _in_known_type(name, array)
    lower, upper, invalid = _value_range(name, array)
    if invalid and refuse_invalid:
        raise BadInput(
            f"{name}: {invalid:,} of {array.size:,} values are NaN or infinite; leave `refuse_invalid` out to take "
            "them as background"
        )
    channel_names = ("value",) if array.shape[3] == 1 else tuple(f"channel {i + 1}" for i in range(array.shape[3]))
    channels = Channels(channel_names, "scalar", lower=lower, upper=upper)
    gain, zero = 1.0 / (upper - lower), lower
    notes = (*voxels.notes, *_label_notes(array, voxels.notes))
    valid = None
    if invalid:
        array, valid, note = _filled(array, lower, upper)
        notes += (note,)
    if array.dtype not in STORED_TYPES:
        if channels.needs_float64 or not MIN_RANGE < upper - lower < MAX_RANGE:
            array, gain, zero = _training_values(array, lower, upper), 1.0, 0.0
        else:
            array = array.astype(np.float32)
    depth, height, width, _ = array.shape
    domain = Domain(
        tuple(
            Axis(axis, 0.0, samples * size, voxels.unit, samples)
            for axis, samples, size in zip("xyz", (width, height, depth), voxels.spacing)
        ),
        _world(voxels),
    )
    volume = Volume(
        array,
        domain,
        channels,
        source,
        gain=gain,
        zero=zero,
        held_out=held_out_mask(
            depth * height * width, held_out, seed, name=name, valid=None if valid is None else valid.reshape(-1)
        ),
        notes=notes,
    )
    volume.valid = valid
    return volume


def _world(voxels: Voxels) -> World | None:
    """Where positions along the axes, which begin at the corner of the first voxel, are in the file's space."""
    if voxels.affine is None:
        return None
    # Sample i is at (i + 0.5) * spacing along the axis.
    steps = voxels.affine[:3, :3] / np.array(voxels.spacing)
    corner = voxels.affine[:3, 3] - voxels.affine[:3, :3].sum(axis=1) / 2
    rows = np.concatenate([steps, corner[:, None]], axis=1).tolist()
    return World(tuple(map(tuple, rows)), voxels.space)


def _training_values(array: np.ndarray, lower: float, upper: float) -> np.ndarray:
    """Values between `lower` and `upper` as float32 in [0, 1], slab by slab; the differences are taken in float64."""
    values = np.empty(array.shape, np.float32)
    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    for first in range(0, len(array), slab):
        part = array[first : first + slab].astype(np.float64)
        values[first : first + slab] = (part - lower) / (upper - lower)
    return values


def _label_notes(array: np.ndarray, notes: tuple[str, ...]) -> tuple[str, ...]:
    """A note where integers look like labels of regions: few of them, and neighbours mostly equal."""
    if array.dtype.kind not in "iu" or array.shape[3] > 1 or any("labels" in note for note in notes):
        return ()
    middle = array[len(array) // 2]
    if (middle[:, 1:] == middle[:, :-1]).mean() < MIN_EQUAL_NEIGHBOURS:
        return ()
    step = -(-array.size // MAX_EXAMINED)
    found = np.unique(array.reshape(-1)[::step])
    if not MIN_LABELS <= len(found) <= MAX_LABELS:
        return ()
    shown = ", ".join(map(str, found[:6].tolist())) + (", ..." if len(found) > 6 else "")
    return (
        f"its {len(found)} values ({shown}) look like labels of regions: they are fitted as numbers, so borders pass "
        "through the numbers between; fit a file with one region as 0 and 1 for its surface",
    )


def _in_known_type(name: str, array: np.ndarray) -> np.ndarray:
    """The array in native byte order; booleans as integers."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise BadInput(f"{name}: values of the type {array.dtype} cannot be fitted; give integers or floats")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _value_range(name: str, array: np.ndarray) -> tuple[float, float, int]:
    """Smallest and largest value, and the number of values that are NaN or infinite, which do not count.

    Works slab by slab, since the array may be a mapped file.
    """
    slab = max(1, SLAB_VOXELS // max(1, array[0].size))
    lower, upper, invalid = math.inf, -math.inf, 0
    for first in range(0, len(array), slab):
        part = array[first : first + slab]
        if not np.isfinite([low := float(part.min()), high := float(part.max())]).all():
            finite = part[np.isfinite(part)]
            invalid += part.size - finite.size
            if not finite.size:
                continue
            low, high = float(finite.min()), float(finite.max())
        lower, upper = min(lower, low), max(upper, high)
    if lower > upper:
        raise BadInput(f"{name}: every value is NaN or infinite: there is nothing to fit")
    if lower == upper:
        raise BadInput(f"{name}: every voxel is {lower:g}: there is nothing to fit")
    return lower, upper, invalid


def _filled(array: np.ndarray, lower: float, upper: float) -> tuple[np.ndarray, np.ndarray, str]:
    """The array with background where it is NaN or infinite, bool `[D, H, W]` where it is neither, and a note."""
    background = 0.0 if lower <= 0 <= upper else lower
    filled, valid = np.empty(array.shape, array.dtype), np.empty(array.shape[:3], bool)
    for index, part in enumerate(array):
        finite = np.isfinite(part)
        valid[index] = finite.all(axis=-1)
        filled[index] = np.where(finite, part, part.dtype.type(background))
    missing = valid.size - np.count_nonzero(valid)
    what = "0" if background == 0 else f"the smallest value, {background:g}"
    note = (
        f"{missing:,} of {valid.size:,} voxels have no value (NaN or infinity): they are taken as background ({what}) "
        "and not scored; `refuse_invalid` refuses such files"
    )
    return filled, valid, note
