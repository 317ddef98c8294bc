"""Volumes: formats with their axes and spacing, values, and what is refused."""

import tracemalloc

import numpy as np
import pytest

import scenes
from scenes.errors import BadInput
from scenes.volume.signal import Volume, open_volume
from scenes.volume.write import ENDINGS, write_volume


@pytest.fixture
def block(rng=np.random.default_rng(0)) -> np.ndarray:
    """`[D, H, W]` = [5, 6, 7] int16, all values different."""
    return rng.permutation(5 * 6 * 7).reshape(5, 6, 7).astype(np.int16) - 40


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_keeps_axes_and_spacing(tmp_path, block, ending):
    write_volume(tmp_path / f"a{ending}", block[..., None].astype(np.float32), (1.0, 2.0, 3.0))
    volume = scenes.load(tmp_path / f"a{ending}")
    assert volume.kind == "volume" and volume.domain.shape == (7, 6, 5)
    np.testing.assert_array_equal(volume.stored[..., 0], block)
    if ending in (".nrrd", ".nii", ".nii.gz"):
        assert [axis.upper for axis in volume.domain.axes] == [7.0, 12.0, 15.0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64, ">i2"])
def test_training_values_run_from_0_to_1(block, dtype):
    volume = Volume.from_array((block + 40).astype(dtype))
    values = volume.values()
    assert (values.min(), values.max()) == pytest.approx((0, 1), abs=1e-6)
    back = values * (volume.channels.upper - volume.channels.lower) + volume.channels.lower
    np.testing.assert_allclose(back[..., 0], block + 40, atol=1e-3)


def test_samples_have_the_coordinates_of_their_voxels(block):
    volume = Volume.from_array(block)
    coords, values = volume.batch(0, block.size, 0)
    x, y, z = (np.floor(coords[:, axis] * n).astype(int) for axis, n in enumerate((7, 6, 5)))
    np.testing.assert_allclose(values[:, 0] * (block.max() - block.min()) + block.min(), block[z, y, x], atol=1e-3)


def test_held_out_voxels_are_never_drawn(rng=np.random.default_rng(1)):
    volume = Volume.from_array(rng.random((8, 9, 10, 3)), held_out=0.2)
    assert len(volume.channels) == 3
    held = sum(len(values) for _, values in volume.held_out_samples())
    assert 80 < held < 220
    assert len(volume.batch(0, 720, 0)[0]) == 720 - held


def test_rescaled_values_are_in_the_range_of_another_volume(block):
    volume, shifted = Volume.from_array(block), Volume.from_array(block * 2 + 7)
    expected = (shifted.stored.astype(np.float32) - volume.channels.lower) / (
        volume.channels.upper - volume.channels.lower
    )
    shifted.rescale_to(volume.channels)
    np.testing.assert_allclose(shifted.values(), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 5)), "every voxel is 0"),
        (np.full((2, 2, 2), np.nan), "every value is NaN"),
        (np.zeros((3, 4)), "not a volume"),
        (np.zeros((3, 4, 0)), "nothing to fit"),
        (np.zeros((2, 2, 2, 9)), "not a volume"),
        (np.zeros((2, 2, 2), complex), "complex"),
        (np.array([[["a", "b"]]]), "cannot be fitted"),
        (np.array([[[0.0, np.inf]]]), "every voxel is 0"),
    ],
)
def test_refuses_arrays_that_are_no_volume(array, message):
    with pytest.raises(BadInput, match=message):
        Volume.from_array(array)


@pytest.mark.parametrize("ending", ENDINGS)
def test_refuses_files_that_are_cut_off_empty_or_of_another_format(tmp_path, rng, ending):
    write_volume(tmp_path / f"a{ending}", rng.random((16, 16, 16, 1), np.float32), (1.0, 1.0, 1.0))
    content = (tmp_path / f"a{ending}").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"not a volume" * 20):
        (tmp_path / f"b{ending}").write_bytes(damaged)
        with pytest.raises(BadInput) as error:
            open_volume(tmp_path / f"b{ending}")
        assert f"b{ending}" in str(error.value)


def test_refuses_archives_without_a_volume_and_pickled_objects(tmp_path):
    np.savez(tmp_path / "a.npz", names=np.array(["x"]), flat=np.zeros((3, 3)))
    with pytest.raises(BadInput, match="names, flat"):
        open_volume(tmp_path / "a.npz")
    np.save(tmp_path / "objects.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(BadInput, match="cannot be read"):
        open_volume(tmp_path / "objects.npy")


@pytest.mark.parametrize("ending", ENDINGS)
def test_refuses_large_volumes_before_they_are_decoded(tmp_path, ending, monkeypatch):
    path = tmp_path / f"zeros{ending}"
    write_volume(path, np.zeros((30, 40, 50, 1), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(BadInput, match="every voxel is 0"):
        open_volume(path, max_pixels=60_000)
    for module, reads in (
        ("numpy", "lib.format.read_array"),
        ("tifffile", "TiffPageSeries.asarray"),
        ("nrrd", "read"),
        ("nibabel.arrayproxy", "ArrayProxy.__array__"),
    ):
        monkeypatch.setattr(f"{module}.{reads}", None)
    with pytest.raises(BadInput, match="60,000 voxels are more than the limit of 59,999; .* `max_pixels=60000`"):
        open_volume(path, max_pixels=59_999)


def test_only_the_array_that_is_used_is_unpacked_from_an_archive(tmp_path, block):
    np.savez_compressed(tmp_path / "a.npz", bomb=np.zeros(1 << 22), block=block, names=np.array(["x"]))
    tracemalloc.start()
    volume = open_volume(tmp_path / "a.npz", max_pixels=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert volume.domain.shape == (7, 6, 5) and peak < 4 << 20
    assert (
        volume.source["options"] == {"max_pixels": 1000}
        and scenes.reopen("volume", volume.source).domain == volume.domain
    )


def test_a_single_tiff_page_stays_a_picture(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "one.tif", np.zeros((8, 9), np.uint8))
    assert scenes.recognise(tmp_path / "one.tif")[0] == "image"
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((8, 9, 3), np.uint8))
    assert scenes.recognise(tmp_path / "colour.tif")[0] == "image"
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 8, 9), np.uint8))
    assert scenes.recognise(tmp_path / "stack.tif")[0] == "volume"


@pytest.fixture
def rng():
    return np.random.default_rng(2)
