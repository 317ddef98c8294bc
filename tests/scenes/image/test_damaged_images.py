"""Damaged, missing and too large images are refused in one line, and nothing else is printed."""

from __future__ import annotations

import os
import pickle
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from image_files import chunk, exr, hdr, png
from PIL import Image as pillow
from small_disk import disk_of_64k, file_size_limit

import scenes
from scenes.errors import BadInput
from scenes.image.signal import open_image

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

FORMATS = ["png", "jpg", "webp", "avif", "gif", "bmp", "tif", "lzw.tif", "palette.tif", "exr", "hdr", "16.png"]


def make(folder: Path, format: str) -> Path:
    """Write a small photograph as `whole.FORMAT`."""
    from skimage.data import astronaut

    pixels = np.ascontiguousarray(astronaut()[60:124, 180:276])
    path = folder / f"whole.{format}"
    if format == "exr":
        return exr(path, {name: pixels[..., index].astype(np.float32) for index, name in enumerate("RGB")})
    if format == "hdr":
        path.write_bytes(hdr(pixels.astype(np.float32)))
    elif format == "16.png":
        path.write_bytes(png(pixels.astype(np.uint16) * 257))
    elif format == "lzw.tif":
        tifffile.imwrite(path, pixels, photometric="rgb", compression="lzw")
    else:
        image = pillow.fromarray(pixels)
        (image.quantize(200) if format in ("gif", "palette.tif") else image).save(path)
    return path


def refusal(path: Path, **options) -> str:
    """The message, without the path, with which loading is refused."""
    with pytest.raises(BadInput) as caught:
        scenes.load(path, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path)) and len(message) < 400
    assert "Traceback" not in message and "object at 0x" not in message
    return message.removeprefix(str(path))


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused_and_nothing_is_printed(
    tmp_path: Path,
    format: str,
    capfd: pytest.CaptureFixture,
    recwarn: pytest.WarningsRecorder,
    caplog: pytest.LogCaptureFixture,
):
    data = make(tmp_path, format).read_bytes()
    assert scenes.load(tmp_path / f"whole.{format}").pixels.shape[:2] == (64, 96)
    cut = tmp_path / f"cut.{format}"
    for kept in [*np.linspace(12, len(data) * 0.98, 24).astype(int), 20, 33, 60]:
        cut.write_bytes(data[:kept])
        assert "damaged or cut short" in refusal(cut)
    assert capfd.readouterr() == ("", "") and not recwarn.list and not caplog.records


@pytest.mark.parametrize("format", FORMATS)
def test_files_with_wrong_bytes_are_read_or_refused_and_nothing_is_printed(
    tmp_path: Path,
    format: str,
    capfd: pytest.CaptureFixture,
    recwarn: pytest.WarningsRecorder,
    caplog: pytest.LogCaptureFixture,
):
    """A few wrong bytes give an image or a BadInput, never another exception."""
    data = make(tmp_path, format).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / f"damaged.{format}"
    for attempt in range(40):
        damaged = bytearray(data)
        for position in random.integers(8, 400 if attempt % 2 else len(data), 2):
            damaged[position % len(data)] = random.integers(256)
        path.write_bytes(damaged)
        try:
            scenes.load(path, max_pixels=10**6)
        except BadInput as error:
            assert "\n" not in str(error) and str(error).startswith(str(path))
    assert capfd.readouterr() == ("", "") and not recwarn.list and not caplog.records


def test_a_missing_file_is_named_with_similar_names(tmp_path: Path):
    (tmp_path / "photo.png").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    assert refusal(tmp_path / "foto.png") == f": no such file; did you mean {tmp_path / 'photo.png'}?"
    assert refusal(tmp_path / "zzzz") == ": no such file; check the name"
    assert "does not exist" in refusal(tmp_path / "nowhere" / "photo.png")


def test_refuses_folders_pipes_and_broken_links(tmp_path: Path):
    assert refusal(tmp_path) == ": is a folder; name a file"
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refusal(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    assert "no such file" in refusal(tmp_path / "file" / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop")


def test_refuses_an_empty_file(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"")
    assert refusal(tmp_path / "a.png") == ": the file is empty; get a fresh copy"


def test_refuses_a_file_without_permission(tmp_path: Path, photograph: Path, monkeypatch: pytest.MonkeyPatch):
    import builtins

    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(builtins, "open", forbidden)
    with pytest.raises(BadInput) as caught:
        scenes.load(photograph)
    monkeypatch.undo()
    assert "cannot be opened: Permission denied" in str(caught.value)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"once upon a time\n", "holds text, not an image"),
        ("\u00e9tait une fois ".encode() * 20, "holds text, not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "holds text"),
        (b"%PDF-1.7\n", "a PDF document: export its page as PNG"),
        (b"gimp xcf v011\0", "a GIMP project"),
        (pickle.dumps({"a": 1}), "not an image"),
        (bytes(range(256)), "not an image"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "unpack it and name what is in it"),
    ],
)
def test_describes_files_that_are_no_image(tmp_path: Path, content: bytes, words: str):
    (tmp_path / "a.png").write_bytes(content)
    message = refusal(tmp_path / "a.png")
    assert words in message and "can be read are PNG, JPEG" in message


@pytest.mark.parametrize(
    "name, head, words",
    [
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0", "Canon CR2"),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1", "Canon CR3"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201", "Fujifilm RAF"),
        ("a.rw2", b"IIU\0\x18\0\0\0", "Panasonic RW2"),
        ("a.nef", b"MM\0*\0\0\0\x08", "Nikon NEF"),
    ],
)
def test_camera_raw_is_refused_by_name(tmp_path: Path, name: str, head: bytes, words: str):
    (tmp_path / name).write_bytes(head + bytes(100))
    assert f"a camera raw file ({words}), which is not read: develop it in a raw converter" in refusal(tmp_path / name)


def test_no_file_is_unpickled(tmp_path: Path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    with pytest.raises(BadInput):
        scenes.load(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()


def bomb_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def bomb_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8))
    with tifffile.TiffFile(path, mode="r+") as file:
        for tag in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[tag].overwrite(60_000)


@pytest.mark.parametrize("format", ["png", "gif", "tif", "hdr", "exr", "webp", "jpg", "bmp"])
def test_refuses_decompression_bombs_before_they_are_decoded(tmp_path: Path, format: str):
    path = tmp_path / f"bomb.{format}"
    if format == "png":
        path.write_bytes(bomb_png(60_000, 60_000))
    elif format == "tif":
        bomb_tiff(path)
    elif format == "hdr":
        path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n")
    elif format == "exr":
        data = make(tmp_path, "exr").read_bytes()
        window = struct.pack("<iiii", 0, 0, 95, 63)
        assert data.count(window) == 2
        path.write_bytes(data.replace(window, struct.pack("<iiii", 0, 0, 59_999, 59_999)))
    else:  # a real image, with a lower limit
        make(tmp_path, format).rename(path)
        message = refusal(path, max_pixels=5000)
        assert "96 x 64, 0 megapixels, more than the limit of 0.005; raise it with `max_pixels=6144`" in message
        assert open_image(path, max_pixels=6144).width == 96
        return
    message = refusal(path)
    assert (
        "60000 x 60000, 3600 megapixels, more than the limit of 200; raise it with `max_pixels=3600000000`" in message
    )


def test_the_limit_of_pillow_is_not_applied(
    tmp_path: Path, photograph: Path, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
):
    gif = make(tmp_path, "gif")
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 10)
    assert open_image(gif).width == open_image(photograph).width == 96
    assert pillow.MAX_IMAGE_PIXELS == 10 and not recwarn.list


@pytest.mark.parametrize(
    "names, words",
    [
        (["U", "V"], "its channels are U, V: no R, G, B and no Y"),
        (["R", "G"], "no R, G, B and no Y"),
    ],
)
def test_refuses_exr_without_colors(tmp_path: Path, names: list[str], words: str):
    path = exr(tmp_path / "a.exr", dict.fromkeys(names, np.zeros((3, 4), np.float32)))
    assert words in refusal(path)


def test_refuses_tiff_of_complex_values_and_of_volumes(tmp_path: Path):
    tifffile.imwrite(tmp_path / "complex.tif", np.zeros((4, 5), np.complex64))
    assert "complex64" in refusal(tmp_path / "complex.tif")
    tifffile.imwrite(
        tmp_path / "volume.tif",
        np.zeros((32, 32, 32), np.uint8),
        volumetric=True,
        tile=(16, 16, 16),
        photometric="minisblack",
    )
    assert "volume" in refusal(tmp_path / "volume.tif", kind="image")


def test_compressed_tiff_without_imagecodecs_is_read_by_pillow_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Pillow, which has libtiff, reads 8 bits; 16 bits are refused with what to install."""
    import sys

    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    tifffile.imwrite(tmp_path / "8.tif", pixels, photometric="rgb", compression="lzw")
    tifffile.imwrite(tmp_path / "16.tif", pixels.astype(np.uint16), photometric="rgb", compression="lzw")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    for name in [name for name in sys.modules if name == "tifffile" or name.startswith("tifffile.")]:
        monkeypatch.delitem(sys.modules, name)
    assert np.array_equal(open_image(tmp_path / "8.tif").pixels, pixels)
    assert "LZW compression needs the package imagecodecs" in refusal(tmp_path / "16.tif")


def test_the_end_of_a_thumbnail_does_not_count_as_that_of_the_image(tmp_path: Path):
    data = make(tmp_path, "jpg").read_bytes()
    thumbnail = b"\xff\xe5\x00\x08th\xff\xd9\xff\xd9"
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + thumbnail + data[2:])
    assert open_image(path).width == 96
    path.write_bytes(data[:2] + thumbnail + data[2:-200])
    assert "the end is missing" in refusal(path)


def test_a_full_disk_under_the_mapped_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.png"
    path.write_bytes(png(np.zeros((300, 300, 3), np.uint8)))
    (tmp_path / "disk").mkdir()
    with disk_of_64k(tmp_path / "disk"):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "disk"))
        assert "no room for 0.27 MB" in refusal(path, memory=0) and "No space left" in refusal(path, memory=0)


def test_a_file_size_limit_on_the_mapped_file_is_refused(photograph: Path):
    with file_size_limit(1000), pytest.raises(BadInput, match="no room for .* point TMPDIR to another disk"):
        open_image(photograph, memory=0)
