"""LAS and LAZ files of laser scanners, through laspy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import color_fractions
from scenes.shape.geometry import Cloud
from scenes.shape.readers.columns import grey_of


def read(path: Path) -> Cloud:
    """The points of a LAS or LAZ file. Raises BadInput where it is damaged, or laspy is not installed."""
    try:
        import laspy
    except ImportError as error:
        raise BadInput(f"{path}: LAS files need laspy: pip install 'field-studio[scans]'") from error
    try:
        las = laspy.read(path)
    except Exception as error:  # noqa: BLE001  (numpy, laspy and lazrs have their own types of errors)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:100]
        raise BadInput(f"{path}: is no whole LAS file ({reason}); it may be cut short: get a fresh copy") from error
    notes: list[str] = []
    # Coordinates are stored as whole numbers with a scale and an offset.
    cloud = Cloud(np.stack([np.asarray(axis, np.float64) for axis in (las.x, las.y, las.z)], axis=1), notes=notes)
    names = set(las.point_format.dimension_names)
    if {"red", "green", "blue"} <= names:
        values = np.stack([np.asarray(las[name]) for name in ("red", "green", "blue")], axis=1)
        # Some programs write the field and leave it empty.
        if values.any():
            cloud.colors, note = color_fractions(values)
            notes += [note] if note else []
    if cloud.colors is None and "intensity" in names:
        cloud.colors = grey_of(np.asarray(las.intensity, np.float64), notes)
    normals = [name for name in ("normal_x", "normal_y", "normal_z", "nx", "ny", "nz") if name in names]
    if len(normals) == 3:
        cloud.normals = np.stack([np.asarray(las[name], np.float64) for name in normals], axis=1)
    return cloud
