"""From a run to a field of another architecture; the command line, the studio and Python scripts all come through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from fields.distill.objective import StagedObjective
from fields.distill.request import DistillRequest
from fields.distill.teacher import KINDS, teacher_signal
from fields.distill.trainer import Distiller
from fields.fit.fit import Fit, build, finish, new_run, resolve_device, score
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.methods.base import Method
from fields.methods.radiance import sized_field
from fields.methods.registry import make_method
from fields.models.field import Field, RadianceField
from fields.options import with_options_of
from fields.runs.run import Run, write_json
from scenes.errors import BadInput
from scenes.io.files import file_digest
from scenes.signal import Signal

# Options of a request that are given by the arguments of the functions below.
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
        config = sized_field(config, signal.domain, signal.channels, request.params)
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
        raise BadInput(f"{run.path}: was fitted to a signal, not distilled; continue it as a fit")
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
    if run.checkpoint.is_file():
        run.load_checkpoint(trainer)
    run.write_header(status="running")
    return trainer


def check_data(signal: Signal, teacher_run: Run) -> None:
    """BadInput where students of a run cannot be scored on a signal."""
    header = teacher_run.header
    axes, names = len(header["domain"]["axes"]), header["channels"]["names"]
    if signal.domain.dimensions != axes:
        raise BadInput(
            f"--data {signal.source['path']}: {signal.describe()} has {signal.domain.dimensions} dimensions, the field of {teacher_run.path} has {axes}"
        )
    if len(signal.channels) != len(names):
        raise BadInput(
            f"--data {signal.source['path']}: has the channels {', '.join(signal.channels.names)}; the field of {teacher_run.path} has {', '.join(names)}"
        )


def score_on_data(run: Run, field: Field, signal: Signal) -> dict[str, float]:
    """The student's metrics on a signal of its kind; they go into the run's `metrics.json` beside those against the teacher."""
    check_data(signal, run)
    metrics = score(run, field, signal, exclude_training_views=True)
    write_json(
        run.path / "metrics.json", {**run.metrics(), "data": {"source": signal.source["path"], "metrics": metrics}}
    )
    return metrics


def check_teacher(run: Run) -> str:
    """The run's kind; BadInput where it has no field to learn from, or of a kind that cannot be distilled."""
    if not run.weights.is_file():
        raise BadInput(
            f"{run.path}: was never fitted (it has no field.safetensors); end the fit first: fit-a-scene fit --resume --out {run.path}"
        )
    kind = run.header["kind"]
    if kind not in KINDS:
        raise BadInput(f"{run.path}: fields of the kind {kind} cannot be distilled; {', '.join(KINDS)} can")
    return kind


@torch.no_grad()
def share(teacher: Field, student: Field) -> list[str]:
    """Copies the network's tensors where names and shapes agree, and names them."""
    own, given = student.state_dict(), teacher.state_dict()
    names = [
        name
        for name in own
        if ("network." in name or name.startswith("head.")) and name in given and own[name].shape == given[name].shape
    ]
    for name in names:
        own[name].copy_(given[name])
    return names


def _student(method: Method, signal: Signal) -> Method:
    """The prepared method; where its options say nothing of a step's samples, a radiance student's are as few as it learns from best."""
    prepared = method.prepare(signal)
    if signal.kind != "radiance" or "batch" in method.model_fields_set:
        return prepared
    from fields.distill.radiance import samples_a_step

    return prepared.model_copy(update={"batch": min(prepared.batch, samples_a_step(prepared))})


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
    shared = share(teacher, student) if request.share_heads else []
    if request.share_heads and not shared:
        raise BadInput(
            f"--share-heads: no tensor of the networks of {config.name} has a namesake of its shape in the teacher; leave it out"
        )
    if isinstance(student, RadianceField):
        from fields.distill.radiance import TaughtRadiance

        if (student.guide is None) != (teacher.guide is None):
            how = "cells" if teacher.guide is None else "proposal"
            raise BadInput(
                f"a student is asked at its teacher's samples, and this teacher has sampling={how}; leave sampling out"
            )
        if student.levels != teacher.levels:
            raise BadInput(
                f"a student fills what its teacher does, and this teacher has cubes={teacher.levels}; leave cubes out"
            )
        if (student.background is None) != (teacher.background is None):
            has = "no learned background" if teacher.background is None else "learned its background"
            raise BadInput(f"a student has its teacher's background, and this teacher has {has}; leave background out")
        if student.background is not None:
            student.background.data.copy_(teacher.background)
        objective = TaughtRadiance(signal, teacher, student, config.loss, request.stages)
    else:
        inner = objective_for(signal, student, config.loss, config.gradient_terms)
        # A head that was shared whole looks at the teacher's own features; of one that was shared in part, only the layers near its end.
        whole = {name for name in student.state_dict() if name.startswith("network.")} == set(shared)
        objective = StagedObjective(inner, teacher, student, request.stages, whole, request.seed)
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
