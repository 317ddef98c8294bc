"""Distillation between architectures: what a student reaches, against the same architecture trained on the data from scratch.

    python -m benchmarks.pvd [--quick] [--json] [--store] [--methods hashgrid,nerf,...] [--into nerf,...] [--seconds 60] [--scene FOLDER]

Teachers are fitted to the scene for four times `--seconds`. Every ordered pair is distilled for `--seconds`. From scratch, each architecture is trained
for `--seconds` and for as long as `--longest` allows, its learning rates multiplied by 1/3, 1 and 3, of which the best counts. Values are PSNR on the
scene's test views; times are of the clock, with all that a fit costs. `gain` is in dB over scratch at equal time; `sooner` says how many times longer
scratch needs for the same PSNR (null: not within what was tried). The whole table takes hours on two cores; `--quick` takes the procedural scene, two
architectures and ten seconds a pair.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

SMALL = {"nerf": {"width": 128, "hidden_layers": 4}, "siren": {"width": 128, "hidden_layers": 4}}
METHODS = ("hashgrid", "nerf", "tensorf", "densegrid", "triplane", "neurbf")
RATES = (1 / 3, 1.0, 3.0)
TEACHER_TIMES = 4


def fitted(scene, name: str, seconds: float, out: Path, factor: float = 1.0) -> float:
    """Test PSNR of a method fitted to the scene for so long, its learning rates multiplied by `factor`."""
    from fields.fit.fit import fit_field
    from fields.methods.registry import make_method

    options = dict(SMALL.get(name, {}))
    method = make_method(name, options)
    for rate in ("learning_rate", "table_rate"):
        if hasattr(method, rate):
            options[rate] = min(1.0, getattr(method, rate) * factor)
    return fit_field(scene, name, seconds=seconds, options=options, out=out).metrics["psnr"]


def scratch(scene, name: str, seconds: float, longest: float, folder: Path) -> list[tuple[float, float]]:
    """The curve of an architecture trained on the data: (seconds, best test PSNR of three learning rates), by doublings of the time."""
    best, curve, time = {}, [], seconds
    best = max(RATES, key=lambda factor: fitted(scene, name, seconds, folder / f"{name}-{factor:.2f}", factor))
    while time <= longest:
        curve.append((time, fitted(scene, name, time, folder / f"{name}-{time:g}", best)))
        time *= 2
    return curve


def student(teacher: Path, into: str, seconds: float, scene, stages=None, share_heads: bool = False) -> dict:
    """A student's test PSNR, its PSNR against the teacher, and its size."""
    from fields.distill import distill_field
    from fields.fit.kinds import objective_for

    result = distill_field(teacher, into, seconds=seconds, options=SMALL.get(into), stages=stages, share_heads=share_heads)
    psnr = objective_for(scene, result.field, result.method.loss).evaluate(result.field)["psnr"]
    return {"value": round(psnr, 2), "against_teacher": round(result.metrics["psnr"], 2), "numbers": result.field.stored_numbers,
            "steps": result.steps, "seconds": round(result.seconds, 1)}


def sooner(curve: list[tuple[float, float]], psnr: float, seconds: float) -> float | None:
    """How many times `seconds` the curve needs to reach that, between its points on a logarithmic axis of time."""
    if psnr <= curve[0][1]:
        return 1.0
    for (t0, p0), (t1, p1) in zip(curve, curve[1:]):
        if p0 < psnr <= p1:
            return round(t0 / seconds * (t1 / t0) ** ((psnr - p0) / (p1 - p0)), 2)
    return None


def measure(scene_path: str, methods: list[str], into: list[str], seconds: float, longest: float, folder: Path) -> list[dict]:
    import scenes
    from fields.distill.stages import Stages

    scene = scenes.load(scene_path, "radiance")
    rows, teachers = [], {}
    for name in methods:
        psnr = fitted(scene, name, TEACHER_TIMES * seconds, folder / f"teacher-{name}")
        teachers[name] = psnr
        rows.append({"id": f"teacher:{name}", "value": round(psnr, 2), "unit": "dB", "seconds": TEACHER_TIMES * seconds,
                     "bytes": (folder / f"teacher-{name}" / "field.safetensors").stat().st_size})
        print(rows[-1], flush=True)
    for name in into:
        curve = scratch(scene, name, seconds, longest, folder)
        rows.append({"id": f"scratch:{name}", "value": round(curve[0][1], 2), "unit": "dB", "seconds": [t for t, _ in curve], "psnr": [round(p, 2) for _, p in curve]})
        print(rows[-1], flush=True)
        ways = {"": {}}
        if name == "nerf":
            ways |= {":shared": {"share_heads": True}, ":one-shot": {"stages": Stages(feature_share=0, value_share=0, density_weight=0, color_weight=0)}}
        for teacher in methods:
            for way, options in ways.items() if teacher == "hashgrid" else {"": {}}.items():
                found = student(folder / f"teacher-{teacher}", name, seconds, scene, **options)
                rows.append({"id": f"{teacher}>{name}{way}", "unit": "dB", "against": "scratch", "against_value": round(curve[0][1], 2), **found,
                             "ratio": round(found["value"] / curve[0][1], 3), "gain": round(found["value"] - curve[0][1], 2),
                             "lost": round(teachers[teacher] - found["value"], 2), "sooner": sooner(curve, found["value"], seconds)})
                print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pvd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--methods", default=",".join(METHODS), help="the teachers")
    parser.add_argument("--into", help="the students (default: the same)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a distillation (default 60)")
    parser.add_argument("--longest", type=float, default=600.0, help="what scratch may take (default 600)")
    parser.add_argument("--scene", default="../shared/data/nerf/lego_200", help="a posed scene")
    options = parser.parse_args()
    if options.quick:
        options.scene, options.methods, options.seconds, options.longest = "procedural:duck", "hashgrid,nerf", 10.0, 40.0
    methods = options.methods.split(",")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options.scene, methods, options.into.split(",") if options.into else methods, options.seconds, options.longest, Path(folder))
    emit(report("pvd", rows) | {"scene": Path(options.scene).name, "quick": options.quick}, options)


if __name__ == "__main__":
    main()
