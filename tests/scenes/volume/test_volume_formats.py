"""Volumes as other programs write them: public reports rebuilt small, one parameter each (see tests/reported)."""

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
import tifffile

import scenes
from scenes.volume.signal import Volume

# Number of voxels along z, y, x; values are 100 z + 10 y + x.
SHAPE = (4, 6, 8)
Z, Y, X = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
RAMP = (100 * Z + 10 * Y + X).astype(np.int16)
SAGITTAL = np.array([[0, 0, 2.0, -10], [0.5, 0, 0, -20], [0, 0.75, 0, 30], [0, 0, 0, 1]])


def loaded(path: Path, **options) -> Volume:
    volume = scenes.load(path, **options)
    assert isinstance(volume, Volume)
    return volume


def numbers(volume: Volume) -> np.ndarray:
    """Values in the file's units, without the axis of channels where there is one."""
    found = volume.values().astype(np.float64) * (volume.channels.upper - volume.channels.lower) + volume.channels.lower
    return found[..., 0] if found.shape[3] == 1 else found


def sizes(volume: Volume) -> list[float]:
    return [(axis.upper - axis.lower) / n for axis, n in zip(volume.domain.axes, volume.domain.grid_shape)]


def place(volume: Volume, x: int, y: int, z: int) -> np.ndarray:
    assert volume.domain.world is not None
    position = [(i + 0.5) * size for i, size in zip((x, y, z), sizes(volume))]
    return np.array(volume.domain.world.matrix) @ [*position, 1.0]


NIFTI = [
    "fmriprep 2281",
    "MRtrix3 94",
    "dcm2niix 197",
    "nibabel 522",
    "fmriprep 2507",
    "sepia 10",
    "fibernavigator 26",
    "legacy-validator 1135",
    "big endian",
]


@pytest.mark.parametrize("report", NIFTI)
def test_nifti(tmp_path, report):
    nibabel = pytest.importorskip("nibabel")
    affine = SAGITTAL if report == "sepia 10" else np.diag([-2.0 if report != "fibernavigator 26" else 2.0, 3, 4, 1])
    header = nibabel.Nifti1Header(endianness=">") if report == "big endian" else None
    image = nibabel.Nifti1Image(RAMP.transpose(2, 1, 0), affine, header)
    image.set_sform(affine, code=1)
    if report in ("dcm2niix 197", "nibabel 522"):
        image = nibabel.Nifti1Image(RAMP.transpose(2, 1, 0), None)
        image.header.set_zooms((2, 3, 4))
    if report in ("fmriprep 2281", "MRtrix3 94"):  # another place and another order of left and right
        image.set_qform(np.diag([2.0, 3, 4, 1]), code=1)
    if report in ("dcm2niix 197", "nibabel 522"):
        image.header["sform_code"] = image.header["qform_code"] = 0
    if report == "fmriprep 2507":
        image.header["scl_slope"] = image.header["scl_inter"] = np.nan
    image.to_filename(tmp_path / "a.nii")
    path = tmp_path / "a.nii"
    if report == "legacy-validator 1135":
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes(), 0))
        path = tmp_path / "a.nii.gz"
    volume = loaded(path)
    np.testing.assert_allclose(numbers(volume), RAMP, atol=1e-3)
    if report in ("dcm2niix 197", "nibabel 522"):
        assert (
            volume.domain.world is None
            and sizes(volume) == [2, 3, 4]
            and any("does not say" in n for n in volume.notes)
        )
    else:
        np.testing.assert_allclose(place(volume, 5, 3, 2), (affine @ [5, 3, 2, 1])[:3], atol=1e-4)
        first = {"sepia 10": "front, head, right", "fibernavigator 26": "right, front, head"}.get(
            report, "left, front, head"
        )
        assert any(first in note for note in volume.notes)


NRRD_HEAD = "NRRD0004\n# a comment\ntype: int16\ndimension: 3\nsizes: 8 6 4\nendian: little\n"
DATA = RAMP.astype("<i2").tobytes()
# Report: fields, name of the data or "" where they follow, and their bytes.
NRRDS = {
    "pynrrd 4": ("encoding: gzip\n", "", gzip.compress(DATA)),
    "bioformats 3033": ("encoding: gz\nspacings: 1 2 3\n", "", gzip.compress(DATA, 9)),
    "bioformats 3310": ("encoding: gzip\n", "a.raw.gz", gzip.compress(DATA)),
    "nat 26": ("encoding: bzip2\n", "a.raw.bz2", bz2.compress(DATA)),
    "nat 237": ("encoding: raw\nbyte skip: 12\n", "a.raw", b"a header ..." + DATA),
    "pynrrd 73": ("encoding: raw\nbyte skip: -1\n", "a.raw", b"of unknown length" + DATA),
    "nat 236": ("encoding: raw\nline skip: 2\n", "a.raw", b"one\ntwo\n" + DATA),
    "niivue-vscode 50": ("encoding: raw\nspacings: 1.0 1.0 0.625\n", "", DATA),
    "teem's text": ("encoding: ascii\n", "", " ".join(map(str, RAMP.ravel())).encode()),
}


@pytest.mark.parametrize("report", NRRDS)
def test_nrrd(tmp_path, report):
    pytest.importorskip("nrrd")
    fields, name, data = NRRDS[report]
    head = NRRD_HEAD + fields
    if name:
        (tmp_path / name).write_bytes(data)
        (tmp_path / "a.nhdr").write_text(head + f"data file: {name}\n")
    else:
        (tmp_path / "a.nrrd").write_bytes(head.encode() + b"\n" + data)
    volume = loaded(tmp_path / ("a.nhdr" if name else "a.nrrd"))
    np.testing.assert_allclose(numbers(volume), RAMP, atol=1e-3)
    if "spacings" in fields:
        assert sizes(volume) == pytest.approx([1, 2, 3] if "1 2 3" in fields else [1, 1, 0.625])


@pytest.fixture
def dicom(tmp_path):
    """A function that writes a slice, with changes to its header, into `tmp_path`."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    series = generate_uid()

    def write(z: int, pixels: np.ndarray | None = None, **changes) -> None:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        pixels = RAMP[z] if pixels is None else pixels
        item.SOPClassUID, item.SOPInstanceUID, item.SeriesInstanceUID = (
            CTImageStorage,
            meta.MediaStorageSOPInstanceUID,
            series,
        )
        item.Rows, item.Columns = pixels.shape[-2:]
        item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
        item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 16, 15, 1
        item.PixelSpacing, item.ImageOrientationPatient = [0.75, 0.5], [1, 0, 0, 0, 1, 0]
        item.ImagePositionPatient = [10, -20, 30 + 2 * z]
        for key, value in changes.items():
            setattr(item, key, value)
        item.PixelData = pixels.astype("<i2").tobytes()
        pydicom.dcmwrite(tmp_path / f"{z}.dcm", item)

    return write


@pytest.mark.parametrize("report", ["Slicer 4409", "dcm2niix 253", "cornerstone3D 227"])
def test_dicom_of_a_tilted_gantry(tmp_path, dicom, report):
    """The slices lie one above the other in z, and are tilted: shifted against each other along their own rows."""
    tilt = np.radians(20)
    orientation = [1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)]
    for z in range(4):
        dicom(z, ImageOrientationPatient=orientation, ImagePositionPatient=[10, -20, 30 + 2 * z])
    volume = loaded(tmp_path)
    step = np.array([0, 0, 2.0])
    np.testing.assert_allclose(
        place(volume, 5, 3, 2),
        np.array([10, -20, 30]) + 2.5 * np.eye(3)[0] + 2.25 * np.array(orientation[3:]) + 2 * step,
        atol=1e-4,
    )
    assert any("tilted by 20.0 degrees" in note for note in volume.notes)


def test_dicom_thickness_is_no_distance(tmp_path, dicom):
    """niivue 688: slices that are thicker than their distance."""
    for z in range(4):
        dicom(z, SliceThickness=5)
    assert sizes(loaded(tmp_path)) == pytest.approx([0.5, 0.75, 2.0])


@pytest.mark.parametrize("report", ["Slicer 4005", "SlicerGitSVNArchive 812"])
def test_dicom_with_missing_slices_is_said(tmp_path, dicom, report):
    for z in (0, 1, 2) if report == "Slicer 4005" else (0, 2, 3):
        dicom(z, ImagePositionPatient=[10, -20, 30 + (2 * z if z < 2 or report != "Slicer 4005" else 8)])
    assert any("mm apart" in note and "missing" in note for note in loaded(tmp_path).notes)


@pytest.mark.parametrize("report", ["dwv 80", "ImageJ 90"])
def test_dicom_rescale(tmp_path, dicom, report):
    """A slope for each slice; signed frames of one file with a slope and an intercept."""
    if report == "dwv 80":
        for z in range(4):
            dicom(z, RescaleSlope=z + 0.5, RescaleIntercept=-10)
        wanted = RAMP * (np.arange(4)[:, None, None] + 0.5) - 10
        path = tmp_path
    else:
        dicom(0, RAMP - 200, NumberOfFrames=4, RescaleSlope=2, RescaleIntercept=-2048)
        wanted, path = (RAMP - 200) * 2.0 - 2048, tmp_path / "0.dcm"
    np.testing.assert_allclose(numbers(loaded(path)), wanted, atol=0.02)


def test_dicom_that_is_shown_inverted_keeps_its_values(tmp_path, dicom):
    for z in range(4):
        dicom(z, PhotometricInterpretation="MONOCHROME1")
    volume = loaded(tmp_path)
    np.testing.assert_allclose(numbers(volume), RAMP, atol=1e-3)
    assert any("MONOCHROME1" in note for note in volume.notes)


UINT = RAMP.astype(np.uint16)
COLORED = np.stack([UINT, UINT + 1, UINT + 2], axis=1)  # z, c, y, x
# Report: the array, how tifffile writes it, and the values that are read.
STACKS = {
    "tifffile 50": (
        UINT,
        {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 3.9, "unit": "um"}, "resolution": (1 / 2.6, 1 / 2.6)},
        UINT,
    ),
    "scifio 316": (UINT, {"photometric": "minisblack"}, UINT),
    "imageio 226": (COLORED, {"imagej": True, "metadata": {"axes": "ZCYX"}}, COLORED.transpose(0, 2, 3, 1)),
    "bioformats 1856": (
        COLORED[:, :2],
        {"imagej": True, "metadata": {"axes": "ZCYX"}},
        COLORED[:, :2].transpose(0, 2, 3, 1),
    ),
    "bioformats 3199": (COLORED, {"ome": True, "metadata": {"axes": "ZCYX"}}, COLORED.transpose(0, 2, 3, 1)),
    "scifio-imageio 15": (
        COLORED.transpose(1, 0, 2, 3),
        {"ome": True, "metadata": {"axes": "CZYX"}},
        COLORED.transpose(0, 2, 3, 1),
    ),
    "imageio 681": (UINT[:, None], {"imagej": True, "metadata": {"axes": "ZCYX"}}, UINT),
    "TIFFStack 14": (UINT, {"bigtiff": True, "photometric": "minisblack"}, UINT),
    "python-microscopy 1043": (UINT[None], {"ome": True, "metadata": {"axes": "TZYX"}}, UINT),
    "NimbusImage 491": (UINT, {"metadata": {"axes": "ZYX"}, "photometric": "minisblack", "compression": "zlib"}, UINT),
}


@pytest.mark.parametrize("report", STACKS)
def test_tiff_stacks(tmp_path, report):
    array, options, wanted = STACKS[report]
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    volume = loaded(tmp_path / "a.tif")
    np.testing.assert_allclose(numbers(volume), wanted, atol=1e-3)
    if report == "tifffile 50":
        assert sizes(volume) == pytest.approx([2.6, 2.6, 3.9], rel=1e-4) and volume.domain.axes[0].unit == "um"


def test_zarr_of_every_kind(tmp_path):
    """ngff 206, ngff-zarr 736, ZarrReader 23, fractal-tasks-core 420, napari-ome-zarr 73, fractal-client 112, and
    vizarr 335 and ilastik 2907."""
    zarr = pytest.importorskip("zarr")

    def write(
        name: str, array: np.ndarray, *, version: int = 2, axes="zyx", whole=None, level=None, named=True, **options
    ) -> Path:
        group = zarr.open_group(str(tmp_path / name), mode="w", zarr_format=version)
        group.create_array("0", shape=array.shape, dtype=array.dtype, **options)[:] = array
        image = {
            "version": "0.4",
            "datasets": [{"path": "0", **({"coordinateTransformations": level} if level else {})}],
        }
        if named:
            units = {"unit": "micrometer", "type": "space"}
            image["axes"] = [{"name": a, **(units if a in "zyx" else {"type": "channel"})} for a in axes]
        if whole:
            image["coordinateTransformations"] = whole
        group.attrs.update(
            {"ome": {"version": "0.5", "multiscales": [image]}} if version == 3 else {"multiscales": [image]}
        )
        return tmp_path / name

    scale = [{"type": "scale", "scale": [2.0, 0.5, 0.25]}]
    both = loaded(write("both", RAMP, level=scale, whole=[{"type": "scale", "scale": [10.0, 10.0, 10.0]}]))
    np.testing.assert_allclose(numbers(both), RAMP, atol=1e-3)
    assert sizes(both) == pytest.approx([2.5, 5.0, 20.0])
    channels = np.stack([RAMP, RAMP + 1])
    mixed = loaded(write("mixed", channels, axes="czyx", level=[{"type": "scale", "scale": [1.0, 2.0, 0.5, 0.25]}]))
    np.testing.assert_allclose(numbers(mixed), channels.transpose(1, 2, 3, 0), atol=1e-3)
    assert sizes(mixed) == pytest.approx([0.25, 0.5, 2.0])
    sharded = loaded(write("sharded", RAMP, version=3, level=scale, chunks=(2, 3, 4), shards=(4, 6, 8)))
    np.testing.assert_allclose(numbers(sharded), RAMP, atol=1e-3)
    stored = loaded(write("stored", RAMP, level=[{"type": "scale", "path": "scales"}]))
    assert sizes(stored) == [1, 1, 1] and any("stored as an array is not applied" in note for note in stored.notes)
    plain = loaded(write("plain", RAMP, named=False))
    np.testing.assert_allclose(numbers(plain), RAMP, atol=1e-3)


def test_zarr_with_the_axes_of_xarray_and_chunks_that_are_not_there(tmp_path):
    """ome-zarr-py 166: `_ARRAY_DIMENSIONS` beside an array; chunks that were never written have the fill value."""
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(
        str(tmp_path / "a.zarr"), mode="w", shape=SHAPE, chunks=(2, 6, 8), dtype="i2", fill_value=7, zarr_format=2
    )
    array.attrs["_ARRAY_DIMENSIONS"] = ["z", "y", "x"]
    array[:2] = RAMP[:2]
    found = numbers(loaded(tmp_path / "a.zarr"))
    np.testing.assert_allclose(found[:2], RAMP[:2], atol=1e-3)
    np.testing.assert_allclose(found[2:], 7, atol=1e-3)


def test_zarr_of_several_images_says_which(tmp_path):
    """ngff 138: a collection as bioformats2raw writes it; the first image is read, and said."""
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for name in "01":
        inner = group.create_group(name)
        inner.create_array("0", shape=SHAPE, dtype="i2")[:] = RAMP + int(name)
        inner.attrs["multiscales"] = [
            {"version": "0.4", "axes": [{"name": a} for a in "zyx"], "datasets": [{"path": "0"}]}
        ]
    volume = loaded(tmp_path / "a.zarr")
    np.testing.assert_allclose(numbers(volume), RAMP, atol=1e-3)
    assert any("of 2 images the first is read" in note for note in volume.notes)
