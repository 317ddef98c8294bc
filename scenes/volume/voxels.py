"""A volume as its file holds it, and what the readers of all formats share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenes.errors import BadInput

MAX_CHANNELS = 4
# Metres of the units of length, under the names that files have for them; the first name of each is ours.
UNITS = {
    "mm": (1e-3, ("millimeter", "millimetre", "millimeters", "millimetres")),
    "um": (1e-6, ("µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers", "\\u00b5m")),
    "nm": (1e-9, ("nanometer", "nanometre", "nanometers")),
    "cm": (1e-2, ("centimeter", "centimetre")),
    "m": (1.0, ("meter", "metre", "meters")),
    "inch": (0.0254, ("in", "inches")),
}
# What each letter of a space's name says that the axis points to.
OPPOSITES = {"R": "L", "L": "R", "A": "P", "P": "A", "S": "I", "I": "S"}
# Sine of the angle from which on an axis that is turned is said to be.
OBLIQUE = 0.02
DIRECTIONS = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}


@dataclass(frozen=True)
class Voxels:
    """A volume as its file holds it.

    Attributes:
        array: `[D, H, W]` or `[D, H, W, C]`, possibly a memory-mapped file.
        spacing: distance between voxels along x, y and z, in `unit`.
        unit: unit of `spacing` and `affine`, for example "voxel" or "mm".
        notes: one-line remarks for the user.
        affine: `[4, 4]` float64 from indices (x, y, z, 1) of voxels to their centres in the space that the file names;
            None where it names none.
        space: name of that space: "RAS" (its axes point to the patient's right, front and head), "LPS", or empty.
    """

    array: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: str = "voxel"
    notes: tuple[str, ...] = ()
    affine: np.ndarray | None = None
    space: str = ""


def placed_voxels(array: np.ndarray, affine: np.ndarray, unit: str, space: str, notes: Sequence[str] = ()) -> Voxels:
    """Voxels with the spacing of their `affine`, and a note about where they lie.

    Raises:
        BadInput: the axes of the file have no length or lie in a plane.
    """
    affine = np.asarray(affine, np.float64)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not (lengths > 0).all() or not np.linalg.det(affine[:3, :3] / lengths):
        raise BadInput("its orientation is not one: the directions of its axes have no length or lie in a plane")
    x, y, z = lengths.tolist()
    notes = (*notes, orientation_note(affine, space, unit)) if space else tuple(notes)
    return Voxels(array, (x, y, z), unit, notes, affine, space)


def orientation_note(affine: np.ndarray, space: str, unit: str) -> str:
    """One line on what the axes point to in a patient's space, and on what exports are in."""
    towards = []
    for column in np.asarray(affine)[:3, :3].T:
        axis = int(np.argmax(np.abs(column)))
        letter = space[axis] if column[axis] > 0 else OPPOSITES[space[axis]]
        towards.append(DIRECTIONS[letter])
    oblique = np.sort(np.abs(affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)), axis=0)[1].max() > OBLIQUE
    return (
        f"its axes x, y, z run to the patient's {', '.join(towards)}{' or nearly so' if oblique else ''}; meshes, "
        f"points and volumes are written in the file's coordinates: {space}, {unit}"
    )


def unit_name(name: object) -> str | None:
    """Our name of a unit of length, such as "um" for "micron"; None where it is none."""
    text = str(name or "").strip().strip('"').lower()
    for own, (_, others) in UNITS.items():
        if text == own or text in others:
            return own
    return None


def check_size(shape: Sequence[int], max_voxels: int) -> None:
    """Raise BadInput where a volume of this shape, with up to 4 channels as its last axis, has too many voxels."""
    channels = shape[3] if len(shape) == 4 and 1 <= shape[3] <= MAX_CHANNELS else 1
    if (voxels := math.prod(map(int, shape)) // channels) > max_voxels:
        raise BadInput(
            f"{voxels:,} voxels are more than the limit of {max_voxels:,}; crop it or reduce its resolution first, "
            f"or raise the limit with `max_pixels={voxels}` if you trust the file"
        )


def check_frame(count: int, frame: int, what: str = "volumes") -> tuple[str, ...]:
    """The note about a series of which the volume `frame`, from 0, is read. Raises BadInput where it has none such."""
    if not 0 <= frame < count:
        raise BadInput(f"`layer={frame + 1}`: it holds {count} {what}, with numbers from 1")
    if count == 1:
        return ()
    return (f"it is a series of {count} {what}, of which number {frame + 1} is read; `layer=N` chooses another",)
