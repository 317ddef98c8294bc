"""Read NIfTI, Analyze and MGH files with nibabel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import MAX_CHANNELS, Voxels, check_frame, check_size, placed_voxels, unit_name

# NIfTI's code of an intent: the values are labels of regions.
LABELS = 1002
NOT_PLACED = "it does not say how it is oriented (both its sform and its qform are unknown)"


def read_nifti(file: Path, max_voxels: int, frame: int) -> Voxels:
    """Read a file that nibabel knows; of a series, the volume with the number `frame`.

    Raises:
        BadInput: the file is none, has other axes, or no volume of that number.
    """
    import nibabel
    from nibabel.spatialimages import SpatialImage

    image = nibabel.load(file)
    if not isinstance(image, SpatialImage):
        raise BadInput("is not a volume in NIfTI, Analyze or MGH")
    shape = tuple(map(int, image.shape))
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) < 3 or len(shape) > 5:
        raise BadInput(f"has {len(shape)} axes; a volume has 3, or 4 or 5 with times and channels")
    times, channels = _times_and_channels(image, shape)
    check_size((*shape[:3], channels), max_voxels)
    notes = list(check_frame(times, frame))
    array = _values(image, shape, times, frame)
    array = array.transpose((2, 1, 0, 3)[: array.ndim])
    unit = _unit(image)
    header: Any = image.header
    if int(header.get("intent_code", 0) if hasattr(header, "get") else 0) == LABELS:
        notes.append("its values are labels, says its header: they are fitted as numbers")
    if not _is_placed(image):
        x, y, z = (abs(float(size)) or 1.0 for size in header.get_zooms()[:3])
        return Voxels(array, (x, y, z), unit, (*notes, NOT_PLACED))
    return placed_voxels(array, np.asarray(image.affine), unit, "RAS", notes)


def _times_and_channels(image: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """Number of volumes of a series, and of channels of each, of a file with up to 5 axes."""
    if len(shape) == 3:
        return 1, 1
    if len(shape) == 5:
        if shape[4] > MAX_CHANNELS:
            raise BadInput(f"has {shape[4]} values in each voxel, and a field has at most {MAX_CHANNELS}; extract some")
        return shape[3], shape[4]
    # The fourth axis is time by the standard, and channels in many files. A unit of time decides.
    units = image.header.get_xyzt_units()[1] if hasattr(image.header, "get_xyzt_units") else "unknown"
    is_series = shape[3] > MAX_CHANNELS or units in ("sec", "msec", "usec")
    return (shape[3], 1) if is_series else (1, shape[3])


def _values(image: Any, shape: tuple[int, ...], times: int, frame: int) -> np.ndarray:
    """Values `[x, y, z]` or `[x, y, z, C]` of a volume; integers that have no factor stay integers."""
    from nibabel.arrayproxy import ArrayProxy

    data = image.dataobj
    index: tuple[Any, ...] = (slice(None),) * 3
    if times > 1:
        index += (frame,)
    elif len(shape) == 5:
        index += (0,)
    index += (slice(None),) * (len(shape) - len(index)) + (0,) * (len(image.shape) - len(shape))
    if isinstance(data, ArrayProxy) and (data.slope, data.inter) == (1, 0):
        array = np.asanyarray(data.get_unscaled())[index] if times == 1 else np.asanyarray(data[index])
    else:
        array = np.asarray(data[index])
    if array.dtype.names:  # RGB24 and RGBA32
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
    return array


def _unit(image: Any) -> str:
    """Unit of length; millimetres where the file does not say, as is usual."""
    header = image.header
    return unit_name(header.get_xyzt_units()[0]) or "mm" if hasattr(header, "get_xyzt_units") else "mm"


def _is_placed(image: Any) -> bool:
    header = image.header
    if hasattr(header, "get_sform"):
        return bool(header["sform_code"] or header["qform_code"])
    # MGH files say it by a flag, Analyze files cannot say it.
    return bool("goodRASFlag" in header and header["goodRASFlag"])
