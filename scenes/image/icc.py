"""What an ICC profile contains: its curves and primaries, read from its tags (ICC.1:2022).

Profiles of tables (LUTs) are left to LittleCMS; their names decide nothing.
"""

from __future__ import annotations

import struct

import numpy as np

from scenes.image.encoding import Curve, Encoding, coded_encoding, d50_to_rec709, gamma_curve, identity

# The table of tags begins here, after the header and the number of tags.
TAGS_AT = 132
# Tags whose tables take precedence over curves and primaries.
LUT_TAGS = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2")
# Names of the connection space with curves and primaries.
XYZ = b"XYZ "
MAX_TAGS = 1000


def read_tags(profile: bytes) -> dict[bytes, bytes]:
    """Content of each tag of a profile by its signature. Raises ValueError where it is no profile."""
    if len(profile) < TAGS_AT or profile[36:40] != b"acsp":
        raise ValueError("it is no ICC profile")
    count = min(int.from_bytes(profile[128:132], "big"), MAX_TAGS)
    tags = {}
    for index in range(count):
        entry = profile[TAGS_AT + 12 * index : TAGS_AT + 12 * index + 12]
        if len(entry) < 12:
            break
        signature, offset, size = struct.unpack(">4sII", entry)
        tags[signature] = profile[offset : offset + size]
    return tags


def profile_encoding(profile: bytes, name: str) -> Encoding | None:
    """The encoding that a profile of curves and primaries, or of code points (`cicp`), describes.

    Args:
        profile: the ICC profile.
        name: of the encoding, for notes.

    Returns:
        None where only LittleCMS can use the profile.

    Raises:
        ValueError: it is no profile, or damaged.
    """
    tags = read_tags(profile)
    codes = tags.get(b"cicp", b"")
    if len(codes) >= 12 and (coded := coded_encoding(codes[8], codes[9])) is not None and coded.is_hdr:
        return coded
    if profile[20:24] != XYZ or any(tag in tags for tag in LUT_TAGS):
        return None
    if profile[16:20] == b"GRAY" and b"kTRC" in tags:
        return Encoding(name, _read_curve(tags[b"kTRC"]))
    wanted = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    if profile[16:20] != b"RGB " or not all(tag in tags for tag in wanted):
        return None
    columns = np.stack([_read_xyz(tags[tag]) for tag in wanted[:3]], axis=1)
    curves = [_read_curve(tags[tag]) for tag in wanted[3:]]

    def to_linear(values: np.ndarray) -> np.ndarray:
        return np.stack([curve(values[..., index]) for index, curve in enumerate(curves)], axis=-1)

    return Encoding(name, to_linear, d50_to_rec709() @ columns)


def _read_xyz(tag: bytes) -> np.ndarray:
    if tag[:4] != XYZ or len(tag) < 20:
        raise ValueError("a color of the profile is damaged")
    return np.frombuffer(tag[8:20], ">i4").astype(np.float64) / 65536


def _read_curve(tag: bytes) -> Curve:
    """The curve in a `curv` or `para` tag: from stored values to linear light, float32."""
    if tag[:4] == b"curv" and len(tag) >= 12:
        count = int.from_bytes(tag[8:12], "big")
        table = np.frombuffer(tag[12 : 12 + 2 * count], ">u2").astype(np.float32)
        if len(table) < count:
            raise ValueError("a curve of the profile is cut off")
        if count == 0:
            return identity
        if count == 1:
            return gamma_curve(float(table[0]) / 256)
        positions = np.linspace(0, 1, count)
        return lambda values: np.interp(values, positions, table / 65535).astype(np.float32)
    if tag[:4] == b"para" and len(tag) >= 12:
        return _parametric(int.from_bytes(tag[8:10], "big"), tag[12:])
    raise ValueError("a curve of the profile has an unknown type")


def _parametric(form: int, data: bytes) -> Curve:
    """ICC.1:2022, table 68. Values beyond 1 follow the curve, values below 0 its lower part."""
    counts = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
    if form not in counts or len(data) < 4 * counts[form]:
        raise ValueError("a curve of the profile has an unknown form")
    g, *rest = (np.frombuffer(data[: 4 * counts[form]], ">i4") / 65536).tolist()
    if form == 0:
        return gamma_curve(g)
    a, b, c, d, e, f = {
        1: lambda a, b: (a, b, 0.0, -b / a, 0.0, 0.0),
        2: lambda a, b, c: (a, b, 0.0, -b / a, c, c),
        3: lambda a, b, c, d: (a, b, c, d, 0.0, 0.0),
        4: lambda a, b, c, d, e, f: (a, b, c, d, e, f),
    }[form](*rest)

    def curve(values: np.ndarray) -> np.ndarray:
        upper = np.maximum(a * values + b, 0) ** g + e
        return np.where(values >= d, upper, c * values + f).astype(np.float32)

    return curve
