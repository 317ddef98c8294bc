"""Fit a field to a signal and keep it as a run: weights, history, metrics, a preview, and a checkpoint to resume from.

SOURCE is an image (PNG, JPEG, WebP, AVIF, TIFF, GIF, EXR, HDR), audio (WAV, FLAC, Ogg), a video (MP4, WebM, GIF, a
folder of frames), a shape (OBJ, PLY, STL, GLB, OFF, XYZ), a volume (NPY, NPZ, TIFF, NRRD, NIfTI), photographs with
their cameras (a folder with transforms.json or poses_bounds.npy, an NPZ), skimage:NAME for one of scikit-image's
photographs (astronaut, chelsea, coffee, rocket, ...), or an earlier run (its folder, run.json or .fsq file), which is
then repeated.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import scenes
from apps.cli.flags import add_flags, read_request
from apps.cli.interrupt import stop_on_signals
from apps.cli.messages import command_line, print_notes
from fields.fit.request import FitRequest
from fields.kinds import COMPRESSED, KINDS, default_method, import_packages
from fields.methods.registry import make_method
from fields.runs.bit_rate import bits_per_pixel
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.io.files import read_head

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer
    from fields.runs.run import Run
    from scenes.signal import Signal

HELP = "fit a field to a signal"
EPILOG = """\
examples:
  fit-a-scene fit photo.jpg
  fit-a-scene fit photo.jpg --seconds 10 --params 200k
  fit-a-scene fit *.jpg --out runs/album             several; without --out runs/NAME for each
  curl -s https://... | fit-a-scene fit -            a file from standard input
  fit-a-scene fit photo.jpg --method siren --set first_omega=60 width=128
  fit-a-scene fit song.wav --part 10,20              audio; only these seconds
  fit-a-scene fit photo.jpg --mask hole.png          fit where the mask is white, fill in the rest
  fit-a-scene fit next.jpg --from runs/photo         begin with the weights of another run
  fit-a-scene fit photo.jpg --out runs/mine          then, if it was cut off:
  fit-a-scene fit photo.jpg --out runs/mine --resume
  fit-a-scene fit runs/mine/run.json                 the same again
`fit-a-scene methods` lists the methods, `fit-a-scene methods hashgrid` the options of one.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, FitRequest)
    for action in parser._actions:
        if action.dest == "source":
            action.nargs = "+"
            action.help = f"{action.help} Several give a run each; - reads a file from standard input."


def run(options: argparse.Namespace) -> dict:
    from apps.cli.several import fit_each
    from apps.cli.standard_input import source_of

    sources = [source_of(source) for source in options.source]
    if len(sources) > 1:
        return fit_each(sources, options, run_one)
    return run_one(argparse.Namespace(**{**vars(options), "source": sources[0]}))


def run_one(options: argparse.Namespace) -> dict:
    """Fit one source, and return the report that `--json` prints."""
    request = read_request(FitRequest, options)
    source = Path(options.source)
    repeats = is_run(source)
    guess = None
    if request.resume or repeats:
        _refuse_changes(request, "`resume` continues" if request.resume else f"{source} repeats")
    else:
        if request.kind == "auto":
            kind, guess = scenes.recognise(options.source)
            request = request.model_copy(update={"kind": kind})
        if not request.start:
            # Report a wrong option before torch is loaded.
            make_method(request.method or default_method(request.kind), request.settings)

    import torch  # noqa: F401  (importing packages does not count towards the time budget)

    import fields.fit.fit as fitting
    from apps.cli.progress import FitProgress
    from fields.fit.tensorboard import TensorBoard, check_installed

    if request.kind != "auto":
        import_packages(request.kind)
    if request.tensorboard:
        check_installed()
    started = time.perf_counter()
    if request.resume:
        run = _run_to_resume(request)
        if run.header["status"] == "finished":
            print(f"{run.path} is finished already", file=sys.stderr)
            return summary(run)
        signal = fitting.reopen(run)
        trainer = fitting.resume(signal, run, request.device, started)
    else:
        signal, trainer, run = _repeat(request, started) if repeats else _begin(request, started)
    if guess and not KINDS[signal.kind].unmistakable:
        print(f"note: taken for {signal.kind}, as it is {guess}; change it with --kind", file=sys.stderr)
    print_notes(signal.notes, options)

    log = TensorBoard(run) if request.tensorboard else None
    with stop_on_signals(trainer), FitProgress(signal, trainer, run) as progress:
        result = fitting.finish(trainer, run, [progress, log] if log else [progress])
    if log:
        log.close(result.metrics, result.steps)
        print(f"watch: tensorboard --logdir {run.path}", file=sys.stderr)
    for remark in (*result.field.remarks(), *(run.metrics() or {}).get("remarks", [])):
        print(f"note: {remark}", file=sys.stderr)
    if result.finished:
        return summary(run)
    print(
        f"stopped at step {result.steps}; continue with: {command_line('fit', source, '--out', run.path, '--resume')}",
        file=sys.stderr,
    )
    return {**summary(run), "interrupted": True}


def summary(run: Run) -> dict:
    """The report that `--json` prints, from the files in the run's folder."""
    header, stored = run.header, run.metrics()
    assert stored is not None
    return {
        "run": str(run.path),
        "kind": header["kind"],
        "method": header["method"],
        "parameters": stored["parameters"],
        "bytes": stored["bytes"],
        **bit_rate(header["kind"], Domain.from_json(header["domain"]), stored["bytes"]),
        "steps": stored["steps"],
        "seconds": stored["seconds"],
        "device": header["device"],
        "backend": header["backend"],
        "metrics": stored["metrics"],
        **{name: stored[name] for name in ("scored", "views") if name in stored},
    }


def is_run(source: Path) -> bool:
    """Whether a path is a run's folder, its run.json, or the single file that `export` makes of it. Loads no torch."""
    # (Of a name that is too long `Path.is_file` raises an error.)
    if os.path.isfile(source) and source.name != "run.json":
        return read_head(source, len(COMPRESSED)) == COMPRESSED
    return source.name == "run.json" or os.path.isfile(source / "run.json")


def bit_rate(kind: str, domain: Domain, stored: int) -> dict[str, float]:
    """The entry `bits_per_pixel` of a report on a field of `stored` bytes; empty for kinds that have no pixels."""
    rate = bits_per_pixel(kind, domain, stored)
    return {} if rate is None else {"bits_per_pixel": round(rate, 5)}


def _run_to_resume(request: FitRequest) -> Run:
    from apps.cli.sources import find_run
    from fields.runs.run import Run

    source = str(request.source)
    run = Run.open(request.out) if request.out else find_run(source)
    if run.header["status"] != "finished":
        _refuse_distilled(run, f"continue it with {command_line('distill', source, '--out', run.path, '--resume')}")
    return run


def _begin(request: FitRequest, started: float) -> tuple[Signal, Trainer, Run]:
    import fields.fit.fit as fitting
    from apps.cli.sources import default_out

    signal = request.load()
    out = request.out or default_out(str(request.source))
    trainer, run = fitting.prepare_request(signal, request.model_copy(update={"out": out}), started=started)
    assert run is not None
    _print_fresh(run)
    return signal, trainer, run


def _repeat(request: FitRequest, started: float) -> tuple[Signal, Trainer, Run]:
    """Prepare the fit of an earlier run again: same source, method, options, seed and number of steps, new folder."""
    import fields.fit.fit as fitting
    from apps.cli.sources import default_out
    from fields.runs.run import Run

    earlier = Run.open(Path(str(request.source)))
    header = earlier.header
    _refuse_distilled(earlier, f"repeat it with fit-a-scene distill TEACHER --into {header['method']}")
    signal = fitting.reopen(earlier)
    out = request.out or default_out(header["source"]["path"])
    again = FitRequest.from_header(header, out=out, device=request.device)
    trainer, run = fitting.prepare_request(signal, again, started=started)
    assert run is not None
    return signal, trainer, run


def _print_fresh(run: Run) -> None:
    fresh = run.header.get("init")
    if not fresh:
        return
    default = f", where the default is {fresh['default']:g}" if "default" in fresh else ""
    seconds = f" ({fresh['seconds']:.1f} s)" if "seconds" in fresh else ""
    print(f"fresh: {fresh['option']} {fresh['value']:g}{default}{seconds}", file=sys.stderr)
    if fresh.get("remark"):
        print(f"note: {fresh['remark']}", file=sys.stderr)


def _refuse_distilled(run: Run, instead: str) -> None:
    if run.header.get("teacher"):
        raise BadInput(
            f"{run.path} was distilled from {run.header['teacher']['path']}, not fitted to a signal; {instead}"
        )


def _refuse_changes(request: FitRequest, what: str) -> None:
    """Refuse options that would change the recipe of a run that is continued or repeated, rather than ignore them."""
    if changes := request.changes():
        raise BadInput(f"{what} a run as it was; leave out {', '.join(f'`{option.name}`' for option in changes)}")
