"""Argument types: each refuses what is out of range with a sentence that names the range."""

from __future__ import annotations

import argparse
import math


def count(text: str) -> int:
    """A whole number of at least 1; 1e5, 0.5M and 300k are welcome."""
    scale = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1)
    try:
        value = float(text[:-1] if scale != 1 else text) * scale
        whole = int(value)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if whole < 1 or whole != value:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number of at least 1")
    return whole


def natural(text: str) -> int:
    """A whole number from 0 to 2^63 - 1."""
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 0 on")
    return int(text)


def share(text: str) -> float:
    """A share between 0 and 1, both excluded."""
    value = positive(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be between 0 and 1, such as 0.1")
    return value


def size_in_bytes(text: str) -> int:
    """Bytes: a whole number, with K, M or G for powers of 1024."""
    power = {"k": 10, "m": 20, "g": 30}.get(text[-1:].lower(), 0)
    digits = text[:-1] if power else text
    if not digits.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of bytes, such as 500M or 2G")
    return int(digits) << power


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} should be above 0")
    return value


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def part_of_space(text: str) -> tuple[float, ...]:
    """X0,Y0,Z0,X1,Y1,Z1 of a box, or X0,Y0,X1,Y1 of a part of a picture, that holds something."""
    try:
        corners = tuple(number(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        corners = ()
    half = len(corners) // 2
    if len(corners) not in (4, 6) or not all(a < b for a, b in zip(corners[:half], corners[half:])):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be X0,Y0,Z0,X1,Y1,Z1 (of a picture X0,Y0,X1,Y1) with each X0 < X1, such as -1,-1,0,1,1,2"
        )
    return corners


def size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT in pixels."""
    width, cross, height = text.lower().partition("x")
    if not cross:
        raise argparse.ArgumentTypeError(f"{text!r} should be WIDTHxHEIGHT, such as 1920x1080")
    return count(width), count(height)


def crop(text: str) -> tuple[float, float, float, float]:
    """X0,Y0,X1,Y1 in the picture's own pixels."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be X0,Y0,X1,Y1 in pixels, such as 100,50,300,200") from None
    if not (x0 < x1 and y0 < y1):
        raise argparse.ArgumentTypeError(f"{text!r} is empty: X0 should be below X1 and Y0 below Y1")
    return x0, y0, x1, y1


def box(text: str) -> tuple[float, ...]:
    """X0,Y0,Z0,X1,Y1,Z1 in the scene's own units."""
    try:
        corners = tuple(float(part) for part in text.split(","))
    except ValueError:
        corners = ()
    if len(corners) != 6 or not all(-math.inf < a < b < math.inf for a, b in zip(corners[:3], corners[3:])):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be X0,Y0,Z0,X1,Y1,Z1, a lower and an upper corner, such as -1,-1,0,1,1,2"
        )
    return corners


def moment(text: str) -> float:
    """Seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} should be a number of seconds, 0 or more")
    return value


def part(text: str) -> tuple[float, float]:
    """START,END in seconds."""
    try:
        start, end = (float(piece) for piece in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be START,END in seconds, such as 2.5,8") from None
    if not 0 <= start < end < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is empty: END should come after START")
    return start, end


def slice_at(text: str) -> tuple[str, float]:
    """AXIS=SHARE: x, y or z, and where along it from 0 to 1."""
    axis, _, share = text.partition("=")
    try:
        where = float(share)
    except ValueError:
        where = -1.0
    if axis not in ("x", "y", "z") or not 0 <= where <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be x, y or z and a share from 0 to 1, such as z=0.5")
    return axis, where


def view(text: str) -> int | tuple[float, float]:
    """The number of a view, or AZIMUTH,ELEVATION in degrees."""
    if text.isdecimal():
        return int(text)
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a number from 0 on, or AZIMUTH,ELEVATION in degrees, such as 30,15"
        ) from None
    if not (abs(azimuth) < 1e6 and -89 <= elevation <= 89):
        raise argparse.ArgumentTypeError(f"{text!r}: the elevation should be between -89 and 89 degrees")
    return azimuth, elevation


def names(text: str) -> tuple[str, ...]:
    """A,B,...: names, each once."""
    found = tuple(part.strip() for part in text.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(
            f"{text!r} should be names with commas between, each once, such as hashgrid,siren"
        )
    return found


def setting(text: str) -> tuple[str, str]:
    """KEY=VALUE."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} should be KEY=VALUE")
    return key, value


def few_bits(text: str) -> int:
    """2 to 8."""
    if text not in [str(bits) for bits in range(2, 9)]:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 2 to 8")
    return int(text)
