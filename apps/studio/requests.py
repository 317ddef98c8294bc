"""Requests made from what the page's controls hold. All functions raise BadInput for what the user can put right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.studio.chosen_signal import ChosenSignal
from apps.studio.controls import page_options, values_of
from apps.studio.folders import Folders
from apps.studio.method_options import settings_of
from apps.studio.photographs import ChosenPhotographs
from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.methods.registry import make_method
from fields.reconstruct.request import ReconstructRequest
from fields.runs.run import Run
from scenes.errors import BadInput

# What a student may also be scored on.
NO_DATA = "nothing"
TEACHER_DATA = "the signal of the run"
FIT_DATA = "the signal chosen under Fit"

# Options of a method as the page keeps them: {"method": its name, "texts": what was typed, by option}.
MethodState = Mapping[str, Any]


def fit_request(
    folders: Folders,
    chosen: ChosenSignal | None,
    method: str | None,
    *,
    seconds: float,
    settings: MethodState | None = None,
    mask: str | None = None,
    start: str | None = None,
    controls: Mapping[str, object] | None = None,
) -> FitRequest:
    """The fit of a chosen signal.

    `seconds`: counts where no steps are given. `start`: name of the run whose weights it begins with. `controls`:
    values of the controls of `page_options`; those that mean nothing for the kind of signal are hidden and ignored.
    """
    if not chosen or not method:
        raise BadInput("choose a signal first: an example, or a file of your own")
    values = values_of(FitRequest, _visible(controls or {}, chosen["kind"]))
    path = folders.run(start) if start else None
    if path is not None:
        own = Run.open(path).header["method"]
        if values.get("params") or own != method:
            raise BadInput(f"{start} brings its method and size: choose {own} and leave “Parameters” open")
    return FitRequest(
        source=chosen["source"],
        kind=chosen["kind"],
        method=None if path else method,
        settings=chosen_settings(method, settings),
        seconds=None if values.get("steps") else seconds,
        mask=mask,
        start=path,
        **{**chosen["loader_options"], **values},
    )


def compare_request(
    chosen: ChosenSignal | None,
    methods: Sequence[str],
    *,
    seconds: float,
    seeds: int,
    controls: Mapping[str, object] | None = None,
) -> CompareRequest:
    """The comparison of several methods on a chosen signal. `seconds`: of each fit, where no steps are given."""
    if not chosen:
        raise BadInput("choose a signal under Fit first")
    if not methods:
        raise BadInput("choose one method or more")
    values = values_of(CompareRequest, controls or {})
    return CompareRequest(
        source=chosen["source"],
        kind=chosen["kind"],
        methods=tuple(methods),
        seconds=None if values.get("steps") else seconds,
        seeds=seeds,
        **values,
    )


def distill_request(
    folders: Folders,
    teacher: str | None,
    into: str | None,
    *,
    seconds: float,
    chosen: ChosenSignal | None = None,
    data: str = NO_DATA,
    settings: MethodState | None = None,
    stages: Mapping[str, str] | None = None,
    controls: Mapping[str, object] | None = None,
) -> DistillRequest:
    """The distillation of a run, the teacher, into another method.

    `data`: what the student is also scored on, one of `NO_DATA`, `TEACHER_DATA`, `FIT_DATA` (the signal `chosen`).
    `stages`: options of the stages as they were typed; blank leaves one as it is.
    """
    if not teacher or not into:
        raise BadInput("choose a run and a method first")
    run = Run.open(folders.run(teacher))
    if data == FIT_DATA and not chosen:
        raise BadInput("choose the signal to score on under Fit first")
    sources = {TEACHER_DATA: run.header["source"]["path"], FIT_DATA: chosen["source"] if chosen else None}
    typed = {name: text.strip() for name, text in (stages or {}).items() if text and text.strip()}
    values = values_of(DistillRequest, controls or {})
    request = DistillRequest(
        teacher=run.path,
        into=into,
        settings={**chosen_settings(into, settings), **typed},
        data=sources.get(data),
        seconds=None if values.get("steps") else seconds,
        **values,
    )
    make_method(into, request.settings)
    return request


def reconstruct_request(
    chosen: ChosenPhotographs | None,
    method: str | None,
    *,
    box: Sequence[float] | None = None,
    settings: MethodState | None = None,
    controls: Mapping[str, object] | None = None,
) -> ReconstructRequest:
    """The reconstruction of chosen photographs. `box`: its six numbers; None keeps everything."""
    if not chosen:
        raise BadInput("choose photographs first: an example, or files of your own")
    values = values_of(ReconstructRequest, controls or {})
    if method:
        values |= {"method": method, "settings": chosen_settings(method, settings)}
        make_method(method, values["settings"])
    if box is not None:
        if not all(low < high for low, high in zip(box[:3], box[3:])):
            raise BadInput("the crop box is empty: each “from” should be less than its “to”")
        values["box"] = tuple(box)
    # The asset's place is the run's folder, which is not known yet.
    return ReconstructRequest(source=chosen["source"], asset=Path("model.glb"), **values)


def chosen_settings(method: str, state: MethodState | None) -> dict[str, object]:
    """The options that were set for a method; none where the state is of another method."""
    if not state or state.get("method") != method:
        return {}
    return settings_of(method, state["texts"])


def _visible(controls: Mapping[str, object], kind: str) -> dict[str, object]:
    """The values of controls that are shown for a kind of signal."""
    shown = {option.name for option in page_options(FitRequest) if option.applies_to(kind)}
    return {name: value for name, value in controls.items() if name in shown}
