"""Voxels without a value: NaN and infinity are background, in every format that can hold them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

import scenes
from fields.fit.objectives.volume import VolumeObjective
from scenes.errors import BadInput
from scenes.volume.signal import Volume, open_volume

# Two voxels without a value.
MISSING = ((0, 1, 2), (3, 4, 5))


def masked(low: float = -2.0) -> np.ndarray:
    """`[D, H, W]` = [4, 5, 6] float32 from `low` on, NaN and minus infinity in the `MISSING` voxels."""
    array = np.linspace(low, low + 10, 120, dtype=np.float32).reshape(4, 5, 6)
    array[MISSING[0]], array[MISSING[1]] = np.nan, -np.inf
    return array


def write(folder: Path, name: str, array: np.ndarray) -> Path:
    """The array as a file of the format that the name's ending says."""
    path = folder / name
    if name.endswith(".npy"):
        np.save(path, array)
    elif name.endswith(".npz"):
        np.savez(path, array)
    elif name.endswith(".tif"):
        tifffile.imwrite(path, array, photometric="minisblack")
    elif name.endswith(".nrrd"):
        pytest.importorskip("nrrd").write(str(path), array, index_order="C")
    elif name.endswith((".nii", ".mgz")):
        nibabel = pytest.importorskip("nibabel")
        image = nibabel.MGHImage if name.endswith(".mgz") else nibabel.Nifti1Image
        image(array.transpose(2, 1, 0), np.eye(4)).to_filename(path)
    elif name.endswith(".mhd"):
        (folder / "a.raw").write_bytes(array.tobytes())
        path.write_text("NDims = 3\nDimSize = 6 5 4\nElementType = MET_FLOAT\nElementDataFile = a.raw\n")
    else:
        zarr = pytest.importorskip("zarr")
        zarr.open_array(str(path), mode="w", shape=array.shape, dtype=array.dtype, fill_value=0)[...] = array
    return path


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.tif", "a.nrrd", "a.nii", "a.mgz", "a.mhd", "a.zarr"])
def test_voxels_without_a_value_are_background_and_said(tmp_path, name):
    path = write(tmp_path, name, masked())
    volume = scenes.load(path, "volume")
    assert isinstance(volume, Volume) and volume.valid is not None
    assert np.argwhere(~volume.valid).tolist() == [list(place) for place in MISSING]
    finite = masked()[np.isfinite(masked())]
    assert (volume.channels.lower, volume.channels.upper) == (finite.min(), finite.max())
    for place in MISSING:  # 0 is in the range, and so it is the background
        assert volume.values(*place)[0] * np.ptp(finite) + finite.min() == pytest.approx(0, abs=1e-5)
    assert np.isfinite(volume.batch(0, 120, 0)[1]).all()
    assert any("2 of 120 voxels have no value" in note and "(0)" in note for note in volume.notes)
    with pytest.raises(BadInput, match="2 of 120 values are NaN or infinite; leave `refuse_invalid` out"):
        open_volume(path, refuse_invalid=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_the_background_of_values_far_from_zero_is_the_smallest(dtype):
    volume = Volume.from_array(masked(270.0).astype(dtype))
    assert volume.values(*MISSING[0]) == 0 and volume.values(0, 0, 0) == 0
    assert any("the smallest value, 270" in note for note in volume.notes)


def test_a_voxel_with_a_channel_without_a_value_does_not_count():
    array = np.stack([masked(), np.where(np.isfinite(masked()), masked(), 1)], axis=-1)
    volume = Volume.from_array(array, held_out=0.5)
    assert volume.valid is not None and volume.held_out is not None
    assert (~volume.valid).sum() == 2 and not volume.held_out.reshape(4, 5, 6)[~volume.valid].any()


def test_voxels_without_a_value_are_not_scored(monkeypatch):
    volume = Volume.from_array(masked())
    objective = VolumeObjective(volume, "l2")
    # A field that is right where there are values, and wrong where there are none.
    right = volume.values().copy()
    right[~volume.valid] = 1 - right[~volume.valid]
    monkeypatch.setattr(objective, "_slice", lambda field, index: right[index][None])
    assert objective.evaluate(SimpleNamespace())["psnr"] > 90  # pyright: ignore[reportArgumentType]
    volume.valid = None
    assert objective.evaluate(SimpleNamespace())["psnr"] < 40  # pyright: ignore[reportArgumentType]
