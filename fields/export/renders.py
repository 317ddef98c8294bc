"""Pictures, sounds and clips: what `render` writes, by the ending."""

from __future__ import annotations

from pathlib import Path

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest, RenderRequest
from fields.kinds import output_for
from scenes.errors import BadInput

CLIP_PICTURE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".exr", ".hdr")


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    if request.crop is not None and len(request.crop) != 4:
        raise BadInput(f"`crop` of a {source.kind} is X0,Y0,X1,Y1 in pixels, not {len(request.crop)} numbers")
    wanted = request.given_values()
    if source.kind == "video" and out.suffix.lower() in CLIP_PICTURE and request.time is None:
        wanted["time"] = source.field.domain.axes[2].lower
    report = output_for(source.kind, source.field).render(out, RenderRequest(**wanted))
    return {
        **report,
        "files": [str(out)],
        "bytes": out.stat().st_size if out.is_file() else sum(file.stat().st_size for file in out.iterdir()),
    }


def write_turntable(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """A film once around a scene."""
    wanted = request.given_values() | {"turntable": True, "frames": request.turntable}
    report = output_for(source.kind, source.field, source.run.path).render(out, RenderRequest(**wanted))
    return {**report, "files": [str(out)], "bytes": out.stat().st_size}
