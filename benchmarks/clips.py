"""NeRV++ against NeRV on a clip at equal parameters, after equal epochs and after equal time, and what compression
costs.

    python -m benchmarks.clips [--json] [--quick] [--store] [--clip NAME_OR_FILE] [--epochs N] [--params N]
    [--modulated]

Rows: `CLIP:METHOD:step` (milliseconds a step; both methods step in turns, so that what else the machine does falls on
both), `CLIP:METHOD:epochs` (mean PSNR over frames), `CLIP:nervpp:time` (as many steps as fit into what NeRV takes by
those milliseconds), then for each of the two a rate-distortion table: `CLIP:METHOD:8bit`, `:6bit`, `:4bit` and
`:keep0.4-8bit` (pruned to 40 % and trained on for a sixth of the epochs), with bits per pixel of the whole file.
`--modulated` gives both CAM over time; their names are then `nerv+time` and `nervpp+time`. `--store` writes after each
row, beside the stored rows of other names; `--steps-only` ends after the milliseconds, and a later `--store` takes them
as they were stored (so that only they need a quiet machine). `--quick` does 3 epochs. Without the shared data a moving
drawing stands in.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, add_arguments, emit, report

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"
METHODS = ("nerv", "nervpp")
KEEP = 0.4
TIMED_STEPS, WARM_UP = 24, 3
TIME_NODES = 30


def rows_of(
    signal, name: str, epochs: int, parameters: int | None, modulated: bool, spent: dict[str, float]
) -> Iterator[dict]:
    """Each row as soon as it is known; `spent` is milliseconds a step of each method, or empty: they are taken then."""
    from fields.methods.registry import make_method

    steps, values, tail = epochs * len(signal.training_frames), signal.stored.size, "+time" if modulated else ""
    # Both get one size: what NeRV is given by default, unless told.
    size = parameters or make_method("nerv").prepare(signal).parameters(3, 3)
    known: dict[str, float] = {}

    def start(method: str, steps: int):
        from fields.fit.fit import prepare

        return prepare(
            signal, method, steps=steps, params=size, settings={"time_nodes": TIME_NODES} if modulated else {}
        )[0]

    def against(ours: str, theirs: str) -> dict:
        """The ratio is of the errors, so that above 1 is better."""
        return {
            "against": theirs,
            "against_value": known[theirs],
            "ratio": round(10 ** ((known[ours] - known[theirs]) / 10), 3),
        }

    spent = spent or milliseconds({method: start(method, TIMED_STEPS) for method in METHODS})
    for method in METHODS:
        yield {"id": f"{name}:{method}{tail}:step", "value": round(spent[method], 2), "unit": "ms"}
    for method in METHODS:
        row = f"{name}:{method}{tail}:epochs"
        trainer = start(method, steps)
        run(trainer, row)
        score = trainer.objective.evaluate(trainer.field)
        known[row] = score["psnr"]
        parameters = trainer.field.num_parameters
        yield {
            "id": row,
            "value": score["psnr"],
            "unit": "dB",
            **(against(row, f"{name}:nerv{tail}:epochs") if method != "nerv" else {}),
            "ssim": score["ssim"],
            "epochs": epochs,
            "parameters": parameters,
            "parameters_per_value": round(parameters / values, 4),
            "seconds": round(steps * spent[method] / 1000, 1),
        }
        yield from rate_and_distortion(trainer, f"{name}:{method}{tail}", signal, steps)
    row = f"{name}:nervpp{tail}:time"
    fitting = max(1, round(steps * spent["nerv"] / spent["nervpp"]))
    trainer = start("nervpp", fitting)
    run(trainer, row)
    known[row] = trainer.objective.evaluate(trainer.field)["psnr"]
    yield {
        "id": row,
        "value": known[row],
        "unit": "dB",
        **against(row, f"{name}:nerv{tail}:epochs"),
        "steps": fitting,
        "epochs": round(fitting / len(signal.training_frames), 1),
    }


def milliseconds(trainers: dict) -> dict[str, float]:
    """A step of each, the quickest of many that are taken in turns."""
    spent: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(TIMED_STEPS):
        for name, trainer in trainers.items():
            begun = time.perf_counter()
            trainer.step()
            spent[name].append(time.perf_counter() - begun)
    return {name: 1000 * min(times[WARM_UP:]) for name, times in spent.items()}


def run(trainer, name: str) -> None:
    every = max(1, trainer.total // 20)
    trainer.callbacks.append(
        lambda trainer: (
            trainer.index % every
            or print(
                f"{name}: step {trainer.index} of {trainer.total}, loss {trainer.loss:.4f}", file=sys.stderr, flush=True
            )
        )
    )
    trainer.run()


def rate_and_distortion(trainer, name: str, signal, steps: int) -> Iterator[dict]:
    from fields.fit.plan import Plan
    from fields.fit.prune import Pruner
    from fields.runs.small_file import pack, unpack

    def row(what: str, bits: int) -> dict:
        content = pack(trainer.field, trainer.method, bits)
        score = trainer.objective.evaluate(unpack(content))
        return {
            "id": f"{name}:{what}",
            "value": score["psnr"],
            "unit": "dB",
            "ssim": score["ssim"],
            "bytes": len(content),
            "bits_a_pixel": 8 * len(content) / (signal.stored.size / 3),
        }

    for bits in (8, 6, 4):
        yield row(f"{bits}bit", bits)
    pruner = Pruner(trainer.field, KEEP)
    trainer.callbacks.append(pruner)
    trainer.plan, trainer.index = Plan([(0, steps + max(1, steps // 6))]), steps
    trainer.run()
    yield row(f"keep{KEEP}-8bit", 8)


def beside_stored(result: dict) -> dict:
    """`result` with the rows that are stored under other ids before its own."""
    file = RESULTS / f"{result['benchmark']}.json"
    earlier = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    own = {row["id"] for row in result["rows"]}
    return {**result, "rows": [row for row in earlier if row["id"] not in own] + result["rows"]}


def stored_steps(name: str, modulated: bool) -> dict[str, float]:
    """Milliseconds a step that an earlier run stored; empty where there was none."""
    found = {row["id"]: row["value"] for row in beside_stored({"benchmark": f"clips-{name}", "rows": []})["rows"]}
    ids = {method: f"{name}:{method}{'+time' if modulated else ''}:step" for method in METHODS}
    return {method: found[row] for method, row in ids.items()} if all(row in found for row in ids.values()) else {}


def drawing():
    """Sixteen frames of discs that move over a slope of colours, 128 x 64, from a formula."""
    from scenes.video.signal import Video

    y, x = np.mgrid[:64, :128]
    frames = np.stack([np.stack([x * 1.5, y * 3.0, 40 + 0 * x], -1) for _ in range(16)])
    for t in range(16):
        for k, (cx, cy, r) in enumerate(((20 + 5 * t, 20, 9), (100 - 4 * t, 40, 12), (64, 10 + 3 * t, 7))):
            inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
            frames[t][inside] = 120 + 100 * np.sin(x[inside] * (0.5 + k) + y[inside])[:, None] * np.array([1, -1, 0.5])
    return Video.from_array(frames.clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument(
        "--clip", default="carphone_176x144", help="a clip under shared/data/video, or any file or folder"
    )
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--params", type=int, help="parameters of each field (default: 0.1 a value of the clip)")
    parser.add_argument("--steps-only", action="store_true", help="time the steps and end")
    parser.add_argument("--modulated", action="store_true", help="both methods with CAM over time")
    options = parser.parse_args()

    import scenes

    clip = CLIPS / options.clip
    source = str(clip) if clip.exists() else options.clip if Path(options.clip).exists() else ""
    signal, name = (scenes.load(source, "video"), Path(source).stem) if source else (drawing(), "drawing")
    rows: list[dict] = []
    spent = stored_steps(name, options.modulated) if options.store and not options.steps_only else {}
    found = rows_of(signal, name, 3 if options.quick else options.epochs, options.params, options.modulated, spent)
    for row in islice(found, len(METHODS)) if options.steps_only else found:
        rows.append(row)
        if options.store:
            emit(beside_stored(report(f"clips-{name}", rows)), argparse.Namespace(store=True, json=False))
    emit(report(f"clips-{name}", rows), argparse.Namespace(store=False, json=options.json))


if __name__ == "__main__":
    main()
