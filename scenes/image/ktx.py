"""Read KTX2 textures: plain texels, and blocks of BC1 to BC7 with imagecodecs.

KTX File Format Specification 2.0; numbers of formats are Vulkan's. Basis Universal, ETC and ASTC need a transcoder that
no library here has, and are refused by name.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import LINEAR, coded_encoding
from scenes.image.storage import Storage

# Vulkan's formats of plain texels: type, channels, whether red and blue are exchanged.
PLAIN = {
    **{9: ("u1", 1, False), 15: ("u1", 1, False), 16: ("u1", 2, False), 22: ("u1", 2, False)},
    **{23: ("u1", 3, False), 29: ("u1", 3, False), 30: ("u1", 3, True), 36: ("u1", 3, True)},
    **{37: ("u1", 4, False), 43: ("u1", 4, False), 44: ("u1", 4, True), 50: ("u1", 4, True)},
    **{70: ("<u2", 1, False), 77: ("<u2", 2, False), 84: ("<u2", 3, False), 91: ("<u2", 4, False)},
    **{76: ("<f2", 1, False), 83: ("<f2", 2, False), 90: ("<f2", 3, False), 97: ("<f2", 4, False)},
    **{100: ("<f4", 1, False), 103: ("<f4", 2, False), 106: ("<f4", 3, False), 109: ("<f4", 4, False)},
}
# Of blocks: number of BC, channels that count.
BLOCKS = {
    **{131: (1, 3), 132: (1, 3), 133: (1, 4), 134: (1, 4), 135: (2, 4), 136: (2, 4), 137: (3, 4), 138: (3, 4)},
    **{139: (4, 1), 141: (5, 2), 143: (6, 3), 144: (-6, 3), 145: (7, 4), 146: (7, 4)},
}
# Channels of an array of decoded blocks, where they are not 4.
BLOCK_CHANNELS = {4: (), 5: (2,), 6: (3,), -6: (3,)}
BASIS_LZ, ZSTD, ZLIB = 1, 2, 3
# Models of the data format descriptor.
ETC1S_MODEL, UASTC_MODEL = 163, 166
# Transfer functions of the data format descriptor.
LINEAR_TRANSFER = 1
ADVICE = "convert it to PNG, for example with `ktx extract` of Khronos' KTX tools"


def read_ktx2(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read the largest level of a KTX2 texture; of arrays and cubes the first picture.

    Raises:
        BadInput: its texels are compressed in a way that is not read.
    """
    data = path.read_bytes()
    form, _, width, height, depth, layers, faces, _, scheme = struct.unpack_from("<9I", data, 12)
    descriptor, _, pairs, pairs_length = struct.unpack_from("<4I", data, 48)
    place, length, size = struct.unpack_from("<3Q", data, 80)
    model, _, transfer = data[descriptor + 12 : descriptor + 15] if descriptor else bytes(3)
    if scheme == BASIS_LZ or model in (ETC1S_MODEL, UASTC_MODEL):
        raise BadInput(f"its texels are compressed by Basis Universal, which no library here reads: {ADVICE}")
    if form not in PLAIN and form not in BLOCKS:
        name = "ETC2" if 147 <= form <= 156 else "ASTC" if 157 <= form <= 184 else f"Vulkan's format {form}"
        raise BadInput(f"its texels are in {name}, which is not read: {ADVICE}")
    height = max(1, height)
    storage.check(height, width)
    content = _unpacked(data[place : place + length], scheme, size)
    pixels = _plain(content, form, height, width) if form in PLAIN else _blocks(content, form, height, width)
    if b"KTXorientation\0" in data[pairs : pairs + pairs_length]:
        orientation = data[pairs : pairs + pairs_length].partition(b"KTXorientation\0")[2][:2]
        pixels = pixels[::-1] if orientation[1:2] == b"u" else pixels
    if pixels.shape[2] == 2:
        pixels = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=2)
    kept = storage.like(pixels, np.float32 if pixels.dtype.kind == "f" else pixels.dtype.newbyteorder("="))
    kept[...] = pixels
    several = max(1, depth) * max(1, layers) * faces
    notes = [f"it holds {several} pictures, the first is used"] if several > 1 else []
    if kept.dtype == np.float32:
        return DecodedImage(kept, "linear", notes=notes)
    encoding = coded_encoding(1, LINEAR) if transfer == LINEAR_TRANSFER else None
    return DecodedImage(kept, "srgb", encoding=encoding, notes=notes)


def _unpacked(content: bytes, scheme: int, size: int) -> bytes:
    if scheme == ZSTD:
        import imagecodecs

        return bytes(imagecodecs.zstd_decode(content)[:size])
    if scheme == ZLIB:
        return zlib.decompressobj().decompress(content, size)
    if scheme:
        raise BadInput(f"its texels are packed by scheme {scheme}, which is not read: {ADVICE}")
    return content


def _plain(content: bytes, form: int, height: int, width: int) -> np.ndarray:
    kind, channels, exchanged = PLAIN[form]
    pixels = np.frombuffer(content, kind, height * width * channels).reshape(height, width, channels)
    return pixels[..., [2, 1, 0, *range(3, channels)]] if exchanged else pixels


def _blocks(content: bytes, form: int, height: int, width: int) -> np.ndarray:
    import imagecodecs

    number, channels = BLOCKS[form]
    size = (-(-height // 4) * 4, -(-width // 4) * 4)
    decoded = imagecodecs.bcn_decode(content, number, shape=(*size, *BLOCK_CHANNELS.get(number, (4,))))
    return np.asarray(decoded).reshape(*size, -1)[:height, :width, :channels]
