"""Photographs to an asset: all stages, from poses to the file and its report."""

from __future__ import annotations

import time
from typing import Any

from fields.fit import fit as fitting
from fields.fit.trainer import Trainer
from fields.reconstruct.fit_stage import FitReports, open_or_begin
from fields.reconstruct.mesh_options import MeshOptions
from fields.reconstruct.mesh_stages import FittedScene, make_asset
from fields.reconstruct.poses_stage import posed_source
from fields.reconstruct.reports import Reports
from fields.reconstruct.request import ReconstructRequest
from fields.reconstruct.schedule import Schedule
from fields.runs.run import Run
from scenes.io.atomic import check_path_writable
from scenes.posed.signal import RadianceScene


class Reconstruction:
    """A reconstruction: `run` does all of it, and `stop` ends it so that it can be continued.

    Example: `Reconstruction(ReconstructRequest(source="photos", asset="statue.glb", out="runs/statue")).run()`.
    """

    def __init__(self, request: ReconstructRequest, reports: Reports | None = None) -> None:
        if request.out is None:
            raise ValueError("a reconstruction keeps its stages in a folder: `out`")
        self.request, self.reports = request, reports or Reports()
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
        check_path_writable(request.asset)
        MeshOptions.check_ending(request.asset)
        schedule = Schedule(request.resolved("seconds"))
        source, poses_seconds = posed_source(request, self.reports, schedule)
        signal, run, seconds = self._fit(source, schedule)
        base = {"run": str(run.path), "out": str(request.asset)}
        if run.header["status"] != "finished":
            return {**base, "interrupted": True}
        scene = FittedScene.of_run(run, signal, request.device)
        report = make_asset(scene, MeshOptions.of_request(request), request.asset, schedule, self.reports)
        stages = {**poses_seconds, "fit": seconds, **report.pop("seconds")}
        return {**base, **report, "seconds": {**stages, "total": round(sum(stages.values()), 3)}}

    def _fit(self, source: str, schedule: Schedule) -> tuple[RadianceScene, Run, float]:
        """The scene, its run, and the seconds that the fit took in all."""
        started = time.perf_counter()
        planned = schedule.for_fit()
        self.reports.begin("fit", planned)
        signal, trainer, run = open_or_begin(self.request, source, planned, started)
        if trainer is None:
            self.reports.kept("fit")
        else:
            for note in signal.notes:
                self.reports.message(note)
            self._trainer = trainer
            try:
                result = fitting.finish(trainer, run, [FitReports(self.reports)])
            finally:
                self._trainer = None
            for remark in (*result.field.remarks(), *(run.metrics() or {}).get("remarks", [])):
                self.reports.message(remark)
            self.reports.end("fit", time.perf_counter() - started)
        stored = run.metrics() or {}
        return signal, run, float(stored.get("seconds", 0.0))
