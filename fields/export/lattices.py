"""The values of a surface's field on a lattice: one file of a volume, or a folder of slices as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.export.surfaces import cleared, notes_of
from fields.models.field import RadianceField
from fields.render.raster import centres, lattice
from fields.render.sphere_trace import in_chunks
from fields.surface.lattice import COARSEST
from fields.surface.radiance import Radiance
from scenes.errors import BadInput
from scenes.io.atomic import atomic_folder
from scenes.io.memory import available_memory
from scenes.volume.write import check_volume_writable, write_volume

RESOLUTION = 128
FINEST = 2048


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Voxels at the middles of cells; x, y, z from the inside out; the distances in the units of the fitted file."""
    check_volume_writable(out)
    counts = _counts(source, request)
    array = np.concatenate(list(_slices(source, counts, request, progress)))[..., None]
    spacing = _spacing(source, counts)
    write_volume(out, array, spacing)
    axes = source.field.domain.axes
    return {
        "voxels": counts,
        "spacing": spacing,
        "origin": [axis.lower + step / 2 for axis, step in zip(axes, spacing)],
        "lowest": float(array.min()),
        "highest": float(array.max()),
        "bytes": out.stat().st_size,
        "files": [str(out)],
        "notes": notes_of(source),
        "text": f"{' x '.join(map(str, counts))} voxels from {array.min():.4g} to {array.max():.4g}",
    }


def write_slices(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """A folder of PNGs across z, from below: grey from the lowest value (black) to the highest; 0 is middle grey for signed distances.

    Of densities, the share of light that is lost over a voxel.
    """
    from PIL import Image

    counts = _counts(source, request)
    low, high = _range(source)
    with atomic_folder(out) as folder:
        folder.mkdir()
        for number, part in enumerate(_slices(source, counts, request, progress)):
            if isinstance(source.field, RadianceField):
                part = 1 - np.exp(-part * _spacing(source, counts)[2])
            grey = np.rint(np.clip((part[0] - low) / (high - low), 0, 1) * 255).astype(np.uint8)
            # (y grows upwards in the file that was fitted, and downwards in a picture)
            Image.fromarray(grey[::-1]).save(folder / f"slice-{number:04d}.png")
    return {
        "voxels": counts,
        "spacing": _spacing(source, counts),
        "black": low,
        "white": high,
        "files": [str(out)],
        "notes": notes_of(source),
        "text": f"{counts[2]} slices of {counts[0]} x {counts[1]} across z, black {low:.4g} to white {high:.4g}",
    }


def _counts(source: Source, request: ExportRequest) -> list[int]:
    resolution = request.resolution or RESOLUTION
    if not COARSEST <= resolution <= FINEST:
        raise BadInput(
            f"`resolution={resolution}`: should be from {COARSEST} to {FINEST} voxels along the longest side"
        )
    sides = np.array([axis.upper - axis.lower for axis in source.field.domain.axes[:3]])
    counts = [max(1, round(n)) for n in resolution * sides / sides.max()]
    # The array, and once more while a file of it is made.
    needed = 8 * int(np.prod(counts, dtype=np.int64))
    free = request.memory if request.memory is not None else available_memory()
    if needed > free:
        raise BadInput(
            f"{' x '.join(map(str, counts))} voxels take {needed / (1 << 30):.1f} GB of memory, and {free / (1 << 30):.1f} GB are "
            f"there; `resolution={int(resolution * (free / needed) ** (1 / 3))}` would fit"
        )
    return counts


def _slices(source: Source, counts: list[int], request: ExportRequest, progress: Progress) -> Iterator[np.ndarray]:
    """The first channel, `[1, y, x]` float32 for each z, in the units of the fitted file. Of radiance, the density where the field has any
    cells: of a scene without bounds that of its inner cube."""
    field = source.field
    x, y, z = (centres(n) for n in counts)
    if isinstance(field, RadianceField):
        cleared(source, progress)
        scene = Radiance(field, request.time or 0.0)
        for height in z:
            places = torch.stack(torch.meshgrid(x, y, height[None], indexing="ij"), dim=-1).reshape(
                -1, 3
            ) * torch.tensor(scene.extents)
            with torch.no_grad():
                found = in_chunks(lambda part: scene.density(part.to(scene.device)).cpu(), places)
            yield found.reshape(len(x), len(y)).T[None].numpy() / np.float32(scene.side)
        return
    scale, offset = _units(source)
    for index in range(counts[2]):
        yield lattice(field, x, y, z[index : index + 1])[..., 0] * scale + offset


def _units(source: Source) -> tuple[float, float]:
    """What the field's values are multiplied with, and what is added: distances are stored in unit cubes."""
    channels = source.field.channels
    if channels.space.endswith("_distance"):
        return source.field.domain.axes[0].upper - source.field.domain.axes[0].lower, 0.0
    return channels.upper - channels.lower, channels.lower


def _range(source: Source) -> tuple[float, float]:
    if isinstance(source.field, RadianceField):
        return 0.0, 1.0
    space, (scale, offset) = source.field.channels.space, _units(source)
    if space == "signed_distance":
        return -0.25 * scale, 0.25 * scale
    return offset, offset + scale * (0.25 if space == "unsigned_distance" else 1.0)


def _spacing(source: Source, counts: list[int]) -> list[float]:
    return [(axis.upper - axis.lower) / n for axis, n in zip(source.field.domain.axes, counts)]
