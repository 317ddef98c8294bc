"""Export of a fitted scene as a mesh whose texture comes from the photographs."""

from __future__ import annotations

import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.export.scene_assets.asset_options import AssetOptions
from fields.export.scene_assets.fitted_scene import FittedScene
from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import STAGES, Schedule
from fields.export.scene_assets.stages import make_asset
from fields.export.scenes import seen_by_cameras
from fields.models.field import RadianceField
from fields.surface.cleanup import MIN_AREA
from fields.surface.scene_mesh import RESOLUTION

# Budget, in seconds, by which the stages are bounded, as in a reconstruction.
SECONDS = 480.0


def takes_photographs(source: Source, request: ExportRequest) -> bool:
    """Whether a textured mesh of the field is made from photographs: of a still scene that has cameras.

    Photographs of a moving scene show other moments, so its colors come from the field.
    """
    return seen_by_cameras(source, request) and isinstance(source.field, RadianceField) and not source.field.moving


def write_scene_asset(
    source: Source, out: Path, request: ExportRequest, progress: Progress, *, texture_size: int, triangles: int | None
) -> dict[str, Any]:
    """Write a textured mesh of a scene. Stages that an earlier export or reconstruction did are not done again."""
    run = source.stored_run
    upright = request.up is not None or request.length is not None or request.units == "metres"
    options = AssetOptions(
        resolution=request.resolution or RESOLUTION,
        box=request.box,
        level=request.level or 0.0,
        min_component=1.0 if request.largest else 0.0 if request.keep_components else MIN_AREA,
        triangles=triangles,
        texture_size=texture_size,
        normal_map=request.normal_map,
        up=request.up,
        units="metres" if upright else "source",
        size=request.length,
        quantize=request.quantize,
        meshopt=request.meshopt,
        texture_format=request.texture_format or "png",
        collision=request.collision,
    )
    most = sum(min(fraction * SECONDS, seconds) for fraction, seconds in STAGES.values())
    progress.message(f"A texture of {texture_size} x {texture_size} from photographs: at most {most:.0f} s")
    scene = FittedScene.of_run(run, device=str(source.field.device))
    keeps = run.path.is_dir() and os.access(run.path, os.W_OK)
    with nullcontext(str(run.path)) if keeps else tempfile.TemporaryDirectory() as folder:
        report = make_asset(
            scene,
            options,
            out,
            folder=Path(folder),
            schedule=Schedule(SECONDS),
            reports=_ExportReports(progress),
        )
    report["stage_seconds"] = report.pop("seconds")
    return report


class _ExportReports(Reports):
    """Shows the stages as one export: the fraction is that of all of them."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._weights = {name: most for name, (_, most) in STAGES.items()}
        self._total = sum(self._weights.values())
        self._before, self._stage = 0.0, ""

    def begin(self, stage: str, seconds: float) -> None:
        self._stage = stage
        self.progress.stage(stage)

    def kept(self, stage: str) -> None:
        self._before += self._weights.get(stage, 0.0)

    def fraction(self, done: float, detail: str = "") -> None:
        self.progress.fraction(min(1.0, (self._before + done * self._weights.get(self._stage, 0.0)) / self._total))

    def end(self, stage: str, seconds: float) -> None:
        self._before += self._weights.get(stage, 0.0)
        self.fraction(0.0)
