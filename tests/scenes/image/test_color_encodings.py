"""Colors are converted by what profiles and chunks contain: curves, primaries, tables and code points, never names."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import chunk, gamma, icc, png
from PIL import Image as pillow

from scenes.image.color import srgb_to_linear
from scenes.image.encoding import (
    PRIMARIES,
    REC_709,
    coded_encoding,
    gamma_curve,
    hlg_to_linear,
    lab_to_srgb,
    linear_to_srgb,
    pq_to_linear,
    to_rec709,
)
from scenes.image.signal import open_image

imagecodecs = pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

# Stored values `[2, 3, 3]` in [0, 1], within the gamut of Rec. 709 whatever they stand for.
STORED = np.array(
    [[[0.6, 0.5, 0.4], [0.5, 0.5, 0.5], [0.9, 0.85, 0.8]], [[0.3, 0.35, 0.4], [0.7, 0.6, 0.65], [1.0, 1.0, 1.0]]]
)
DISPLAY_P3 = PRIMARIES[12][1]
ADOBE_RGB = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290)


LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)
SRGB_CURVE = (
    b"para\0\0\0\0"
    + struct.pack(">HH", 3, 0)
    + np.rint(np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]) * 65536).astype(">i4").tobytes()
)
TABLE = (
    b"curv\0\0\0\0" + struct.pack(">I", 256) + np.rint(np.linspace(0, 1, 256) ** 1.8 * 65535).astype(">u2").tobytes()
)


def srgb_of(light: np.ndarray, primaries: tuple[float, ...] = REC_709) -> np.ndarray:
    matrix = to_rec709(primaries)
    return linear_to_srgb(light if matrix is None else light @ matrix.T)


def write(path: Path, profile: bytes, dtype: type = np.uint16) -> Path:
    """`STORED` as a picture with a profile, in the format of the ending."""
    whole = np.repeat(np.repeat(np.rint(STORED * np.iinfo(dtype).max), 8, 0), 8, 1).astype(dtype)
    if path.suffix == ".png":
        path.write_bytes(png(whole, extra=chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))))
    elif path.suffix == ".tif":
        tifffile.imwrite(path, whole, photometric="rgb", iccprofile=profile)
    else:
        options = {"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {"quality": 98}
        pillow.fromarray((whole // 257).astype(np.uint8)).save(path, icc_profile=profile, **options)
    return path


PROFILES = {
    "linear": (LINEAR, REC_709, lambda v: v),
    "gamma 1.8 as a table": (TABLE, REC_709, gamma_curve(1.8)),
    "Adobe RGB": (gamma(2.19921875), ADOBE_RGB, gamma_curve(2.19921875)),
    "Display P3": (SRGB_CURVE, DISPLAY_P3, srgb_to_linear),
}


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp", "avif"])
@pytest.mark.parametrize("content", PROFILES)
def test_profiles_are_converted_by_content_although_their_name_says_srgb(tmp_path: Path, ending: str, content: str):
    curve, primaries, to_light = PROFILES[content]
    image = open_image(write(tmp_path / f"a.{ending}", icc(curve, primaries, "sRGB IEC61966-2.1")))
    right = srgb_of(to_light(STORED), primaries)
    error = np.abs(image.values()[4::8, 4::8] - right)
    assert error.max() < (0.002 if ending in ("png", "tif") else 0.04)
    assert "converted from the colour profile 'sRGB IEC61966-2.1' to sRGB" in image.notes[0]
    assert "`ignore_profile` takes the values as stored" in image.notes[0]
    kept = open_image(tmp_path / f"a.{ending}", ignore_profile=True)
    assert kept.notes == () and np.abs(kept.values()[4::8, 4::8] - STORED).max() < 0.04


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_a_profile_that_is_srgb_under_another_name_changes_nothing(tmp_path: Path, ending: str):
    image = open_image(write(tmp_path / f"a.{ending}", icc(SRGB_CURVE, name="My camera")))
    assert image.notes == () and np.abs(image.values()[4::8, 4::8] - STORED).max() < 0.02


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_gamma_profiles_are_converted(tmp_path: Path, dtype: type):
    top = np.iinfo(dtype).max
    grey = np.array([[top // 4, top // 2, top]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", grey, iccprofile=icc(gamma(1.8), name="Gray Gamma 1.8", space=b"GRAY"))
    image = open_image(tmp_path / "a.tif")
    assert image.values()[0, :, 0] == pytest.approx(linear_to_srgb((grey[0] / top) ** 1.8), abs=1.5 / 255)


def test_floats_with_a_profile_become_linear_light_and_are_not_clipped(tmp_path: Path):
    values = (STORED * 4).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", iccprofile=icc(SRGB_CURVE, name="sRGB built-in"))
    image = open_image(tmp_path / "a.tif")
    assert image.channels.space == "linear" and "to linear light" in image.notes[0]
    np.testing.assert_allclose(image.values(), srgb_to_linear(values), rtol=2e-3)
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="rgb", iccprofile=icc(LINEAR, name="linear"))
    assert open_image(tmp_path / "b.tif").notes == () and open_image(tmp_path / "b.tif").values().max() == 4


def test_alpha_is_left_alone_and_premultiplied_colors_are_divided_first(tmp_path: Path):
    alpha = np.full((*STORED.shape[:2], 1), 0.5)
    for meaning, colors in (("unassalpha", STORED), ("assocalpha", STORED * 0.5)):
        stored = np.rint(np.concatenate([colors, alpha], -1) * 65535).astype(np.uint16)
        path = tmp_path / f"{meaning}.tif"
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=[meaning], iccprofile=icc(LINEAR))
        values = open_image(path).values()
        assert np.abs(values[..., :3] - linear_to_srgb(STORED) * 0.5).max() < 1e-3
        assert np.abs(values[..., 3] - 0.5).max() < 1e-4


def test_cmyk_profiles_and_tables_go_through_littlecms(tmp_path: Path):
    """LittleCMS's Lab profile is one of tables: such an image is converted, or its profile said to be ignored."""
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = open_image(write(tmp_path / "a.tif", lab))
    assert "is for Lab, not for this image: ignored" in image.notes[0]


def test_a_damaged_profile_is_ignored_and_said(tmp_path: Path):
    image = open_image(write(tmp_path / "a.tif", icc(LINEAR)[:300]))
    assert len(image.notes) == 1 and "ignored" in image.notes[0]
    assert np.abs(image.values()[4::8, 4::8] - STORED).max() < 1e-4


# PNG's own chunks.


def png_with(tmp_path: Path, **chunks: bytes) -> Path:
    extra = b"".join(chunk(name.encode(), content) for name, content in chunks.items())
    (tmp_path / "a.png").write_bytes(png(np.rint(STORED * 65535).astype(np.uint16), extra=extra))
    return tmp_path / "a.png"


def primaries_chunk(primaries: tuple[float, ...]) -> bytes:
    return np.rint(np.array([*primaries[6:], *primaries[:6]]) * 1e5).astype(">u4").tobytes()


def test_png_gamma_and_primaries_are_converted(tmp_path: Path):
    image = open_image(png_with(tmp_path, gAMA=struct.pack(">I", 100_000), cHRM=primaries_chunk(ADOBE_RGB)))
    assert np.abs(image.values() - srgb_of(STORED, ADOBE_RGB)).max() < 1e-3
    assert "converted from a gamma of 1 and its own primaries to sRGB" in image.notes[0]


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": struct.pack(">I", 45_455)},
        {"sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)},
        {"gAMA": struct.pack(">I", 45_455), "cHRM": primaries_chunk(REC_709)},
        {"gAMA": struct.pack(">I", 0)},
        {"cHRM": bytes(32)},
        {"cICP": bytes([1, 13, 0, 1])},
    ],
)
def test_png_chunks_that_mean_srgb_or_nothing_change_nothing(tmp_path: Path, chunks: dict[str, bytes]):
    image = open_image(png_with(tmp_path, **chunks))
    assert image.notes == () and np.abs(image.values() - STORED).max() < 1e-4


def test_png_code_points_come_before_the_profile(tmp_path: Path):
    profile = b"x\0\0" + zlib.compress(icc(LINEAR))
    image = open_image(png_with(tmp_path, cICP=bytes([12, 13, 0, 1]), iCCP=profile))
    assert np.abs(image.values() - srgb_of(srgb_to_linear(STORED), DISPLAY_P3)).max() < 1e-3
    assert "Display P3" in image.notes[0]


@pytest.mark.parametrize("code, name, curve", [(16, "PQ", pq_to_linear), (18, "HLG", hlg_to_linear)])
def test_png_of_hdr_curves_becomes_linear_light(tmp_path: Path, code: int, name: str, curve):
    image = open_image(png_with(tmp_path, cICP=bytes([9, code, 0, 1])))
    assert image.channels.space == "linear" and image.pixels.dtype == np.float32
    matrix = to_rec709(PRIMARIES[9][1])
    assert matrix is not None
    np.testing.assert_allclose(image.values(), curve(STORED) @ matrix.T, atol=2e-3, rtol=2e-3)
    assert f"linear light from Rec. 2020 {name}; 1 is 203" in image.notes[0]
    assert open_image(tmp_path / "a.png", ignore_profile=True).pixels.dtype == np.uint16


def test_a_profile_with_hdr_code_points_becomes_linear_light(tmp_path: Path):
    profile = bytearray(icc(LINEAR, name="Rec2100PQ"))
    # The description's tag is renamed; its content is then the code points.
    at = profile.find(b"desc")
    offset = int.from_bytes(profile[at + 4 : at + 8], "big")
    profile[at : at + 4] = b"cicp"
    profile[offset : offset + 12] = b"cicp\0\0\0\0" + bytes([9, 16, 0, 1])
    assert "PQ" in open_image(write(tmp_path / "a.png", bytes(profile))).notes[0]


# Curves by their definitions.


def test_hdr_curves_have_their_defined_values():
    assert pq_to_linear(np.array([1.0])) * 203 == pytest.approx(10_000, rel=1e-4)
    assert pq_to_linear(np.array([0.5806888])) == pytest.approx(1, rel=1e-3)  # BT.2408: 58 % is 203 cd/m²
    assert hlg_to_linear(np.array([[1.0]])) * 203 == pytest.approx(1000, rel=1e-4)
    assert hlg_to_linear(np.array([[0.75]])) == pytest.approx(1, rel=0.02)  # BT.2408: 75 % is 203 cd/m²


def test_lab_has_its_defined_values():
    white, red = lab_to_srgb(np.array([100.0, 0, 0])), lab_to_srgb(np.array([54.29, 80.80, 69.89]))
    assert white == pytest.approx([1, 1, 1], abs=2e-3) and red == pytest.approx([1, 0, 0], abs=0.02)


@given(st.sampled_from([1, 4, 5, 6, 9, 11, 12]), st.sampled_from([4, 5, 8, 13, 16, 18]), st.floats(0, 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_grey_stays_grey_and_black_black_in_every_encoding(primaries: int, transfer: int, value: float):
    encoding = coded_encoding(primaries, transfer)
    if encoding is None:
        return
    light = encoding.light(np.full((1, 3), value, np.float32))
    assert np.ptp(light) <= 2e-3 * max(1.0, light.max())
    assert np.abs(encoding.light(np.zeros((1, 3), np.float32))).max() < 1e-6


def test_avif_code_points_are_read(tmp_path: Path):
    deep = np.rint(np.full((16, 16, 3), 0.58) * 1023).astype(np.uint16)
    data = imagecodecs.avif_encode(
        deep, level=100, bitspersample=10, pixelformat="444", primaries=9, transfer=16, matrix=9
    )
    (tmp_path / "a.avif").write_bytes(data)
    image = open_image(tmp_path / "a.avif")
    assert image.channels.space == "linear" and image.values().mean() == pytest.approx(1, abs=0.05)


def test_a_linear_jpeg_of_8_bits_is_converted_like_pillow_does(tmp_path: Path, astronaut: np.ndarray):
    """LittleCMS, which reads the same profile, agrees within two levels."""
    from PIL import ImageCms

    profile = icc(gamma(1.8), ADOBE_RGB)
    pillow.fromarray(astronaut[:64, :64]).save(tmp_path / "a.png", icc_profile=profile)
    ours = open_image(tmp_path / "a.png").pixels.astype(int)
    theirs = ImageCms.profileToProfile(
        pillow.fromarray(astronaut[:64, :64]),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
    )
    difference = np.abs(ours - np.asarray(theirs))
    assert np.percentile(difference, 99) <= 2 and difference.mean() < 0.7
