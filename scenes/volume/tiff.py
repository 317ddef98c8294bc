"""Read TIFF stacks, with the size of voxels as ImageJ and OME write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import MAX_CHANNELS, UNITS, Voxels, check_frame, check_size, unit_name

# Names of axes (tifffile's) by what they are. Where a file has none of depth, times or channels are taken for it.
DEPTH_AXES = "ZIQ"
TIME_AXES = "T"
CHANNEL_AXES = "CS"
# What opens pages otherwise.
AS_CLIP = "`kind=video` opens them as the frames of a clip, `kind=image` one of them"


def read_tiff(file: Path, max_voxels: int, frame: int) -> Voxels:
    """Read the first series of a TIFF file; of several times, the one with the number `frame`.

    Raises:
        BadInput: it holds one image, has other axes or too many channels, or no time of that number.
    """
    import tifffile

    with tifffile.TiffFile(file) as opened:
        series = opened.series[0]
        axes, shape = series.axes, tuple(map(int, series.shape))
        depth, channel, time, notes = _roles(axes, shape)
        channels = shape[channel] if channel is not None else 1
        times = shape[time] if time is not None else 1
        check_size([shape[depth], shape[axes.index("Y")], shape[axes.index("X")], channels], max_voxels)
        notes += check_frame(times, frame)
        if len(opened.series) > 1:
            notes.append(f"of {len(opened.series)} series in it the first is read")
        array = series.asarray()
        spacing, unit = _spacing(opened)
    order = [axis for axis in (time, depth, axes.index("Y"), axes.index("X"), channel) if axis is not None]
    left = [axis for axis in range(len(shape)) if axis not in order]
    array = array.transpose([*left, *order]).reshape([shape[axis] for axis in order])
    array = array[frame] if time is not None else array
    return Voxels(array, spacing, unit, tuple(notes))


def _roles(axes: str, shape: tuple[int, ...]) -> tuple[int, int | None, int | None, list[str]]:
    """Which axis is depth, which holds channels, which times; and notes on what was decided."""
    notes: list[str] = []
    if "Y" not in axes or "X" not in axes:
        raise BadInput(f"has the axes {axes}, not rows and columns")
    long = [index for index, name in enumerate(axes) if shape[index] > 1 and name not in "YX"]
    depths = [index for index in long if axes[index] in DEPTH_AXES]
    channels = [index for index in long if axes[index] in CHANNEL_AXES]
    times = [index for index in long if axes[index] in TIME_AXES]
    known = {*depths, *channels, *times}
    if len(depths) > 1 or len(channels) > 1 or len(times) > 1 or set(long) - known:
        raise BadInput(
            f"has the axes {axes} with {list(shape)} samples; give one volume, with channels and times at most"
        )
    if not depths and times:
        # ImageJ's stacks often name slices times; such a file has no other depth.
        notes.append(f"its {shape[times[0]]} pages are named times: they are taken for slices; {AS_CLIP}")
        depths, times = times, []
    elif not depths and channels and axes[channels[0]] == "C" and shape[channels[0]] > MAX_CHANNELS:
        notes.append(f"its {shape[channels[0]]} pages are named channels: they are taken for slices")
        depths, channels = channels, []
    elif depths and axes[depths[0]] != "Z":
        notes.append(f"its {shape[depths[0]]} pages are taken for slices; {AS_CLIP}")
    if not depths:
        raise BadInput("holds one image, not a stack; open it with `kind=image`")
    if channels and shape[channels[0]] > MAX_CHANNELS:
        raise BadInput(f"has {shape[channels[0]]} channels, and a field has at most {MAX_CHANNELS}; save some of them")
    return depths[0], channels[0] if channels else None, times[0] if times else None, notes


def _spacing(opened: Any) -> tuple[tuple[float, float, float], str]:
    """Size of a voxel along x, y and z, and its unit; 1 "voxel" where the file does not say."""
    if opened.ome_metadata:
        return _ome_spacing(opened.ome_metadata)
    if opened.imagej_metadata:
        return _imagej_spacing(opened)
    return (1.0, 1.0, 1.0), "voxel"


def _ome_spacing(metadata: str) -> tuple[tuple[float, float, float], str]:
    import tifffile

    image = tifffile.xml2dict(metadata)["OME"]["Image"]
    pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    if "PhysicalSizeX" not in pixels:
        return (1.0, 1.0, 1.0), "voxel"
    unit = unit_name(pixels.get("PhysicalSizeXUnit", "um"))
    sizes = []
    for axis in "XYZ":
        size = abs(float(pixels.get(f"PhysicalSize{axis}", pixels["PhysicalSizeX"])))
        own = unit_name(pixels.get(f"PhysicalSize{axis}Unit", "um"))
        sizes.append(size * UNITS[own][0] / UNITS[unit][0] if own and unit else size)
    return _checked(sizes, unit)


def _imagej_spacing(opened: Any) -> tuple[tuple[float, float, float], str]:
    metadata, tags = opened.imagej_metadata, opened.pages[0].tags
    unit = unit_name(metadata.get("unit"))

    def size(name: str) -> float:
        """Units per pixel: the tag has pixels per unit, as a fraction."""
        above, below = tags[name].value if name in tags else (1, 1)
        return below / above if above and below else 1.0

    x, y = size("XResolution"), size("YResolution")
    return _checked([x, y, abs(float(metadata.get("spacing", 1.0)))], unit)


def _checked(sizes: list[float], unit: str | None) -> tuple[tuple[float, float, float], str]:
    if unit is None or not all(np.isfinite(size) and size > 0 for size in sizes):
        return (1.0, 1.0, 1.0), "voxel"
    return (sizes[0], sizes[1], sizes[2]), unit
