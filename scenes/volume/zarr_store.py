"""Read Zarr stores, with the axes, scales and resolutions of OME-Zarr (OME-NGFF 0.1 to 0.5)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import MAX_CHANNELS, UNITS, Voxels, check_frame, check_size, placed_voxels, unit_name

# Files by which the folder of a store is known.
STORE_FILES = (".zgroup", ".zattrs", ".zarray", "zarr.json")
# Axes of OME-Zarr 0.1 to 0.3, which does not name them.
USUAL_AXES = "tczyx"


def is_store(folder: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((folder / name).is_file() for name in STORE_FILES)


def read_zarr(source: Path, max_voxels: int, frame: int) -> Voxels:
    """Read an array, or the finest resolution of an OME-Zarr image that has at most `max_voxels`.

    Raises:
        BadInput: it holds no array that is a volume, or no volume of the number `frame`.
    """
    import zarr

    opened: Any = zarr.open(str(source), mode="r")
    if isinstance(opened, zarr.Array):
        return _voxels(opened, _names(opened), frame, max_voxels)
    notes: list[str] = []
    if "bioformats2raw.layout" in opened.attrs:
        series = [name for name in sorted(opened.group_keys()) if name.isdecimal()]
        opened = opened[series[0]] if series else opened
        if len(series) > 1:
            notes.append(f"of {len(series)} images the first is read")
    scales = dict(opened.attrs).get("ome", dict(opened.attrs)).get("multiscales")
    if scales:
        return _multiscale(opened, scales[0], frame, max_voxels, notes)
    arrays = [name for name, array in sorted(opened.arrays()) if array.ndim >= 3]
    if len(arrays) != 1:
        raise BadInput(
            f"holds {len(arrays)} arrays with 3 axes or more; name the folder of one: {', '.join(arrays[:6])}"
        )
    return _voxels(opened[arrays[0]], _names(opened[arrays[0]]), frame, max_voxels)


def _multiscale(group: Any, image: Mapping[str, Any], frame: int, max_voxels: int, notes: list[str]) -> Voxels:
    """The finest resolution that is small enough."""
    levels = image["datasets"]
    if not levels:
        raise BadInput("announces an image without resolutions; get a fresh copy")
    arrays = [group[level["path"]] for level in levels]
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", [])]
    named = axes or [{"name": name} for name in USUAL_AXES[-arrays[0].ndim :]]
    names = [str(axis["name"]).lower() for axis in named]
    voxels = [
        math.prod(int(size) for name, size in zip(names, array.shape) if name in ("z", "y", "x")) for array in arrays
    ]
    chosen = next((number for number, count in enumerate(voxels) if count <= max_voxels), len(levels) - 1)
    array, level = arrays[chosen], levels[chosen]
    if chosen:
        notes.append(f"of {len(levels)} resolutions number {chosen + 1} is read, as finer ones are above `max_pixels`")
    found = _voxels(array, names, frame, max_voxels)
    scale, shift = np.ones(len(names)), np.zeros(len(names))
    for change in [*level.get("coordinateTransformations", []), *image.get("coordinateTransformations", [])]:
        if "path" in change:
            notes.append(f"a {change.get('type', 'transformation')} that is stored as an array is not applied")
        elif change.get("type") == "scale":
            scale, shift = scale * np.array(change["scale"], float), shift * np.array(change["scale"], float)
        elif change.get("type") == "translation":
            shift = shift + np.array(change["translation"], float)
    return _scaled(found, named, scale, shift, notes)


def _scaled(
    voxels: Voxels, axes: Sequence[Mapping[str, Any]], scale: np.ndarray, shift: np.ndarray, notes: list[str]
) -> Voxels:
    """Voxels with the sizes and the place of an image's axes, in the unit of x."""
    names = [str(axis["name"]).lower() for axis in axes]
    units = {name: unit_name(axis.get("unit")) for name, axis in zip(names, axes)}
    unit = units["x"]
    notes = [*notes, *voxels.notes]
    if unit is None:
        return Voxels(voxels.array, notes=tuple(notes))
    affine = np.eye(4)
    for place, name in enumerate("xyz"):
        factor = UNITS[units[name] or unit][0] / UNITS[unit][0]
        affine[place, place] = abs(scale[names.index(name)]) * factor
        affine[place, 3] = shift[names.index(name)] * factor
    placed = placed_voxels(voxels.array, affine, unit, "", notes)
    return placed if affine[:3, 3].any() else Voxels(placed.array, placed.spacing, unit, placed.notes)


def _names(array: Any) -> list[str]:
    """Names of an array's axes, slowest first; by their number where it has none."""
    names = getattr(array.metadata, "dimension_names", None)
    if names and all(names):
        return [str(name).lower() for name in names]
    if array.ndim == 4 and array.shape[3] <= MAX_CHANNELS:
        return list("zyxc")
    return list(USUAL_AXES[-array.ndim :] if array.ndim != 4 else "tzyx")


def _voxels(array: Any, names: Sequence[str], frame: int, max_voxels: int) -> Voxels:
    """The volume with the number `frame` of an array with these axes."""
    if len(names) != array.ndim or not set("zyx") <= set(names) or set(names) - set(USUAL_AXES):
        raise BadInput(f"has the axes {', '.join(names)} with {list(array.shape)} samples; a volume has z, y and x")
    sizes = dict(zip(names, map(int, array.shape)))
    channels = sizes.get("c", 1)
    if channels > MAX_CHANNELS:
        raise BadInput(f"has {channels} channels, and a field has at most {MAX_CHANNELS}; save some of them")
    check_size([sizes["z"], sizes["y"], sizes["x"], channels], max_voxels)
    notes = check_frame(sizes.get("t", 1), frame)
    values = np.asarray(array[tuple(frame if name == "t" else slice(None) for name in names)])
    left = [name for name in names if name != "t"]
    order = [name for name in "zyxc" if name in left]
    return Voxels(values.transpose([left.index(name) for name in order]), notes=notes)
