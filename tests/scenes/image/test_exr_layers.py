"""EXR of renderers: layers, parts, windows, luminance and chroma, primaries; deep data is refused by name."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from image_files import exr, subsampled_exr

import scenes
from scenes.errors import BadInput
from scenes.image.encoding import REC_709, to_rec709, to_xyz
from scenes.image.exr import Layer, choose_layer
from scenes.image.signal import Image, open_image

OpenEXR = pytest.importorskip("OpenEXR")

PLANE = np.random.default_rng(0).uniform(0.1, 4, (16, 24)).astype(np.float32)


def planes(*names: str) -> dict[str, np.ndarray]:
    """A plane for each channel, each times its place in the list, from 1."""
    return {name: PLANE * (index + 1) for index, name in enumerate(names)}


def parts(path: Path, **content: dict[str, np.ndarray]) -> Path:
    """A file of several parts; `__` in their names stands for a dot."""
    all_parts = [
        OpenEXR.Part({"name": name.replace("__", "."), "type": OpenEXR.scanlineimage}, channels)
        for name, channels in content.items()
    ]
    with OpenEXR.File(all_parts) as file:
        file.write(str(path))
    return path


@pytest.mark.parametrize(
    ("channels", "chosen", "others"),
    [
        (["ViewLayer.AO.R", "ViewLayer.AO.G", "ViewLayer.AO.B", "ViewLayer.Combined.R", "ViewLayer.Combined.G",
          "ViewLayer.Combined.B", "ViewLayer.Combined.A", "ViewLayer.Depth.Z"], "ViewLayer.Combined", "ViewLayer.AO"),
        (["albedo.R", "albedo.G", "albedo.B", "beauty.R", "beauty.G", "beauty.B"], "beauty", "albedo"),
        (["CryptoMaterial00.r", "CryptoMaterial00.g", "CryptoMaterial00.b", "CryptoMaterial00.a", "spec.R", "spec.G",
          "spec.B"], "spec", "CryptoMaterial00"),
        (["N.X", "N.Y", "N.Z", "diffuse.red", "diffuse.green", "diffuse.blue"], "diffuse", "N"),
    ],
)  # fmt: skip
def test_the_finished_picture_is_read_and_the_note_says_which(
    tmp_path: Path, channels: list[str], chosen: str, others: str
):
    image = open_image(exr(tmp_path / "a.exr", planes(*channels)))
    place = next(index for index, name in enumerate(channels) if name.startswith(f"{chosen}.")) + 1
    np.testing.assert_array_equal(image.values()[..., 0], PLANE * place)
    assert image.channels.names[:3] == ("red", "green", "blue")
    note = image.notes[0]
    assert note.startswith(f"the layer {chosen} is read; left out: ") and others in note and "`layer=" in note
    other = open_image(tmp_path / "a.exr", layer=others.rpartition(".")[2].lower())
    assert other.values()[0, 0, 0] != image.values()[0, 0, 0] and other.notes == ()


def test_colors_without_a_layer_come_first(tmp_path: Path):
    image = open_image(exr(tmp_path / "a.exr", planes("R", "G", "B", "Z", "Combined.R", "Combined.G", "Combined.B")))
    np.testing.assert_array_equal(image.values()[..., 1], PLANE * 2)
    assert image.notes == (
        "the layer without a name is read; left out: Combined (`layer=Combined` takes that)",
        "ignored: the channel Z",
    )


def test_the_part_with_the_finished_picture_is_read(tmp_path: Path):
    path = parts(
        tmp_path / "a.exr",
        ViewLayer__Normal=planes("X", "Y", "Z"),
        ViewLayer__AO=planes("R", "G", "B"),
        ViewLayer__Combined={name: plane * 10 for name, plane in planes("R", "G", "B", "A").items()},
    )
    image = open_image(path)
    np.testing.assert_allclose(image.values()[..., 2], PLANE * 30, rtol=1e-6)
    assert image.notes[0].startswith("the layer ViewLayer.Combined is read; left out: ViewLayer.Normal, ViewLayer.AO")
    normals = open_image(path, layer="ViewLayer.Normal")
    np.testing.assert_array_equal(normals.values(), np.stack([PLANE, PLANE * 2, PLANE * 3], -1))
    with pytest.raises(
        BadInput, match="`layer=Mist`: it has the layers ViewLayer.Normal, ViewLayer.AO, ViewLayer.Combined"
    ):
        open_image(path, layer="Mist")


def test_choosing_prefers_colors_to_luminance_and_refuses_vectors():
    grey = Layer(0, "mask", ("mask.Y",), ("mask.Y",))
    color = Layer(0, "x", ("x.R", "x.G", "x.B"), ("x.R", "x.G", "x.B"))
    vector = Layer(0, "N", ("N.X", "N.Y", "N.Z"), ())
    assert choose_layer([vector, grey, color], None) is color and choose_layer([vector, grey], None) is grey
    with pytest.raises(BadInput, match="no R, G, B and no Y"):
        choose_layer([vector], None)


@pytest.mark.parametrize("sampling", [1, 2])
@pytest.mark.parametrize("alpha", [False, True])
def test_luminance_and_chroma_become_colors(tmp_path: Path, sampling: int, alpha: bool):
    """Chroma varies slowly, as photographs' does, so that half its resolution is enough."""
    ramp = np.broadcast_to(np.linspace(0.5, 1, 24, dtype=np.float32), (16, 24))
    rgb = np.stack([PLANE, PLANE * ramp, PLANE * 0.25], -1)
    weights = to_xyz(REC_709)[1]
    y = (rgb @ weights).astype(np.float32)
    chroma = {"RY": (rgb[..., 0] - y) / y, "BY": (rgb[..., 2] - y) / y}
    planes = {"Y": (y, 1)}
    for name, plane in chroma.items():
        planes[name] = (np.ascontiguousarray(plane[::sampling, ::sampling], np.float32), sampling)
    if alpha:
        planes["A"] = (np.full_like(PLANE, 0.5), 1)
    (tmp_path / "a.exr").write_bytes(subsampled_exr(planes))
    image = open_image(tmp_path / "a.exr")
    assert image.notes == ("converted from luminance and chroma",)
    assert image.pixels.shape == (16, 24, 3 + alpha)
    # The last column has no chroma sample to its right.
    np.testing.assert_allclose(image.pixels[:, :-1, :3], rgb[:, :-1], rtol=0.02, atol=1e-3)
    assert not alpha or (image.pixels[..., 3] == 0.5).all()


@pytest.mark.parametrize(
    ("left", "top", "width", "height"), [(0, 0, 30, 20), (4, 6, 12, 10), (-5, -4, 40, 30), (10, -4, 24, 12)]
)
def test_the_display_window_is_the_picture(tmp_path: Path, left: int, top: int, width: int, height: int):
    """A display window of 24 x 16 from 0, 0: data beside it, within it, around it, and across its edge."""
    data = np.random.default_rng(1).random((height, width)).astype(np.float32) + 1
    path = exr(
        tmp_path / "a.exr",
        dict.fromkeys("RGB", data),
        dataWindow=(np.array([left, top], np.int32), np.array([left + width - 1, top + height - 1], np.int32)),
        displayWindow=(np.array([0, 0], np.int32), np.array([23, 15], np.int32)),
    )
    image = open_image(path)
    right = np.zeros((16 + 80, 24 + 80), np.float32)
    right[40 + top : 40 + top + height, 40 + left : 40 + left + width] = data
    np.testing.assert_array_equal(image.values()[..., 0], right[40:56, 40:64])
    assert image.notes[0].startswith("the display window, 24 x 16, is read; its pixels are")


def test_a_display_window_without_pixels_is_left_alone(tmp_path: Path):
    window = (np.array([100, 100], np.int32), np.array([123, 115], np.int32))
    shown = (np.array([0, 0], np.int32), np.array([9, 9], np.int32))
    image = open_image(exr(tmp_path / "a.exr", planes("R", "G", "B"), dataWindow=window, displayWindow=shown))
    np.testing.assert_array_equal(image.values()[..., 0], PLANE)
    assert "so all of them are read" in image.notes[0]


def test_other_primaries_are_converted(tmp_path: Path):
    """ACES's primaries (AP0), whose blue lies outside of all colors."""
    ap0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    path = exr(
        tmp_path / "a.exr", planes("R", "G", "B"), chromaticities=(0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
    )
    data = bytearray(path.read_bytes())
    at = data.find(b"chromaticities\0chromaticities\0") + 34
    data[at : at + 32] = struct.pack("<8f", *ap0)
    path.write_bytes(data)
    image = open_image(path)
    matrix = to_rec709(ap0)
    assert matrix is not None
    right = np.stack([PLANE, PLANE * 2, PLANE * 3], -1) @ matrix.T
    np.testing.assert_allclose(image.values(), right, rtol=1e-4, atol=1e-4)
    assert "converted from primaries other than Rec. 709 to Rec. 709" in image.notes[0]


def test_pixels_that_are_not_square_are_noted(tmp_path: Path):
    image = open_image(exr(tmp_path / "a.exr", planes("R", "G", "B"), pixelAspectRatio=2.0))
    assert image.notes == ("its pixels are 2 times as wide as high, and are kept as they are",)


def test_deep_data_is_refused_by_name(tmp_path: Path):
    samples = np.empty((4, 5), object)
    for index in np.ndindex(4, 5):
        samples[index] = np.ones(2, np.float32)
    header = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    with OpenEXR.File(header, dict.fromkeys("ABGRZ", samples)) as file:
        file.write(str(tmp_path / "a.exr"))
    with pytest.raises(BadInput, match="it holds deep data, many samples per pixel, which is not read; flatten it"):
        open_image(tmp_path / "a.exr")


COMPRESSIONS = [name for name in dir(OpenEXR) if name.endswith("_COMPRESSION")]
LOSSY = ("B44", "DWA", "PXR24", "LJ2K")


@pytest.mark.parametrize("name", COMPRESSIONS)
def test_every_compression_of_the_library(tmp_path: Path, name: str):
    smooth = np.broadcast_to(np.linspace(0.5, 1, 40, dtype=np.float16), (36, 40)).copy()
    try:
        path = exr(tmp_path / "a.exr", dict.fromkeys("RGB", smooth), compression=getattr(OpenEXR, name))
    except Exception:  # noqa: BLE001
        pytest.skip("this OpenEXR does not write it")
    image = scenes.load(path)
    assert isinstance(image, Image)
    assert np.abs(image.values()[..., 0] - smooth).max() <= (0.05 if name.startswith(LOSSY) else 0)


def test_integers_are_read_as_values(tmp_path: Path):
    identities = np.arange(16 * 24, dtype=np.uint32).reshape(16, 24)
    image = open_image(exr(tmp_path / "a.exr", {"id": identities}))
    np.testing.assert_array_equal(image.values()[..., 0], identities)
