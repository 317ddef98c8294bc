"""Convert the field of a run into another architecture, without the data that it was fitted to.

The run is the teacher. A new field of the method --into learns the teacher's features first, then its values, and of a
shape its normals. The result is a run like any other. Its metrics are against the teacher; --data also scores it on a
signal.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.fit import summary
from apps.cli.flags import add_flags, read_request
from apps.cli.interrupt import stop_on_signals
from apps.cli.messages import command_line
from fields.distill.request import DistillRequest
from fields.distill.stages import Stages
from fields.methods.registry import make_method
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.distill.trainer import Distiller
    from fields.runs.run import Run
    from scenes.signal import Signal

HELP = "convert a run's field into another architecture"
EPILOG = f"""\
examples:
  fit-a-scene distill runs/photo --into siren --seconds 60
  fit-a-scene distill runs/photo --into hashgrid --params 50k --bits 8     a smaller copy
  fit-a-scene distill runs/photo --into siren --data photo.jpg             also score on the photograph
  fit-a-scene distill runs/photo --into siren --out runs/small --resume    if it was cut off
--set also takes the options of the stages:
{chr(10).join(f"  {name}={field.default:.4g}  {field.description}" for name, field in Stages.model_fields.items())}
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, DistillRequest)


def run(options: argparse.Namespace) -> dict:
    request = read_request(DistillRequest, options)
    if request.resume:
        _check_resume(request)
    elif not request.into:
        raise BadInput("`into`: name the student's method; `fit-a-scene methods` lists them")
    else:
        # Report a wrong option before torch is loaded.
        make_method(request.into, request.settings)

    from apps.cli.work_progress import WorkProgress

    with WorkProgress("distill", options) as shown:
        import torch  # noqa: F401  (importing packages does not count towards the time budget)

        from apps.cli.progress import FitProgress
        from fields.distill import distill as distilling
        from fields.fit.fit import finish
        from fields.runs.run import Run

        shown.begin("preparing")
        started = time.perf_counter()
        teacher = Run.open(Path(str(request.teacher)))
        data = None
        if request.resume:
            run = Run.open(Path(str(request.out)))
            if run.header["status"] == "finished":
                print(f"{run.path} is finished already", file=sys.stderr)
                return report(run)
            trainer = distilling.resume(run, request.device, started, teacher)
        else:
            trainer, run, data = _begin(request, teacher, started)
    _print_start(run, trainer)
    with stop_on_signals(trainer), FitProgress(trainer.objective.signal, trainer, run) as progress:
        result = finish(trainer, run, [progress])
    if not result.finished:
        print(
            f"stopped at step {result.steps}; "
            f"continue with: {command_line('distill', request.teacher, '--out', run.path, '--resume')}",
            file=sys.stderr,
        )
        return {**report(run), "interrupted": True}
    if data is not None:
        for name, value in distilling.score_on_data(run, result.field, data).items():
            print(f"on {request.data}: {name} {value:.4g}", file=sys.stderr)
    return report(run)


def _begin(request: DistillRequest, teacher: Run, started: float) -> tuple[Distiller, Run, Signal | None]:
    from apps.cli.sources import default_out
    from fields.distill import distill as distilling
    from fields.fit.fit import load_like

    data = load_like(request.data, teacher) if request.data else None
    if data is not None:
        # Report data that do not fit before the work, not after it.
        distilling.check_data(data, teacher)
    out = request.out or default_out(f"{teacher.path.name}-{request.into}")
    trainer, run = distilling.prepare_request(teacher, request.model_copy(update={"out": out}), started=started)
    assert run is not None
    return trainer, run, data


def _check_resume(request: DistillRequest) -> None:
    if not request.out:
        raise BadInput("`resume`: name the folder of the distillation with `out`")
    if changes := request.changes():
        names = ", ".join(f"`{option.name}`" for option in changes)
        raise BadInput(f"`resume` continues a distillation as it was; leave out {names}")


def report(run: Run) -> dict:
    """The report that `--json` prints: the student's summary, its teacher, and its scores on data."""
    header, stored = run.header, run.metrics() or {}
    if not header.get("teacher"):
        return summary(run)
    return {
        **summary(run),
        "teacher": header["teacher"],
        "stages": header["stages"],
        "shared": header["shared"],
        "data": stored.get("data"),
    }


def _print_start(run: Run, trainer: Distiller) -> None:
    teacher, shared = run.header["teacher"], run.header["shared"]
    print(
        f"teacher: {teacher['method']}, {teacher['parameters']:,} parameters, {teacher['bytes']:,} bytes; "
        f"stages: {', '.join(trainer.staged.available)}",
        file=sys.stderr,
    )
    if shared:
        print(f"shared: {', '.join(shared)}", file=sys.stderr)
