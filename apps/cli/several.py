"""Fit several sources, one after the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from apps.cli.messages import with_flags
from scenes.errors import BadInput


def fit_each(
    sources: list[str], options: argparse.Namespace, fit_one: Callable[[argparse.Namespace], dict]
) -> dict[str, object]:
    """Fit every source with the same options, and return the reports of all under "runs".

    With `--out DIR` the runs are in DIR. A source that cannot be read is reported, and the others are fitted all the
    same; a missing one is refused before the first fit. Ctrl-C ends the present fit and leaves out the later ones.
    """
    import scenes

    for source in sources:
        scenes.recognise(source)
    reports, refused, interrupted = [], [], False
    for number, source in enumerate(sources, 1):
        print(f"[{number} of {len(sources)}] {source}", file=sys.stderr)
        try:
            report = fit_one(argparse.Namespace(**{**vars(options), "source": source, "out": _out(source, options)}))
        except BadInput as error:
            message = " ".join(with_flags(str(error), options).split())
            print(f"error: {message}", file=sys.stderr)
            refused.append({"source": source, "error": message})
            continue
        interrupted = bool(report.pop("interrupted", False))
        reports.append(report)
        if interrupted:
            break
    return {"runs": reports, "refused": refused, **({"interrupted": True} if interrupted else {})}


def _out(source: str, options: argparse.Namespace) -> Path | None:
    """The folder of one run: in that of `--out`, which does not exist yet unless the run is resumed."""
    if options.out is None:
        return None
    from apps.cli.sources import free_name, run_name

    return Path(options.out) / run_name(source) if options.resume else free_name(Path(options.out), source)
