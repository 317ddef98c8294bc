"""Types of command-line arguments: each refuses what is out of range with a sentence that names the range."""

from __future__ import annotations

import argparse
import math

from apps.cli.flags import argument_type
from fields import options

# Values that are also options of requests.
count = argument_type(options.count)
natural = argument_type(options.natural)
fraction = argument_type(options.fraction)
positive = argument_type(options.positive)
part = argument_type(options.time_span)
setting = argument_type(options.setting)


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


def few_bits(text: str) -> int:
    """2 to 8."""
    if text not in [str(bits) for bits in range(2, 9)]:
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number from 2 to 8")
    return int(text)
