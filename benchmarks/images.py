"""How good a photograph gets in 30 seconds, and how soon it is recognisable, against plain torch and SIREN.

    python -m benchmarks.images [--json] [--quick]

Rows: `kodak-30s` (mean PSNR of eight Kodak photographs, one of them a row each), `sooner-than-torch` and
`sooner-than-siren` (seconds to 30 dB on kodim05; scoring is not counted). The Kodak photographs are read from
`shared/data/images` beside the repository; without them scikit-image's photographs stand in, under other ids.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

KODAK = ("kodim01", "kodim03", "kodim05", "kodim08", "kodim13", "kodim19", "kodim20", "kodim23")
STAND_INS = ("astronaut", "chelsea", "coffee", "rocket")
IMAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "images"
TARGET_DB = 30.0
GIVE_UP_SECONDS = 25.0
# Seconds between scores while the clock to 30 dB runs (the scoring itself stops the clock).
SCORE_EVERY = 0.2
# A SIREN of the same size; rate and frequency as its paper's code and later work advise for detailed images, not
# swept.
SIREN = {"learning_rate": 1e-3, "first_omega": 90.0, "batch": 16384}
SIREN_STEPS = 1500


def measure(quick: bool) -> dict:
    names, prefix = (KODAK, "kodak") if IMAGES.is_dir() else (STAND_INS, "skimage")
    sources = [str(IMAGES / f"{name}.png") if prefix == "kodak" else f"skimage:{name}" for name in names]
    seconds = 5 if quick else 30
    fits = [fit_in_process(source, seconds) for source in (sources[:2] if quick else sources)]
    rows = [
        {
            "id": f"{prefix}-{seconds}s:{name}",
            "value": round(fit["metrics"]["psnr"], 3),
            "unit": "dB",
            "ssim": round(fit["metrics"]["ssim"], 4),
            "parameters": fit["parameters"],
            "steps": fit["steps"],
            "seconds": fit["seconds"],
            "backend": fit["backend"],
        }
        for name, fit in zip(names, fits)
    ]
    mean = sum(row["value"] for row in rows) / len(rows)
    rows.append(
        {
            "id": f"{prefix}-{seconds}s",
            "value": round(mean, 3),
            "unit": "dB",
            "parameters": max(row["parameters"] for row in rows),
            "seconds": max(row["seconds"] for row in rows),
        }
    )
    detailed = sources[names.index("kodim05")] if prefix == "kodak" else sources[0]
    ours = seconds_to_target(detailed, "native")
    for peer in ("torch",) if quick else ("torch", "siren"):
        theirs = seconds_to_target(detailed, peer)
        rows.append(
            {
                "id": f"sooner-than-{peer}",
                "value": ours["seconds"],
                "unit": f"s to {TARGET_DB:g} dB",
                "against": peer,
                "against_value": theirs["seconds"],
                "ratio": round(theirs["seconds"] / ours["seconds"], 2),
                "steps": [ours["steps"], theirs["steps"]],
                "parameters": [ours["parameters"], theirs["parameters"]],
                **(
                    {}
                    if theirs["reached"]
                    else {
                        "note": f"{peer} had {theirs['psnr']:.2f} dB when it was given up; the ratio is a lower bound"
                    }
                ),
            }
        )
    return report("images", rows)


def fit_in_process(source: str, seconds: float) -> dict:
    """What `fit-a-scene fit --json` says, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "apps.cli.main",
                "fit",
                source,
                "--method",
                "hashgrid",
                "--seconds",
                str(seconds),
                "--out",
                f"{folder}/run",
                "--json",
            ],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def seconds_to_target(source: str, who: str) -> dict:
    """Seconds of training until the whole image has 30 dB, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.images", "--to-target", who, source],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def train_to_target(source: str, who: str) -> dict:
    """Trains until the whole image has 30 dB; the clock counts steps only, not the scoring between them.

    "native" and "torch" begin with the same weights and see the same batches at the same rates.
    """
    import scenes
    from benchmarks.baselines.hash_grid import TorchStep
    from fields.fit.fit import prepare
    from fields.fit.metrics.samples import psnr
    from fields.models.field import PointField
    from fields.models.hash_grid import GridField
    from fields.networks.mlp import MLP
    from fields.render.raster import evaluate_image
    from scenes.image.signal import Image

    image = scenes.load(source)
    assert isinstance(image, Image)
    trainer, _ = prepare(image, "hashgrid", seconds=30)
    field = trainer.field
    if who == "siren":
        trainer, _ = prepare(image, "siren", steps=SIREN_STEPS, params=field.num_parameters, settings=SIREN)
        field = trainer.field
    assert isinstance(field, PointField)
    step = trainer.step
    if who == "torch":
        assert isinstance(field, GridField) and isinstance(field.network, MLP)
        baseline = TorchStep(field.encoder.layout, field.encoder.table, field.network.weights)
        # Scored through our field, which is quicker: both hold the same tensors.
        field.encoder.table.data = baseline.grid.table.data
        for weight, linear in zip(field.network.weights, baseline.linears):
            weight.data = linear.weight.data
        steps = itertools.count()

        def step() -> None:
            baseline(*trainer.objective.batch(next(steps), trainer.method.batch, trainer.seed, trainer.device))

    target = image.values()
    clock, due, reached, quality, taken = 0.0, 0.0, False, 0.0, 0
    while clock < GIVE_UP_SECONDS and not reached and not trainer.done:
        begun = time.perf_counter()
        step()
        clock += time.perf_counter() - begun
        taken += 1
        if clock >= due:
            quality = psnr(evaluate_image(field, image.width, image.height), target)
            reached = quality >= TARGET_DB
            due = clock + max(SCORE_EVERY, (0.1 if who != "siren" else 0.2) * clock)  # a SIREN takes seconds to score
    return {
        "seconds": round(clock, 3),
        "steps": taken,
        "reached": reached,
        "psnr": round(quality, 3),
        "parameters": field.num_parameters,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--to-target", nargs=2, metavar=("WHO", "SOURCE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.to_target:
        print(json.dumps(train_to_target(options.to_target[1], options.to_target[0])))
    else:
        emit(measure(options.quick), options)


if __name__ == "__main__":
    main()
