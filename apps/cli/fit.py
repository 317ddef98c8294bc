"""Fit a field to a signal and keep it as a run: weights, history, metrics, a picture, and a checkpoint to resume from.

SOURCE is a picture (PNG, JPEG, WebP, AVIF, TIFF, GIF, EXR, HDR), a sound (WAV, FLAC, Ogg), a clip (MP4,
WebM, GIF, a folder of frames), a shape (OBJ, PLY, STL, GLB, OFF, XYZ), a volume (NPY, NPZ, TIFF, NRRD, NIfTI), photographs with their cameras (a folder with
transforms.json or poses_bounds.npy, an NPZ), skimage:NAME for one of scikit-image's photographs (astronaut, chelsea, coffee,
rocket, ...), or an earlier run (its folder, run.json or .fsq file), which is then repeated.
"""

from __future__ import annotations

import argparse
import signal as signals
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import scenes
from apps.cli import types
from fields.kinds import COMPRESSED, default_method, import_packages
from fields.methods.registry import make_method
from fields.runs.bit_rate import bits_per_pixel
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.io.files import read_head

HELP = "fit a field to a signal"
EPILOG = """\
examples:
  fit-a-scene fit photo.jpg
  fit-a-scene fit photo.jpg --seconds 10 --params 200k
  fit-a-scene fit photo.jpg --method siren --set first_omega=60 width=128
  fit-a-scene fit song.wav --part 10,20              a sound; only these seconds
  fit-a-scene fit photo.jpg --mask hole.png          fit where the mask is white, fill the rest
  fit-a-scene fit next.jpg --from runs/photo         begin with the weights of another run
  fit-a-scene fit photo.jpg --out runs/mine          then, if it was cut off:
  fit-a-scene fit photo.jpg --out runs/mine --resume
  fit-a-scene fit runs/mine/run.json                 the same again
`fit-a-scene methods` lists the methods, `fit-a-scene methods hashgrid` the options of one.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="the file to fit, skimage:NAME, or a run to repeat")
    parser.add_argument(
        "--kind", default="auto", choices=("auto", *scenes.LOADERS), help="what SOURCE is (default: look at it)"
    )
    method = parser.add_argument_group("method")
    method.add_argument("--method", metavar="NAME", help="how it is fitted (default: the best for its kind)")
    method.add_argument(
        "--params", type=types.count, metavar="N", help="numbers the field may hold, met to within 3 %%"
    )
    method.add_argument(
        "--set",
        dest="settings",
        type=types.setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set an option of the method; may be repeated, or take several",
    )
    method.add_argument(
        "--bits",
        type=int,
        default=32,
        choices=(8, 16, 32),
        help="store weights in so many bits, and train for it (default 32)",
    )
    method.add_argument(
        "--keep",
        type=types.share,
        default=1.0,
        metavar="SHARE",
        help="keep only this share of the weights, the largest: the others become zero on the way, and an export is smaller",
    )
    method.add_argument(
        "--init",
        default="default",
        choices=("default", "fresh"),
        help="fresh: choose the method's frequency option from the signal's spectrum first",
    )
    method.add_argument("--from", dest="start", type=Path, metavar="RUN", help="begin with the weights of this run")
    effort = parser.add_argument_group("effort")
    effort.add_argument("--steps", type=types.count, metavar="N", help="train for N steps")
    effort.add_argument(
        "--seconds",
        type=types.positive,
        metavar="S",
        help="be done in S seconds, loading and evaluation included (default 30)",
    )
    effort.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")
    effort.add_argument("--seed", type=types.natural, metavar="N", help="same seed, same fit (default 0)")
    samples = parser.add_argument_group("which samples")
    samples.add_argument(
        "--held-out",
        type=types.share,
        metavar="SHARE",
        help="never train on this share of the samples, and score on them",
    )
    samples.add_argument(
        "--part", type=types.part, metavar="START,END", help="sounds and clips: only this stretch, in seconds"
    )
    samples.add_argument(
        "--rate",
        type=types.positive,
        metavar="N",
        help="clips: frames a second (default: as the file says; a folder: 24)",
    )
    samples.add_argument(
        "--mask", metavar="FILE", help="fit only where this picture of the same size is white; the rest is filled"
    )
    samples.add_argument("--ignore-invalid", action="store_true", help="treat NaN and infinite samples as holes")
    samples.add_argument(
        "--max-pixels",
        type=types.count,
        metavar="N",
        help="refuse larger pictures unread, against decompression bombs (default 200M); of clips and scenes: all pictures "
        "together (2,000M), of volumes: voxels (1,074M)",
    )
    samples.add_argument(
        "--memory",
        type=types.size_in_bytes,
        metavar="SIZE",
        help="decoded samples beyond this lie in a temporary file, not in RAM (default 256M)",
    )
    samples.add_argument(
        "--quantity",
        choices=("signed", "unsigned", "occupancy"),
        help="what of a shape is fitted (default: signed distance, unsigned where it has no inside)",
    )
    samples.add_argument(
        "--backdrop", choices=("white", "black"), help="scenes: what transparent pixels show (default white)"
    )
    samples.add_argument(
        "--bounded",
        dest="unbounded",
        action="store_const",
        const=False,
        help="scenes: only what the cameras look at; --unbounded: what is behind it too (default: by alpha)",
    )
    samples.add_argument("--unbounded", dest="unbounded", action="store_const", const=True, help=argparse.SUPPRESS)
    result = parser.add_argument_group("result")
    result.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default runs/NAME)")
    result.add_argument("--resume", action="store_true", help="continue the run in --out from its last checkpoint")
    result.add_argument(
        "--tensorboard", action="store_true", help="also log curves and pictures for TensorBoard, in the run's folder"
    )


def run(options: argparse.Namespace) -> dict:
    if options.steps and options.seconds:
        raise BadInput("--steps and --seconds: give one of the two")
    taken_for = None
    repeated = is_run(Path(options.source))
    if options.resume or repeated:
        _refuse_changes(options, "--resume continues" if options.resume else f"{options.source} repeats")
    else:
        if options.kind == "auto":
            options.kind, taken_for = scenes.recognise(options.source)
        if not options.start:
            # A wrong option is told before torch is loaded.
            make_method(options.method or default_method(options.kind), dict(options.settings))

    import torch  # noqa: F401  (importing packages does not count towards the time budget)

    import fields.fit.fit as fitting
    from apps.cli.progress import FitProgress
    from apps.cli.sources import find_run
    from fields.runs.run import Run

    if options.kind != "auto":
        import_packages(options.kind)
    if options.tensorboard:
        from fields.fit.tensorboard import TensorBoard, check_installed

        check_installed()
    started = time.perf_counter()
    if options.resume:
        kept = Run.open(options.out) if options.out else find_run(options.source)
        if kept.header["status"] == "finished":
            print(f"{kept.path} is finished already", file=sys.stderr)
            return summary(kept)
        _refuse_distilled(
            kept, f"--resume: continue it with fit-a-scene distill {options.source} --out {kept.path} --resume"
        )
        signal = fitting.reopen(kept)
        trainer = fitting.resume(signal, kept, options.device, started)
    elif repeated:
        signal, trainer, kept = _repeat(options, started)
    else:
        signal, trainer, kept = _begin(options, started)
    if taken_for and signal.kind != "image":
        print(f"note: taken for {signal.kind}, as it is {taken_for}; --kind overrules", file=sys.stderr)
    for note in signal.notes:
        print(f"note: {note}", file=sys.stderr)

    log = TensorBoard(kept) if options.tensorboard else None
    with stop_on_signals(trainer), FitProgress(signal, trainer, kept) as progress:
        result = fitting.finish(trainer, kept, [progress, log] if log else [progress])
    if log:
        log.close(result.metrics, result.steps)
        print(f"watch: tensorboard --logdir {kept.path}", file=sys.stderr)
    for remark in result.field.remarks():
        print(f"note: {remark}", file=sys.stderr)
    report = summary(kept)
    for remark in kept.metrics().get("remarks", []):
        print(f"note: {remark}", file=sys.stderr)
    if not result.finished:
        print(
            f"stopped at step {result.steps}; continue with: fit-a-scene fit {options.source} --out {kept.path} --resume",
            file=sys.stderr,
        )
        report["interrupted"] = True
    return report


@contextmanager
def stop_on_signals(trainer):
    """Within it Ctrl-C and a polite kill end the fit after its current step, and everything is saved."""
    previous = {
        number: signals.signal(number, lambda *_: trainer.stop()) for number in (signals.SIGINT, signals.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signals.signal(number, handler)


def _begin(options: argparse.Namespace, started: float):
    import fields.fit.fit as fitting
    from apps.cli.sources import default_out
    from fields.runs.run import Run

    signal = scenes.load(options.source, options.kind, **loading(options))
    if options.start and (options.method or options.params):
        raise BadInput("--from takes the method and size of that run; leave out --method and --params")
    trainer, kept = fitting.prepare(
        signal,
        options.method,
        steps=options.steps,
        seconds=options.seconds,
        parameters=options.params,
        seed=options.seed or 0,
        device=options.device,
        out=options.out or default_out(options.source),
        options=dict(options.settings),
        start=Run.open(options.start) if options.start else None,
        init=options.init,
        bits=options.bits,
        keep=options.keep,
        started=started,
    )
    _tell_fresh(kept)
    return signal, trainer, kept


def loading(options: argparse.Namespace) -> dict:
    """What is given to the loader of the signal: those of its options that were asked for."""
    wanted = {
        "held_out": options.held_out,
        "mask": options.mask,
        "ignore_invalid": options.ignore_invalid,
        "max_pixels": options.max_pixels,
        "memory": options.memory,
        "part": options.part,
        "rate": options.rate,
        "quantity": options.quantity,
        "backdrop": options.backdrop,
        "unbounded": options.unbounded,
    }
    return {name: value for name, value in wanted.items() if value or name == "unbounded" and value is not None}


def _tell_fresh(kept) -> None:
    fresh = kept.header.get("init")
    if fresh:
        print(
            f"fresh: {fresh['option']} {fresh['value']:g}"
            + (f", where the default is {fresh['default']:g}" if "default" in fresh else "")
            + (f" ({fresh['seconds']:.1f} s)" if "seconds" in fresh else ""),
            file=sys.stderr,
        )
        if fresh.get("remark"):
            print(f"note: {fresh['remark']}", file=sys.stderr)


def _repeat(options: argparse.Namespace, started: float):
    """The same source, method, options, seed and number of steps as an earlier run, in a folder of its own."""
    import fields.fit.fit as fitting
    from apps.cli.sources import default_out
    from fields.runs.run import Run

    earlier = Run.open(Path(options.source))
    header = earlier.header
    _refuse_distilled(earlier, f"repeat it with fit-a-scene distill TEACHER --into {header['method']}")
    signal = fitting.reopen(earlier)
    budget = {"steps": header["steps"]} if header["steps"] else {"seconds": header["seconds"]}
    trainer, kept = fitting.prepare(
        signal,
        make_method(header["method"], header["options"]),
        **budget,
        seed=header["seed"],
        device=options.device,
        out=options.out or default_out(header["source"]["path"]),
        started=started,
        bits=header.get("bits", 32),
        keep=header.get("keep", 1.0),
        start=Run.open(Path(header["from"])) if header.get("from") else None,
    )
    return signal, trainer, kept


def summary(run) -> dict:
    """What `--json` prints, from what the run's folder holds."""
    header, stored = run.header, run.metrics()
    return {
        "run": str(run.path),
        "kind": header["kind"],
        "method": header["method"],
        "parameters": stored["parameters"],
        "bytes": stored["bytes"],
        **rate_of(header["kind"], Domain.from_json(header["domain"]), stored["bytes"]),
        "steps": stored["steps"],
        "seconds": stored["seconds"],
        "device": header["device"],
        "backend": header["backend"],
        "metrics": stored["metrics"],
        **({"views": stored["views"]} if "views" in stored else {}),
    }


def _refuse_distilled(run, instead: str) -> None:
    if run.header.get("teacher"):
        raise BadInput(
            f"{run.path} was distilled from {run.header['teacher']['path']}, not fitted to a signal; {instead}"
        )


def is_run(source: Path) -> bool:
    """A run's folder, its run.json, or the single file that `export` makes of it; without loading torch."""
    if source.is_file() and source.name != "run.json":
        return read_head(source, len(COMPRESSED)) == COMPRESSED
    return source.name == "run.json" or (source / "run.json").is_file()


def rate_of(kind: str, domain: Domain, stored: int) -> dict[str, float]:
    """What a report says of a field's size where there are pixels."""
    rate = bits_per_pixel(kind, domain, stored)
    return {} if rate is None else {"bits_per_pixel": round(rate, 5)}


def _refuse_changes(options: argparse.Namespace, what: str) -> None:
    """Flags that would change the recipe of a run that is taken as it is are refused rather than ignored."""
    given = {
        "--method": options.method,
        "--steps": options.steps,
        "--seconds": options.seconds,
        "--params": options.params,
        "--seed": options.seed,
        "--set": options.settings,
        "--from": options.start,
        "--init": options.init != "default",
        "--bits": options.bits != 32,
        "--keep": options.keep != 1,
        "--held-out": options.held_out,
        "--mask": options.mask,
        "--ignore-invalid": options.ignore_invalid,
        "--part": options.part,
        "--rate": options.rate,
        "--quantity": options.quantity,
        "--backdrop": options.backdrop,
        "--bounded": options.unbounded is not None,
    }
    wrong = [flag for flag, value in given.items() if value]
    if wrong:
        raise BadInput(f"{what} a run as it was; leave out {', '.join(wrong)}")
