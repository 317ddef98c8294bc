"""From a run to a field of another architecture; the command line, the studio and Python scripts all come through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from fields.distill.objective import StagedObjective
from fields.distill.stages import Stages
from fields.distill.teacher import KINDS, teacher_signal
from fields.distill.trainer import Distiller
from fields.fit.fit import DEFAULT_SECONDS, Fit, build, finish, new_run, resolve_device, score
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.methods.base import Method
from fields.methods.radiance import sized_field
from fields.methods.registry import make_method
from fields.models.field import Field, RadianceField
from fields.runs.run import Run, write_json
from scenes.errors import BadInput
from scenes.io.files import file_digest
from scenes.signal import Signal


def distill_field(
    run: str | Path | Run,
    into: str | Method,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    parameters: int | None = None,
    seed: int = 0,
    device: str = "auto",
    bits: int = 32,
    out: str | Path | None = None,
    options: dict[str, object] | None = None,
    stages: Stages | None = None,
    share_heads: bool = False,
    callbacks: Iterable[Callable[[Trainer], None]] = (),
) -> Fit:
    """Fits a field of the method `into` to the field of a run, which is all that is looked at: the data may be gone.

    The budget is as in `fields.fit_field`. `stages` says how long what is matched. `share_heads` copies the teacher's tensors into the
    student where names and shapes agree, tables excepted. The result's metrics are against the teacher. Raises BadInput for anything that
    the user can put right.
    """
    trainer, kept = prepare(
        run if isinstance(run, Run) else Run.open(Path(run)),
        into,
        steps=steps,
        seconds=seconds,
        parameters=parameters,
        seed=seed,
        device=device,
        bits=bits,
        out=out,
        options=options,
        stages=stages,
        share_heads=share_heads,
    )
    return finish(trainer, kept, callbacks)


def prepare(
    teacher_run: Run,
    into: str | Method,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    parameters: int | None = None,
    seed: int = 0,
    device: str = "auto",
    bits: int = 32,
    out: str | Path | None = None,
    options: dict[str, object] | None = None,
    stages: Stages | None = None,
    share_heads: bool = False,
    started: float | None = None,
) -> tuple[Distiller, Run | None]:
    """The trainer of a new distillation, and its run folder if `out` is given; `fields.fit.fit.finish` does the rest."""
    started = time.perf_counter() if started is None else started
    if steps is None and seconds is None:
        seconds = DEFAULT_SECONDS
    stages = stages or Stages()
    kind = check_teacher(teacher_run)
    where = resolve_device(device)
    teacher = teacher_run.load_field(str(where))
    signal = teacher_signal(teacher_run, teacher)
    config = _student(make_method(into, options) if isinstance(into, str) else into, signal)
    if parameters is not None:
        config = sized_field(config, signal.domain, signal.channels, parameters)
    signal.set_budget(seconds, steps, config.batch)
    trainer, shared = _trainer(signal, teacher, config, stages, share_heads, steps, seconds, seed, bits, where, started)
    if out is None:
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
        "stages": stages.model_dump(),
        "share_heads": share_heads,
        "shared": shared,
        "samples": signal.source["options"],
    }
    return trainer, new_run(Path(out), trainer, kind, teacher_run.header["source"], steps, seconds, origin)


def resume(run: Run, device: str = "auto", started: float | None = None, teacher_run: Run | None = None) -> Distiller:
    """The trainer of a distillation that was cut off, where its last checkpoint left it; `teacher_run`: where its teacher is by now."""
    header = run.header
    if not header.get("teacher"):
        raise BadInput(
            f"{run.path}: was fitted to a signal; continue it with fit-a-scene fit --resume --out {run.path}"
        )
    teacher_run = teacher_run or Run.open(Path(header["teacher"]["path"]))
    check_teacher(teacher_run)
    if file_digest(teacher_run.weights) != header["teacher"]["sha256"]:
        raise BadInput(
            f"{teacher_run.weights}: is not the field that {run.path} was learning from, {header['teacher']['path']}, or has changed since; "
            "name the one of then, or start anew"
        )
    where = resolve_device(device)
    teacher = teacher_run.load_field(str(where))
    signal = teacher_signal(teacher_run, teacher)
    config = make_method(header["method"], header["options"])
    signal.set_budget(header["seconds"], header["steps"], config.batch)
    trainer, _ = _trainer(
        signal,
        teacher,
        config,
        Stages(**header["stages"]),
        header["share_heads"],
        header["steps"],
        header["seconds"],
        header["seed"],
        header["bits"],
        where,
        started,
    )
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
    metrics = score(run, field, signal, other=True)
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
    signal,
    teacher: Field,
    config: Method,
    stages: Stages,
    share_heads: bool,
    steps: int | None,
    seconds: float | None,
    seed: int,
    bits: int,
    device: torch.device,
    started: float | None,
) -> tuple[Distiller, list[str]]:
    student = build(config, signal, seed, device)
    shared = share(teacher, student) if share_heads else []
    if share_heads and not shared:
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
        objective = TaughtRadiance(signal, teacher, student, config.loss, stages)
    else:
        inner = objective_for(signal, student, config.loss, config.gradient_terms)
        # A head that was shared whole looks at the teacher's own features; of one that was shared in part, only the layers near its end.
        whole = {name for name in student.state_dict() if name.startswith("network.")} == set(shared)
        objective = StagedObjective(inner, teacher, student, stages, whole, seed)
    trainer = Distiller(
        student,
        objective,
        config,
        steps=steps,
        seconds=None if steps else seconds,
        seed=seed,
        bits=bits,
        started=started,
    )
    return trainer, shared
