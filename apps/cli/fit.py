"""Fit a field to a signal and keep it as a run: weights, history, metrics, a picture, and a checkpoint to resume from.

SOURCE is a picture (PNG, JPEG, EXR, ...), or skimage:NAME for one of scikit-image's photographs (astronaut, chelsea,
coffee, rocket, ...).
"""

from __future__ import annotations

import argparse
import signal as signals
import sys
import time
from pathlib import Path

from apps.cli import types
from fields.methods.registry import make_method
from scenes.errors import BadInput

HELP = "fit a field to a signal"
EPILOG = """\
examples:
  fit-a-scene fit photo.jpg
  fit-a-scene fit photo.jpg --seconds 10 --params 200k
  fit-a-scene fit photo.jpg --method siren --set first_omega=60 width=128
  fit-a-scene fit photo.jpg --out runs/mine          then, if it was cut off:
  fit-a-scene fit photo.jpg --out runs/mine --resume
`fit-a-scene methods` lists the methods, `fit-a-scene methods hashgrid` the options of one.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the file to fit, or skimage:NAME")
    parser.add_argument("--kind", default="auto", choices=("auto", "image"), help="what SOURCE is (default: look at it)")
    parser.add_argument("--method", metavar="NAME", help="how it is fitted (default hashgrid)")
    parser.add_argument("--steps", type=types.count, metavar="N", help="train for N steps")
    parser.add_argument("--seconds", type=types.positive, metavar="S",
                        help="be done in S seconds, loading and evaluation included (default 30)")
    parser.add_argument("--params", type=types.count, metavar="N", help="numbers the field may hold, met to within 3 %%")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    parser.add_argument("--seed", type=types.natural, metavar="N", help="same seed, same fit (default 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    parser.add_argument("--set", dest="settings", type=types.setting, action="append", default=[], metavar="KEY=VALUE",
                        help="set an option of the method; may be repeated, or take several")


def run(options: argparse.Namespace) -> dict:
    if options.steps and options.seconds:
        raise BadInput("--steps and --seconds: give one of the two")
    settings = dict(options.settings)
    if options.resume:
        _refuse_with_resume(options)
    else:
        make_method(options.method or "hashgrid", settings)  # a wrong option is told before anything slow is loaded

    import torch  # noqa: F401  (importing packages does not count towards the time budget)

    import fields.fit.fit as fitting
    from apps.cli.progress import FitProgress
    from apps.cli.sources import check_same, default_out, find_run, open_signal
    from fields.fit.run import Run

    started = time.perf_counter()
    source = open_signal(options.source, options.kind)
    for note in source.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.resume:
        kept = Run.open(options.out) if options.out else find_run(options.source)
        check_same(kept, source)
        if kept.header["status"] == "finished":
            print(f"{kept.path} is finished already", file=sys.stderr)
            return summary(kept)
        trainer = fitting.resume(source, kept, options.device, started)
    else:
        trainer, kept = fitting.prepare(
            source, options.method or "hashgrid", steps=options.steps, seconds=options.seconds, parameters=options.params,
            seed=options.seed or 0, device=options.device, out=options.out or default_out(options.source),
            options=settings, started=started)

    previous = {number: signals.signal(number, lambda *_: trainer.stop()) for number in (signals.SIGINT, signals.SIGTERM)}
    try:
        with FitProgress(source, trainer, kept) as progress:
            result = fitting.finish(trainer, kept, [progress])
    finally:
        for number, handler in previous.items():
            signals.signal(number, handler)
    report = summary(kept)
    if not result.finished:
        print(f"stopped at step {result.steps}; continue with: fit-a-scene fit {options.source} --out {kept.path} --resume",
              file=sys.stderr)
        report["interrupted"] = True
    return report


def summary(run) -> dict:
    """What `--json` prints, from what the run's folder holds."""
    header, stored = run.header, run.metrics()
    return {"run": str(run.path), "kind": header["kind"], "method": header["method"], "parameters": stored["parameters"],
            "bytes": stored["bytes"], "steps": stored["steps"], "seconds": stored["seconds"], "device": header["device"],
            "backend": header["backend"], "metrics": stored["metrics"]}


def _refuse_with_resume(options: argparse.Namespace) -> None:
    """A resumed run keeps the recipe it began with; flags that would change it are refused rather than ignored."""
    given = {"--method": options.method, "--steps": options.steps, "--seconds": options.seconds, "--params": options.params,
             "--seed": options.seed, "--set": options.settings}
    wrong = [flag for flag, value in given.items() if value not in (None, [])]
    if wrong:
        raise BadInput(f"--resume continues a run as it was begun; leave out {', '.join(wrong)}")
