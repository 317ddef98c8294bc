"""Photographs to an asset: all stages, from poses to the file and its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from fields.export.asset_files import check_writer
from fields.export.base import ending_of
from fields.export.request import ExportRequest
from fields.export.scene_assets.asset_options import AssetOptions
from fields.export.scene_assets.fitted_scene import FittedScene
from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import Schedule
from fields.export.scene_assets.stages import make_asset
from fields.fit import fit as fitting
from fields.fit.trainer import Trainer
from fields.models.field import RadianceField
from fields.reconstruct.fit_stage import FitReports, fit_request, open_or_begin, open_scene
from fields.reconstruct.poses_stage import posed_source
from fields.reconstruct.request import ReconstructRequest
from fields.reconstruct.subject_stage import (
    has_subject_stage,
    kept_subject,
    make_subject,
    open_subject,
    subject_folder,
)
from fields.reconstruct.whole_stage import fit_whole, whole_trainer
from fields.runs.run import Run, has_fit
from fields.surface.placement import placement
from scenes.errors import BadInput
from scenes.io.atomic import check_path_writable
from scenes.posed.find_reasons import camera_warnings
from scenes.posed.read import is_posed
from scenes.posed.signal import RadianceScene

T = TypeVar("T")

# Folder in the run's own: of the fit of all that the photographs show.
WHOLE_FOLDER = "whole"
# Formats of assets, and those of them that hold a texture.
ENDINGS = (".glb", ".usdz", ".obj", ".ply", ".stl", ".3mf")
TEXTURED = (".glb", ".usdz", ".obj")


def asset_options(request: ReconstructRequest) -> AssetOptions:
    """The options of the stages after the fit. Raises BadInput for a format that is not one of assets."""
    ending = ending_of(request.asset)
    if ending not in ENDINGS:
        raise BadInput(f"{request.asset}: an asset is a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file")
    if request.collision and ending != ".glb":
        raise BadInput("`collision`: convex parts are written beside a .glb")
    size = request.resolved("texture_size") if ending in TEXTURED else None
    texture_format = None if request.texture_format == "png" else request.texture_format
    check_writer(
        request.asset, ExportRequest(texture_size=size, texture_format=texture_format, collision=request.collision)
    )
    # Options that exclude each other are refused before the work.
    placement((), np.eye(3), up=request.up, units=request.units, size=request.length, scale_from=request.scale_from)
    return AssetOptions(
        resolution=request.resolved("resolution"),
        box=request.box,
        close_holes=request.close_holes,
        cut_base=request.cut_base,
        triangles=request.resolved("triangles"),
        refine=request.resolved("refine"),
        texture_size=size,
        normal_map=request.normal_map,
        up=request.up,
        units=request.units,
        size=request.length,
        scale_from=request.scale_from,
        quantize=True,
        meshopt=request.meshopt,
        texture_format=request.texture_format,
        collision=request.collision,
    )


class Reconstruction:
    """A reconstruction: `run` does all of it, and `stop` ends it so that it can be continued.

    Example: `Reconstruction(ReconstructRequest(source="photos", asset="statue.glb", out="runs/statue")).run()`.
    """

    def __init__(
        self,
        request: ReconstructRequest,
        reports: Reports | None = None,
        callbacks: Iterable[Callable[[Trainer], None]] = (),
    ) -> None:
        """`callbacks`: called with the trainer after each step of the fit."""
        if request.out is None:
            raise ValueError("a reconstruction keeps its stages in a folder: `out`")
        self.request, self.reports = request, reports or Reports()
        self._callbacks = tuple(callbacks)
        self._trainer: Trainer | None = None

    def stop(self) -> None:
        """End after the current step of the fit, or in the middle of another stage. May be called by a signal handler.

        Raises KeyboardInterrupt outside of the fit: the stages that are done are kept.
        """
        if self._trainer is None:
            raise KeyboardInterrupt
        self._trainer.stop()

    def run(self) -> dict[str, Any]:
        """All stages that are not done yet. Returns a report of plain values; `interrupted` in it if it was stopped.

        Raises BadInput for anything that the user can put right.
        """
        request = self.request
        options = asset_options(request)
        check_path_writable(request.asset)
        schedule = Schedule(request.resolved("seconds"), without=() if options.refine else ("refine",))
        source, before = posed_source(request, self.reports, schedule)
        base = {"run": str(request.out), "out": str(request.asset)}
        signal = self._subject(source, schedule, before)
        if signal is None:
            return {**base, "interrupted": True}
        run, seconds = self._fit(signal, schedule)
        if run.header["status"] != "finished":
            return {**base, "interrupted": True}
        scene = FittedScene.of_run(run, signal, request.device)
        report = make_asset(scene, options, request.asset, folder=run.path, schedule=schedule, reports=self.reports)
        stages = {**before, "fit": seconds, **report.pop("seconds")}
        return {**base, **report, "seconds": {**stages, "total": round(sum(stages.values()), 3)}}

    def _subject(self, source: str, schedule: Schedule, seconds: dict[str, float]) -> RadianceScene | None:
        """The scene that is fitted: the source's own, or its subject alone where it goes on behind that.

        seconds: gets those of the stages that were done. Returns None if it was stopped.
        """
        request = self.request
        assert request.out is not None
        begun, kept = has_fit(request.out), kept_subject(request)
        if begun and kept is None and subject_folder(request).is_dir():
            self.reports.message("The box is another one: the subject is cut out and fitted anew")
            Run.open(request.out).forget()
            begun = False
        if kept is not None and not begun:
            self.reports.kept("subject")
            return open_subject(request, kept)
        started = time.perf_counter()
        # Photographs are read for the fit, whichever comes first.
        self.reports.begin("fit", schedule.for_whole())
        signal = open_scene(request, source)
        if is_posed(request.source):
            # Of cameras that were found this is said already.
            for warning in camera_warnings(np.stack([view.pose for view in signal.training])):
                self.reports.message(warning)
        if begun or not has_subject_stage(request, signal):
            return signal
        self.reports.begin("whole", schedule.for_whole())
        for note in signal.notes:
            self.reports.message(note)
        asked = fit_request(request, source, schedule.for_whole())
        trainer, run = whole_trainer(signal, asked, request.out / WHOLE_FOLDER, started)
        if trainer is not None and not self._trained(trainer, lambda watch: fit_whole(trainer, run, watch)):
            return None
        seconds["whole"] = round(time.perf_counter() - started, 3)
        self.reports.end("whole", seconds["whole"])
        field = run.load_field(fitting.resolve_device(request.device))
        assert isinstance(field, RadianceField)
        started, planned = time.perf_counter(), schedule.for_subject()
        self.reports.begin("subject", planned)
        folder = make_subject(request, field, signal.views, planned, self.reports)
        seconds["subject"] = round(time.perf_counter() - started, 3)
        self.reports.end("subject", seconds["subject"])
        self.reports.message("The photographs show more than the subject: what the cameras look at was cut out")
        return open_subject(request, folder)

    def _trained(self, trainer: Trainer, fit: Callable[[list[Callable[[Trainer], None]]], T]) -> T:
        """What `fit` returns, which gets the callbacks of a fit that can be stopped."""
        self._trainer = trainer
        try:
            return fit([FitReports(self.reports), *self._callbacks])
        finally:
            self._trainer = None

    def _fit(self, signal: RadianceScene, schedule: Schedule) -> tuple[Run, float]:
        """The run of the scene's fit, and the seconds that it took in all."""
        started = time.perf_counter()
        planned = schedule.for_fit()
        self.reports.begin("fit", planned)
        trainer, run = open_or_begin(self.request, signal, str(signal.source["path"]), planned, started)
        if trainer is None:
            self.reports.kept("fit")
        else:
            # Those of a subject that was cut out are about the photographs, which were told of before.
            for note in () if subject_folder(self.request).is_dir() else signal.notes:
                self.reports.message(note)
            result = self._trained(trainer, lambda watch: fitting.finish(trainer, run, watch))
            for remark in (*result.field.remarks(), *(run.metrics() or {}).get("remarks", [])):
                self.reports.message(remark)
            self.reports.end("fit", time.perf_counter() - started)
        stored = run.metrics() or {}
        return run, float(stored.get("seconds", 0.0))
