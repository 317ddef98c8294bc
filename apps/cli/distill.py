"""Convert the field of a run into another architecture, without the data that it was fitted to.

The run is the teacher: a new field of the method --into learns its features, then its values, and (shapes) its normals. The result is a run like
any other. Metrics are against the teacher; --data also scores on a signal.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from apps.cli import types
from apps.cli.fit import stop_on_signals, summary
from fields.distill.stages import Stages
from fields.methods.registry import make_method
from scenes.errors import BadInput

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
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the teacher's folder")
    parser.add_argument("--into", metavar="METHOD", help="the student's method")
    parser.add_argument(
        "--params", type=types.count, metavar="N", help="numbers the student may hold, met to within 3 %%"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        type=types.setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set an option of the student's method, or of the stages",
    )
    parser.add_argument(
        "--bits", type=int, default=32, choices=(8, 16, 32), help="store weights in so many bits (default 32)"
    )
    parser.add_argument(
        "--share-heads",
        action="store_true",
        help="begin with the teacher's network where names and shapes agree; what was taken is reported",
    )
    parser.add_argument("--steps", type=types.count, metavar="N", help="train for N steps")
    parser.add_argument("--seconds", type=types.positive, metavar="S", help="be done in S seconds (default 30)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument(
        "--seed", type=types.natural, default=0, metavar="N", help="same seed, same student (default 0)"
    )
    parser.add_argument("--data", metavar="SOURCE", help="also score on this signal")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the student's folder (default runs/NAME-METHOD)")
    parser.add_argument(
        "--resume", action="store_true", help="continue the distillation in --out from its last checkpoint"
    )


def run(options: argparse.Namespace) -> dict:
    if options.steps and options.seconds:
        raise BadInput("--steps and --seconds: give one of the two")
    if options.resume:
        given = {
            "--into": options.into,
            "--params": options.params,
            "--set": options.settings,
            "--steps": options.steps,
            "--seconds": options.seconds,
            "--share-heads": options.share_heads,
            "--data": options.data,
        }
        if not options.out:
            raise BadInput("--resume: name the folder of the distillation with --out")
        if wrong := [flag for flag, value in given.items() if value]:
            raise BadInput(f"--resume continues a distillation as it was; leave out {', '.join(wrong)}")
    elif not options.into:
        raise BadInput("--into: name the student's method; `fit-a-scene methods` lists them")
    else:
        stages, settings = split(dict(options.settings))
        make_method(options.into, settings)  # a wrong option is told before torch is loaded

    import torch  # noqa: F401  (importing packages does not count towards the time budget)

    from apps.cli.progress import FitProgress
    from apps.cli.sources import default_out
    from fields.distill import distill as distilling
    from fields.fit.fit import finish, open_other
    from fields.runs.run import Run

    started = time.perf_counter()
    if options.resume:
        kept = Run.open(options.out)
        if kept.header["status"] == "finished":
            print(f"{kept.path} is finished already", file=sys.stderr)
            return report(kept)
        data = None
        trainer = distilling.resume(kept, options.device, started, Run.open(options.run_folder))
    else:
        teacher = Run.open(options.run_folder)
        # Told before the work, not after it.
        data = open_other(options.data, teacher) if options.data else None
        if data is not None:
            distilling.check_data(data, teacher)
        trainer, kept = distilling.prepare(
            teacher,
            options.into,
            steps=options.steps,
            seconds=options.seconds,
            parameters=options.params,
            seed=options.seed,
            device=options.device,
            bits=options.bits,
            out=options.out or default_out(f"{teacher.path.name}-{options.into}"),
            options=settings,
            stages=stages,
            share_heads=options.share_heads,
            started=started,
        )
    _tell(kept, trainer)
    with stop_on_signals(trainer), FitProgress(trainer.objective.signal, trainer, kept) as progress:
        result = finish(trainer, kept, [progress])
    if not result.finished:
        print(
            f"stopped at step {result.steps}; continue with: fit-a-scene distill {options.run_folder} --out {kept.path} --resume",
            file=sys.stderr,
        )
        return {**report(kept), "interrupted": True}
    if data is not None:
        for name, value in distilling.score_on_data(kept, result.field, data).items():
            print(f"on {options.data}: {name} {value:.4g}", file=sys.stderr)
    return report(kept)


def report(run) -> dict:
    """What `--json` prints: the student's summary (metrics against the teacher), its teacher, and the scores on data."""
    header, stored = run.header, run.metrics()
    return (
        {
            **summary(run),
            "teacher": header["teacher"],
            "stages": header["stages"],
            "shared": header["shared"],
            "data": stored.get("data"),
        }
        if header.get("teacher")
        else summary(run)
    )


def split(settings: dict[str, str]) -> tuple[Stages, dict[str, str]]:
    """The options of the stages, and those of the method."""
    import pydantic

    own = {name: settings.pop(name) for name in list(settings) if name in Stages.model_fields}
    try:
        return Stages(**own), settings
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        where = f"{problem['loc'][0]}={own[problem['loc'][0]]}: " if problem["loc"] else ""
        raise BadInput(f"--set {where}{problem['msg']}") from None


def _tell(run, trainer) -> None:
    teacher, shared = run.header["teacher"], run.header["shared"]
    print(
        f"teacher: {teacher['method']}, {teacher['parameters']:,} parameters, {teacher['bytes']:,} bytes; "
        f"stages: {', '.join(trainer.objective.available)}",
        file=sys.stderr,
    )
    if shared:
        print(f"shared: {', '.join(shared)}", file=sys.stderr)
