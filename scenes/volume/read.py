"""Read volume files: NPY, NPZ, TIFF stacks, NRRD and NIfTI.

The ending chooses the reader. A reader says what is wrong with a file that is not what its ending promises.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.npz import array_names, array_shapes, read_arrays
from scenes.io.silence import silence_libraries

MAX_CHANNELS = 4
# Packages whose name differs from that of the module.
PACKAGES = {"nrrd": "pynrrd"}
# Names of NIfTI's units.
NIFTI_UNITS = {"unknown": "mm", "meter": "m", "micron": "um"}


@dataclass(frozen=True)
class Voxels:
    """A volume as its file holds it.

    Attributes:
        array: `[D, H, W]` or `[D, H, W, C]`, possibly a memory-mapped file.
        spacing: distance between voxels along x, y and z, in `unit`.
        unit: unit of `spacing`, for example "voxel" or "mm".
        notes: one-line remarks for the user.
    """

    array: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: str = "voxel"
    notes: tuple[str, ...] = ()


def read_volume(path: str | os.PathLike[str], file: Path, max_voxels: int) -> Voxels:
    """Read the voxels of a file.

    Args:
        path: the file as the user named it, for messages.
        file: the file.
        max_voxels: larger volumes are refused before they are decoded.

    Raises:
        BadInput: the file is no volume, is damaged or too large, or a package is missing.
    """
    reader = _reader(path, file)
    try:
        with silence_libraries():
            return reader(file, max_voxels)
    except ImportError as error:
        package = PACKAGES.get(error.name or "", error.name)
        raise BadInput(
            f"{path}: reading this needs the package {package}: pip install 'field-studio[volumes]'"
        ) from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except MemoryError:
        raise BadInput(f"{path}: does not fit into memory") from None
    except Exception as error:  # noqa: BLE001  (these libraries raise many types for damaged bytes)
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadInput(f"{path}: cannot be read ({reason}); get a fresh copy") from None


def _reader(path: str | os.PathLike[str], file: Path) -> Callable[[Path, int], Voxels]:
    name = file.name.lower()
    for endings, reader in READERS:
        if name.endswith(endings):
            return reader
    known = ", ".join(ending for endings, _ in READERS for ending in endings)
    raise BadInput(f"{path}: is not a volume that can be read; there are {known}")


def _check_size(shape: Sequence[int], max_voxels: int) -> None:
    """Raise BadInput where a volume of this shape, with up to 4 channels as its last axis, has too many voxels."""
    channels = shape[3] if len(shape) == 4 and 1 <= shape[3] <= MAX_CHANNELS else 1
    if (voxels := math.prod(map(int, shape)) // channels) > max_voxels:
        raise BadInput(
            f"{voxels:,} voxels are more than the limit of {max_voxels:,}; crop it or reduce its resolution first, "
            f"or raise the limit with `max_pixels={voxels}` if you trust the file"
        )


def _read_npy(file: Path, max_voxels: int) -> Voxels:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    _check_size(array.shape, max_voxels)
    return Voxels(array)


def _read_npz(file: Path, max_voxels: int) -> Voxels:
    """The first array with 3 or 4 axes."""
    shapes = {name: shape for name, shape in array_shapes(file).items() if len(shape) in (3, 4)}
    if not shapes:
        raise BadInput(f"holds no array of 3 or 4 axes (it has {', '.join(array_names(file)) or 'nothing'})")
    first = next(iter(shapes))
    _check_size(shapes[first], max_voxels)
    notes = (f"of {len(shapes)} arrays the first is used: {first}",) if len(shapes) > 1 else ()
    return Voxels(read_arrays(file, [first])[first], notes=notes)


def _read_tiff(file: Path, max_voxels: int) -> Voxels:
    import tifffile

    with tifffile.TiffFile(file) as opened:
        series = opened.series[0]
        _check_size(series.shape, max_voxels)
        array = series.asarray()
    if array.ndim == 2:
        raise BadInput("holds one image, not a stack; open it with `kind=image`")
    return Voxels(array)


def _read_nrrd(file: Path, max_voxels: int) -> Voxels:
    import nrrd

    _check_size(nrrd.read_header(str(file))["sizes"][::-1], max_voxels)
    array, header = nrrd.read(str(file), index_order="C")
    directions = header.get("space directions")
    spacing = header.get("spacings")
    if directions is not None:
        spacing = np.linalg.norm(np.asarray(directions, float), axis=-1)
    kinds = header.get("kinds") or []
    # With channels, the fastest axis of the file holds them; C order makes it the last one.
    has_channels = bool(kinds) and kinds[0] not in ("domain", "space", "time")
    if array.ndim == 4 and not has_channels and array.shape[-1] > MAX_CHANNELS:
        raise BadInput(f"has 4 axes {list(array.shape)}; give one volume at a time")
    if spacing is None:
        return Voxels(array)
    sizes = [float(size) for size in spacing if np.isfinite(size) and size > 0][-3:]
    return Voxels(array, (sizes[0], sizes[1], sizes[2]), "mm") if len(sizes) == 3 else Voxels(array)


def _read_nifti(file: Path, max_voxels: int) -> Voxels:
    import nibabel
    from nibabel.arrayproxy import ArrayProxy

    image = nibabel.load(file)
    if not isinstance(image, nibabel.Nifti1Image):  # Nifti2Image is one, too
        raise BadInput("is not a NIfTI file")
    shape = image.shape
    if len(shape) not in (3, 4):
        raise BadInput(f"has {len(shape)} axes; a volume has 3, or 4 with channels")
    _check_size(shape, max_voxels)
    if len(shape) == 4 and shape[3] > MAX_CHANNELS:
        raise BadInput(f"holds {shape[3]} volumes; give one at a time")
    data = image.dataobj
    if isinstance(data, ArrayProxy) and (data.slope, data.inter) == (1, 0):
        array = data.get_unscaled()  # keeps integers
    else:
        array = np.asarray(data)
    x, y, z = (float(size) for size in image.header.get_zooms()[:3])
    unit = str(image.header.get_xyzt_units()[0])
    axes = (2, 1, 0, 3) if array.ndim == 4 else (2, 1, 0)
    return Voxels(array.transpose(axes), (x, y, z), NIFTI_UNITS.get(unit, unit))


# (endings, reader). A reader takes the file and the limit of voxels.
READERS: list[tuple[tuple[str, ...], Callable[[Path, int], Voxels]]] = [
    ((".npy",), _read_npy),
    ((".npz",), _read_npz),
    ((".tif", ".tiff"), _read_tiff),
    ((".nrrd", ".nhdr"), _read_nrrd),
    ((".nii", ".nii.gz"), _read_nifti),
]
