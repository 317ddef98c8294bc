"""NeRV++ against NeRV on a clip at equal parameters, after equal epochs and after equal time, and what compression costs.

    python -m benchmarks.clips [--json] [--quick] [--clip NAME_OR_FILE] [--epochs N]

Rows: `CLIP:METHOD:epochs` and `CLIP:METHOD:time` (mean PSNR over frames; the time is what NeRV took), then for each of the two a
rate-distortion table: `CLIP:METHOD:8bit`, `:6bit`, `:4bit` and `:keep0.4-8bit` (pruned to 40 % and trained on for a sixth of the
epochs), with bits per pixel of the whole file. `--quick` does 3 epochs. Without the shared data a moving drawing stands in.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.report import add_arguments, emit, report

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "video"
METHODS = ("nerv", "nervpp")
KEEP = 0.4


def measure(clip: str, epochs: int) -> dict:
    import scenes

    signal, name = (scenes.load(clip, "video"), Path(clip).stem) if clip else (drawing(), "drawing")
    steps = epochs * len(signal.fitted_frames)
    values = signal.stored.size
    rows, spent = [], {}
    for method in METHODS:
        trainer, spent[method] = trained(signal, method, steps)
        score = scored(trainer)
        rows.append({"id": f"{name}:{method}:epochs", "value": score["psnr"], "unit": "dB", "epochs": epochs, **score,
                     "parameters": trainer.field.stored_numbers, "seconds": round(spent[method], 1),
                     "parameters_a_value": trainer.field.stored_numbers / values})
        rows += rate_and_distortion(trainer, f"{name}:{method}", signal, steps)
    compare(rows, f"{name}:nervpp:epochs", f"{name}:nerv:epochs")
    same_time = max(1, round(steps * spent["nerv"] / spent["nervpp"]))
    trainer, seconds = trained(signal, "nervpp", same_time)
    rows.append({"id": f"{name}:nervpp:time", "value": scored(trainer)["psnr"], "unit": "dB", "steps": same_time, "seconds": round(seconds, 1)})
    compare(rows, f"{name}:nervpp:time", f"{name}:nerv:epochs")
    return report("clips", rows)


def trained(signal, method: str, steps: int):
    """The trainer at its end and the seconds that its steps took; both methods get the size that NeRV is given by default."""
    from fields.fit.fit import prepare
    from fields.methods.registry import make_method

    size = make_method("nerv").prepare(signal).parameters(3, 3)
    trainer, _ = prepare(signal, method, steps=steps, parameters=size)
    begun = time.perf_counter()
    trainer.run()
    print(f"{method}: {steps} steps, loss {trainer.loss:.4f}", file=sys.stderr, flush=True)
    return trainer, time.perf_counter() - begun


def rate_and_distortion(trainer, name: str, signal, steps: int) -> list[dict]:
    from fields.fit.compress import Pruner, pack, unpack

    def row(what: str, bits: int) -> dict:
        content = pack(trainer.field, trainer.method, bits)
        score = trainer.objective.evaluate(unpack(content))
        return {"id": f"{name}:{what}", "value": score["psnr"], "unit": "dB", "ssim": score["ssim"], "bytes": len(content),
                "bits_a_pixel": 8 * len(content) / (signal.stored.size / 3)}

    rows = [row(f"{bits}bit", bits) for bits in (8, 6, 4)]
    pruner = Pruner(trainer.field, KEEP)
    trainer.callbacks.append(pruner)
    trainer.total, trainer.index = steps + max(1, steps // 6), steps
    trainer.run()
    return [*rows, row(f"keep{KEEP}-8bit", 8)]


def scored(trainer) -> dict[str, float]:
    return trainer.objective.evaluate(trainer.field)


def compare(rows: list[dict], ours: str, theirs: str) -> None:
    """Notes the other's PSNR; the ratio is of the errors, so that above 1 is better."""
    found = {row["id"]: row for row in rows}
    found[ours].update(against=theirs, against_value=found[theirs]["value"],
                       ratio=round(10 ** ((found[ours]["value"] - found[theirs]["value"]) / 10), 3))


def drawing():
    """Sixteen frames of discs that move over a slope of colours, 128 x 64, from a formula."""
    from scenes.video import Video

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
    parser.add_argument("--clip", default="carphone_176x144", help="a clip under shared/data/video, or any file or folder")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    clip = CLIPS / options.clip
    source = str(clip) if clip.exists() else options.clip if Path(options.clip).exists() else ""
    emit(measure(source, 3 if options.quick else options.epochs), options)


if __name__ == "__main__":
    main()
