"""Points in text: XYZ, PTS, ASC, CSV and the like. What the columns hold is found out from their names or values.

Read here and not by trimesh, which splits at spaces only and takes normals for colours.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import color_fractions
from scenes.shape.geometry import Cloud
from scenes.shape.readers.columns import grey_of, numbers

# Lines that may precede the points, and lines that are looked at to find out about the columns.
MAX_HEADER = 64
# Lengths of normals, with the digits that files have.
UNIT_TOLERANCE = 0.02
# Bytes whose lines are looked at to find out how many columns there are.
FIRST = 1 << 16
# Fraction of the points whose columns have to look like a normal; others may be missing.
MIN_FRACTION = 0.9
COMMENTS = (b"#", b"//", b"%", b"!")
NAMES = {
    "x": ("x", "easting", "east", "e", "//x"),
    "y": ("y", "northing", "north", "n"),
    "z": ("z", "height", "elevation", "h"),
    "nx": ("nx", "normal_x", "normalx"), "ny": ("ny", "normal_y", "normaly"), "nz": ("nz", "normal_z", "normalz"),
    "red": ("red", "r"), "green": ("green", "g"), "blue": ("blue", "b"),
    "intensity": ("intensity", "i", "reflectance", "scalar_intensity"),
}  # fmt: skip


def read(path: Path) -> Cloud:
    """The points of a text file. Raises BadInput where lines have no three numbers."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    header, body = _split_header(content)
    separated = _with_spaces(body)
    notes: list[str] = []
    table = _table(path, separated, header, notes)
    table = _without_count(table, header, notes)
    if not len(table) or table.shape[1] < 3:
        raise BadInput(f"{path}: holds no points of three numbers each; export it again")
    names = _names(header, table.shape[1]) or _guessed_names(path, table, notes)
    columns = {name: table[:, index] for index, name in enumerate(names) if name}
    cloud = Cloud(np.stack([columns[axis] for axis in "xyz"], axis=1), notes=notes)
    if {"nx", "ny", "nz"} <= set(columns):
        cloud.normals = np.stack([columns[name] for name in ("nx", "ny", "nz")], axis=1)
    if {"red", "green", "blue"} <= set(columns):
        cloud.colors, note = color_fractions(np.stack([columns[name] for name in ("red", "green", "blue")], axis=1))
        # Bytes as text are what most programs write.
        notes += [note] if note and "255" not in note else []
    elif "intensity" in columns:
        cloud.colors = grey_of(columns["intensity"], notes)
    return cloud


def looks_like_points(head: bytes) -> bool:
    """Whether a text begins with lines of three numbers or more, after a header of a few lines at most."""
    lines = [line for line in _with_spaces(head.replace(b"\r", b"\n")).split(b"\n") if line.strip()]
    rows = [line.split() for line in lines[1:-1] if not line.lstrip().startswith(COMMENTS)]
    return len(rows) > 2 and all(len(row) >= 3 and _all_numbers(row[:3]) for row in rows[-3:])


def _split_header(content: bytes) -> tuple[list[bytes], bytes]:
    """Lines of comments and names before the first line of numbers, and the rest."""
    header, at = [], 0
    for _ in range(MAX_HEADER):
        end = content.find(b"\n", at)
        line = content[at : end if end >= 0 else len(content)]
        words = _with_spaces(line).split()
        if words and not line.lstrip().startswith(COMMENTS) and _all_numbers(words[:3]):
            break
        header.append(line.strip())
        if end < 0:
            return header, b""
        at = end + 1
    return header, content[at:]


def _with_spaces(text: bytes) -> bytes:
    """Text whose numbers are separated by spaces, and have points for decimals.

    Semicolons and tabs separate. Commas do too, unless semicolons or tabs or spaces separate and each number has one
    comma at most: then they are decimal commas.
    """
    if b";" in text:
        text = (text.replace(b",", b".") if b"." not in text else text.replace(b",", b" ")).replace(b";", b" ")
    elif b"," in text:
        line = next((row for row in text.split(b"\n") if b"," in row), b"")
        words = line.split()
        decimal = b"." not in text and len(words) >= 3 and all(word.strip(b",").count(b",") <= 1 for word in words)
        decimal = decimal and not any(word.endswith(b",") for word in words)
        text = text.replace(b",", b"." if decimal else b" ")
    return text.replace(b"|", b" ").replace(b"\t", b" ")


def _all_numbers(words: list[bytes]) -> bool:
    try:
        [float(word) for word in words]
    except ValueError:
        return False
    return bool(words)


def _table(path: Path, text: bytes, header: list[bytes], notes: list[str]) -> np.ndarray:
    """The numbers of all lines `[n, k]`. Lines that are shorter than the others are left out, and noted."""
    first = [line for line in text[:FIRST].split(b"\n")[:-1] if line.strip()]
    if first and len({len(line.split()) for line in first}) == 1:
        width = len(first[0].split())
        try:
            flat = numbers(text)
            if len(flat) == width * (text.count(b"\n") + (not text.endswith(b"\n"))):
                return flat.reshape(-1, width)
        except ValueError:
            pass
    lines = [line for line in text.split(b"\n") if line.strip() and not line.lstrip().startswith(COMMENTS)]
    words = [line.split() for line in lines[:1000]]
    widths = np.array([len(row) for row in words] or [0])
    width = int(np.bincount(widths).argmax())
    if len(lines) > 1 and len(words[0]) < width:
        # The number of points, or of columns, before the points.
        header.append(lines.pop(0))
    try:
        flat = numbers(b" ".join(lines))
        if len(flat) == width * len(lines):
            return flat.reshape(-1, width)
    except ValueError:
        pass
    rows, skipped = [], 0
    for line in lines:
        row = line.split()[:width]
        if len(row) == width and _all_numbers(row):
            rows.append([float(word) for word in row])
        else:
            skipped += 1
    if skipped > len(lines) // 2:
        raise BadInput(f"{path}: {skipped} of {len(lines)} lines have not the {width} numbers of the others")
    notes.append(f"{skipped} of {len(lines)} lines have not the {width} numbers of the others, and are left out")
    return np.array(rows, np.float64)


def _without_count(table: np.ndarray, header: list[bytes], notes: list[str]) -> np.ndarray:
    """The points; a count that the header has is compared with their number."""
    counts = [int(line) for line in header if line.strip().isdigit()]
    if counts and counts[-1] != len(table):
        notes.append(f"the file announces {counts[-1]:,} points and holds {len(table):,}")
    return table


def _names(header: list[bytes], width: int) -> list[str] | None:
    """What the columns are by a line of the header that has a name for each; None where there is none."""
    for line in reversed(header):
        words = re.split(r"[\s,;|]+", line.decode("utf-8", "replace").lstrip("#/%! ").strip().lower())
        words = [re.sub(r"[\[(].*", "", word.strip('"')) for word in words]
        found = [next((name for name, known in NAMES.items() if word in known), "") for word in words]
        if len(found) == width and all(found.count(axis) == 1 for axis in "xyz"):
            return found
    return None


def _guessed_names(path: Path, table: np.ndarray, notes: list[str]) -> list[str]:
    """What the columns are by their values: normals have unit length, colours are whole numbers or lie in [0, 1].

    In PTS files an intensity comes before the colours.
    """
    names = ["x", "y", "z"]
    rest = table[:, 3:]
    if path.suffix.lower() == ".pts" and rest.shape[1] in (4, 7):
        names.append("intensity")
        rest = rest[:, 1:]
    normal, color = ["nx", "ny", "nz"], ["red", "green", "blue"]
    if path.suffix.lower() == ".xyzrgb" and rest.shape[1] >= 3 and _is_color(rest[:, :3]):
        # Pure colours as fractions are unit vectors too.
        names += color
        rest = rest[:, 3:]
    while (width := rest.shape[1]) >= 3:
        if "nx" not in names and _is_normal(rest[:, :3]):
            names += normal
            rest = rest[:, 3:]
        elif "red" not in names and _is_color(rest[:, :3]):
            names += color
            rest = rest[:, 3:]
        elif width in (4, 7) and "red" not in names and (_is_color(rest[:, 1:4]) or _is_normal(rest[:, 1:4])):
            names.append("intensity" if "intensity" not in names else "")
            rest = rest[:, 1:]
        else:
            break
    if rest.shape[1] == 1 and len(names) == 3:
        names.append("intensity")
        rest = rest[:, 1:]
    if rest.shape[1]:
        first = table.shape[1] - rest.shape[1] + 1
        notes.append(f"columns {first} to {table.shape[1]} are neither normals nor colours, and are left out")
    return [*names, *[""] * rest.shape[1]]


def _is_normal(columns: np.ndarray) -> bool:
    """Whether columns `[n, 3]` are unit vectors, of which some may be missing (zero or NaN)."""
    lengths = np.linalg.norm(columns, axis=1)
    given = np.isfinite(lengths) & (lengths > 0)
    return bool(
        given.any() and (np.abs(lengths[given] - 1) < UNIT_TOLERANCE).mean() > MIN_FRACTION and given.mean() > 0.1
    )


def _is_color(columns: np.ndarray) -> bool:
    """Whether columns `[n, 3]` are all in [0, 1], or whole numbers in [0, 65535]."""
    finite = columns[np.isfinite(columns)]
    if not finite.size or finite.min() < 0 or finite.max() > 65535:
        return False
    return bool(finite.max() <= 1 or (finite == np.round(finite)).all())
