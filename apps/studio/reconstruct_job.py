"""A reconstruction as a job: `fields.reconstruct` does the work, as for the command."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from apps.studio.job import Job
from apps.studio.live_preview import WATCHED_SECONDS, LivePreview
from apps.studio.messages import note_for_page
from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import Schedule
from fields.fit.trainer import Trainer
from fields.reconstruct.growing_surface import surface_picture
from fields.reconstruct.poses_stage import FOLDER as POSES
from fields.reconstruct.poses_stage import posed_source
from fields.reconstruct.reconstruct import Reconstruction
from fields.reconstruct.request import ReconstructRequest
from fields.runs.run import write_json
from scenes.errors import BadInput
from scenes.posed.find_record import RECORD as POSES_RECORD
from scenes.posed.read import is_posed

# What was asked for, in the run's folder: enough to continue after the studio was restarted.
RECORD = "reconstruct.json"
RECORD_FORMAT = 1
# Name of the assets in the run's folder, and their endings.
MODEL = "model"
ENDINGS = (".glb", ".usdz")
# Seconds between two pictures of the surface, at least, and the largest fraction of the time that they take.
SURFACE_SECONDS = 20.0
SURFACE_FRACTION = 0.04
# Options that decide the fit; a run is continued only with the same ones.
FIT_OPTIONS = (
    *("source", "seconds", "preview", "steps", "seed", "method", "settings"),
    *("background", "unbounded", "orientation", "pose_convention"),
)


class ReconstructJob(Job):
    """A reconstruction, new or continued: the run's folder keeps every stage.

    `request`: its `out` and `asset` are set here. `ending`: of the asset, `.glb` or `.usdz`. `only_cameras`: end when
    the cameras are known. `cameras_of`: a run's folder whose found cameras are taken over.
    """

    type = "reconstruction"

    def __init__(
        self,
        name: str,
        path: Path,
        request: ReconstructRequest,
        *,
        ending: str = ".glb",
        only_cameras: bool = False,
        cameras_of: Path | None = None,
    ) -> None:
        super().__init__(name, path)
        self.request = request
        self.ending = ending
        self.only_cameras = only_cameras
        self.cameras_of = cameras_of
        self.kind = "radiance"
        # Stages in the order in which they began: name, state ("running", "kept", "done"), seconds and fraction.
        self.stages: list[dict[str, Any]] = []
        # What is worth showing about the stage, and sentences that a person should read.
        self.detail = ""
        self.notes: list[str] = []
        self._began = self._stage_began = 0.0

    @classmethod
    def from_folder(cls, path: Path) -> ReconstructJob:
        """The job of a reconstruction in a folder as it would be after its end. Raises BadInput where there is none."""
        job = cls(path.name, path, read_record(path))
        try:
            report = json.loads((path / "asset" / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            report = {}
        if job.files and report:
            job.state = "done"
            job._take(report)
            job.stages = [
                {"name": name, "state": "done", "seconds": seconds} for name, seconds in report["seconds"].items()
            ]
        else:
            job.state, job.message = "stopped", "not finished; what is done is kept"
        return job

    def sources(self) -> list[str]:
        return [self.request.source]

    @property
    def files(self) -> list[Path]:
        """The assets that are there."""
        return [file for ending in ENDINGS if (file := self.path / f"{MODEL}{ending}").is_file()]

    @property
    def has_cameras(self) -> bool:
        """Whether the cameras of the photographs are known now."""
        try:
            return (self.path / POSES / POSES_RECORD).is_file() or is_posed(self.request.source)
        except BadInput:
            return False

    def work(self) -> None:
        self._began = time.perf_counter()
        self.stages, self.notes, self.detail = [], [], ""
        request = self.request.model_copy(update={"out": self.path, "asset": self.path / f"{MODEL}{self.ending}"})
        if self.ending != ".glb":
            request = request.model_copy(update={"collision": False})
        self.path.mkdir(exist_ok=True)
        write_record(self.path, self.request)
        self._copy_cameras()
        with self._lock:
            if self.state == "loading":
                self.state = "running"
        reports = StageReports(self)
        try:
            if self.only_cameras:
                posed_source(request, reports, Schedule(request.resolved("seconds")))
                finished, self.message = True, "the cameras are known: set the crop box, and make the mesh"
            else:
                report = Reconstruction(request, reports, [FitWatcher(self)]).run()
                finished = not report.get("interrupted")
                if finished:
                    self._take(report)
        except KeyboardInterrupt:
            finished = False
        if not finished:
            self.message = "what is done is kept"
            self.stages = [stage for stage in self.stages if stage["state"] != "running"]
        self.elapsed = time.perf_counter() - self._began
        self.detail = ""
        self.version += 1
        self._set_ended(finished)

    def fail(self, message: str) -> None:
        self.stages = [stage for stage in self.stages if stage["state"] != "running"]
        super().fail(message)

    def to_dict(self, visitor: str = "") -> dict:
        return {
            **super().to_dict(visitor),
            "stages": [self._stage_now(stage) for stage in self.stages],
            "detail": self.detail,
            "notes": self.notes,
            "files": [{"name": file.name, "bytes": file.stat().st_size} for file in self.files],
            "report": (self.path / "asset" / "report.png").is_file(),
            "cameras": self.has_cameras,
            "remaining": self._time_left(),
            "solid": True,
        }

    def _take(self, report: dict[str, Any]) -> None:
        """Show what a reconstruction reported."""
        self.metrics = dict(report.get("metrics", {}))
        size = f"texture {report['texture']} x {report['texture']}" if report.get("texture") else "no texture"
        self.info = f"{report['triangles']:,} triangles · {size}"
        self.message = ""
        # Notes of kept stages are not reported again.
        self.notes = list(dict.fromkeys([*self.notes, *map(note_for_page, report.get("notes", []))]))

    def _copy_cameras(self) -> None:
        """Take over the cameras that were found for another run, if they are still there."""
        source, target = self.cameras_of and self.cameras_of / POSES, self.path / POSES
        if source and (source / POSES_RECORD).is_file() and not target.exists():
            temporary = self.path / f".{POSES}"
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(source, temporary)
            temporary.rename(target)

    def _stage_now(self, stage: dict[str, Any]) -> dict[str, Any]:
        """A stage as the page shows it. One that cannot report is shown by the time that it may take."""
        if stage["state"] != "running":
            return stage
        taken = time.perf_counter() - self._stage_began
        by_time = min(0.99, taken / stage["planned"]) if stage["planned"] else 0.0
        return {**stage, "seconds": round(taken, 1), "fraction": round(stage["fraction"] or by_time, 4)}

    def _time_left(self) -> float | None:
        if self.state not in ("running", "stopping") or self.only_cameras:
            return None
        return max(0.0, self.request.resolved("seconds") - (time.perf_counter() - self._began))


class StageReports(Reports):
    """Shows what a reconstruction reports in its job, and interrupts it where the job was asked to stop."""

    def __init__(self, job: ReconstructJob) -> None:
        self.job = job

    def begin(self, stage: str, seconds: float) -> None:
        self._check()
        job = self.job
        job._stage_began, job.detail = time.perf_counter(), ""
        # Stages may be done in two parts, and one that begins may turn out to come later.
        rest = [known for known in job.stages if known["name"] != stage and known["state"] != "running"]
        job.stages = [*rest, {"name": stage, "state": "running", "seconds": 0.0, "planned": seconds, "fraction": 0.0}]

    def kept(self, stage: str) -> None:
        rest = [known for known in self.job.stages if known["name"] != stage]
        self.job.stages = [*rest, {"name": stage, "state": "kept", "seconds": 0.0}]

    def fraction(self, done: float, detail: str = "") -> None:
        self._check()
        job = self.job
        if job.stages and job.stages[-1]["state"] == "running":
            job.stages = [*job.stages[:-1], {**job.stages[-1], "fraction": min(max(done, 0.0), 1.0)}]
        job.detail = detail

    def end(self, stage: str, seconds: float) -> None:
        job = self.job
        job._trainer = None
        rest = [known for known in job.stages if known["name"] != stage]
        job.stages = [*rest, {"name": stage, "state": "done", "seconds": round(seconds, 1)}]
        job.detail = ""

    def message(self, text: str) -> None:
        if (text := note_for_page(text)) not in self.job.notes:
            self.job.notes = [*self.job.notes, text]

    def _check(self) -> None:
        # A fit is stopped by its trainer, which then keeps a checkpoint.
        if self.job.state == "stopping" and self.job.trainer is None:
            raise KeyboardInterrupt


class FitWatcher:
    """Callback of the trainer: the picture of a view, and one of the surface, while a page watches."""

    def __init__(self, job: ReconstructJob) -> None:
        self.job = job
        self._preview: LivePreview | None = None
        self._next = time.perf_counter() + SURFACE_SECONDS / 4

    def __call__(self, trainer: Trainer) -> None:
        if self._preview is None:
            self.job._set_running(trainer)
            self._preview = LivePreview(self.job, trainer)
        self._preview(trainer)
        now = time.perf_counter()
        if now < self._next or time.monotonic() - self.job.watched > WATCHED_SECONDS:
            return
        views = trainer.objective.signal.views  # pyright: ignore[reportAttributeAccessIssue]  (of a RadianceScene)
        picture = surface_picture(trainer.field, (views.test or views.training)[0])  # pyright: ignore
        if picture is not None:
            self.job.show_images(surface=picture)
        spent = time.perf_counter() - now
        trainer.exclude_time(spent)
        self._next = now + max(SURFACE_SECONDS, spent / SURFACE_FRACTION)


def write_record(path: Path, request: ReconstructRequest) -> None:
    """Keep what was asked for in the run's folder."""
    options = request.model_dump(mode="json", exclude={"out", "asset"})
    write_json(path / RECORD, {"format": RECORD_FORMAT, "options": options})


def read_record(path: Path) -> ReconstructRequest:
    """What was asked for. Raises BadInput where the folder holds no reconstruction that can be read."""
    try:
        content = json.loads((path / RECORD).read_text(encoding="utf-8"))
        if content["format"] != RECORD_FORMAT:
            raise BadInput(f"{path.name}: was made by another version of the studio")
        return ReconstructRequest(**content["options"], asset=path / f"{MODEL}.glb", out=path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path.name}: holds no reconstruction that can be read") from None


def continues(path: Path, request: ReconstructRequest) -> bool:
    """Whether the run in a folder has, or will have, the fit that a request asks for."""
    try:
        known = read_record(path)
    except BadInput:
        return False
    if not (path / "run.json").is_file():
        # Only the cameras, which depend on the photographs and the seed.
        return (known.source, known.seed) == (request.source, request.seed)
    return all(getattr(known, name) == getattr(request, name) for name in FIT_OPTIONS)
