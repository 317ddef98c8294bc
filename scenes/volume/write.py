"""Write volume files, whole or not at all."""

from __future__ import annotations

import gzip
import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

ENDINGS = (".npy", ".npz", ".tif", ".tiff", ".nrrd", ".nii", ".nii.gz")
# Ending: the optional module that writes it.
MODULES = {".nrrd": "nrrd", ".nii": "nibabel", ".nii.gz": "nibabel"}
# Spaces that NRRD names, and NIfTI's names of units.
NRRD_SPACES = {
    "RAS": "right-anterior-superior",
    "LPS": "left-posterior-superior",
    "LAS": "left-anterior-superior",
}
NIFTI_UNITS = {"mm": "mm", "um": "micron", "m": "meter"}
# ImageJ's TIFF files have at most 4 GiB; beside the values there is a header.
IMAGEJ_BYTES = (1 << 32) - (1 << 20)
# Compression level of .nii.gz, from 1 (fast) to 9 (small).
GZIP_LEVEL = 6


def is_volume_name(path: str | os.PathLike[str]) -> bool:
    """Whether the ending is that of a volume format."""
    return Path(path).name.lower().endswith(ENDINGS)


def check_volume_writable(path: str | os.PathLike[str]) -> None:
    """Check ending, packages and place before long work. Raises the BadInput of `write_volume`."""
    name = Path(path).name.lower()
    if not is_volume_name(path):
        raise BadInput(f"cannot write {path}: that is not a format for volumes; use {', '.join(ENDINGS)}")
    for ending, module in MODULES.items():
        if name.endswith(ending):
            try:
                importlib.import_module(module)
            except ImportError:
                raise BadInput(
                    f"cannot write {path}: that needs another package: pip install 'field-studio[volumes]'"
                ) from None
    check_path_writable(path)


def write_volume(
    path: str | os.PathLike[str],
    array: np.ndarray,
    spacing: tuple[float, float, float],
    *,
    unit: str = "mm",
    affine: np.ndarray | None = None,
    space: str = "",
) -> list[str]:
    """Write a volume in the format of the ending, one of `ENDINGS`.

    Args:
        path: the file.
        array: `[D, H, W, C]` float32 or float64; a single channel is written without its axis.
        spacing: distance between voxels along x, y and z, in `unit`. NPY and NPZ do not keep it.
        unit: "voxel", or a unit of length.
        affine: `[4, 4]` from indices (x, y, z) of voxels to positions in `space`. Only NRRD and NIfTI keep it.
        space: "RAS", "LPS" or empty, as in `scenes.volume.voxels.Voxels`.

    Returns:
        Notes for the user, one line each, on what the format could not keep.

    Raises:
        BadInput: no such format, a package is missing, or the file cannot be written.
    """
    check_volume_writable(path)
    array = array[..., 0] if array.shape[3] == 1 else array
    name = Path(path).name.lower()
    keeps_size = not name.endswith((".npy", ".npz"))
    with atomic_write(path) as temporary:
        if name.endswith(".npy"):
            np.save(temporary, array)
        elif name.endswith(".npz"):
            with open(temporary, "wb") as file:
                np.savez_compressed(file, volume=array)
        elif name.endswith((".tif", ".tiff")):
            keeps_size = _write_tiff(temporary, array, spacing, unit)
        elif name.endswith(".nrrd"):
            _write_nrrd(temporary, array, spacing, unit=unit, affine=affine, space=space)
        else:
            content = _nifti(array, spacing, unit=unit, affine=affine, space=space)
            temporary.write_bytes(gzip.compress(content, GZIP_LEVEL) if name.endswith(".gz") else content)
    lost = []
    if unit != "voxel" and not keeps_size:
        lost.append("the size of its voxels")
    if affine is not None and not name.endswith((".nrrd", ".nii", ".nii.gz")):
        lost.append("its place in space")
    return [f"{Path(path).suffix} does not keep {' and '.join(lost)}; .nrrd and .nii.gz do"] if lost else []


def _write_tiff(path: Path, array: np.ndarray, spacing: tuple[float, float, float], unit: str) -> bool:
    """Write a TIFF stack as ImageJ does, with the size of voxels. Returns whether it could be kept."""
    import tifffile

    if array.dtype != np.float32 or array.nbytes > IMAGEJ_BYTES or unit == "voxel":
        tifffile.imwrite(path, array, photometric="minisblack" if array.ndim == 3 else None)
        return unit == "voxel"
    x, y, z = spacing
    channels_second = array if array.ndim == 3 else np.moveaxis(array, 3, 1)
    tifffile.imwrite(
        path,
        channels_second,
        imagej=True,
        resolution=(1 / x, 1 / y),
        metadata={"spacing": z, "unit": unit, "axes": "ZYX" if array.ndim == 3 else "ZCYX"},
    )
    return True


def _write_nrrd(
    path: Path,
    array: np.ndarray,
    spacing: tuple[float, float, float],
    *,
    unit: str,
    affine: np.ndarray | None,
    space: str,
) -> None:
    import nrrd

    header: dict[str, Any] = {}
    # Channels are the fastest axis of the file.
    if array.ndim == 4:
        header["kinds"] = ["vector" if array.shape[3] != 3 else "3-vector", "domain", "domain", "domain"]
    blank = [np.full(3, np.nan)] if array.ndim == 4 else []
    if affine is not None:
        if space in NRRD_SPACES:
            header["space"] = NRRD_SPACES[space]
        else:
            header["space dimension"] = 3
        header["space directions"] = np.array([*blank, *affine[:3, :3].T])
        header["space origin"] = affine[:3, 3]
        header["space units"] = [unit] * 3
    else:
        header["spacings"] = [*([np.nan] if array.ndim == 4 else []), *spacing]
        if unit != "voxel":
            header["units"] = [*([""] if array.ndim == 4 else []), unit, unit, unit]
    nrrd.write(str(path), array, header, index_order="C")


def _nifti(
    array: np.ndarray,
    spacing: tuple[float, float, float],
    *,
    unit: str,
    affine: np.ndarray | None,
    space: str,
) -> bytes:
    """Content of a NIfTI file, which has its axes in the order x, y, z, and RAS for its space."""
    import nibabel

    values = array.transpose(2, 1, 0) if array.ndim == 3 else array.transpose(2, 1, 0, 3)[:, :, :, None]
    signs = [-1.0 if space[axis : axis + 1] == letter else 1.0 for axis, letter in enumerate("LPI")]
    matrix = np.diag([*spacing, 1.0]) if affine is None else np.diag([*signs, 1.0]) @ affine
    image = nibabel.Nifti1Image(values, matrix, dtype=array.dtype)
    image.header.set_xyzt_units(NIFTI_UNITS.get(unit, "unknown"))
    if affine is None:
        # Spacing without a place: neither of the two orientations holds.
        image.set_sform(matrix, code=0)
        image.set_qform(matrix, code=0)
    else:
        image.set_qform(None, code=0)
        image.set_sform(matrix, code=1)
    if array.ndim == 4:
        image.header.set_intent("vector")
    return image.to_bytes()
