"""Write images, audio and videos: what `render` writes, in the format of the ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest, RenderRequest
from fields.kinds import output_for


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write an image, audio or a video."""
    return _write(source, out, request, progress)


def write_frame(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write the frame of a video at the requested time, or else the first one."""
    first = source.field.domain.axes[2].lower
    return _write(source, out, request, progress, time=first if request.time is None else request.time)


def write_turntable(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write a video once around a scene."""
    return _write(source, out, request, progress, turntable=True, frames=request.frames)


def _write(source: Source, out: Path, request: ExportRequest, progress: Progress, **changes: Any) -> dict[str, Any]:
    """Render with the options of a request, and with `changes` to them."""
    output = output_for(source.kind, source.field, source.run.path if source.run else None)
    output.progress = progress.fraction
    report = output.render(out, RenderRequest(**(request.given_values() | changes)))
    files = [out] if out.is_file() else list(out.iterdir())
    return {**report, "files": [str(out)], "bytes": sum(file.stat().st_size for file in files)}
