"""Volumes as people have them: size, place and orientation of voxels, offsets, colours, series, files in pieces."""

import gzip
import zlib

import numpy as np
import pytest
import tifffile

import scenes
from scenes.errors import BadInput
from scenes.volume.signal import Volume, open_volume
from scenes.volume.write import write_volume

nibabel = pytest.importorskip("nibabel")
nrrd = pytest.importorskip("nrrd")

# x, y, z of a voxel, and its value in `ramp`.
PLACE = (5, 3, 2)
SHAPE = (4, 6, 8)


def ramp(dtype=np.int16) -> np.ndarray:
    """`[D, H, W]` = [4, 6, 8], all values different: 100 z + 10 y + x."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return (100 * z + 10 * y + x).astype(dtype)


def colors() -> np.ndarray:
    """`[D, H, W, 3]` uint8."""
    return np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def load(path, **options) -> Volume:
    assert scenes.recognise(path)[0] == "volume"
    volume = scenes.load(path, "volume", **options)
    assert isinstance(volume, Volume)
    return volume


def values(volume: Volume) -> np.ndarray:
    """Values in the file's units."""
    found = volume.values().astype(np.float64) * (volume.channels.upper - volume.channels.lower)
    return found + volume.channels.lower


def spacing(volume: Volume) -> list[float]:
    return [(axis.upper - axis.lower) / n for axis, n in zip(volume.domain.axes, volume.domain.grid_shape)]


def world(volume: Volume, index: tuple[int, int, int]) -> np.ndarray:
    """Where the centre of a voxel lies in the file's space."""
    assert volume.domain.world is not None
    position = [(i + 0.5) * step for i, step in zip(index, spacing(volume))]
    return np.array(volume.domain.world.matrix) @ [*position, 1.0]


# A turn of 30 degrees about z, voxels of 0.5 x 0.75 x 2 with x mirrored, at (10, -20, 30).
C, S = np.cos(np.pi / 6), np.sin(np.pi / 6)
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.array([[-C, -S, 0], [-S, C, 0], [0, 0, 1]]) @ np.diag([0.5, 0.75, 2.0])
AFFINE[:3, 3] = (10, -20, 30)


@pytest.mark.parametrize("how", ["sform", "qform"])
def test_nifti_has_its_place_by_sform_or_qform(tmp_path, how):
    image = nibabel.Nifti1Image(ramp().transpose(2, 1, 0), AFFINE)
    image.set_sform(AFFINE, code=1 if how == "sform" else 0)
    image.set_qform(AFFINE, code=1 if how == "qform" else 0)
    image.to_filename(tmp_path / "a.nii.gz")
    volume = load(tmp_path / "a.nii.gz")
    assert spacing(volume) == pytest.approx([0.5, 0.75, 2.0])
    np.testing.assert_allclose(world(volume, PLACE), (AFFINE @ [*PLACE, 1])[:3], atol=1e-4)
    assert "left, front, head or nearly so" in volume.notes[0] and "RAS, mm" in volume.notes[0]
    assert scenes.domain.Domain.from_json(volume.domain.to_json()) == volume.domain


def test_nifti_without_orientation_says_so(tmp_path):
    image = nibabel.Nifti1Image(ramp().transpose(2, 1, 0), None)
    image.header.set_zooms((1, 1, 3))
    image.header["sform_code"] = image.header["qform_code"] = 0
    image.to_filename(tmp_path / "a.nii")
    volume = load(tmp_path / "a.nii")
    assert volume.domain.world is None and spacing(volume) == [1, 1, 3] and "does not say" in volume.notes[0]


@pytest.mark.parametrize("name", ["a.hdr", "a.mgz"])
def test_other_formats_of_brain_scans(tmp_path, name):
    array = ramp().transpose(2, 1, 0)
    if name == "a.hdr":
        nibabel.Nifti1Pair(array, AFFINE).to_filename(tmp_path / "a.hdr")
    else:
        nibabel.MGHImage(array, AFFINE).to_filename(tmp_path / name)
    volume = load(tmp_path / name)
    np.testing.assert_allclose(values(volume)[..., 0], ramp(), atol=1e-3)
    np.testing.assert_allclose(world(volume, PLACE), (AFFINE @ [*PLACE, 1])[:3], atol=1e-4)
    if name == "a.hdr":
        with pytest.raises(BadInput, match="name the .hdr file"):
            scenes.load(tmp_path / "a.img")


@pytest.mark.parametrize("form", ["vector", "four axes", "rgb24", "rgba32"])
def test_nifti_colors_and_vectors_are_channels(tmp_path, form):
    stored = colors().transpose(2, 1, 0, 3)
    if form == "vector":
        stored = stored[:, :, :, None].astype(np.float32)
    elif form.startswith("rgb"):
        names = "RGBA" if form == "rgba32" else "RGB"
        packed = np.zeros(stored.shape[:3], np.dtype([(name, np.uint8) for name in names]))
        for index, name in enumerate("RGB"):
            packed[name] = stored[..., index]
        stored = packed
    image = nibabel.Nifti1Image(stored, np.diag([1, 1, 2, 1.0]))
    image.to_filename(tmp_path / "a.nii.gz")
    volume = load(tmp_path / "a.nii.gz")
    assert len(volume.channels) == (4 if form == "rgba32" else 3) and spacing(volume) == [1, 1, 2]
    np.testing.assert_allclose(values(volume)[..., :3], colors(), atol=1e-3)


def test_nifti_scaling_keeps_a_variation_on_a_large_offset(tmp_path):
    image = nibabel.Nifti1Image(ramp().transpose(2, 1, 0), np.eye(4))
    image.header.set_slope_inter(1e-3, 1e6)
    nibabel.Nifti1Image(image.dataobj, np.eye(4), image.header).to_filename(tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array([1e-3, 1e6], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    volume = load(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.values()[..., 0] * 357, ramp(), atol=1e-3)


@pytest.mark.parametrize("layer", [None, 1, 3])
def test_one_volume_of_a_series_is_read_and_said(tmp_path, layer):
    series = np.stack([ramp() + 1000 * moment for moment in range(6)])
    image = nibabel.Nifti1Image(series.transpose(3, 2, 1, 0), AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "a.nii.gz")
    nrrd.write(str(tmp_path / "a.nrrd"), series, {"kinds": ["domain"] * 3 + ["time"]}, index_order="C")
    np.save(tmp_path / "a.npy", np.moveaxis(series, 0, 0)[..., None].repeat(2, axis=-1))
    tifffile.imwrite(tmp_path / "a.tif", series, imagej=True, metadata={"axes": "TZYX"})
    for name in ("a.nii.gz", "a.nrrd", "a.npy", "a.tif"):
        volume = load(tmp_path / name, **({"layer": layer} if layer else {}))
        np.testing.assert_allclose(values(volume)[..., 0], ramp() + 1000 * ((layer or 1) - 1), atol=0.01)
        assert any("series of 6 volumes" in note and "`layer=N`" in note for note in volume.notes), name
        with pytest.raises(BadInput, match="6 volumes"):
            open_volume(tmp_path / name, layer=7)
        assert scenes.reopen("volume", volume.source).domain == volume.domain


@pytest.mark.parametrize("axis", [0, 3])
@pytest.mark.parametrize("say", ["kinds", "directions", "spacings", "nothing"])
def test_nrrd_colors_may_be_the_fastest_or_the_slowest_axis(tmp_path, axis, say):
    stored = np.moveaxis(colors(), 3, 3 if axis == 0 else 0)  # C order: the last is the fastest
    header: dict = {}
    if say == "kinds":
        header["kinds"] = ["domain"] * 3
        header["kinds"].insert(axis, "RGB-color")
    if say == "directions":
        rows = [list(row) for row in AFFINE[:3, :3].T]
        rows.insert(axis, [np.nan] * 3)
        header |= {
            "space": "left-posterior-superior",
            "space directions": np.array(rows),
            "space origin": AFFINE[:3, 3],
        }
    if say == "spacings":
        steps = [0.5, 0.75, 2.0]
        steps.insert(axis, np.nan)
        header["spacings"] = steps
    nrrd.write(str(tmp_path / "a.nrrd"), stored, header, index_order="C")
    volume = load(tmp_path / "a.nrrd")
    np.testing.assert_allclose(values(volume), colors(), atol=1e-3)
    if say in ("directions", "spacings"):
        assert spacing(volume) == pytest.approx([0.5, 0.75, 2.0])
    if say == "directions":
        np.testing.assert_allclose(world(volume, PLACE), (AFFINE @ [*PLACE, 1])[:3], atol=1e-9)
        assert "LPS" in volume.notes[0]


@pytest.mark.parametrize("dtype", ["<i2", ">i2", ">f4"])
@pytest.mark.parametrize("packed", [False, True])
def test_detached_nrrd_headers(tmp_path, dtype, packed):
    data = ramp(dtype).tobytes()
    (tmp_path / "voxels.bin").write_bytes(gzip.compress(data) if packed else data)
    name = {"i2": "int16", "f4": "float"}[dtype[1:]]
    (tmp_path / "a.nhdr").write_text(
        f"NRRD0005\ntype: {name}\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 6 4\n"
        "space directions: (0.5,0,0) (0,0.75,0) (0,0,2)\nspace origin: (10,-20,30)\n"
        f"endian: {'big' if dtype[0] == '>' else 'little'}\nencoding: {'gzip' if packed else 'raw'}\n"
        "data file: voxels.bin\n"
    )
    volume = load(tmp_path / "a.nhdr")
    np.testing.assert_array_equal(values(volume)[..., 0].round(3), ramp())
    np.testing.assert_allclose(world(volume, (0, 0, 0)), (10, -20, 30))


def metaimage(folder, *, dtype="<i2", form="beside", channels=1, lines=(), newline="\n", array=None) -> str:
    """Write a MetaImage file of `ramp`, and return its name."""
    data = (ramp(dtype) if array is None else array.astype(dtype)).tobytes()
    names = {"i2": "MET_SHORT", "u1": "MET_UCHAR", "f4": "MET_FLOAT"}
    head = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        f"ElementByteOrderMSB = {dtype[0] == '>'}",
        f"CompressedData = {form == 'packed'}",
        "TransformMatrix = " + " ".join(f"{x:.12g}" for x in (AFFINE[:3, :3] / [0.5, 0.75, 2.0]).T.ravel()),
        "Offset = 10 -20 30",
        "ElementSpacing = 0.5 0.75 2",
        "DimSize = 8 6 4",
        f"ElementNumberOfChannels = {channels}",
        f"ElementType = {names[dtype[1:]]}",
        *lines,
    ]
    if form == "local":
        head.append("ElementDataFile = LOCAL")
        (folder / "a.mha").write_bytes(newline.join([*head, ""]).encode() + data)
        return "a.mha"
    if form == "list":
        head.append("ElementDataFile = LIST")
        head += [f"slice{z}.raw" for z in range(SHAPE[0])]
        for z in range(SHAPE[0]):
            (folder / f"slice{z}.raw").write_bytes(data[z * len(data) // SHAPE[0] : (z + 1) * len(data) // SHAPE[0]])
    elif form == "pattern":
        head.append("ElementDataFile = slice%03d.raw 1 4 1")
        for z in range(SHAPE[0]):
            part = data[z * len(data) // SHAPE[0] : (z + 1) * len(data) // SHAPE[0]]
            (folder / f"slice{z + 1:03d}.raw").write_bytes(part)
    else:
        head.append("ElementDataFile = a.raw")
        (folder / "a.raw").write_bytes(zlib.compress(data) if form == "packed" else data)
    (folder / "a.mhd").write_bytes(newline.join([*head, ""]).encode())
    return "a.mhd"


@pytest.mark.parametrize("form", ["beside", "local", "packed", "list", "pattern"])
@pytest.mark.parametrize(("dtype", "newline"), [("<i2", "\n"), (">f4", "\r\n")])
def test_metaimage_in_all_its_pieces(tmp_path, form, dtype, newline):
    volume = load(tmp_path / metaimage(tmp_path, form=form, dtype=dtype, newline=newline))
    np.testing.assert_allclose(values(volume)[..., 0], ramp(), atol=1e-3)
    assert spacing(volume) == pytest.approx([0.5, 0.75, 2.0])
    np.testing.assert_allclose(world(volume, PLACE), (AFFINE @ [*PLACE, 1])[:3], atol=1e-9)


def test_metaimage_with_colors_or_a_header_before_its_voxels(tmp_path):
    name = metaimage(tmp_path, dtype="<u1", channels=3, array=colors(), lines=["HeaderSize = -1"])
    (tmp_path / "a.raw").write_bytes(b"something before" + (tmp_path / "a.raw").read_bytes())
    np.testing.assert_allclose(values(load(tmp_path / name)), colors(), atol=1e-3)


def test_metaimage_that_lacks_data_is_refused(tmp_path):
    name = metaimage(tmp_path)
    data = (tmp_path / "a.raw").read_bytes()
    (tmp_path / "a.raw").write_bytes(data[:-10])
    with pytest.raises(BadInput, match="announces 384 bytes of voxels and 374 are there"):
        scenes.load(tmp_path / name)
    with pytest.raises(BadInput, match="here a.mhd"):
        scenes.load(tmp_path / "a.raw")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(BadInput, match="a.raw, which is not beside it"):
        scenes.load(tmp_path / name)


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m", "nm", "mm", "inch"])
def test_imagej_stacks_have_the_size_of_voxels(tmp_path, unit):
    tifffile.imwrite(
        tmp_path / "a.tif",
        ramp(np.uint16),
        imagej=True,
        resolution=(10, 5),
        metadata={"axes": "ZYX", "spacing": 0.5, "unit": unit},
    )
    volume = load(tmp_path / "a.tif")
    assert spacing(volume) == pytest.approx([0.1, 0.2, 0.5])
    assert volume.domain.axes[0].unit == ("um" if unit in ("micron", "\\u00B5m") else unit)


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "ZCYX", "TZCYX"])
def test_ome_stacks_have_size_channels_and_times(tmp_path, axes):
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 6, "X": 8}
    array = np.random.default_rng(1).integers(0, 999, [sizes[axis] for axis in axes], dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        array,
        metadata={
            "axes": axes,
            "PhysicalSizeX": 100.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 100.0,
            "PhysicalSizeYUnit": "nm",
            "PhysicalSizeZ": 0.5,
            "PhysicalSizeZUnit": "µm",
        },
    )
    volume = load(tmp_path / "a.ome.tif", layer=2 if "T" in axes else 1)
    assert spacing(volume) == pytest.approx([100, 100, 500]) and volume.domain.axes[0].unit == "nm"
    expected = array[1] if "T" in axes else array
    place = axes.replace("T", "").find("C")
    expected = np.moveaxis(expected, place, -1) if place >= 0 else expected[..., None]
    np.testing.assert_allclose(values(volume), expected, atol=0.01)


def test_pages_of_colors_stay_pictures_and_named_depth_is_a_volume(tmp_path):
    tifffile.imwrite(tmp_path / "pages.tif", colors(), photometric="rgb")
    assert scenes.recognise(tmp_path / "pages.tif")[0] == "image"
    tifffile.imwrite(tmp_path / "stack.tif", colors(), imagej=True, metadata={"axes": "ZYXS"})
    np.testing.assert_allclose(values(load(tmp_path / "stack.tif")), colors(), atol=1e-3)


def test_pictures_of_slices_make_a_volume_on_request(tmp_path):
    from PIL import Image

    for index in range(SHAPE[0]):
        Image.fromarray(ramp(np.uint16)[index]).save(tmp_path / f"slice{index + 8}.png")
    assert scenes.recognise(tmp_path)[0] == "video"
    volume = scenes.load(tmp_path, "volume")
    np.testing.assert_array_equal(volume.stored[..., 0], ramp(np.uint16))
    assert "taken for slices" in volume.notes[0]
    assert scenes.reopen("volume", volume.source).domain == volume.domain


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint32, np.int64])
@pytest.mark.parametrize("offset", [0, 1_000_000, 2_000_000_000])
def test_variations_on_a_large_offset_are_kept(tmp_path, dtype, offset):
    array = ramp().astype(dtype) + dtype(offset)
    if dtype == np.float64:
        array = array / 400.0 + offset
    np.save(tmp_path / "a.npy", array)
    volume = load(tmp_path / "a.npy")
    np.testing.assert_allclose(volume.values()[..., 0], ramp() / 357, atol=2e-6)
    other = Volume.from_array(array + array.dtype.type(1))
    other.rescale_to(volume.channels)
    shift = 1 / float(array.max() - array.min())
    np.testing.assert_allclose(other.values()[..., 0], ramp() / 357 + shift, atol=1e-4)
    if offset:
        assert f"{array.max():.12g}" in volume.describe()


@pytest.mark.parametrize("array", [np.array([1e-60, 2e-60]), np.array([-1e300, 1e300]), np.array([1, 2**62])])
def test_ranges_beyond_float32_are_kept(array):
    volume = Volume.from_array(array.reshape(1, 1, 2))
    np.testing.assert_array_equal(volume.values().ravel(), [0, 1])


def test_labels_are_said_and_other_integers_are_not():
    labels = np.zeros((8, 16, 16), np.uint8)
    labels[2:6, 4:8, 4:8], labels[2:6, 10:14, 4:12] = 3, 7
    assert (
        "look like labels" in Volume.from_array(labels).notes[-1] and "0, 3, 7" in Volume.from_array(labels).notes[-1]
    )
    assert not Volume.from_array((labels > 0).astype(np.uint8)).notes
    noise = np.random.default_rng(0).integers(0, 20, (8, 16, 16), dtype=np.uint8)
    assert not Volume.from_array(noise).notes


@pytest.mark.parametrize("space", ["RAS", "LPS"])
@pytest.mark.parametrize("ending", [".nrrd", ".nii", ".nii.gz"])
@pytest.mark.parametrize("channels", [1, 3])
def test_written_volumes_keep_their_place(tmp_path, space, ending, channels):
    array = np.random.default_rng(0).random((*SHAPE, channels), np.float32)
    notes = write_volume(tmp_path / f"a{ending}", array, (0.5, 0.75, 2.0), unit="mm", affine=AFFINE, space=space)
    volume = load(tmp_path / f"a{ending}")
    np.testing.assert_allclose(values(volume), array, atol=1e-6)
    place = (AFFINE @ [*PLACE, 1])[:3]
    if space == "LPS" and ending != ".nrrd":
        place = place * [-1, -1, 1]  # NIfTI's space is RAS
    np.testing.assert_allclose(world(volume, PLACE), place, atol=1e-4)
    assert notes == []


def test_written_volumes_keep_size_unit_and_offset_or_say_so(tmp_path):
    array = ramp(np.float32)[..., None]
    for ending in (".tif", ".nrrd", ".nii.gz"):
        assert write_volume(tmp_path / f"a{ending}", array, (0.1, 0.2, 0.5), unit="um") == []
        volume = load(tmp_path / f"a{ending}")
        assert spacing(volume) == pytest.approx([0.1, 0.2, 0.5], rel=1e-5) and volume.domain.axes[0].unit == "um"
    notes = write_volume(tmp_path / "a.npy", array, (0.1, 0.2, 0.5), unit="um", affine=AFFINE)
    assert "size of its voxels and its place" in notes[0]
    large = ramp(np.float64)[..., None] / 357 + 1e6
    for ending in (".npy", ".npz", ".tif", ".nrrd", ".nii"):
        write_volume(tmp_path / f"b{ending}", large, (1.0, 1.0, 1.0), unit="voxel")
        np.testing.assert_allclose(load(tmp_path / f"b{ending}").values()[..., 0], ramp() / 357, atol=1e-6)


@pytest.mark.parametrize("name", ["a.n5", "a.czi", "a.mrc", "a.h5", "a.raw"])
def test_formats_that_are_not_read_are_refused_by_name_with_advice(tmp_path, name):
    if name == "a.n5":
        (tmp_path / name).mkdir()
        (tmp_path / name / "attributes.json").write_text("{}")
    else:
        (tmp_path / name).write_bytes(b"\1\2\3\4" * 100)
    with pytest.raises(BadInput, match="save|write one beside it"):
        scenes.load(tmp_path / name)


# Zarr


@pytest.fixture
def zarr():
    return pytest.importorskip("zarr")


def ome_zarr(zarr, path, *, version: str, axes: str = "tczyx", shift=None) -> np.ndarray:
    """Write an OME-Zarr image of two resolutions, and return the finer one."""
    sizes = {"t": 2, "c": 3, "z": 4, "y": 6, "x": 8}
    array = np.random.default_rng(0).integers(0, 999, [sizes[axis] for axis in axes], dtype=np.uint16)
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    levels = []
    for number, part in enumerate((array, array[..., ::2, ::2])):
        group.create_array(str(number), shape=part.shape, dtype=part.dtype)[:] = part
        scale = [{"z": 0.5, "y": 0.1, "x": 0.1}.get(axis, 1.0) * (2 if number and axis in "xy" else 1) for axis in axes]
        changes: list[dict] = [{"type": "scale", "scale": scale}]
        if shift:
            changes.append({"type": "translation", "translation": [shift.get(axis, 0.0) for axis in axes]})
        levels.append({"path": str(number), "coordinateTransformations": changes})
    types = {"t": "time", "c": "channel"}
    image = {
        "version": version,
        "axes": [
            {"name": a, "type": types.get(a, "space"), **({} if a in types else {"unit": "micrometer"})} for a in axes
        ],
        "datasets": levels,
    }
    group.attrs.update(
        {"ome": {"version": version, "multiscales": [image]}} if version == "0.5" else {"multiscales": [image]}
    )
    return array


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["zyx", "czyx", "tczyx"])
def test_ome_zarr_has_size_channels_and_times(tmp_path, zarr, version, axes):
    array = ome_zarr(zarr, tmp_path / "a.zarr", version=version, axes=axes)
    volume = load(tmp_path / "a.zarr", layer=2 if "t" in axes else 1)
    assert spacing(volume) == pytest.approx([0.1, 0.1, 0.5]) and volume.domain.axes[0].unit == "um"
    expected = array[1] if "t" in axes else array
    expected = np.moveaxis(expected, 0, -1) if "c" in axes else expected[..., None]
    np.testing.assert_allclose(values(volume), expected, atol=0.01)
    assert scenes.reopen("volume", volume.source).domain == volume.domain


def test_a_coarser_resolution_is_read_where_the_finest_is_too_large_and_the_place_is_kept(tmp_path, zarr):
    ome_zarr(zarr, tmp_path / "a.zarr", version="0.4", axes="zyx", shift={"z": 5.0, "x": 1.0})
    volume = load(tmp_path / "a.zarr", max_pixels=100)
    assert volume.domain.grid_shape == (4, 3, 4) and spacing(volume) == pytest.approx([0.2, 0.2, 0.5])
    assert any("of 2 resolutions number 2" in note for note in volume.notes)
    np.testing.assert_allclose(world(volume, (0, 0, 0)), (1, 0, 5), atol=1e-9)


def test_plain_zarr_arrays_and_stores_without_a_volume(tmp_path, zarr):
    zarr.create_array(str(tmp_path / "plain.zarr"), shape=SHAPE, dtype="int16", zarr_format=2)[:] = ramp()
    np.testing.assert_array_equal(load(tmp_path / "plain.zarr").stored[..., 0], ramp())
    group = zarr.open_group(str(tmp_path / "two.zarr"), mode="w")
    for name in ("first", "second"):
        group.create_array(name, shape=SHAPE, dtype="int16")[:] = ramp()
    with pytest.raises(BadInput, match="holds 2 arrays .* first, second"):
        scenes.load(tmp_path / "two.zarr")


# DICOM


@pytest.fixture
def dicom(tmp_path):
    """A function that writes a slice of `ramp`, or changes to it, into `tmp_path`."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    series = generate_uid()

    def write(name: str, z: int, **changes) -> None:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset(str(tmp_path / name), {}, file_meta=meta, preamble=b"\0" * 128)
        pixels = changes.pop("pixels", ramp(np.uint16)[z])
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        dataset.SeriesInstanceUID, dataset.SeriesDescription = series, "CHEST"
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
        dataset.PixelSpacing = [0.75, 0.5]  # rows first
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [10, -20, 30 + 2 * z]
        dataset.InstanceNumber = 9 - z  # the other way round
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        for key, value in changes.items():
            if value is None:
                delattr(dataset, key)
            else:
                setattr(dataset, key, value)
        dataset.PixelData = pixels.tobytes()
        pydicom.dcmwrite(tmp_path / name, dataset)

    return write


def test_dicom_slices_are_sorted_by_place_and_scaled(tmp_path, dicom):
    for z in (2, 0, 3, 1):
        dicom(f"IM{(z * 7) % 5}", z)
    (tmp_path / "readme.txt").write_text("not an image")
    volume = load(tmp_path)
    assert volume.stored.dtype == np.int16
    np.testing.assert_array_equal(volume.stored[..., 0], ramp().astype(int) - 1024)
    assert spacing(volume) == pytest.approx([0.5, 0.75, 2.0])
    np.testing.assert_allclose(world(volume, PLACE), (10 + 2.5, -20 + 3 * 0.75, 34))
    assert "left, back, head" in volume.notes[0] and "LPS, mm" in volume.notes[0]
    assert scenes.reopen("volume", volume.source).domain == volume.domain


def test_the_largest_of_several_dicom_series_is_read(tmp_path, dicom):
    for z in range(4):
        dicom(f"{z}.dcm", z)
    for z in range(2):
        dicom(f"scout{z}.dcm", z, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
        dicom(f"other{z}.dcm", z, SeriesInstanceUID="1.2.3")
    volume = load(tmp_path)
    assert volume.domain.grid_shape == (8, 6, 4)
    assert "of 3 series the largest is read (CHEST)" in volume.notes[0]


def test_missing_dicom_slices_and_repeated_ones_are_said(tmp_path, dicom):
    for z in (0, 1, 3):
        dicom(f"{z}.dcm", z)
    assert any("2 to 4 mm apart" in note for note in load(tmp_path).notes)
    for moment in (1, 2):
        for z in range(4):
            dicom(f"{z}-{moment}.dcm", z, AcquisitionNumber=moment, pixels=ramp(np.uint16)[z] + moment)
    (tmp_path / "0.dcm").unlink(), (tmp_path / "1.dcm").unlink(), (tmp_path / "3.dcm").unlink()
    volume = load(tmp_path, layer=2)
    np.testing.assert_array_equal(volume.stored[..., 0], ramp().astype(int) + 2 - 1024)
    assert "series of 2 volumes" in volume.notes[0]


def test_slopes_of_each_slice_and_frames_of_one_file(tmp_path, dicom):
    for z in range(4):
        dicom(f"{z}.dcm", z, RescaleSlope=z + 1.5, RescaleIntercept=0)
    expected = ramp() * (np.arange(4)[:, None, None] + 1.5)
    np.testing.assert_allclose(values(load(tmp_path))[..., 0], expected, atol=0.01)
    for z in range(4):
        (tmp_path / f"{z}.dcm").unlink()
    dicom("many.dcm", 0, pixels=ramp(np.uint16), NumberOfFrames=4, SliceThickness=3, RescaleIntercept=0)
    volume = load(tmp_path / "many.dcm")
    np.testing.assert_array_equal(values(volume)[..., 0].round(2), ramp())
    assert spacing(volume) == [0.5, 0.75, 3.0] and "no positions" in volume.notes[0]
