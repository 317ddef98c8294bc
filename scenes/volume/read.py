"""Read volumes: NPY, NPZ, TIFF stacks, NRRD, NIfTI, MetaImage, DICOM, Zarr, and folders of slices as
pictures.

The ending chooses the reader, of a folder and of files without one the content. A reader says what is wrong with a file
that is not what its ending promises.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.npz import array_names, array_shapes, read_arrays
from scenes.io.silence import silence_libraries
from scenes.volume.dicom import dicom_files, is_dicom, read_dicom
from scenes.volume.metaimage import read_metaimage
from scenes.volume.nifti import read_nifti
from scenes.volume.nrrd_file import read_nrrd
from scenes.volume.tiff import read_tiff
from scenes.volume.voxels import MAX_CHANNELS, Voxels, check_frame, check_size
from scenes.volume.zarr_store import is_store, read_zarr

# Packages whose name differs from that of the module.
PACKAGES = {"nrrd": "pynrrd"}
# What is beside raw voxels and describes them.
RAW_HEADERS = (".mhd", ".nhdr")
# Endings that are refused by name, and what to do.
REFUSED = {
    ".raw": "raw voxels without a header: write one beside it (.nhdr or .mhd) and name that file",
    ".img": "the voxels of an Analyze or NIfTI pair: name the .hdr file beside it",
    ".zraw": "the voxels of a MetaImage pair: name the .mhd file beside it",
    ".n5": "an N5 store, which is not read: save one resolution as NRRD, TIFF or NPY",
    ".czi": "a microscope's own format: save it as OME-TIFF (Fiji's Bio-Formats does)",
    ".lif": "a microscope's own format: save it as OME-TIFF (Fiji's Bio-Formats does)",
    ".nd2": "a microscope's own format: save it as OME-TIFF (Fiji's Bio-Formats does)",
    ".mrc": "an MRC map, which is not read: save it as TIFF or NPY",
    ".vti": "a VTK image, which is not read: save it as NRRD or MetaImage",
    ".h5": "an HDF5 file, which is not read: save its array as NPY",
    ".hdf5": "an HDF5 file, which is not read: save its array as NPY",
}


def read_volume(path: str | os.PathLike[str], file: Path, max_voxels: int, frame: int = 0) -> Voxels:
    """Read the voxels of a file or folder.

    Args:
        path: the source as the user named it, for messages.
        file: the file or folder.
        max_voxels: larger volumes are refused before they are decoded.
        frame: number of the volume of a series that is read.

    Raises:
        BadInput: the source is no volume, is damaged or too large, or a package is missing.
    """
    try:
        reader = _folder_reader(file) if file.is_dir() else _reader(file)
        with silence_libraries():
            return reader(file, max_voxels, frame)
    except ImportError as error:
        package = PACKAGES.get(error.name or "", error.name)
        extra = "zarr" if package == "zarr" else "volumes"
        raise BadInput(
            f"{path}: reading this needs the package {package}: pip install 'field-studio[{extra}]'"
        ) from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except MemoryError:
        raise BadInput(f"{path}: does not fit into memory") from None
    except Exception as error:  # noqa: BLE001  (these libraries raise many types for damaged bytes)
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise BadInput(f"{path}: cannot be read ({reason}); get a fresh copy") from None


def volume_files(source: Path) -> list[Path]:
    """The files that a volume is read from: itself, or those of a folder."""
    from scenes.video.read import image_files

    if not source.is_dir():
        return [source]
    if is_store(source):
        return sorted(file for file in source.rglob("*") if file.is_file())
    return dicom_files(source) or image_files(source)


def refused_volume(source: Path) -> str | None:
    """What a file or folder is that holds a volume in a format that is not read, with advice; None for others."""
    return REFUSED.get(source.suffix.lower())


Reader = Callable[[Path, int, int], Voxels]


def _reader(file: Path) -> Reader:
    name = file.name.lower()
    for endings, reader in READERS:
        if name.endswith(endings):
            return reader
    if is_dicom(file):
        return read_dicom
    headers = [other.name for other in map(file.with_suffix, RAW_HEADERS) if other.is_file()]
    if headers:
        raise BadInput(f"is {refused_volume(file) or 'described by a header'}: here {' or '.join(headers)}")
    if reason := refused_volume(file):
        raise BadInput(f"is {reason}")
    known = ", ".join(ending for endings, _ in READERS for ending in endings)
    raise BadInput(f"is not a volume that can be read; there are {known}")


def _folder_reader(folder: Path) -> Reader:
    from scenes.video.read import image_files

    if reason := refused_volume(folder):
        raise BadInput(f"is {reason}")
    if is_store(folder):
        return read_zarr
    if dicom_files(folder):
        return read_dicom
    if image_files(folder):
        return _read_pictures
    raise BadInput("is a folder without DICOM files or pictures of slices; name a file")


def _read_npy(file: Path, max_voxels: int, frame: int) -> Voxels:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
    return _array_voxels(array, max_voxels, frame)


def _read_npz(file: Path, max_voxels: int, frame: int) -> Voxels:
    """The first array with 3 to 5 axes."""
    shapes = {name: shape for name, shape in array_shapes(file).items() if len(shape) in (3, 4, 5)}
    if not shapes:
        raise BadInput(f"holds no array of 3 or 4 axes (it has {', '.join(array_names(file)) or 'nothing'})")
    first = next(iter(shapes))
    check_size(shapes[first], max_voxels)
    notes = (f"of {len(shapes)} arrays the first is used: {first}",) if len(shapes) > 1 else ()
    voxels = _array_voxels(read_arrays(file, [first])[first], max_voxels, frame)
    return Voxels(voxels.array, notes=(*notes, *voxels.notes))


def _array_voxels(array: np.ndarray, max_voxels: int, frame: int) -> Voxels:
    """Voxels of `[D, H, W]`, `[D, H, W, C]`, or a series of either before them."""
    notes: tuple[str, ...] = ()
    is_series = array.ndim == 5 or array.ndim == 4 and array.shape[3] > MAX_CHANNELS >= 1
    if is_series:
        notes = check_frame(len(array), frame)
        check_size(array.shape[1:], max_voxels)
        array = array[frame]
    else:
        check_size(array.shape, max_voxels)
        notes = check_frame(1, frame)
    return Voxels(array, notes=notes)


def _read_pictures(folder: Path, max_voxels: int, frame: int) -> Voxels:
    """Slices as pictures of one size, in the order of the numbers in their names."""
    from scenes.image.read import read_image
    from scenes.video.read import image_files

    slices: list[np.ndarray] = []
    files = image_files(folder)
    for file in files:
        pixels = read_image(file).pixels
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
        if slices and pixels.shape != slices[0].shape:
            raise BadInput(f"{file.name} is {pixels.shape[1]} x {pixels.shape[0]} and the first slice is another size")
        slices.append(pixels)
        check_size([len(files), *slices[0].shape], max_voxels)
    note = f"its {len(files)} pictures are taken for slices one pixel apart, in the order of the numbers in their names"
    return Voxels(np.stack(slices), notes=(*check_frame(1, frame), note))


# (endings, reader). A reader takes the file, the limit of voxels, and the number of the volume in a series.
READERS: list[tuple[tuple[str, ...], Reader]] = [
    ((".npy",), _read_npy),
    ((".npz",), _read_npz),
    ((".tif", ".tiff"), read_tiff),
    ((".nrrd", ".nhdr"), read_nrrd),
    ((".nii", ".nii.gz", ".hdr", ".mgz", ".mgh"), read_nifti),
    ((".mhd", ".mha"), read_metaimage),
    ((".dcm", ".dicom", ".ima"), read_dicom),
]
