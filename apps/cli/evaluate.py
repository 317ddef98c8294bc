"""Score a run again, on the signal it was fitted to or on another one of the same kind."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from apps.cli.flags import add_device, add_run, group

if TYPE_CHECKING:
    from apps.cli.work_progress import WorkProgress

HELP = "score a run"
EPILOG = """\
examples:
  fit-a-scene evaluate runs/photo
  fit-a-scene evaluate runs/photo --data original.png --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    group(parser, "source").add_argument(
        "--data",
        metavar="SOURCE",
        help="Score on this signal (default: the one it was fitted to); of a scene, on the views it was not fitted to.",
    )
    add_device(parser)


def run(options: argparse.Namespace) -> dict:
    from apps.cli.standard_input import source_of
    from apps.cli.work_progress import WorkProgress

    if options.data:
        options.data = source_of(options.data)
    with WorkProgress("evaluate", options) as shown:
        return _evaluate(options, shown)


def _evaluate(options: argparse.Namespace, shown: WorkProgress) -> dict:
    from fields.runs.run import Run
    from scenes.posed.transforms import ALL_FOR_TESTING

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.fit import bit_rate
    from apps.cli.messages import print_notes
    from fields.fit.fit import load_like, reopen, resolve_device, score

    field = kept.load_field(resolve_device(options.device))
    begun = time.perf_counter()
    signal = load_like(options.data, kept) if options.data else reopen(kept)
    if options.data:
        print_notes((note for note in signal.notes if not note.startswith(ALL_FOR_TESTING)), options)
    metrics = score(
        kept,
        field,
        signal,
        exclude_training_views=options.data is not None,
        begin=lambda seconds: shown.begin("scoring", seconds),
    )
    shown.stop()
    stored = kept.weights.stat().st_size
    if not options.json:
        for name, value in {**metrics, **bit_rate(kept.header["kind"], field.domain, stored)}.items():
            print(f"{name:14} {value:.6g}")
    return {
        "run": str(kept.path),
        "data": options.data or kept.header["source"]["path"],
        "parameters": field.num_parameters,
        "bytes": stored,
        **bit_rate(kept.header["kind"], field.domain, stored),
        "device": str(next(field.parameters()).device),
        "backend": field.backend,
        "seconds": round(time.perf_counter() - begun, 3),
        "metrics": metrics,
    }
