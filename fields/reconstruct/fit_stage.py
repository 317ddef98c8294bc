"""The first stages: cameras of the photographs where they have none, and the fit of a field."""

from __future__ import annotations

import time
from pathlib import Path

from fields.export.scene_assets.reports import Reports
from fields.fit import fit as fitting
from fields.fit.request import FitRequest
from fields.fit.trainer import Trainer
from fields.reconstruct.request import METHOD, METHOD_WITHOUT_SILHOUETTES, ReconstructRequest
from fields.runs.run import Run, has_fit
from scenes.errors import BadInput
from scenes.posed.signal import RadianceScene

# Cells along a side of the grid in which a place for the object is looked for.
HULL_CELLS = 32
# Options of a surface that is fitted in fewer seconds than SHORT: in a hundred steps fine levels learn noise alone.
SHORT = 20.0
SHORT_SETTINGS = {
    "levels": 6,
    "growth": 1.35,
    "first_levels": 4,
    "start_sharpness": 80.0,
    "end_sharpness": 400.0,
    "first_eikonal": 0.1,
    "eikonal": 0.1,
}
# Seconds between reports.
REPORT_SECONDS = 0.25


def fit_request(request: ReconstructRequest, source: str, seconds: float) -> FitRequest:
    """The fit of a reconstruction."""
    return FitRequest(
        source=source,
        kind="radiance",
        method=request.method,
        settings=request.settings,
        steps=request.steps,
        seconds=None if request.steps else seconds,
        seed=request.seed,
        device=request.device,
        out=request.out,
        background=request.background,
        unbounded=request.unbounded,
        orientation=request.orientation,
        pose_convention=request.pose_convention,
    )


def check_same(run: Run, request: ReconstructRequest) -> None:
    """Raise BadInput where a run that is to be continued was fitted in another way than is asked for."""
    header = run.header
    given = {"method": request.method, "seed": request.seed}
    for name, value in given.items():
        if value is not None and header.get(name, value) != value:
            raise BadInput(
                f"`out={run.path}`: holds a fit with `{name}={header[name]}`, not {value}; give another folder"
            )
    for name, value in request.settings.items():
        stored = header["options"].get(name)
        if str(stored) != str(value):
            raise BadInput(f"`out={run.path}`: holds a fit with {name}={stored}, not {value}; give another folder")


class FitReports:
    """A callback of the trainer that reports how far the fit is."""

    def __init__(self, reports: Reports) -> None:
        self.reports = reports
        self._next = 0.0

    def __call__(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now < self._next:
            return
        self._next = now + REPORT_SECONDS
        if trainer.total:
            done = trainer.index / trainer.total
        else:
            done = min(1.0, trainer.elapsed / trainer.seconds) if trainer.seconds else 0.0
        name, value = trainer.objective.running_quality(trainer.loss)
        quality = f"{name.replace('_', ' ')} {value:.1f} dB" if name.endswith("psnr") else f"loss {value:.3g}"
        self.reports.fraction(done, f"step {trainer.index:,}  {quality}")


def open_or_begin(
    request: ReconstructRequest, signal: RadianceScene, source: str, seconds: float, started: float
) -> tuple[Trainer | None, Run]:
    """The trainer of a scene's fit (None where the fit is finished), and the run, which is new or continued.

    source: what the scene was opened from. seconds: budget of a new fit, from `started` on.
    """
    assert request.out is not None
    if has_fit(request.out):
        run = Run.open(request.out)
        if run.header["status"] == "finished":
            return None, run
        return fitting.resume(signal, run, request.device, started), run
    asked = fit_request(request, source, seconds)
    if asked.method is None:
        asked = asked.model_copy(update={"method": default_method(signal)})
    if asked.method == METHOD and asked.seconds is not None and asked.seconds < SHORT:
        asked = asked.model_copy(update={"settings": SHORT_SETTINGS | asked.settings})
    trainer, made = fitting.prepare_request(signal, asked, started=started)
    assert made is not None
    return trainer, made


def open_scene(request: ReconstructRequest, source: str) -> RadianceScene:
    """The scene of a source; that of the run, where it was begun already. Raises BadInput for what is no such scene."""
    assert request.out is not None
    if has_fit(request.out):
        run = Run.open(request.out)
        check_same(run, request)
        return _scene(fitting.reopen(run), run.path)
    scene = _scene(fit_request(request, source, 1.0).load(), Path(source))
    check_shows_object(scene, source)
    return scene


def check_shows_object(scene: RadianceScene, source: str) -> None:
    """Raise BadInput where the silhouettes of an object are known and leave no place for it."""
    empty = scene.hull_cells(HULL_CELLS)
    if empty is None or not empty.all():
        return
    if not scene.has_alpha:
        raise BadInput(
            f"{source}: the photographs show nothing but one color, or an object of that color; put something else "
            "behind it, or give masks"
        )
    raise BadInput(
        f"{source}: no place is in the silhouettes of all photographs that should show it: the cameras do not look at "
        "one thing, or the poses are wrong"
    )


def default_method(scene: RadianceScene) -> str:
    """The method that measures best on a scene: one with a surface where silhouettes show what is empty."""
    return METHOD if scene.has_silhouettes and not scene.unbounded else METHOD_WITHOUT_SILHOUETTES


def _scene(signal: object, path: Path) -> RadianceScene:
    if not isinstance(signal, RadianceScene):
        raise BadInput(f"{path}: is no scene of photographs")
    if signal.moving:
        raise BadInput(f"{path}: the scene moves, and a mesh stands still; `export` writes one of its moments")
    return signal
