"""Clips of pictures: colours of animations by profiles and code points, pages of TIFF files, and what decides."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_files import chunk, gamma, icc
from PIL import Image

import scenes
from scenes.errors import BadInput
from scenes.image.color import srgb_to_linear
from scenes.image.encoding import PRIMARIES, linear_to_srgb, to_rec709
from scenes.image.gif import PROFILE, gif_profile
from scenes.video.signal import Video, open_video

DISPLAY_P3 = PRIMARIES[12][1]
# Four colours `[4, 3]`, a quarter of the frame each.
COLORS = np.array([(200, 60, 40), (40, 180, 90), (60, 80, 220), (130, 130, 130)], np.uint8)
OPTION = "(`ignore_profile` takes the values as stored)"


def frames(count: int = 3) -> list[Image.Image]:
    """Frames of 32 x 16 with the four colours in columns, in another order in each."""
    return [Image.fromarray(np.repeat(np.roll(COLORS, n, 0), 8, 0)[None].repeat(16, 0)) for n in range(count)]


def save(path: Path, **options) -> Path:
    first, *others = frames()
    first.save(path, save_all=True, append_images=others, duration=100, **options)
    return path


def add_gif_profile(path: Path, profile: bytes) -> None:
    """Add an application extension behind the header and the global palette, as ImageMagick does."""
    data = path.read_bytes()
    place = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    parts = [profile[at : at + 255] for at in range(0, len(profile), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    path.write_bytes(data[:place] + PROFILE + blocks + b"\0" + data[place:])


def colors_of(video: Video) -> np.ndarray:
    """The colours `[3, 4, 3]` of the frames."""
    return video.stored[:, 8, 4::8].astype(int)


def rolled(colors: np.ndarray) -> np.ndarray:
    return np.stack([np.roll(colors, n, 0) for n in range(3)]).astype(int)


def from_display_p3(colors: np.ndarray, exponent: float) -> np.ndarray:
    matrix = to_rec709(DISPLAY_P3)
    assert matrix is not None
    return linear_to_srgb((colors / 255) ** exponent @ matrix.T) * 255


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.png", {}),
        ("a.webp", {"lossless": True}),
        ("a.gif", {}),
        ("a.avif", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_profiles_of_animations_are_converted(tmp_path, name, options):
    profile = icc(gamma(2.2), DISPLAY_P3)
    path = save(tmp_path / name, **options, **({} if name == "a.gif" else {"icc_profile": profile}))
    if name == "a.gif":
        add_gif_profile(path, profile)
        assert gif_profile(path.read_bytes()) == profile
    video = open_video(path)
    close = 10 if name == "a.avif" else 3
    assert np.abs(colors_of(video) - rolled(from_display_p3(COLORS, 2.2))).max() <= close
    assert any("converted from the colour profile" in note and OPTION in note for note in video.notes)
    stored = open_video(path, ignore_profile=True)
    assert np.abs(colors_of(stored) - rolled(COLORS)).max() <= close and stored.notes == ()


def test_code_points_of_an_animated_png_come_first_and_hdr_is_compressed(tmp_path):
    data = save(tmp_path / "a.png").read_bytes()
    head = data.index(b"IDAT") - 4
    (tmp_path / "wide.png").write_bytes(data[:head] + chunk(b"cICP", bytes([12, 13, 0, 1])) + data[head:])
    found = colors_of(open_video(tmp_path / "wide.png"))
    light = srgb_to_linear(COLORS / 255) @ to_rec709(DISPLAY_P3).T
    assert np.abs(found - rolled(linear_to_srgb(light) * 255)).max() <= 2
    (tmp_path / "hdr.png").write_bytes(data[:head] + chunk(b"cICP", bytes([9, 16, 0, 1])) + data[head:])
    video = open_video(tmp_path / "hdr.png")
    # Grey of 0.51 in PQ is 100 cd/m², below the knee: 100 / 203 of the reference white.
    assert colors_of(video)[0, 3] == pytest.approx(linear_to_srgb(np.float32(101 / 203)) * 255, abs=3)
    assert any("HDR" in note for note in video.notes)


def test_a_still_gif_has_its_profile_too(tmp_path):
    profile = icc(gamma(1.0))
    Image.fromarray(np.full((8, 8, 3), 55, np.uint8)).save(tmp_path / "a.gif")
    add_gif_profile(tmp_path / "a.gif", profile)
    image = scenes.load(tmp_path / "a.gif")
    assert image.preview()[0, 0, 0] == pytest.approx(linear_to_srgb(np.float32(55 / 255)) * 255, abs=1)


def test_pages_of_a_tiff_are_slices_one_picture_or_a_clip(tmp_path):
    pages = np.stack([np.full((9, 12), shade, np.uint8) for shade in (10, 90, 200, 40)])
    pages[:, 2:5] += 7
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    assert scenes.recognise(tmp_path / "a.tif")[0] == "volume"
    assert any("`kind=video` opens them as the frames" in note for note in scenes.load(tmp_path / "a.tif").notes)
    video = open_video(tmp_path / "a.tif")
    np.testing.assert_array_equal(video.stored, np.repeat(pages[..., None], 3, 3))
    assert video.rate == pytest.approx(24) and video.notes == (
        "its 4 pages are shown at 24 per second; `rate` overrules",
    )
    assert open_video(tmp_path / "a.tif", rate=8).rate == pytest.approx(8)
    assert len(open_video(tmp_path / "a.tif", part=(1 / 24, 3 / 24)).stored) == 2


def test_colored_pages_with_their_rate_and_smaller_copies(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for shade in (10, 20, 30):
            file.write(np.full((8, 9, 3), shade, np.uint8), photometric="rgb", metadata=None)
            file.write(np.zeros((4, 4, 3), np.uint8), photometric="rgb", subfiletype=1, metadata=None)
    assert open_video(tmp_path / "a.tif").stored[:, 0, 0, 0].tolist() == [10, 20, 30]
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((3, 8, 9), np.uint8) + np.uint8(5), imagej=True,
                     metadata={"axes": "TYX", "finterval": 0.25})  # fmt: skip
    assert open_video(tmp_path / "b.tif").rate == pytest.approx(4)
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(BadInput, match="c.tif: has one page, which is no clip"):
        open_video(tmp_path / "c.tif")
