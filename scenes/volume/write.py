"""Arrays to volume files, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, check_path_writable

ENDINGS = (".npy", ".npz", ".tif", ".tiff", ".nrrd", ".nii", ".nii.gz")


def is_volume_name(path: str | os.PathLike) -> bool:
    return Path(path).name.lower().endswith(ENDINGS)


def check_volume_writable(path: str | os.PathLike) -> None:
    """Raises BadInput about ending, packages or place: to be called before long work."""
    name = Path(path).name.lower()
    if not is_volume_name(path):
        raise BadInput(f"cannot write {path}: that is not a format for volumes; use {', '.join(ENDINGS)}")
    package = {".nrrd": "nrrd", ".nii": "nibabel", ".nii.gz": "nibabel"}.get(
        name[name.index(".") :] if name.count(".") < 3 else ""
    )
    try:
        if package:
            __import__(package)
    except ImportError:
        raise BadInput(f"cannot write {path}: that wants a package more: pip install 'field-studio[volumes]'") from None
    check_path_writable(path)


def write_volume(path: str | os.PathLike, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    """Writes `[D, H, W, C]` float32 in the format of the ending; one channel is written without its axis.

    `spacing` along x, y, z goes where the format has room for it (NRRD, NIfTI).
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
            _write_nifti(path, temporary, array, spacing)


def _write_nifti(path, temporary: Path, array: np.ndarray, spacing: tuple[float, float, float]) -> None:
    import gzip

    import nibabel

    turned = array.transpose(2, 1, 0) if array.ndim == 3 else array.transpose(2, 1, 0, 3)
    content = nibabel.Nifti1Image(turned, np.diag([*spacing, 1.0])).to_bytes()
    temporary.write_bytes(gzip.compress(content, 6) if str(path).lower().endswith(".gz") else content)
