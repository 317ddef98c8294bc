"""Write the values of a field on a lattice: one file of a volume, or a folder of slices as images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.export.surfaces import remove_floaters, unbounded_notes
from fields.export.world import voxel_affine
from fields.models.field import Field, PointField, RadianceField
from fields.render.raster import evaluate_lattice, sample_centers
from fields.render.sphere_trace import in_chunks
from fields.surface.lattice import MIN_RESOLUTION
from fields.surface.radiance import Radiance
from scenes.errors import BadInput
from scenes.io.atomic import atomic_folder
from scenes.io.memory import available_memory
from scenes.volume.write import check_volume_writable, write_volume

# Voxels along the longest side unless they are requested, and at most.
RESOLUTION = 128
MAX_RESOLUTION = 2048
# Bytes per voxel: the array, and a copy while a file of it is made.
BYTES_PER_VOXEL = 8
# Distances that slices show, in unit cubes.
SHOWN_DISTANCE = 0.25


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write the values at the centers of voxels, distances in units of the fitted file."""
    check_volume_writable(out)
    counts = _counts(source.field, request)
    slices = []
    for part in _slices(source, counts, request, progress):
        slices.append(part)
        progress.fraction(len(slices) / counts[2])
    array = np.concatenate(slices)
    dx, dy, dz = spacing = _spacing(source.field, counts)
    domain = source.field.domain
    affine = voxel_affine(domain, counts)
    notes = write_volume(
        out,
        array[..., None],
        (dx, dy, dz),
        unit=domain.axes[0].unit,
        affine=affine,
        space=domain.world.space if domain.world else "",
    )
    first = [axis.lower + step / 2 for axis, step in zip(domain.axes, spacing)]
    return {
        "voxels": counts,
        "spacing": spacing,
        "origin": first if affine is None else affine[:3, 3].tolist(),
        "lowest": float(array.min()),
        "highest": float(array.max()),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": [*unbounded_notes(source), *notes],
        "text": f"{' x '.join(map(str, counts))} voxels from {array.min():.4g} to {array.max():.4g}",
    }


def write_slices(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write a folder of PNG slices across z, from below: black for low values, white for high ones.

    Signed distances have 0 at middle grey. Of densities, the fraction of light lost over a voxel is shown.
    """
    from PIL import Image

    counts = _counts(source.field, request)
    spacing = _spacing(source.field, counts)
    black, white = _shown_range(source.field)
    with atomic_folder(out) as folder:
        folder.mkdir()
        for index, part in enumerate(_slices(source, counts, request, progress)):
            values = part[0]
            if isinstance(source.field, RadianceField):
                values = 1 - np.exp(-values * spacing[2])
            grey = np.rint(np.clip((values - black) / (white - black), 0, 1) * 255).astype(np.uint8)
            # y grows upwards in the fitted file, and downwards in an image.
            Image.fromarray(grey[::-1]).save(folder / f"slice-{index:04d}.png")
            progress.fraction((index + 1) / counts[2])
    return {
        "voxels": counts,
        "spacing": spacing,
        "black": black,
        "white": white,
        "files": [str(out)],
        "notes": unbounded_notes(source),
        "text": f"{counts[2]} slices of {counts[0]} x {counts[1]} across z, black {black:.4g} to white {white:.4g}",
    }


def _counts(field: Field, request: ExportRequest) -> list[int]:
    """Voxels along x, y, z. Raises BadInput for a resolution out of range, or if they do not fit in memory."""
    resolution = request.resolution or RESOLUTION
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise BadInput(
            f"`resolution={resolution}`: should be from {MIN_RESOLUTION} to {MAX_RESOLUTION} voxels "
            "along the longest side"
        )
    sides = np.array([axis.upper - axis.lower for axis in field.domain.axes[:3]])
    counts = [max(1, round(n)) for n in resolution * sides / sides.max()]
    needed = BYTES_PER_VOXEL * int(np.prod(counts, dtype=np.int64))
    free = request.memory if request.memory is not None else available_memory()
    if needed > free:
        raise BadInput(
            f"{' x '.join(map(str, counts))} voxels would take {needed / (1 << 30):.1f} GB of memory, and "
            f"{free / (1 << 30):.1f} GB are available; `resolution={int(resolution * (free / needed) ** (1 / 3))}` "
            "would fit"
        )
    return counts


def _slices(source: Source, counts: list[int], request: ExportRequest, progress: Progress) -> Iterator[np.ndarray]:
    """Values of the first channel at each z, `[1, y, x]` float32, in units of the fitted file.

    Of a radiance field the density in its occupied cells; of an unbounded scene, in its inner cube.
    """
    x, y, z = (sample_centers(n) for n in counts)
    if isinstance(source.field, RadianceField):
        remove_floaters(source, progress)
        scene = Radiance(source.field, request.time or 0.0)
        for height in z:
            points = torch.stack(torch.meshgrid(x, y, height[None], indexing="ij"), dim=-1).reshape(-1, 3)
            points = points * torch.tensor(scene.extents)
            with torch.no_grad():
                found = in_chunks(lambda part: scene.density(part.to(scene.device)).cpu(), points)
            yield found.reshape(len(x), len(y)).T[None].numpy() / np.float32(scene.side)
        return
    field = cast(PointField, source.field)
    scale, offset = _units(field)
    # A voxel that is larger than those of the fitted file is their mean. Distances are those of points.
    sampled = all(axis.samples is not None for axis in field.domain.axes)
    footprint = [1 / count for count in counts] if sampled else None
    for index in range(counts[2]):
        values = evaluate_lattice(field, x, y, z[index : index + 1], footprint=footprint)[..., 0]
        yield values.astype(np.float64 if field.channels.needs_float64 else np.float32) * scale + offset


def _units(field: Field) -> tuple[float, float]:
    """Factor and offset that convert the field's values to units of the fitted file."""
    channels = field.channels
    if channels.is_distance:
        return field.domain.axes[0].upper - field.domain.axes[0].lower, 0.0
    return channels.upper - channels.lower, channels.lower


def _shown_range(field: Field) -> tuple[float, float]:
    """Values that slices show as black and white."""
    if isinstance(field, RadianceField):
        return 0.0, 1.0
    scale, offset = _units(field)
    if field.channels.space == "signed_distance":
        return -SHOWN_DISTANCE * scale, SHOWN_DISTANCE * scale
    return offset, offset + scale * (SHOWN_DISTANCE if field.channels.is_distance else 1.0)


def _spacing(field: Field, counts: list[int]) -> list[float]:
    """Distance between voxels along x, y, z."""
    return [(axis.upper - axis.lower) / n for axis, n in zip(field.domain.axes, counts)]
