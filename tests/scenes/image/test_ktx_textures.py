"""KTX2: plain texels of every kind, blocks of BCn, packed levels, and what is refused by name."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import scenes
from scenes.errors import BadInput
from scenes.image.encoding import linear_to_srgb
from scenes.image.signal import Image, open_image

imagecodecs = pytest.importorskip("imagecodecs")

SRGB, LINEAR = 2, 1


def ktx2(form: int, texels: bytes, **given) -> bytes:
    """A KTX2 file of one level. given: `size`, `scheme`, `model`, `transfer`, `pairs`, `faces`, `unpacked`."""
    width, height = given.get("size", (4, 4))
    descriptor = struct.pack("<IIHH", 44, 0, 2, 40) + bytes([given.get("model", 1), 1, given.get("transfer", SRGB), 0])
    descriptor += bytes(44 - len(descriptor))
    pairs = given.get("pairs", b"")
    start = 104 + len(descriptor) + len(pairs)
    head = struct.pack("<9I", form, 1, width, height, 0, 0, given.get("faces", 1), 1, given.get("scheme", 0))
    head += struct.pack("<4I2Q", 104, len(descriptor), 104 + len(descriptor), len(pairs), 0, 0)
    level = struct.pack("<3Q", start, len(texels), given.get("unpacked", len(texels)))
    return b"\xabKTX 20\xbb\r\n\x1a\n" + head + level + descriptor + pairs + texels


def load(tmp_path: Path, content: bytes) -> Image:
    (tmp_path / "a.ktx2").write_bytes(content)
    assert scenes.recognise(tmp_path / "a.ktx2")[0] == "image"
    return open_image(tmp_path / "a.ktx2")


@pytest.mark.parametrize(
    "form, kind, channels",
    [(15, "u1", 1), (22, "u1", 2), (29, "u1", 3), (36, "u1", 3), (43, "u1", 4), (50, "u1", 4), (91, "<u2", 4),
     (97, "<f2", 4), (90, "<f2", 3), (106, "<f4", 3), (100, "<f4", 1)],
)  # fmt: skip
def test_plain_texels_are_read(tmp_path, form, kind, channels):
    texels = np.random.default_rng(form).integers(0, 200, (3, 5, channels)).astype(kind)
    image = load(tmp_path, ktx2(form, texels.tobytes(), size=(5, 3)))
    wanted = texels[..., [2, 1, 0, 3][:channels]] if form in (36, 50) else texels
    np.testing.assert_array_equal(image.pixels[..., :channels], wanted)
    assert image.channels.space == ("linear" if "f" in kind else "srgb") and image.notes == ()


def test_linear_texels_packed_levels_orientation_and_faces(tmp_path):
    texels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    linear = load(tmp_path, ktx2(23, texels.tobytes(), transfer=LINEAR))
    np.testing.assert_allclose(linear.pixels, linear_to_srgb(texels / np.float32(255)) * 255, atol=0.6)
    for scheme, packed in ((3, zlib.compress(texels.tobytes())), (2, imagecodecs.zstd_encode(texels.tobytes()))):
        image = load(tmp_path, ktx2(29, packed, scheme=scheme, unpacked=48))
        np.testing.assert_array_equal(image.pixels, texels)
    pair = struct.pack("<I", 18) + b"KTXorientation\0ru\0" + bytes(2)
    np.testing.assert_array_equal(load(tmp_path, ktx2(29, texels.tobytes(), pairs=pair)).pixels, texels[::-1])
    assert load(tmp_path, ktx2(29, texels.tobytes(), faces=6)).notes == ("it holds 6 pictures, the first is used",)


@pytest.mark.parametrize("form, channels", [(132, 3), (134, 4), (138, 4), (139, 1), (141, 3), (146, 4)])
def test_blocks_are_decoded(tmp_path, form, channels):
    # BC1's block of one colour: its two 5-6-5 ends are pure red, and all indices are 0.
    block = struct.pack("<HHI", 0xF800, 0, 0)
    content = {
        138: b"\xff" * 8 + block,
        139: b"\x80" * 2 + bytes(6),
        141: (b"\x80" * 2 + bytes(6)) * 2,
        146: bytes([64, *bytes(15)]),
    }
    image = load(tmp_path, ktx2(form, content.get(form, block) * 4, size=(7, 6)))
    assert image.pixels.shape == (6, 7, channels)
    if form in (132, 134, 138):
        assert (image.pixels[..., :3] == (255, 0, 0)).all()
    elif form in (139, 141):
        assert (image.pixels[..., 0] == 128).all()


@pytest.mark.parametrize(
    "content, words",
    [
        (ktx2(0, bytes(16), scheme=1, model=163), "Basis Universal"),
        (ktx2(0, bytes(16), model=166, scheme=2), "Basis Universal"),
        (ktx2(147, bytes(8)), "ETC2"),
        (ktx2(157, bytes(16)), "ASTC"),
        (ktx2(43, bytes(64), scheme=9), "scheme 9"),
        (ktx2(43, bytes(60)), "damaged or cut short"),
        (b"\xabKTX 11\xbb\r\n\x1a\n" + bytes(64), "a KTX texture of version 1"),
    ],
)
def test_what_is_not_read_is_refused_by_name(tmp_path, content, words):
    with pytest.raises(BadInput, match=words):
        load(tmp_path, content)
