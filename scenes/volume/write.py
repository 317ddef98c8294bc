"""Write volume files, whole or not at all."""

from __future__ import annotations

import gzip
import importlib
import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

ENDINGS = (".npy", ".npz", ".tif", ".tiff", ".nrrd", ".nii", ".nii.gz")
# Ending: the optional module that writes it.
MODULES = {".nrrd": "nrrd", ".nii": "nibabel", ".nii.gz": "nibabel"}
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


def write_volume(path: str | os.PathLike[str], array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Write a volume in the format of the ending, one of `ENDINGS`.

    Args:
        path: the file.
        array: `[D, H, W, C]` float32; a single channel is written without its axis.
        spacing: distance between voxels along x, y and z. Only NRRD and NIfTI keep it.

    Raises:
        BadInput: no such format, a package is missing, or the file cannot be written.
    """
    check_volume_writable(path)
    array = array[..., 0] if array.shape[3] == 1 else array
    name = Path(path).name.lower()
    with atomic_write(path) as temporary:
        if name.endswith(".npy"):
            np.save(temporary, array)
        elif name.endswith(".npz"):
            with open(temporary, "wb") as file:
                np.savez_compressed(file, volume=array)
        elif name.endswith((".tif", ".tiff")):
            import tifffile

            tifffile.imwrite(temporary, array, photometric="minisblack" if array.ndim == 3 else None)
        elif name.endswith(".nrrd"):
            import nrrd

            header = {"spacings": [*([np.nan] if array.ndim == 4 else []), *spacing]}
            nrrd.write(str(temporary), array, header, index_order="C")
        else:
            content = _nifti(array, spacing)
            temporary.write_bytes(gzip.compress(content, GZIP_LEVEL) if name.endswith(".gz") else content)


def _nifti(array: np.ndarray, spacing: tuple[float, float, float]) -> bytes:
    """Content of a NIfTI file, which has its axes in the order x, y, z."""
    import nibabel

    axes = (2, 1, 0) if array.ndim == 3 else (2, 1, 0, 3)
    return nibabel.Nifti1Image(array.transpose(axes), np.diag([*spacing, 1.0])).to_bytes()
