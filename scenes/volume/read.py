"""Volume files to arrays: NPY, NPZ, TIFF stacks, NRRD and NIfTI.

What decides is the ending; each reader names what is wrong with a file that is not what its ending says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.npz import array_headers
from scenes.io.silence import silence_libraries


@dataclass(frozen=True)
class Voxels:
    """`array` `[D, H, W]` or `[D, H, W, C]` (may be a mapped file); `spacing` of the voxels along x, y, z in `unit`."""

    array: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: str = "voxel"
    notes: tuple[str, ...] = ()


def read_volume(path, file: Path, most: int) -> Voxels:
    """The voxels of a file; `path` is how the user called it. Raises BadInput; where there are more than `most`, before they are decoded."""
    name = file.name.lower()
    for endings, reader in READERS:
        if name.endswith(endings):
            break
    else:
        known = ", ".join(ending for endings, _ in READERS for ending in endings)
        raise BadInput(f"{path}: is not a volume that can be read; there are {known}")
    try:
        with silence_libraries():
            return reader(file, most)
    except ImportError as error:
        package = {"nrrd": "pynrrd"}.get(error.name or "", error.name)
        raise BadInput(
            f"{path}: reading this wants the package {package}: pip install 'field-studio[volumes]'"
        ) from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except MemoryError:
        raise BadInput(f"{path}: does not fit into memory") from None
    except Exception as error:  # noqa: BLE001  (these libraries raise whatever the bytes made them stumble over)
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadInput(f"{path}: cannot be read ({reason}); get a fresh copy") from None


def _check(shape: Sequence[int], most: int) -> None:
    """BadInput where a volume of this shape has more than `most` voxels, each of up to four numbers."""
    channels = shape[3] if len(shape) == 4 and 1 <= shape[3] <= 4 else 1
    if (voxels := math.prod(map(int, shape)) // channels) > most:
        raise BadInput(
            f"{voxels:,} voxels are more than the limit of {most:,}; cut or thin it out first, or raise the limit with "
            f"--max-pixels {voxels} (max_pixels in Python) if you trust the file"
        )


def _npy(file: Path, most: int) -> Voxels:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    _check(array.shape, most)
    return Voxels(array)


def _npz(file: Path, most: int) -> Voxels:
    with np.load(file, allow_pickle=False) as archive:
        shapes = {name: shape for name, (shape, _) in array_headers(file).items()}
        arrays = [name for name, shape in shapes.items() if len(shape) in (3, 4)]
        if not arrays:
            raise BadInput(f"holds no array of 3 or 4 axes (it has {', '.join(archive.files) or 'nothing'})")
        _check(shapes[arrays[0]], most)
        notes = (f"of {len(arrays)} arrays the first is used: {arrays[0]}",) if len(arrays) > 1 else ()
        return Voxels(archive[f"{arrays[0]}.npy"], notes=notes)


def _tiff(file: Path, most: int) -> Voxels:
    import tifffile

    with tifffile.TiffFile(file) as opened:
        series = opened.series[0]
        _check(series.shape, most)
        array = series.asarray()
    if array.ndim == 2:
        raise BadInput("holds one picture, not a stack; fit it with --kind image")
    return Voxels(array)


def _nrrd(file: Path, most: int) -> Voxels:
    import nrrd

    _check(nrrd.read_header(str(file))["sizes"][::-1], most)
    array, header = nrrd.read(str(file), index_order="C")
    directions = header.get("space directions")
    spacing = header.get("spacings")
    if directions is not None:
        spacing = np.linalg.norm(np.asarray(directions, float), axis=-1)
    kinds = header.get("kinds") or []
    if array.ndim == 4 and kinds and kinds[0] not in ("domain", "space", "time"):
        pass  # the channels are the fastest axis, which C order puts last
    elif array.ndim == 4 and array.shape[-1] > 4:
        raise BadInput(f"has 4 axes {list(array.shape)}; one volume at a time can be fitted")
    if spacing is None:
        return Voxels(array)
    spacing = [float(size) for size in spacing if np.isfinite(size) and size > 0][-3:]
    return Voxels(array, tuple(spacing), "mm") if len(spacing) == 3 else Voxels(array)


def _nifti(file: Path, most: int) -> Voxels:
    import nibabel

    image = nibabel.load(file)
    _check(image.shape, most)
    if len(image.shape) == 4 and image.shape[3] > 4:
        raise BadInput(f"holds {image.shape[3]} volumes; one at a time can be fitted, cut it first")
    raw = image.dataobj
    array = np.asarray(raw.get_unscaled() if (raw.slope, raw.inter) == (1, 0) else raw)
    zooms = [float(size) for size in image.header.get_zooms()[:3]]
    unit = image.header.get_xyzt_units()[0]
    unit = {"unknown": "mm", "meter": "m", "micron": "um"}.get(unit, unit)
    channels = array.ndim == 4
    return Voxels(array.transpose(2, 1, 0, 3) if channels else array.transpose(2, 1, 0), tuple(zooms), unit)


READERS: list[tuple[tuple[str, ...], Callable[[Path, int], Voxels]]] = [
    ((".npy",), _npy),
    ((".npz",), _npz),
    ((".tif", ".tiff"), _tiff),
    ((".nrrd", ".nhdr"), _nrrd),
    ((".nii", ".nii.gz"), _nifti),
]
