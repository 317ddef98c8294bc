"""Fit a field to a signal. The command line, the studio and Python scripts all come through here.

    result = fit_field(scenes.load("photo.jpg"), "siren", seconds=10, settings={"width": 128})

`prepare` and `finish` are its two halves, for those who want the trainer in between; `resume` continues a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

import scenes
from fields.fit.accelerators import check_device
from fields.fit.callbacks import Checkpointer, History, Previewer
from fields.fit.estimate import refuse_too_large
from fields.fit.fresh import apply_fresh, save_spectra
from fields.fit.objectives.base import Objective
from fields.fit.pace import pace_of, paced
from fields.fit.request import SAMPLES, FitRequest, RunRequest
from fields.fit.scoring import ScoredPart
from fields.fit.trainer import Trainer
from fields.kinds import default_method, objective_for
from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.ops.devices import resolve_device
from fields.options import options_of, with_options_of
from fields.runs.machine import machine, versions
from fields.runs.run import Run
from fields.runs.storage import decode_state, stored_state
from scenes.errors import BadInput
from scenes.signal import Signal

# Options of a request that the functions below do not take: their arguments stand for them, or the signal was loaded
# with them already.
BY_ARGUMENT = (
    "source",
    "kind",
    "method",
    "resume",
    "plan",
    "tensorboard",
    *(option.name for option in options_of(FitRequest) if option.section == SAMPLES),
)


@dataclass
class Fit:
    """Result of a fit.

    `field`: the fitted field, with the weights that were stored. `metrics`: its scores. `finished`: False where the
    fit was stopped early. `run`: its folder, None if it was not kept. `scored`: what the scores are of, where the time
    did not suffice for all.
    """

    field: Field
    method: Method
    metrics: dict[str, float]
    steps: int
    seconds: float
    finished: bool
    run: Run | None
    scored: ScoredPart | None = None


@with_options_of(FitRequest, exclude=BY_ARGUMENT)
def fit_field(
    signal: Signal,
    method: str | Method | None = None,
    *,
    callbacks: Iterable[Callable[[Trainer], None]] = (),
    started: float | None = None,
    **options: Any,
) -> Fit:
    """Fit a field to `signal` and score it.

    `method`: a name, or a config; by default the method of the signal's kind.
    `callbacks`: called with the trainer after each step.
    `started`: the `time.perf_counter()` from which the time budget counts; by default now.
    `options`: any option of `FitRequest`, such as `seconds=10`, `steps=2000`, `params="200k"`, `seed=1`, `bits=8`,
    `settings={"width": 128}` (options of the method), `out="runs/mine"` (keep the run in this folder).

    Raises BadInput for anything the user can put right.
    """
    started = time.perf_counter() if started is None else started
    trainer, run = prepare(signal, method, started=started, **options)
    return finish(trainer, run, callbacks)


@with_options_of(FitRequest, exclude=BY_ARGUMENT)
def prepare(
    signal: Signal, method: str | Method | None = None, *, started: float | None = None, **options: Any
) -> tuple[Trainer, Run | None]:
    """The trainer of a new fit, and its run where `out` is given. Arguments as for `fit_field`."""
    if isinstance(method, Method):
        if options.get("settings"):
            raise ValueError("settings are for a method that is given by its name; this one is a config already")
        return prepare_request(signal, FitRequest(method=method.name, **options), method=method, started=started)
    return prepare_request(signal, FitRequest(method=method, **options), started=started)


def prepare_request(
    signal: Signal, request: FitRequest, *, method: Method | None = None, started: float | None = None
) -> tuple[Trainer, Run | None]:
    """The trainer of the fit that is asked for, and its run where the request has a folder.

    `method`: the config to use instead of the request's method and settings. `started`: as for `fit_field`.
    """
    if request.resume:
        raise ValueError("this begins a new fit; continue a run with `fields.fit.fit.resume`")
    start = Run.open(request.start) if request.start else None
    config = method or _method_of(request, signal, start)
    config = _sized(config.prepare(signal), signal, request)
    fresh = choice = None
    if request.init == "fresh":
        if request.params is not None and config.size_by_frequency:
            raise BadInput(
                f"`init=fresh` chooses the {config.frequency_option} of {config.name}, which `params` solves; "
                "give one of them"
            )
        config, fresh, choice = apply_fresh(config, signal)
        # Another number of octaves changes the number of inputs, and so the size.
        config = _sized(config, signal, request)
    request = request.model_copy(update={"between": _between(config, signal, request)})
    steps, seconds = request.budget["steps"], request.budget["seconds"]
    signal.set_budget(seconds, steps, config.batch)
    if seconds is not None and method is None and start is None:
        config = _paced(config, signal, request, seconds)
    trainer = _trainer(signal, config, request, device=resolve_device(request.device), started=started)
    if start is not None:
        _take_weights(trainer.field, start)
    if request.out is None:
        return trainer, None
    run = new_run(trainer, request, kind=signal.kind, source=signal.source, origin={"init": fresh})
    if choice is not None and fresh is not None:
        save_spectra(choice, fresh["option"], run.path / "fresh.png")
    return trainer, run


def new_run(trainer: Trainer, request: RunRequest, *, kind: str, source: dict, origin: dict[str, Any]) -> Run:
    """Create the folder of a fit that is about to begin.

    Its header holds the request, with what was decided since (the resolved options of the method, the device ...),
    and `origin`, which says where the fit comes from.
    """
    field, config = trainer.field, trainer.method
    assert request.out is not None
    header = {
        "status": "running",
        **request.to_header(),
        **request.budget,
        "kind": kind,
        "source": source,
        "domain": field.domain.to_json(),
        "channels": field.channels.to_json(),
        "method": config.name,
        "options": config.model_dump(),
        "parameters": field.num_parameters,
        **origin,
        "device": str(trainer.device),
        "backend": field.backend,
        "fused": trainer.fused,
        "matmul_dtype": trainer.matmul_dtype,
        "threads": torch.get_num_threads(),
        "machine": machine(),
        "versions": versions(),
    }
    run = Run.create(request.out, header)
    trainer.objective.save_sidecar(run.path)
    return run


def reopen(run: Run) -> Signal:
    """The signal a run was begun on. Raises BadInput where its file is gone or has changed."""
    return scenes.reopen(run.header["kind"], run.header["source"])


def load_like(path: str, run: Run) -> Signal:
    """Another signal of a run's kind, read as the run's own was: background and convention of the views of a scene."""
    own = run.header["source"].get("options", {})
    kept = {name: own[name] for name in ("background", "orientation", "pose_convention") if own.get(name)}
    return scenes.load(path, run.header["kind"], **kept)


def score(
    run: Run,
    field: Field,
    signal: Signal,
    *,
    exclude_training_views: bool,
    begin: Callable[[float], None] | None = None,
) -> dict[str, float]:
    """Metrics of a run's field on a signal of its kind, in the field's own units, and the field's diagnostics.

    `exclude_training_views`: of a scene that shares views with the run's own, score only the others. `begin`: called
    with the seconds that scoring is expected to take, before it begins.
    Raises BadInput where the signal's channels are not the field's.
    """
    if len(signal.channels) != len(field.channels):
        raise BadInput(
            f"{signal.source['path']} has the channels {', '.join(signal.channels.names)}; "
            f"the field has {', '.join(field.channels.names)}"
        )
    signal.rescale_to(field.channels)
    objective = objective_for(signal, field, run.header["options"]["loss"])
    if exclude_training_views:
        objective.exclude_training_views(run)
    if begin is not None:
        begin(objective.evaluation_seconds(field))
    return objective.evaluate(field) | field.diagnostics()


def resume(signal: Signal, run: Run, device: str = "auto", started: float | None = None) -> Trainer:
    """The trainer of a run that was cut off, as its last checkpoint left it; at step 0 if there is no checkpoint yet.

    `signal`: the signal of the run (`reopen`). `started`: as for `fit_field`.
    """
    request = FitRequest.from_header(run.header)
    # All options are decided already; `prepare` places what depends on the signal, such as kernels.
    config = make_method(run.header["method"], run.header["options"]).prepare(signal)
    trainer = _trainer(signal, config, request, device=resolve_device(device), started=started)
    run.take_up(trainer)
    began = run.header.get("matmul_dtype", trainer.matmul_dtype)
    if began != trainer.matmul_dtype:
        trainer.remarks.append(
            f"the run began on a processor with matrix products in {began} and goes on in {trainer.matmul_dtype}: "
            "its result is not the one that it would have had there"
        )
    return trainer


def finish(trainer: Trainer, run: Run | None, callbacks: Iterable[Callable[[Trainer], None]] = ()) -> Fit:
    """Run the trainer to its end or until it is stopped, score the field, and write the run's files."""
    if run is not None:
        trainer.callbacks += [History(run), Checkpointer(run), Previewer(run)]
    trainer.callbacks += callbacks
    trainer.run()
    field = trainer.field
    if run is not None:
        # Before the weights are rounded to what is stored.
        run.save_checkpoint(trainer)
    field.load_state_dict(decode_state(stored_state(field, trainer.bits)))
    metrics = trainer.objective.evaluate(field, trainer.scoring_seconds) | field.diagnostics()
    result = Fit(
        field=field,
        method=trainer.method,
        metrics=metrics,
        steps=trainer.index,
        seconds=trainer.elapsed,
        finished=trainer.done,
        run=run,
        scored=trainer.objective.scored,
    )
    if run is not None:
        _save_result(trainer, run, result)
    return result


def _details(trainer: Trainer) -> dict[str, Any]:
    """What `metrics.json` holds besides the metrics of an evaluation."""
    details = trainer.objective.details()
    remarks = [*trainer.remarks, *details.get("remarks", [])]
    return {**details, **({"remarks": remarks} if remarks else {})}


def _save_result(trainer: Trainer, run: Run, result: Fit) -> None:
    run.save_field(result.field, result.method, trainer.bits)
    run.save_metrics(
        {
            "metrics": result.metrics,
            "parameters": result.field.num_parameters,
            "bytes": run.weights.stat().st_size,
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            **_details(trainer),
        }
    )
    trainer.objective.save_preview(result.field, run.path / "preview.png")
    run.write_header(
        status="finished" if result.finished else "stopped",
        steps=trainer.total or trainer.index,
        steps_done=trainer.index,
        # With it, a repetition in steps goes through the same schedule.
        plan=[] if trainer.plan.even else trainer.plan.decisions,
    )


def build(config: Method, signal: Signal, seed: int, device: torch.device) -> Field:
    """The untrained field of a prepared config. Raises BadInput where memory does not suffice to train it."""
    refuse_too_large(config.count_parameters(signal.domain, signal.channels))
    return config.build_field(signal.domain, signal.channels, seed).to(device)


def _method_of(request: FitRequest, signal: Signal, start: Run | None) -> Method:
    if start is not None:
        return make_method(start.header["method"], {**start.header["options"], **request.settings})
    return make_method(request.method or default_method(signal.kind), request.settings)


def _sized(config: Method, signal: Signal, request: RunRequest) -> Method:
    if request.params is None:
        return config
    return config.sized_field(signal.domain, signal.channels, request.params)


def _paced(config: Method, signal: Signal, request: FitRequest, seconds: float) -> Method:
    """`config` with the batch and the learning rates for this time, where they are open."""
    if pace_of(config, signal) is None or "batch" in request.settings:
        return config
    field = build(config, signal, request.seed, resolve_device(request.device))
    objective = _objective(signal, field, config, request)
    return paced(config, field, objective, seconds=seconds, given=request.settings)


def _between(config: Method, signal: Signal, request: FitRequest) -> float:
    """Fraction of each batch that lies between samples. Raises BadInput where there is nothing between them."""
    if request.between is None:
        return 0.0 if signal.lattice is None else config.between_samples(signal)
    if request.between and signal.lattice is None:
        raise BadInput(
            f"`between={request.between:g}`: this {signal.kind} has no regular lattice of samples that are all fitted; "
            "leave out `held_out`, or `between`"
        )
    return request.between


def _objective(signal: Signal, field: Field, config: Method, request: FitRequest) -> Objective:
    """The objective of the fit that is asked for. Raises BadInput where it fits no points between samples."""
    objective = objective_for(signal, field, config.loss, config.gradient_terms)
    if request.between:
        if not objective.takes_points:
            raise BadInput(f"`between={request.between:g}`: method {config.name} is fitted to whole frames, not points")
        objective.between = request.between
    return objective


def _take_weights(field: Field, start: Run) -> None:
    weights = start.load_field().state_dict()
    own = field.state_dict()
    wrong = [name for name in own if name not in weights or own[name].shape != weights[name].shape]
    if wrong:
        raise BadInput(
            f"`start={start.path}`: its {wrong[0]} is {_shape(weights.get(wrong[0]))}, here it would be "
            f"{_shape(own[wrong[0]])}; a run of the same method, size and channels is needed"
        )
    field.load_state_dict(weights)


def _shape(tensor: torch.Tensor | None) -> str:
    return "absent" if tensor is None else " x ".join(str(n) for n in tensor.shape)


def _trainer(
    signal: Signal, config: Method, request: FitRequest, *, device: torch.device, started: float | None
) -> Trainer:
    check_device(config, signal, device)
    field = build(config, signal, request.seed, device)
    return Trainer(
        field,
        _objective(signal, field, config, request),
        config,
        **request.budget,
        seed=request.seed,
        bits=request.bits,
        keep_fraction=request.keep_fraction,
        plan=request.plan,
        started=started,
    )
