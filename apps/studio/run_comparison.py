"""Two to six runs of one signal side by side: a table, curves, images that zoom together, and what to beware of."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from apps.studio.images import encode_webp, resized
from apps.studio.view_renderer import OpenRun
from fields.compare import chart
from fields.compare.images import ERROR_GAIN, error_map, worst_regions
from fields.compare.report import FOLDER, MEASURES, render_part
from fields.compare.table import metric_title
from fields.runs.run import Run
from scenes.domain import Domain
from scenes.errors import BadInput

MIN_RUNS, MAX_RUNS = 2, 6
# Longest side of the images in pixels.
SIDE = 640
WHOLE = (0.0, 0.0, 1.0, 1.0)
# Kinds of which the signal is shown beside the fields.
PICTURED = ("image", "video")
# Budgets that differ by more than this factor are worth a warning, and fits of fewer steps than these.
BUDGET_FACTOR = 1.1
FEW_STEPS = 200
# Entries of a row of a run's history that are no quality.
NO_QUALITY = ("step", "seconds", "loss", "stage")


def opened_runs(paths: Sequence[Path]) -> list[Run]:
    """The runs in some folders. Raises BadInput where they cannot be compared."""
    if not MIN_RUNS <= len(paths) <= MAX_RUNS or len(set(paths)) < len(paths):
        raise BadInput(f"choose {MIN_RUNS} to {MAX_RUNS} different runs to compare")
    runs = [Run.open(path) for path in paths]
    first = runs[0].header
    for run in runs[1:]:
        if _signal_of(run.header) != _signal_of(first):
            raise BadInput(
                f"{runs[0].path.name} and {run.path.name} were fitted to different signals, so that nothing follows "
                "from their scores"
            )
    return runs


def picture(opened: OpenRun) -> np.ndarray:
    """The field of a run as an image `[H, W, 3]` uint8: all of a flat one, a solid one from the front."""
    viewer = opened.viewer
    if viewer.solid:
        image = viewer.orbit(30.0, 15.0, 1.9, SIDE // 2)
    else:
        image = viewer.window(WHOLE, *_size(opened), position=_middle(opened))
    return np.asarray(Image.fromarray(image).convert("RGB"))


def signal_picture(opened: OpenRun) -> np.ndarray | None:
    """The signal of an image or a video as `picture` shows the field; None for others, and where it is gone."""
    if opened.kind not in PICTURED:
        return None
    try:
        image = opened.signal_windows().window(WHOLE, *_size(opened), position=_middle(opened))
    except BadInput:
        return None
    return np.asarray(Image.fromarray(image).convert("RGB"))


def clips(run: Run) -> dict[str, float] | None:
    """What the page needs to show runs of a video frame by frame, in step; None for other kinds."""
    if run.header["kind"] != "video":
        return None
    domain = Domain.from_json(run.header["domain"])
    width, height, frames = domain.grid_shape
    time = domain.axes[2]
    return {"frames": frames, "seconds": time.upper - time.lower, "width": width, "height": height}


def body(runs: Sequence[Run], pictures: Sequence[np.ndarray], target: np.ndarray | None = None) -> Markup:
    """Table, curves and images as HTML. `pictures`: of `picture`, one for each run. `target`: of `signal_picture`."""
    height, width = pictures[0].shape[:2]
    fits = {run.path.name: resized(image, height, width) for run, image in zip(runs, pictures)}
    images: list[dict[str, str | None]] = []
    if target is not None:
        images.append({"name": "signal", "fit": _address(target), "error": None})
    for name, fit in fits.items():
        error = None if target is None else _address(error_map(fit, target))
        images.append({"name": name, "fit": _address(fit), "error": error})
    regions = [] if target is None else worst_regions(target, fits)
    measure, curves, steps = _curves(runs)
    # A run that stopped before its first log has no curve.
    last = {line.name: line.points[-1][1] for line in curves}
    ended = [run for run in runs if run.path.name in last]
    sizes, stored = (
        [chart.Line(run.path.name, [(size(run), last[run.path.name])]) for run in ended]
        for size in (_parameters, _bytes)
    )
    title = MEASURES.get(measure, measure).replace(" of fixed samples", "")
    others = (
        ("Quality against steps", "steps", steps),
        *(
            (f"Quality against {what}", what, lines)
            for what, lines in (("parameters", sizes), ("bytes", stored))
            # Of runs of one size, a column of dots says nothing.
            if len({line.points[0][0] for line in lines}) > 1
        ),
    )
    return render_part(
        "body",
        **_table(runs),
        curves=chart.svg(curves, "seconds", title, logarithmic=True),
        others=[
            (heading, drawn) for heading, x, lines in others if (drawn := chart.svg(lines, x, title, logarithmic=True))
        ],
        images=images,
        regions=[f"{left / width:.5f},{top / height:.5f},{side / width:.5f}" for left, top, side in regions],
        width=width,
        height=height,
        gain=ERROR_GAIN,
    )


def warnings(runs: Sequence[Run]) -> list[str]:
    """What has to be known before anything is concluded from the comparison."""
    found = []
    spent = [_stored(run).get("seconds") for run in runs]
    known = [seconds for seconds in spent if seconds]
    if len(known) > 1 and max(known) > BUDGET_FACTOR * min(known):
        found.append(f"The fits took from {min(known):.3g} to {max(known):.3g} s: the longer ones had more chances.")
    sizes = [run.header["parameters"] for run in runs]
    if max(sizes) > BUDGET_FACTOR * min(sizes):
        found.append(f"They have from {min(sizes):,} to {max(sizes):,} parameters: the larger ones can hold more.")
    for run in runs:
        steps = _stored(run).get("steps") or 0
        if steps < FEW_STEPS:
            had = "one step" if steps == 1 else f"{steps:,} steps"
            found.append(f"{run.path.name} had {had}, too few to say what its method can do.")
    return found


def page(runs: Sequence[Run], content: Markup) -> str:
    """One HTML file that needs no other."""
    header = {"runs": {run.path.name: {**run.header, **_stored(run)} for run in runs}}
    source = str(runs[0].header["source"]["path"])
    return render_part(
        "page",
        name=source.replace("\\", "/").rpartition("/")[2],
        methods=[run.path.name for run in runs],
        subtitle=" ".join(warnings(runs)),
        # The project's own files, which are no values to escape.
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        body=content,
        data=base64.b64encode(json.dumps(header, indent=2, default=str).encode()).decode(),
        file="runs.json",
    )


def _signal_of(header: dict[str, Any]) -> tuple[str, str]:
    """What tells signals apart: the digest of the file where there is one."""
    source = header["source"]
    return header["kind"], str(source.get("sha256") or source["path"])


def _parameters(run: Run) -> float:
    return float(run.header["parameters"])


def _bytes(run: Run) -> float:
    """Bytes of the file of the weights."""
    return float(run.weights.stat().st_size)


def _stored(run: Run) -> dict[str, Any]:
    return run.metrics() or {}


def _size(opened: OpenRun) -> tuple[int, int]:
    """Width and height of the image of a flat field."""
    width, height = opened.viewer.aspect_ratio(opened.field.domain)
    scale = SIDE / max(width, height)
    scale = scale if opened.kind == "audio" else min(1.0, scale)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _middle(opened: OpenRun) -> float:
    """Position of the frame in the middle of a video, exactly; the middle of everything else."""
    if opened.kind != "video":
        return 0.5
    frames = opened.field.domain.grid_shape[2]
    return ((frames - 1) // 2 + 0.5) / frames


def _table(runs: Sequence[Run]) -> dict[str, Any]:
    """Titles and rows of the table."""
    stored = [_stored(run) for run in runs]
    metrics = list(dict.fromkeys(name for values in stored for name in values.get("metrics", {})))
    keys = [("parameters", ","), ("bytes", ","), ("steps", ","), ("seconds", ".3g")]
    rows = []
    for run, values in zip(runs, stored):
        cells = [_cell(values.get(key, run.header.get(key)), form) for key, form in keys]
        cells += [_cell(values.get("metrics", {}).get(name), ".4g") for name in metrics]
        method = f"{run.path.name} ({run.header['method']})"
        rows.append({"method": method, "cells": cells, "error": "", "notes": []})
    return {"titles": [*(key for key, _ in keys), *map(metric_title, metrics)], "rows": rows}


def _cell(value: float | None, form: str) -> dict[str, Any]:
    return {"text": "" if value is None else format(value, form), "best": False}


def _curves(runs: Sequence[Run]) -> tuple[str, list[chart.Line], list[chart.Line]]:
    """What was measured, and its lines over seconds and over steps, of the runs that have a history."""
    histories = {run.path.name: _history(run) for run in runs}
    names = [set(rows[-1]) - set(NO_QUALITY) for rows in histories.values() if rows]
    common = sorted(set.intersection(*names)) if names else []
    measure = common[0] if common else "loss"
    lines: tuple[list[chart.Line], list[chart.Line]] = ([], [])
    for name, rows in histories.items():
        for line, x in zip(lines, ("seconds", "step")):
            points = [(row[x], row[measure]) for row in rows if row.get(measure) is not None and row[x] > 0]
            if points:
                line.append(chart.Line(name, points))
    return measure, *lines


def _history(run: Run) -> list[dict[str, Any]]:
    file = run.path / "history.jsonl"
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _address(image: np.ndarray) -> str:
    return "data:image/webp;base64," + base64.b64encode(encode_webp(image, 93)).decode()
