"""Read NRRD files, with or without a detached header, with pynrrd."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import MAX_CHANNELS, Voxels, check_frame, check_size, placed_voxels, unit_name

SPACES = {
    "right-anterior-superior": "RAS",
    "left-anterior-superior": "LAS",
    "left-posterior-superior": "LPS",
    "ras": "RAS",
    "las": "LAS",
    "lps": "LPS",
}
# Kinds of axes that are not channels.
SPATIAL_KINDS = ("domain", "space", "???", "none", "")
TIME_KINDS = ("time", "list")


def read_nrrd(file: Path, max_voxels: int, frame: int) -> Voxels:
    """Read a NRRD file; of a series, the volume with the number `frame`.

    Raises:
        BadInput: it has no three axes of space, more than one of channels or times, or no volume of that number.
    """
    import nrrd

    header = nrrd.read_header(str(file))
    sizes = [int(size) for size in header["sizes"]]
    spatial, channel, time = _axes(header, sizes)
    channels = sizes[channel] if channel is not None else 1
    check_size([*(sizes[axis] for axis in spatial), channels], max_voxels)
    count = sizes[time] if time is not None else 1
    notes = list(check_frame(count, frame))
    array, _ = nrrd.read(str(file), index_order="F")
    order = [*reversed(spatial), *([channel] if channel is not None else []), *([time] if time is not None else [])]
    array = array.transpose(order)
    if time is not None:
        array = array[..., frame]
    if any(key.startswith("Segment0_") for key in header):
        notes.append("its values are labels of segments, says its header: they are fitted as numbers")
    return _placed(array, header, spatial, notes)


def _axes(header: Mapping[str, Any], sizes: list[int]) -> tuple[list[int], int | None, int | None]:
    """Axes of the file, fastest first: the three of space, that of channels, that of times."""
    kinds = [str(kind).lower() for kind in header.get("kinds") or []]
    directions = header.get("space directions")
    spacings = header.get("spacings")
    if kinds and len(kinds) == len(sizes) and any(kind not in SPATIAL_KINDS for kind in kinds):
        spatial = [axis for axis, kind in enumerate(kinds) if kind in SPATIAL_KINDS]
    elif directions is not None:
        spatial = [axis for axis, row in enumerate(directions) if row is not None and np.isfinite(row).all()]
    elif spacings is not None and np.isfinite(spacings).sum() == 3:
        spatial = [axis for axis, step in enumerate(spacings) if np.isfinite(step)]
    else:
        spatial = list(range(len(sizes)))
    if len(spatial) == 4:
        # Nothing tells the fourth axis: a short fastest or slowest one holds channels, else the slowest one times.
        short = [axis for axis in (spatial[0], spatial[-1]) if sizes[axis] <= MAX_CHANNELS]
        spatial.remove(short[0] if short else spatial[-1])
    others = [axis for axis in range(len(sizes)) if axis not in spatial]
    if len(spatial) != 3 or len(others) > 2:
        raise BadInput(f"has {len(spatial)} axes of space among its {len(sizes)} ({sizes}); a volume has three")
    times = [
        axis
        for axis in others
        if kinds and kinds[axis] == "time" or sizes[axis] > MAX_CHANNELS and _is_list(kinds, axis)
    ]
    channels = [axis for axis in others if axis not in times]
    if len(times) > 1 or len(channels) > 1:
        raise BadInput(f"has two axes beside those of space ({sizes}); a volume has channels and times at most")
    return spatial, channels[0] if channels else None, times[0] if times else None


def _is_list(kinds: list[str], axis: int) -> bool:
    return not kinds or kinds[axis] in TIME_KINDS or kinds[axis] in SPATIAL_KINDS


def _placed(array: np.ndarray, header: Mapping[str, Any], spatial: list[int], notes: list[str]) -> Voxels:
    """Voxels with spacing, unit and place as the header has them."""
    directions = header.get("space directions")
    if directions is not None:
        rows = np.asarray([directions[axis] for axis in spatial], np.float64)
        if rows.shape == (3, 3) and np.isfinite(rows).all():
            units = [unit for unit in header.get("space units") or [] if unit_name(unit)]
            unit = unit_name(units[0]) if units else None
            affine = np.eye(4)
            affine[:3, :3] = rows.T
            origin = np.asarray(header.get("space origin", np.zeros(3)), np.float64)
            if origin.shape == (3,) and np.isfinite(origin).all():
                affine[:3, 3] = origin
            return placed_voxels(array, affine, unit or "mm", _space(header), notes)
    spacings = header.get("spacings")
    if spacings is None:
        return Voxels(array, notes=tuple(notes))
    steps = [abs(float(spacings[axis])) for axis in spatial]
    if not all(np.isfinite(step) and step > 0 for step in steps):
        return Voxels(array, notes=tuple(notes))
    units = header.get("units") or []
    unit = unit_name(units[spatial[0]]) if len(units) > max(spatial) else None
    return Voxels(array, (steps[0], steps[1], steps[2]), unit or "mm", tuple(notes))


def _space(header: Mapping[str, Any]) -> str:
    return SPACES.get(str(header.get("space", "")).lower().removesuffix("-time"), "")
