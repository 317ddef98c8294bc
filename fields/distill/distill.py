"""Distil the field of a run into another architecture.

The command line, the studio and Python scripts all come through here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from fields.distill.objective import StagedObjective
from fields.distill.request import DistillRequest
from fields.distill.stages import Stages
from fields.distill.teacher import DISTILLED_KINDS, teacher_signal
from fields.distill.trainer import Distiller
from fields.fit.fit import Fit, build, finish, new_run, resolve_device, score
from fields.fit.objectives.base import Objective
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.models.field import Field, RadianceField
from fields.options import with_options_of
from fields.runs.run import Run, write_json
from scenes.errors import BadInput
from scenes.io.files import file_digest
from scenes.signal import Signal

# Options of a request that the functions below do not take: their arguments stand for them.
BY_ARGUMENT = ("teacher", "into", "resume", "data")


@with_options_of(DistillRequest, exclude=BY_ARGUMENT)
def distill_field(
    run: str | Path | Run,
    into: str | Method,
    *,
    callbacks: Iterable[Callable[[Trainer], None]] = (),
    **options: Any,
) -> Fit:
    """Fit a field of the method `into` to the field of a run, the teacher. The teacher's data are not needed.

    `into`: a name, or a config.
    `callbacks`: called with the trainer after each step.
    `options`: any option of `DistillRequest`, such as `seconds=60`, `params="50k"`, `settings={"width": 128}` (of the
    student's method), `stages=Stages(...)` (what is matched for how long), `share_heads=True`, `out="runs/small"`.

    The metrics of the result are against the teacher. Raises BadInput for anything the user can put right.
    """
    trainer, kept = prepare(run if isinstance(run, Run) else Run.open(Path(run)), into, **options)
    return finish(trainer, kept, callbacks)


@with_options_of(DistillRequest, exclude=BY_ARGUMENT)
def prepare(
    teacher_run: Run, into: str | Method, *, started: float | None = None, **options: Any
) -> tuple[Distiller, Run | None]:
    """The trainer of a new distillation, and its run where `out` is given; `fields.fit.fit.finish` does the rest.

    `started`: the `time.perf_counter()` from which the time budget counts. Other arguments as for `distill_field`.
    """
    if isinstance(into, Method):
        if options.get("settings"):
            raise ValueError("settings are for a method that is given by its name; this one is a config already")
        request = DistillRequest(teacher=teacher_run.path, into=into.name, **options)
        return prepare_request(teacher_run, request, method=into, started=started)
    request = DistillRequest(teacher=teacher_run.path, into=into, **options)
    return prepare_request(teacher_run, request, started=started)


def prepare_request(
    teacher_run: Run, request: DistillRequest, *, method: Method | None = None, started: float | None = None
) -> tuple[Distiller, Run | None]:
    """The trainer of the distillation that is asked for, and its run where the request has a folder.

    `method`: the config of the student, instead of the request's `into` and `settings`. `started`: as for `prepare`.
    """
    if method is None and request.into is None:
        raise BadInput("`into`: name the student's method")
    started = time.perf_counter() if started is None else started
    kind = check_teacher(teacher_run)
    device = resolve_device(request.device)
    teacher = teacher_run.load_field(str(device))
    signal = teacher_signal(teacher_run, teacher)
    config = _student(method or make_method(str(request.into), request.settings), signal)
    if request.params is not None:
        config = config.sized_field(signal.domain, signal.channels, request.params)
    steps, seconds = request.budget["steps"], request.budget["seconds"]
    signal.set_budget(seconds, steps, config.batch)
    trainer, shared = _trainer(signal, teacher, config, request, device=device, started=started)
    if request.out is None:
        return trainer, None
    stored = teacher_run.metrics()
    origin = {
        "teacher": {
            "path": str(teacher_run.path.resolve()),
            "sha256": file_digest(teacher_run.weights),
            "method": teacher_run.header["method"],
            "parameters": teacher.num_parameters,
            "bytes": teacher_run.weights.stat().st_size,
            "metrics": stored and stored["metrics"],
        },
        "shared": shared,
        "samples": signal.source["options"],
    }
    return trainer, new_run(trainer, request, kind=kind, source=teacher_run.header["source"], origin=origin)


def resume(run: Run, device: str = "auto", started: float | None = None, teacher_run: Run | None = None) -> Distiller:
    """The trainer of a distillation that was cut off, as its last checkpoint left it.

    `teacher_run`: the teacher, where it is no longer in the folder that the run's header names.
    """
    header = run.header
    if not header.get("teacher"):
        raise BadInput(f"{run.path}: was fitted to a signal, not distilled; resume it as a fit")
    teacher_run = teacher_run or Run.open(Path(header["teacher"]["path"]))
    check_teacher(teacher_run)
    if file_digest(teacher_run.weights) != header["teacher"]["sha256"]:
        raise BadInput(
            f"{teacher_run.weights}: is not the field that {run.path} was learning from, {header['teacher']['path']}, "
            "or has changed since; name the teacher of that time, or start anew"
        )
    request = DistillRequest.from_header(header)
    where = resolve_device(device)
    teacher = teacher_run.load_field(str(where))
    signal = teacher_signal(teacher_run, teacher)
    config = make_method(header["method"], header["options"])
    signal.set_budget(header["seconds"], header["steps"], config.batch)
    trainer, _ = _trainer(signal, teacher, config, request, device=where, started=started)
    run.take_up(trainer)
    return trainer


def check_data(signal: Signal, teacher_run: Run) -> None:
    """Raise BadInput where students of a run cannot be scored on a signal: other dimensions or channels."""
    header = teacher_run.header
    axes, names = len(header["domain"]["axes"]), header["channels"]["names"]
    if signal.domain.dimensions != axes:
        raise BadInput(
            f"`data={signal.source['path']}`: {signal.describe()} has {signal.domain.dimensions} dimensions, "
            f"the field of {teacher_run.path} has {axes}"
        )
    if len(signal.channels) != len(names):
        raise BadInput(
            f"`data={signal.source['path']}`: has the channels {', '.join(signal.channels.names)}; "
            f"the field of {teacher_run.path} has {', '.join(names)}"
        )


def score_on_data(run: Run, field: Field, signal: Signal) -> dict[str, float]:
    """The student's metrics on a signal of its kind; also stored in the run's `metrics.json`, under `data`."""
    check_data(signal, run)
    metrics = score(run, field, signal, exclude_training_views=True)
    write_json(
        run.path / "metrics.json",
        {**(run.metrics() or {}), "data": {"source": signal.source["path"], "metrics": metrics}},
    )
    return metrics


def check_teacher(run: Run) -> str:
    """The kind of a run that is to teach. Raises BadInput where it has no field, or its kind cannot be distilled."""
    if not run.weights.is_file():
        raise BadInput(
            f"{run.path}: has no field to learn from (no field.safetensors); finish its fit first (`resume`)"
        )
    kind = run.header["kind"]
    if kind not in DISTILLED_KINDS:
        raise BadInput(f"{run.path}: fields of the kind {kind} cannot be distilled; {', '.join(DISTILLED_KINDS)} can")
    return kind


@torch.no_grad()
def copy_network(teacher: Field, student: Field) -> list[str]:
    """Copy the teacher's tensors of networks into the student, where names and shapes agree. Returns their names."""
    own, taught = student.state_dict(), teacher.state_dict()
    names = [
        name
        for name in own
        if ("network." in name or name.startswith("head.")) and name in taught and own[name].shape == taught[name].shape
    ]
    for name in names:
        own[name].copy_(taught[name])
    return names


def _student(method: Method, signal: Signal) -> Method:
    """The prepared method of a student.

    The batch of a scene's student is smaller than a fit's, as distillation works best with it, unless it was given.
    """
    prepared = method.prepare(signal)
    if not signal.channels.is_radiance or "batch" in method.model_fields_set:
        return prepared
    from fields.distill.radiance import samples_per_step

    return prepared.model_copy(update={"batch": min(prepared.batch, samples_per_step(prepared))})


def _check_same_scene(teacher: RadianceField, student: RadianceField) -> None:
    """Raise BadInput unless the student samples rays, fills space and has a background as the teacher does."""
    if student.samples_by_proposals != teacher.samples_by_proposals:
        sampling = "proposal" if teacher.samples_by_proposals else "cells"
        raise BadInput(
            f"a student is queried at its teacher's samples, and this teacher has sampling={sampling}; "
            "leave sampling out"
        )
    if student.cascades != teacher.cascades:
        raise BadInput(
            f"a student fills the space that its teacher fills, and this teacher has cascades={teacher.cascades}; "
            "leave cascades out"
        )
    if (student.background is None) != (teacher.background is None):
        has = "no learned background" if teacher.background is None else "learned its background"
        raise BadInput(f"a student has its teacher's background, and this teacher has {has}; leave background out")


def _scene_objective(
    signal: Signal, teacher: RadianceField, student: RadianceField, loss: str, stages: Stages
) -> Objective:
    from fields.distill.radiance import RadianceDistillation
    from fields.distill.views import TeacherScene

    assert isinstance(signal, TeacherScene)
    _check_same_scene(teacher, student)
    if student.background is not None and teacher.background is not None:
        student.background.data.copy_(teacher.background)
    return RadianceDistillation(signal, teacher, student, loss, stages)


def _trainer(
    signal: Signal,
    teacher: Field,
    config: Method,
    request: DistillRequest,
    *,
    device: torch.device,
    started: float | None,
) -> tuple[Distiller, list[str]]:
    student = build(config, signal, request.seed, device)
    shared = copy_network(teacher, student) if request.share_heads else []
    if request.share_heads and not shared:
        raise BadInput(
            f"`share_heads`: no tensor of the networks of {config.name} has its name and shape in the teacher; "
            "leave it out"
        )
    if isinstance(student, RadianceField) and isinstance(teacher, RadianceField):
        objective = _scene_objective(signal, teacher, student, config.loss, request.stages)
    else:
        inner = objective_for(signal, student, config.loss, config.gradient_terms)
        # With the whole network shared, the student's features have to be the teacher's own. With a part of it, only
        # the last layers are, whose inputs are other features.
        whole = {name for name in student.state_dict() if name.startswith("network.")} == set(shared)
        objective = StagedObjective(inner, teacher, student, stages=request.stages, shared=whole, seed=request.seed)
    trainer = Distiller(
        student,
        objective,
        config,
        **request.budget,
        seed=request.seed,
        bits=request.bits,
        started=started,
    )
    return trainer, shared
