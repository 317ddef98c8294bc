"""Read DICOM: a folder of slices, or one file of many frames, with pydicom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.volume.voxels import Voxels, check_frame, check_size, placed_voxels

# Position and bytes by which DICOM files are known.
MAGIC_AT, MAGIC = 128, b"DICM"
# Slices count as evenly spaced where no gap is off by more than this fraction of the usual one.
UNEVEN = 0.02
# Slices count as shifted sideways from this fraction of their distance on.
MIN_TILT = 0.01
# Positions count as the same within this fraction of a pixel.
SAME_PLACE = 1e-3


def is_dicom(file: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    try:
        with open(file, "rb") as opened:
            opened.seek(MAGIC_AT)
            return opened.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files of a folder and of those in it, whatever their endings."""
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "DICOMDIR" and is_dicom(file))


def read_dicom(source: Path, max_voxels: int, frame: int) -> Voxels:
    """Read the largest series of a folder, or the frames of a file, in the patient's space (LPS, millimetres).

    Slices are sorted by their positions along the normal of their plane; numbers of slices and names of files may be in
    any order. Values are those of the device (rescale slope and intercept applied).

    Raises:
        BadInput: there are no images, or they do not make one volume.
    """
    import pydicom

    files = [source] if source.is_file() else dicom_files(source)
    series: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for file in files:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        if "Rows" in header:
            # A scout view, or another orientation, may be part of the same series.
            orientation = tuple(np.round(_orientation(header), 3))
            series[header.get("SeriesInstanceUID"), header.Rows, header.Columns, orientation].append((header, file))
    if not series:
        raise BadInput("holds no images in DICOM")
    chosen = max(series.values(), key=lambda found: sum(int(h.get("NumberOfFrames", 1) or 1) for h, _ in found))
    notes = []
    if len(series) > 1:
        name = str(chosen[0][0].get("SeriesDescription", "")).strip()
        notes.append(
            f"of {len(series)} series the largest is read{f' ({name})' if name else ''}; give a folder of another alone"
        )
    first = chosen[0][0]
    frames = int(first.get("NumberOfFrames", 1) or 1)
    if len(chosen) == 1 and frames > 1:
        return _read_frames(chosen[0][1], first, frames, max_voxels, notes)
    return _read_slices(chosen, max_voxels, frame, notes)


def _read_slices(chosen: Sequence[Any], max_voxels: int, frame: int, notes: list[str]) -> Voxels:
    """One volume of single-slice files."""
    first = chosen[0][0]
    normal = _normal(_orientation(first))
    places = np.array([float(np.dot(_position(header, i), normal)) for i, (header, _) in enumerate(chosen)])
    pixel = float(_pixel_spacing(first)[0])
    order = sorted(
        range(len(chosen)),
        key=lambda i: (round(places[i] / (SAME_PLACE * pixel)), _number(chosen[i][0], "AcquisitionNumber"),
                       _number(chosen[i][0], "InstanceNumber")),
    )  # fmt: skip
    groups: list[list[int]] = []
    for i in order:
        if groups and abs(places[i] - places[groups[-1][0]]) <= SAME_PLACE * pixel:
            groups[-1].append(i)
        else:
            groups.append([i])
    times = min(len(group) for group in groups)
    notes += check_frame(times, frame)
    if max(len(group) for group in groups) != times:
        notes.append("some of its slices are there more often than others; the extra ones are left out")
    slices = [chosen[group[frame]] for group in groups]
    if len(slices) < 2:
        raise BadInput("holds one slice; a volume has several. Open it as an image after converting it to PNG or TIFF")
    check_size([len(slices), int(first.Rows), int(first.Columns)], max_voxels)
    array = np.stack([_pixels(file) for _, file in slices])
    steps = np.diff([places[group[frame]] for group in groups])
    step = float(np.median(steps))
    if np.abs(steps - step).max() > UNEVEN * step:
        notes.append(
            f"its slices are {steps.min():.3g} to {steps.max():.3g} mm apart: {step:.3g} mm is taken for all; "
            "some may be missing"
        )
    if str(first.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        notes.append("it is meant to be shown with its greys inverted (MONOCHROME1): values are kept")
    ends = [_position(header, index) for header, index in ((slices[0][0], 0), (slices[-1][0], len(slices) - 1))]
    direction = _tilted(ends[1] - ends[0], normal, notes)
    return placed_voxels(array, _affine(slices[0][0], step * direction), "mm", "LPS", notes)


def _tilted(way: np.ndarray, normal: np.ndarray, notes: list[str]) -> np.ndarray:
    """Direction from slice to slice, 1 along the normal: that of the positions where the gantry was tilted.

    `way` leads from the first slice to the last one. The tilt is noted.
    """
    along = float(way @ normal)
    if along <= 0 or np.linalg.norm(way - along * normal) <= MIN_TILT * along:
        return normal
    angle = np.degrees(np.arctan2(np.linalg.norm(way - along * normal), along))
    notes.append(f"its slices are shifted against each other, as by a gantry tilted by {angle:.1f} degrees: kept so")
    return way / along


def _read_frames(file: Path, header: Any, frames: int, max_voxels: int, notes: list[str]) -> Voxels:
    """One volume of a file of many frames."""
    check_size([frames, int(header.Rows), int(header.Columns)], max_voxels)
    array = _pixels(file)
    shared = _first(header.get("SharedFunctionalGroupsSequence"))
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame and len(per_frame) == frames:
        positions = [_first(group.get("PlanePositionSequence")) for group in per_frame]
        orientation = _first((shared or per_frame[0]).get("PlaneOrientationSequence")) or _first(
            per_frame[0].get("PlaneOrientationSequence")
        )
        measures = _first((shared or per_frame[0]).get("PixelMeasuresSequence")) or _first(
            per_frame[0].get("PixelMeasuresSequence")
        )
        if all(positions) and orientation and measures:
            directions = np.array(orientation.ImageOrientationPatient, float)
            normal = _normal(directions)
            points = np.array([position.ImagePositionPatient for position in positions], float)
            places = points @ normal
            order = np.argsort(places, kind="stable")
            step = float(np.median(np.diff(places[order]))) if frames > 1 else 1.0
            rows, columns = (float(size) for size in measures.PixelSpacing)
            affine = np.eye(4)
            affine[:3, :3] = np.stack([directions[:3] * columns, directions[3:] * rows, normal * (step or 1.0)], axis=1)
            affine[:3, 3] = points[order[0]]
            return placed_voxels(array[order], affine, "mm", "LPS", notes)
    rows, columns = _pixel_spacing(header)
    depth = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0)
    note = "its frames have no positions: they are taken for slices in the order of the file"
    return Voxels(array, (float(columns), float(rows), depth), "mm", (*notes, note))


def _pixels(file: Path) -> np.ndarray:
    """Pixels of a file, `[H, W]`, `[H, W, 3]` or with frames before them, in the device's values."""
    import pydicom
    from pydicom.pixels.processing import apply_color_lut, apply_rescale, convert_color_space

    dataset = pydicom.dcmread(file)
    try:
        array = dataset.pixel_array
    except (NotImplementedError, RuntimeError, AttributeError) as error:
        syntax = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "unknown")
        raise BadInput(
            f"its pixels are compressed ({syntax}), which needs another package or a copy: {error}"
        ) from None
    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        return apply_color_lut(array, dataset)
    if kind.startswith("YBR"):
        return convert_color_space(array, kind, "RGB", per_frame=True)
    slope, intercept = float(dataset.get("RescaleSlope", 1) or 1), float(dataset.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) == (1, 0):
        return array
    if slope == 1 and intercept.is_integer() and array.dtype.kind in "iu" and array.dtype.itemsize <= 2:
        shifted = array.astype(np.int32) + int(intercept)
        low, high = int(shifted.min()), int(shifted.max())
        return shifted.astype(np.int16) if low >= -32768 and high <= 32767 else shifted
    return np.asarray(apply_rescale(array, dataset), np.float32)


def _affine(header: Any, step: np.ndarray) -> np.ndarray:
    """`[4, 4]` from indices (x, y, z) to the patient's space; `step` is from one slice to the next."""
    directions = _orientation(header)
    rows, columns = _pixel_spacing(header)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([directions[:3] * columns, directions[3:] * rows, step], axis=1)
    affine[:3, 3] = _position(header, 0)
    return affine


def _orientation(header: Any) -> np.ndarray:
    """Directions of rows and columns, `[6]`; those of an axial slice where the header has none."""
    found = header.get("ImageOrientationPatient")
    return np.array(found if found else [1, 0, 0, 0, 1, 0], np.float64)


def _normal(orientation: np.ndarray) -> np.ndarray:
    return np.cross(orientation[:3], orientation[3:])


def _position(header: Any, index: int) -> np.ndarray:
    """Position of the first pixel; by the number of the slice where the header has none."""
    found = header.get("ImagePositionPatient")
    if found:
        return np.array(found, np.float64)
    place = header.get("SliceLocation")
    height = float(place) if place is not None else _number(header, "InstanceNumber", index)
    return np.array([0.0, 0.0, height])


def _pixel_spacing(header: Any) -> tuple[float, float]:
    """Distance between rows and between columns, in millimetres."""
    found = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or [1.0, 1.0]
    return float(found[0]), float(found[1])


def _number(header: Any, name: str, default: float = 0.0) -> float:
    value = header.get(name)
    return default if value in (None, "") else float(value)


def _first(sequence: Any) -> Any:
    return sequence[0] if sequence else None
