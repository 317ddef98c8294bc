"""Make image files from arrays, in forms that libraries write and in forms that they do not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from scenes.image.encoding import D50, REC_709, adaptation, to_xyz

# Adam7: (first row, row step, first column, column step) of each pass.
ADAM7 = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """A PNG of `[H, W, C]` uint8 or uint16 without filters; `extra` chunks come before the pixels."""
    height, width, channels = pixels.shape
    wide = pixels.astype(pixels.dtype.newbyteorder(">"))
    parts = [wide[y::dy, x::dx] for y, dy, x, dx in ADAM7] if interlaced else [wide]
    rows = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, COLOR_TYPES[channels], 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def packed_png(pixels: np.ndarray, depth: int) -> bytes:
    """A grey PNG of `[H, W]` with 1, 2 or 4 bits per pixel."""
    height, width = pixels.shape
    bits = (pixels[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in bits)
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def hdr(pixels: np.ndarray, resolution: str | None = None, lines: str = "FORMAT=32-bit_rle_rgbe") -> bytes:
    """A Radiance file of `[rows, columns, 3]`, without run lengths."""
    brightest = pixels.max(axis=-1)
    exponent = np.where(brightest > 1e-32, np.floor(np.log2(np.maximum(brightest, 1e-32))) + 1, 0)
    mantissa = np.clip(pixels / np.exp2(exponent)[..., None] * 256, 0, 255).astype(np.uint8)
    rgbe = np.concatenate([mantissa, (exponent + 128).astype(np.uint8)[..., None]], axis=-1)
    resolution = resolution or f"-Y {pixels.shape[0]} +X {pixels.shape[1]}"
    return f"#?RADIANCE\n{lines}\n\n{resolution}\n".encode() + rgbe.tobytes()


def exr(path: Path, planes: dict[str, np.ndarray], **header) -> Path:
    """Write an EXR file of named channels, with more attributes in its header. Returns its path."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage} | header
    with OpenEXR.File(header, dict(planes)) as file:
        file.write(str(path))
    return path


def plain_tiff(width: int, height: int, samples: int, data: bytes, tags: dict[int, tuple[int, ...]]) -> bytes:
    """A TIFF of one strip of 8-bit samples without compression, with more tags of shorts."""
    fields = {
        256: (width,),
        257: (height,),
        258: (8,) * samples,
        259: (1,),
        277: (samples,),
        278: (height,),
        279: (len(data),),
    }
    fields |= tags
    fields[273] = (0,)
    directory = 8
    extra_at = directory + 2 + 12 * len(fields) + 4
    entries, extra = b"", b""
    pixels_at = extra_at + sum(2 * len(values) for values in fields.values() if len(values) > 2)
    fields[273] = (pixels_at,)
    for tag, values in sorted(fields.items()):
        content = struct.pack(f"<{len(values)}H", *values)
        if len(content) > 4:
            extra, content = extra + content, struct.pack("<I", extra_at + len(extra))
        entries += struct.pack("<HHI", tag, 3, len(values)) + content.ljust(4, b"\0")
    return struct.pack("<2sHIH", b"II", 42, directory, len(fields)) + entries + bytes(4) + extra + data


def subsampled_exr(planes: dict[str, tuple[np.ndarray, int]]) -> bytes:
    """An EXR file of float planes without compression, each with its samples at every n-th pixel and row."""
    height, width = max(plane.shape for plane, _ in planes.values())
    names = sorted(planes)
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, planes[name][1], planes[name][1]) for name in names
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = [
        (b"channels", b"chlist", listed + b"\0"),
        (b"compression", b"compression", b"\0"),
        (b"dataWindow", b"box2i", window),
        (b"displayWindow", b"box2i", window),
        (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", 1)),
        (b"screenWindowCenter", b"v2f", struct.pack("<2f", 0, 0)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    ]
    head = b"\x76\x2f\x31\x01\2\0\0\0"
    head += b"".join(
        name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value for name, kind, value in attributes
    )
    head += b"\0"
    rows, offsets = b"", b""
    for y in range(height):
        row = b"".join(planes[n][0][y // planes[n][1]].tobytes() for n in names if y % planes[n][1] == 0)
        offsets += struct.pack("<Q", len(head) + 8 * height + len(rows))
        rows += struct.pack("<ii", y, len(row)) + row
    return head + offsets + rows


def icc(curve: bytes, primaries: tuple[float, ...] = REC_709, name: str = "sRGB", space: bytes = b"RGB ") -> bytes:
    """A profile of one curve and primaries, whose name may say anything."""
    xyz = to_xyz(primaries)
    columns = adaptation(xyz.sum(axis=1), D50) @ xyz

    def number(values) -> bytes:
        return b"XYZ \0\0\0\0" + np.rint(np.asarray(values) * 65536).astype(">i4").tobytes()

    text = name.encode()
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 12 + 67),
        b"wtpt": number(D50),
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        tags |= {code + b"XYZ": number(column) for code, column in zip((b"r", b"g", b"b"), columns.T)}
        tags |= {code + b"TRC": curve for code in (b"r", b"g", b"b")}
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for signature, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", signature, offset + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", 0, b"test", 0x02400000, b"mntr", space, b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + np.rint(np.array(D50) * 65536).astype(">i4").tobytes()
    head = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(head)) + head[4:]


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))
