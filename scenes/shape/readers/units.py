"""Units of length and up axes that files state: coordinates keep them, and people are told."""

from __future__ import annotations

import math

# Metres of the units that have names.
NAMES = {1.0: "m", 0.1: "dm", 0.01: "cm", 1e-3: "mm", 1e-6: "um", 1e3: "km", 0.0254: "in", 0.3048: "ft"}


def unit_of(metres: float) -> tuple[str, str | None]:
    """The name of a unit of so many metres, and a note where it has none; the name is empty then."""
    for size, name in NAMES.items():
        if math.isclose(metres, size, rel_tol=1e-4):
            return name, None
    return "", f"a unit of the file is {metres:g} m; the coordinates are kept in it"


def up_note(up: str) -> str | None:
    """A note where another axis than Y points up; exports have to be told."""
    if up == "y":
        return None
    return (
        f"the file's {up.upper()} axis points up; the coordinates are kept (`up={up}` turns an exported mesh upright)"
    )
