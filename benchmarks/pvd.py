"""Distillation between architectures: what a student reaches, against the same architecture trained on the data from scratch.

    python -m benchmarks.pvd [--quick] [--json] [--store] [--work DIR] [--sources scene,duck,image,shape] [--methods hashgrid,nerf,...] [--into nerf,...]
                             [--seconds 60]

Sources: `scene` (lego at 200 x 200, or the duck where that is absent), `duck` (the procedural scene, hash grid and MLP into each other, three times as long), `image` (an
astronaut, hash grid and SIREN) and `shape` (the armadillo, or a ring where that is absent, the same). Teachers are fitted for four times `--seconds`, every ordered pair
is distilled for `--seconds`. From scratch, each architecture is trained for `--seconds` and on, by doublings, to `--longest`, its learning rates multiplied by
1/3, 1 or 3, whichever is best at `--seconds`. Values are PSNR on the test views (pictures: of the whole; shapes: IoU against the source);
times are of the clock, with all that a fit costs. `gain` is over scratch at equal time; `sooner` says how many times longer scratch needs for the same
value (null: not within what was tried).

Whatever is measured is kept in `--work` at once, and what is there is not measured again, so the hours that the whole takes may be spent in pieces: `--store` stores
what there is. `--quick` takes the image and three seconds a pair.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

ROOT = Path(__file__).resolve().parents[1]
PLOT = ROOT / "docs" / "results" / "pvd.png"
LEGO = ROOT.parent / "shared" / "data" / "nerf" / "lego_200"
ARMADILLO = ROOT.parent / "shared" / "data" / "meshes" / "armadillo.obj"
SMALL = {"nerf": {"width": 128, "hidden_layers": 4}, "siren": {"width": 128, "hidden_layers": 4}}
METHODS = ("hashgrid", "nerf", "tensorf", "densegrid", "triplane", "neurbf")
RATES = (1 / 3, 1.0, 3.0)
TEACHER_TIMES = 4
# What is distilled: its kind, its architectures (None: all that are asked for), how many times as long, and the metric.
SOURCES = {"scene": ("radiance", None, 1, "psnr"), "duck": ("radiance", ("hashgrid", "nerf"), 3, "psnr"),
           "image": ("image", ("hashgrid", "siren"), 1, "psnr"), "shape": ("shape", ("hashgrid", "siren"), 1, "iou")}


class Ledger:
    """Rows by their names, written down as soon as they are known."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "rows.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: dict[str, dict] = json.loads(self.file.read_text()) if self.file.is_file() else {}

    def row(self, name: str, measured: Callable[[], dict]) -> dict:
        if name not in self.rows:
            self.rows[name] = measured()
            self.file.write_text(json.dumps(self.rows, indent=1))
            print(name, self.rows[name], flush=True)
        return self.rows[name]


class Source:
    """One thing that is distilled, with its teachers' runs and what is known of it."""

    def __init__(self, name: str, ledger: Ledger, seconds: float, longest: float) -> None:
        import scenes

        self.kind, self.methods, times, self.metric = SOURCES[name]
        self.name, self.ledger = name, ledger
        self.seconds, self.longest = seconds * times, longest * times
        path = {"scene": str(LEGO) if LEGO.is_dir() else "procedural:duck", "duck": "procedural:duck", "image": "skimage:astronaut"}.get(name)
        self.signal = scenes.load(path or (str(ARMADILLO) if ARMADILLO.is_file() else ring(ledger.folder / "ring.ply")), self.kind)

    def teacher(self, method: str) -> Path:
        out = self.ledger.folder / f"{self.name}-teacher-{method}"
        row = self.ledger.row(f"{self.name}:teacher:{method}", lambda: self._fitted(method, TEACHER_TIMES * self.seconds, out))
        self.taught = row["value"]
        return out

    def scratch(self, method: str) -> list[tuple[float, float]]:
        """The curve of an architecture trained on the data: (seconds, value with the best of three learning rates)."""
        tried = {rate: self.ledger.row(f"{self.name}:rate:{method}:{rate:.2f}", lambda rate=rate: self._fitted(method, self.seconds, None, rate))["value"]
                 for rate in RATES}
        best = max(tried, key=tried.get)
        curve, time = [(self.seconds, tried[best])], 2 * self.seconds
        while time <= self.longest:
            curve.append((time, self.ledger.row(f"{self.name}:scratch:{method}:{time:g}", lambda time=time: self._fitted(method, time, None, best))["value"]))
            time *= 2
        return curve

    def student(self, teacher: str, into: str, way: str, **options) -> dict:
        from fields.distill import distill_field
        from fields.distill.distill import score

        def measured() -> dict:
            result = distill_field(folder, into, seconds=self.seconds, options=SMALL.get(into), out=Path(scratch) / "student", **options)
            value = score(result.run, result.field, self.signal, other=False)[self.metric]
            return {"value": round(value, 4), "against_teacher": round(result.metrics[self.metric], 4), "numbers": result.field.stored_numbers,
                    "steps": result.steps, "seconds": round(result.seconds, 1), "lost": round(taught - value, 4)}

        folder = self.teacher(teacher)
        taught = self.taught
        with tempfile.TemporaryDirectory() as scratch:
            return self.ledger.row(f"{self.name}:{teacher}>{into}{way}", measured)

    def _fitted(self, name: str, seconds: float, out: Path | None, factor: float = 1.0) -> dict:
        from fields.fit.fit import fit_field
        from fields.methods.registry import make_method

        options = dict(SMALL.get(name, {}))
        method = make_method(name, options)
        for rate in ("learning_rate", "table_rate"):
            if hasattr(method, rate):
                options[rate] = min(1.0, getattr(method, rate) * factor)
        result = fit_field(self.signal, name, seconds=seconds, options=options, out=out)
        return {"value": round(result.metrics[self.metric], 4), "seconds": round(result.seconds, 1), "numbers": result.field.stored_numbers}


def ring(path: Path) -> str:
    import trimesh

    trimesh.creation.torus(1.0, 0.4, 96, 48).export(path)
    return str(path)


def sooner(curve: list[tuple[float, float]], value: float) -> float | None:
    """How many times as long the curve needs to reach that, between its points on a logarithmic axis of time."""
    seconds = curve[0][0]
    if value <= curve[0][1]:
        return 1.0
    for (t0, p0), (t1, p1) in zip(curve, curve[1:]):
        if p0 < value <= p1:
            return round(t0 / seconds * (t1 / t0) ** ((value - p0) / (p1 - p0)), 2)
    return None


def ways_of(source: str, teacher: str, into: str) -> dict[str, dict]:
    """Beside plain distillation: with the teacher's head, and without stages, where that is asked about."""
    from fields.distill.stages import Stages

    if teacher == "hashgrid" and into == "nerf":
        return {"": {}, ":shared": {"share_heads": True}, ":one-shot": {"stages": Stages(feature_share=0, value_share=0, density_weight=0, color_weight=0)}}
    return {"": {}} if source in ("scene", "duck") else {"": {}, ":one-shot": {"stages": Stages(feature_share=0, value_share=0)}}


def measure(source: Source, teachers: list[str], into: list[str]) -> list[dict]:
    rows = []
    unit = "dB" if source.metric == "psnr" else source.metric
    for name in teachers:
        folder = source.teacher(name)
        rows.append({"id": f"{source.name}:teacher:{name}", "unit": unit, **source.ledger.rows[f"{source.name}:teacher:{name}"],
                     "bytes": (folder / "field.safetensors").stat().st_size})
    for name in into:
        curve = source.scratch(name)
        rows.append({"id": f"{source.name}:scratch:{name}", "value": curve[0][1], "unit": unit, "at_seconds": [t for t, _ in curve], "values": [v for _, v in curve]})
        for teacher in teachers:
            for way, options in ways_of(source.name, teacher, name).items():
                found = source.student(teacher, name, way, **options)
                gain = found["value"] - curve[0][1]
                rows.append({"id": f"{source.name}:{teacher}>{name}{way}", "unit": unit, "against": "scratch", "against_value": curve[0][1], **found,
                             "ratio": round(found["value"] / curve[0][1], 3), "gain": round(gain, 4), "sooner": sooner(curve, found["value"])})
    return rows


def draw(rows: list[dict], out: Path) -> None:
    """Of each architecture: its curve from scratch, and its students where their time ends."""
    from matplotlib.figure import Figure

    curves = [row for row in rows if ":scratch:" in row["id"]]
    figure = Figure(figsize=(4.2 * min(3, len(curves)), 3.2 * math.ceil(len(curves) / 3)), layout="constrained")
    for place, curve in enumerate(curves, 1):
        axes = figure.add_subplot(math.ceil(len(curves) / 3), min(3, len(curves)), place)
        source, _, name = curve["id"].split(":")
        axes.semilogx(curve["at_seconds"], curve["values"], "k.-", label="from scratch")
        for row in rows:
            if row["id"].startswith(f"{source}:") and row["id"].partition(">")[2].partition(":")[0] == name:
                label = row["id"].split(":", 1)[1].replace(f">{name}", "")
                axes.plot(row["seconds"], row["value"], "o", label=f"from {label}")
        axes.set(title=f"{name}, {source}", xlabel="seconds", ylabel=curve["unit"])
        axes.legend(fontsize="x-small")
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pvd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--sources", default=",".join(SOURCES), help="what is distilled")
    parser.add_argument("--methods", default=",".join(METHODS), help="the teachers of the scene")
    parser.add_argument("--into", help="its students (default: the same)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a distillation (default 60)")
    parser.add_argument("--longest", type=float, default=600.0, help="what scratch may take (default 600)")
    parser.add_argument("--work", type=Path, help="where rows and teachers are kept")
    options = parser.parse_args()
    if options.quick:
        options.sources, options.seconds, options.longest = "image", 3.0, 12.0
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(options.work or Path(folder))
        rows = []
        for name in options.sources.split(","):
            source = Source(name, ledger, options.seconds, options.longest)
            teachers = list(source.methods or options.methods.split(","))
            rows += measure(source, teachers, list(source.methods or (options.into or options.methods).split(",")))
    result = report("pvd", rows) | {"seconds": options.seconds, "quick": options.quick}
    emit(result, options, partial=True)
    if options.store:
        draw(rows, PLOT)


if __name__ == "__main__":
    main()
