"""Write a mesh with its appearance in the format of a file's ending, and what goes beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fields.export.base import Progress, ending_of
from fields.export.request import ExportRequest
from fields.surface.convex_parts import check_coacd_installed, convex_parts
from fields.surface.placement import FileUp
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.shape.writers import glb, obj, ply, stl, threemf, usdz
from scenes.shape.writers.asset import Asset, TextureFormat
from scenes.shape.writers.offset import far_offset

# Formats that printers' programs read; they have Z up.
PRINTED = (".stl", ".3mf")


def write_asset(
    out: Path,
    asset: Asset,
    *,
    quantize: bool = False,
    meshopt: bool = False,
    texture_format: TextureFormat = "png",
) -> list[Path]:
    """Write a mesh in the format of the ending. Returns the files that were written beside it.

    quantize, meshopt: obeyed by .glb; texture_format: by .glb, .usdz and .obj. Other formats have neither.
    """
    ending = ending_of(out)
    if ending == ".obj":
        return obj.write_obj(out, asset, texture_format=texture_format)
    if ending == ".glb":
        glb.write_glb(out, asset, quantize=quantize, meshopt=meshopt, texture_format=texture_format)
    elif ending == ".usdz":
        usdz.write_usdz(out, asset, texture_format=texture_format)
    else:
        {".ply": ply.write_mesh_ply, ".stl": stl.write_stl, ".3mf": threemf.write_3mf}[ending](out, asset)
    return []


def offset_notes(out: Path, vertices: np.ndarray) -> list[str]:
    """A note where positions `[V, 3]` are so far from the origin that the file has them relative to an offset."""
    offset = far_offset(vertices)
    places = {
        ".glb": "the translation of its node",
        ".usdz": "the translation of its mesh",
        ".stl": "which its header names, as other programs have to be told",
    }
    place = places.get(ending_of(out))
    if offset is None or place is None:
        return []
    numbers = ",".join(f"{value:.0f}" for value in offset)
    return [f"Far from the origin: {out.name} has its positions relative to {numbers}, {place}"]


def unit_notes(out: Path, asset: Asset, domain: Domain) -> list[str]:
    """A note where the source's unit is another than the one that the format implies."""
    unit, implied = domain.axes[0].unit, {".glb": "m", ".usdz": "m", ".3mf": "mm"}.get(ending_of(out))
    if asset.units == "metres" or not unit or implied in (None, unit):
        return []
    return [f"Coordinates are kept in the source's unit, {unit}; {ending_of(out)} means {implied}. `length` scales"]


def write_collision(out: Path, asset: Asset, progress: Progress) -> tuple[Path, list[str]]:
    """Write the convex parts of a mesh beside its file, as NAME-collision.glb. Returns that file, and sentences."""
    found = convex_parts(asset.vertices, asset.faces, progress=progress.fraction)
    file = out.with_name(f"{out.stem}-collision.glb")
    glb.write_collision_glb(file, found.parts, name=asset.name, units=asset.units, extras=asset.extras)
    count = f"{len(found.parts)} convex part{'s' if len(found.parts) > 1 else ''}"
    return file, [f"{file.name} has {count} for physics engines", *found.notes]


def file_up(out: Path) -> FileUp:
    """The axis that points up in files of this ending."""
    return "z" if ending_of(out) in PRINTED else "y"


def check_writer(out: Path, request: ExportRequest) -> None:
    """Check what a writer would refuse, before long work."""
    ending = ending_of(out)
    if ending == ".usdz":
        usdz.check_usd_installed()
        if (request.texture_size or 0) > usdz.MAX_TEXTURE:
            raise BadInput(
                f"`texture_size={request.texture_size}`: textures of .usdz files have at most {usdz.MAX_TEXTURE} pixels"
            )
    if request.texture_format == "webp" and ending != ".glb":
        raise BadInput(f"`texture_format=webp`: {ending} files have png and jpeg textures only")
    if request.texture_format and not request.textured:
        raise BadInput("`texture_format`: there is no texture; add `texture`")
    if request.collision:
        check_coacd_installed()
