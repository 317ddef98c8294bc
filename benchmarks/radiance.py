"""Posed views: how good a scene gets in a minute, two and eight, how soon, with what memory, and how fast an image of
it is.

    python -m benchmarks.radiance [--json] [--quick] [--store] [--only PART ...] [--images DIR] [--hashnerf DIR]

Parts: `quality` (lego at 200 x 200 for 60 and 120 seconds: mean PSNR of the 20 views for testing, white background,
`hashgrid`; peak resident size), `long` (the same for 480 seconds), `large` (lego at 400 x 400), `real` (the photographs
of a fox and a bird, every eighth held out), `cells` (the same, sampled where cells are occupied and not by proposals),
`moving` (one camera around a lego that moves), `sooner` (seconds of steps to 26 dB, against the same rays and samples
through plain torch: one gather per corner and level; once with everything in torch, once with the search for samples
and Adam left native; with `--hashnerf`, a checkout of HashNeRF-pytorch, against that too, as it samples and trains),
`frame` (seconds for an image of 400 x 400), `parts` (of a step's time), and `cam` (an MLP of 4 x 128 modulated by the
direction, against the same MLP at equal steps, and its size with 8 bits a number). With `--store --only` the other
parts stay as they were stored. `--images` keeps the images of the fits.

The scenes are read from `shared/data/nerf` beside the repository; without it the procedural duck stands in, under other
ids, for what it can.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import add_arguments, emit, report

if TYPE_CHECKING:
    from fields.fit.trainer import Trainer

SCENES = Path(__file__).resolve().parents[2] / "shared" / "data" / "nerf"
TARGET_DB = 26.0
GIVE_UP_SECONDS = 150.0
SCORE_EVERY = 1.0
PARTS = ("quality", "long", "large", "real", "cells", "moving", "sooner", "frame", "parts", "cam")
REAL = {"fox": "fox", "bird": "bird_llff"}
REAL_SECONDS, MOVING_SECONDS, LONG_SECONDS, LARGE_SECONDS = 240, 60, 480, 120
# Who is fitted to the moving scene: options beside the defaults.
MOVING = {
    "deform": ("hashgrid", {}),
    "axis": ("hashgrid", {"motion": "axis"}),
    "cam": ("cam", {"width": 128, "hidden_layers": 4}),
    "same-mlp": ("cam", {"width": 128, "hidden_layers": 4, "modulate": False, "normalise": False}),
}
MLP = {"width": 128, "hidden_layers": 4, "color_layers": 1, "batch": 16384, "learning_rate": 2e-3}
CAM_STEPS = 600
PLAIN = {"modulate": False, "normalise": False}


def measure(quick: bool, only: list[str], images: str, hashnerf: Path | None) -> dict:
    lego = SCENES / "lego_200"
    name, source = ("lego", str(lego)) if lego.is_dir() else ("duck", "procedural:duck")
    rows: list[dict] = []
    if "quality" in only:
        rows += [fitted(name, source, seconds, images) for seconds in ((20,) if quick else (60, 120))]
    if "long" in only:
        rows.append(fitted(name, source, 30 if quick else LONG_SECONDS, images))
    if "large" in only and (SCENES / "lego_400").is_dir():
        rows.append(fitted("lego-400", str(SCENES / "lego_400"), 20 if quick else LARGE_SECONDS, images))
    if "real" in only:
        rows += [
            fitted(label, str(SCENES / folder), 20 if quick else REAL_SECONDS, images)
            for label, folder in REAL.items()
            if (SCENES / folder).is_dir()
        ]
    if "cells" in only:
        rows += [
            fitted(
                f"{label}-cells",
                str(SCENES / folder),
                20 if quick else REAL_SECONDS,
                images,
                options={"sampling": "cells"},
            )
            for label, folder in REAL.items()
            if (SCENES / folder).is_dir()
        ]
    if "moving" in only and (SCENES / "tiny_dnerf_lego").is_dir():
        rows += [
            fitted(
                f"moving-{label}",
                str(SCENES / "tiny_dnerf_lego" / "tiny_dnerf_lego.npz"),
                10 if quick else MOVING_SECONDS,
                images,
                method,
                options,
            )
            for label, (method, options) in MOVING.items()
        ]
    if "sooner" in only:
        ours = in_process("target", source, "native")
        rivals = {who: ("target", source, who) for who in ("torch", "torch networks")}
        if hashnerf is not None and name == "lego":
            rivals["HashNeRF-pytorch"] = ("peer", source, str(hashnerf))
        for who, how in rivals.items():
            theirs = in_process(*how)
            rows.append(
                {
                    "id": f"sooner-than-{who.replace(' ', '-')}",
                    "value": ours["seconds"],
                    "unit": f"s to {TARGET_DB:g} dB",
                    "against": who,
                    "against_value": theirs["seconds"],
                    "ratio": round(theirs["seconds"] / ours["seconds"], 2),
                    "steps": [ours["steps"], theirs["steps"]],
                    **(
                        {}
                        if theirs["reached"]
                        else {
                            "note": f"{who} had {theirs['psnr']:.2f} dB when it was given up; "
                            "the ratio is a lower bound"
                        }
                    ),
                }
            )
    if "frame" in only:
        found = in_process("frame", source, 20 if quick else 60)
        rows.append({"id": "frame-400", "value": found["seconds"], "unit": "s", "psnr": found["psnr"]})
    if "parts" in only:
        found = in_process("parts", source, 200)
        rows += [
            {"id": f"share-{part}", "value": round(100 * share, 1), "unit": "% of a step"}
            for part, share in found["shares"].items()
        ]
        rows.append(
            {
                "id": "step",
                "value": round(1000 * found["seconds"], 1),
                "unit": "ms",
                "samples": found["samples"],
                "rays": found["rays"],
            }
        )
    if "cam" in only:
        for scene in (source,) if quick or name == "duck" else (source, "procedural:duck"):
            steps = 200 if quick else CAM_STEPS
            plain, cam, small = (
                in_process("mlp", scene, json.dumps([steps, extra, bits]))
                for extra, bits in ((PLAIN, 32), ({}, 32), ({}, 8))
            )
            label = Path(scene).name.replace("procedural:", "")
            rows.append(
                {
                    "id": f"cam-{label}",
                    "value": round(cam["psnr"], 2),
                    "unit": "dB",
                    "against": "the same MLP",
                    "against_value": round(plain["psnr"], 2),
                    "ratio": round(cam["psnr"] / plain["psnr"], 3),
                    "steps": steps,
                    "bytes": [cam["bytes"], plain["bytes"]],
                }
            )
            rows.append(
                {"id": f"cam-{label}-8-bits", "value": small["bytes"], "unit": "bytes", "psnr": round(small["psnr"], 2)}
            )
    return report("radiance", rows)


def fitted(
    name: str, source: str, seconds: int, images: str, method: str = "hashgrid", options: dict | None = None
) -> dict:
    found = in_process(
        "fit", source, seconds, images and f"{images}/{name}-{seconds}s.png", method, json.dumps(options or {})
    )
    return {
        "id": f"{name}-{seconds}s",
        "value": round(found["metrics"]["psnr"], 2),
        "unit": "dB",
        "ssim": round(found["metrics"]["ssim"], 4),
        "steps": found["steps"],
        "seconds": found["seconds"],
        "parameters": found["parameters"],
        "peak_gb": round(found["peak"] / 2**30, 2),
    }


def in_process(what: str, *arguments: object) -> dict:
    """One measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.radiance", "--do", what, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def fit(source: str, seconds: str, image: str, method: str, options: str) -> dict:
    from apps.cli.main import main

    with tempfile.TemporaryDirectory() as folder:
        settings = [word for name, value in json.loads(options).items() for word in ("--set", f"{name}={value}")]
        main(["fit", source, "--method", method, "--seconds", seconds, "--out", f"{folder}/run", *settings])
        stored = json.loads((Path(folder) / "run" / "metrics.json").read_text())
        if image:
            Path(image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / "run" / "preview.png", image)
    return {**stored, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def target(source: str, who: str) -> dict:
    """Seconds of training until some rays of the test views have 26 dB. Scoring is not counted."""
    from contextlib import nullcontext

    import scenes
    from fields.fit.fit import prepare
    from fields.fit.objectives.radiance import RadianceObjective
    from fields.models.field import RadianceField

    scene = scenes.load(source, "radiance")
    # All have the same weights, rays, samples and rates.
    trainer, _ = prepare(scene, "hashgrid", steps=1000, settings={} if who == "native" else {"fused": "off"})
    objective = trainer.objective
    assert isinstance(objective, RadianceObjective)
    scoring = nullcontext if who == "native" else _use_references(trainer, who == "torch")
    field = trainer.field
    assert isinstance(field, RadianceField)
    clock, due, quality, steps = 0.0, 0.0, 0.0, 0
    while clock < GIVE_UP_SECONDS and quality < TARGET_DB:
        begun = time.perf_counter()
        trainer.step()
        clock += time.perf_counter() - begun
        steps += 1
        if clock >= due:
            with scoring():
                quality = objective.scores.watched_psnr(field)
            due = clock + max(SCORE_EVERY, 0.05 * clock)
    return {"seconds": round(clock, 2), "steps": steps, "psnr": quality, "reached": quality >= TARGET_DB}


def peer(source: str, checkout: str) -> dict:
    import scenes
    from benchmarks.baselines.hashnerf import to_target
    from fields.fit.objectives.view_scores import watched_views
    from scenes.posed.signal import RadianceScene

    scene = scenes.load(source, "radiance")
    assert isinstance(scene, RadianceScene)
    views, stride = watched_views(scene)
    return to_target(
        Path(checkout),
        Path(source),
        [Path(view.name).stem for view in views],
        stride=stride,
        wanted=TARGET_DB,
        give_up=GIVE_UP_SECONDS,
        score_every=SCORE_EVERY,
    )


def _use_references(trainer: Trainer, everything: bool) -> Callable[[], AbstractContextManager[None]]:
    """Switch encoding, networks and compositing, or all operations, to their references in plain torch.

    Without `everything`, rays, the search for occupied cells, the samples and Adam stay native, in the references'
    favour. Returns a function that gives a context in which the native operations are back, for scoring.
    """
    from contextlib import contextmanager
    from types import SimpleNamespace

    import fields.ops.composite as composite
    import fields.ops.mlp as mlp
    from benchmarks.baselines.hash_grid import TorchHashGrid
    from fields.models.hash_grid import GridField
    from fields.ops import backends

    trunk = trainer.field.point_field
    assert isinstance(trunk, GridField)
    encoder = trunk.encoder
    native, plain = encoder.forward, TorchHashGrid(encoder.layout, encoder.table)
    plain.table = encoder.table
    choose = backends.choose
    references = SimpleNamespace(**{**vars(backends), "choose": lambda backend, device="cpu": "torch"})

    def switch(on: bool) -> None:
        if everything:
            backends.choose = references.choose if on else choose
        else:
            composite.backends = mlp.backends = references if on else backends
        encoder.forward = (lambda coords, footprint=None: plain(coords.reshape(-1, 3))) if on else native

    @contextmanager
    def restored():
        switch(False)
        try:
            yield
        finally:
            switch(True)

    switch(True)
    return restored


def frame(source: str, seconds: str) -> dict:
    """The median of five images of 400 x 400 of a scene fitted for so long."""
    import statistics

    import scenes
    from fields.export.outputs.radiance import RadianceOutput
    from fields.fit.fit import fit_field
    from scenes.posed.camera import Camera
    from scenes.posed.signal import RadianceScene

    scene = scenes.load(source, "radiance")
    assert isinstance(scene, RadianceScene)
    done = fit_field(scene, "hashgrid", seconds=float(seconds))
    view = scene.test[0]
    camera = Camera(view.pose, view.intrinsics.resized(400, 400))
    output = RadianceOutput(done.field)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        output.render_camera(camera)
        times.append(time.perf_counter() - begun)
    return {"seconds": round(statistics.median(times), 3), "psnr": round(done.metrics["psnr"], 2)}


def parts(source: str, warm: str) -> dict:
    """What a step spends its time on, after `warm` of them, as shares."""
    import fields.fit.objectives.radiance as fitting
    import fields.ops.grid_mlp as trunk
    import fields.ops.mlp as head
    import fields.render.volume as volume
    import fields.sampling.occupancy as occupancy
    import scenes
    from fields.fit.fit import prepare

    trainer, _ = prepare(scenes.load(source, "radiance"), "hashgrid", steps=2000)
    for _ in range(int(warm)):
        trainer.step()
    spent: dict[str, float] = collections.defaultdict(float)

    def timed(owner, name: str, part: str) -> None:
        function = getattr(owner, name)

        def wrapped(*arguments, **named):
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.perf_counter() - begun

        setattr(owner, name, wrapped)

    counts: list[tuple[int, int]] = []
    objective = trainer.objective
    assert isinstance(objective, fitting.RadianceObjective)
    rays = objective.ray_count
    adapt = rays.adapt

    def counted(reached: int, queried: int) -> None:
        counts.append((reached, queried))
        adapt(reached, queried)

    rays.adapt = counted
    timed(occupancy.OccupancyGrid, "sample", "sampling")
    timed(occupancy.OccupancyGrid, "update", "occupancy-update")
    timed(fitting.RadianceObjective, "batch", "rays")
    timed(trunk.GridMlpKernel, "forward", "density-network")
    timed(trunk.GridMlpKernel, "backward", "density-network-back")
    timed(head.MlpKernel, "forward", "colour-network")
    timed(head.MlpKernel, "backward", "colour-network-back")
    timed(volume, "composite", "compositing")
    timed(volume, "compositing_weights", "compositing")
    timed(trainer.optimizer, "step", "adam")
    steps = 64
    begun = time.perf_counter()
    for _ in range(steps):
        trainer.step()
    total = time.perf_counter() - begun
    shares = {part: seconds / total for part, seconds in sorted(spent.items(), key=lambda item: -item[1])}
    shares["rest"] = 1.0 - sum(shares.values())
    return {
        "shares": shares,
        "seconds": total / steps,
        "rays": rays.rays,
        "samples": [round(sum(c[i] for c in counts) / len(counts)) for i in (0, 1)],
    }


def mlp(source: str, settings: str) -> dict:
    import scenes
    from fields.fit.fit import fit_field

    steps, extra, bits = json.loads(settings)
    with tempfile.TemporaryDirectory() as folder:
        done = fit_field(
            scenes.load(source, "radiance"), "cam", steps=steps, settings=MLP | extra, bits=bits, out=f"{folder}/run"
        )
        assert done.run is not None
        return {"psnr": done.metrics["psnr"], "bytes": done.run.weights.stat().st_size}


DO = {"fit": fit, "target": target, "peer": peer, "frame": frame, "parts": parts, "mlp": mlp}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="only these parts")
    parser.add_argument("--images", default="", metavar="DIR", help="keep the fits' images of views for testing there")
    parser.add_argument("--hashnerf", type=Path, metavar="DIR", help="a checkout of HashNeRF-pytorch, for `sooner`")
    parser.add_argument("--do", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        print(json.dumps(DO[options.do[0]](*options.do[1:])), flush=True)
    else:
        emit(
            measure(options.quick, options.only, options.images, options.hashnerf),
            options,
            partial=len(options.only) < len(PARTS),
        )


if __name__ == "__main__":
    main()
