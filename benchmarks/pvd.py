"""Distillation between architectures: what a student reaches, against the same architecture trained on the data from
scratch.

    python -m benchmarks.pvd [--quick] [--json] [--store] [--work DIR] [--sources scene,duck,image,shape]
                             [--methods hashgrid,nerf,...] [--into nerf,...] [--seconds 60] [--long]

Sources: `scene` (lego at 200 x 200, or the duck where that is absent), `duck` (the procedural scene, hash grid and MLP
into each other, three times as long), `image` (an astronaut, hash grid and SIREN) and `shape` (the armadillo, or a ring
where that is absent, the same). Teachers are fitted for four times `--seconds`, every ordered pair is distilled for
`--seconds`. From scratch, each architecture is trained for 1, 2, 4 and (`scene` only) 10 times that, anew each time,
until it has passed all of its students. An architecture's learning rates are multiplied by 1/3, 1 or 3: of those, the
two with the best values on the data after a third of `--seconds` from scratch are tried for all of it, and the better
one stays; students have the same. (Teachers have the method's own.) Values are PSNR on the test views (images: of the
whole; shapes: IoU against the source); `gain` is over scratch at equal time; `sooner` says how many times longer
scratch needs for the same value (null: not within the longest). For hash grid -> MLP on `scene` there are also `shared`
(begun with the teacher's head), `one-shot` (pixels only) and `at once` (all that is compared, from the first step).
`--long` distils anew, for five times as long, the pairs whose parameters are within a factor of two of the teacher's
and that have lost more than `LOST` against it.

Times are of the clock, with all that a fit costs, planned so that the budget is kept; `seconds` says what was taken.
Nobody writes a run. What remains of a difference: a student's time includes eight images of itself and of its
teacher, scratch's one of each of the test views.

Whatever is measured is kept in `--work` at once, and what is there is not measured again, so the hours that the whole
takes may be spent in pieces: `--store` stores what there is. `--quick` takes the image and three seconds a pair.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import RESULTS, add_arguments, emit, report

ROOT = Path(__file__).resolve().parents[1]
PLOT = ROOT / "docs" / "results" / "pvd.png"
LEGO = ROOT.parent / "shared" / "data" / "nerf" / "lego_200"
ARMADILLO = ROOT.parent / "shared" / "data" / "meshes" / "armadillo.obj"
SMALL = {"nerf": {"width": 128, "hidden_layers": 4}, "siren": {"width": 128, "hidden_layers": 4}}
METHODS = ("hashgrid", "nerf", "tensorf", "densegrid", "triplane", "neurbf")
RATES = (1 / 3, 1.0, 3.0)
TEACHER_TIMES = 4
SCRATCH_TIMES = (1, 2, 4)
LONGEST = 10  # where the source is "scene"
LONG_TIMES, LOST, ALIKE = 5, 1.0, 2.0
# What is distilled: its kind, its architectures (None: all that are asked for), how many times as long, and the metric.
SOURCES = {
    "scene": ("radiance", None, 1, "psnr"),
    "duck": ("radiance", ("hashgrid", "nerf"), 3, "psnr"),
    "image": ("image", ("hashgrid", "siren"), 1, "psnr"),
    "shape": ("shape", ("hashgrid", "siren"), 1, "iou"),
}
# How students are drawn, by what was special about them.
MARKERS = {"": "o", ":shared": "s", ":one-shot": "x", ":at once": "+", ":long": "^"}


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

    def __init__(self, name: str, ledger: Ledger, seconds: float) -> None:
        import scenes

        self.kind, self.methods, times, self.metric = SOURCES[name]
        self.name, self.ledger = name, ledger
        self.seconds = seconds * times
        self.key = f"{name}@{self.seconds:g}"
        path = {
            "scene": str(LEGO) if LEGO.is_dir() else "procedural:duck",
            "duck": "procedural:duck",
            "image": "skimage:astronaut",
        }.get(name)
        self.signal = scenes.load(
            path or (str(ARMADILLO) if ARMADILLO.is_file() else ring(ledger.folder / "ring.ply")), self.kind
        )

    def teacher(self, method: str) -> Path:
        out = self.ledger.folder / f"{self.key}-teacher-{method}"

        def measured() -> dict:
            shutil.rmtree(out, ignore_errors=True)  # (of a fit that was cut off)
            return self._fitted(method, TEACHER_TIMES * self.seconds, out)

        self.taught = self.ledger.row(f"{self.key}:teacher:{method}", measured)
        return out

    def factor(self, method: str) -> float:
        """What suits an architecture's learning rates.

        Of the best two after a third of the time, the better after all of it.
        """
        tried = {
            rate: self.ledger.row(
                f"{self.key}:rate:{method}:{rate:.2f}",
                lambda rate=rate: self._fitted(method, self.seconds / 3, None, rate),
            )["value"]
            for rate in RATES
        }
        best = sorted(tried, key=lambda rate: tried[rate])[-2:]
        return max(best, key=lambda rate: self._from_scratch(method, 1, rate)["value"])

    def _from_scratch(self, method: str, times: int, rate: float) -> dict:
        return self.ledger.row(
            f"{self.key}:scratch:{method}:{times}:{rate:.2f}",
            lambda: self._fitted(method, times * self.seconds, None, rate),
        )

    def scratch(self, method: str, passed: float) -> list[dict]:
        """The curve of an architecture trained on the data, until it has passed that value.

        Rows with `at`, the seconds that were given.
        """
        best = self.factor(method)
        curve: list[dict] = []
        for times in (*SCRATCH_TIMES, *([LONGEST] if self.name == "scene" else [])):
            # (a teacher is a fit with the method's own rates)
            taught = f"{self.key}:teacher:{method}"
            known = times == TEACHER_TIMES and best == 1.0 and taught in self.ledger.rows
            if curve and curve[-1]["value"] > passed and not known:
                continue
            row = self.ledger.rows[taught] if known else self._from_scratch(method, times, best)
            curve.append({"at": times * self.seconds, **row})
        return curve

    def student(self, teacher: str, into: str, way: str, times: float = 1, **options) -> dict:
        from fields.distill import distill_field
        from fields.kinds import objective_for

        def measured() -> dict:
            result = distill_field(
                folder, into, seconds=times * self.seconds, settings=self._options(into, best), **options
            )
            self.signal.rescale_to(result.field.channels)
            value = objective_for(self.signal, result.field, result.method.loss).evaluate(result.field)[self.metric]
            return {
                "value": round(value, 4),
                "against_teacher": round(result.metrics[self.metric], 4),
                "parameters": result.field.num_parameters,
                "steps": result.steps,
                "seconds": round(result.seconds, 1),
                "lost": round(taught - value, 4),
            }

        folder, best = self.teacher(teacher), self.factor(into)
        taught = self.taught["value"]
        return self.ledger.row(f"{self.key}:{teacher}>{into}{way}", measured)

    def _options(self, name: str, factor: float) -> dict:
        from fields.methods.registry import make_method

        options = dict(SMALL.get(name, {}))
        method = make_method(name, options).prepare(self.signal)
        return options | {
            rate: min(1.0, getattr(method, rate) * factor)
            for rate in ("learning_rate", "table_rate")
            if hasattr(method, rate)
        }

    def _fitted(self, name: str, seconds: float, out: Path | None, factor: float = 1.0) -> dict:
        from fields.fit.fit import fit_field

        result = fit_field(self.signal, name, seconds=seconds, settings=self._options(name, factor), out=out)
        return {
            "value": round(result.metrics[self.metric], 4),
            "seconds": round(result.seconds, 1),
            "parameters": result.field.num_parameters,
        }


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
    """Beside plain distillation: with the teacher's head and without stages, where that is asked about."""
    from fields.distill.stages import Stages

    pixels = {"stages": Stages(feature_fraction=0, value_fraction=0, density_weight=0, color_weight=0)}
    if source != "scene":
        return {"": {}, ":one-shot": pixels}
    if (teacher, into) != ("hashgrid", "nerf"):
        return {"": {}}
    return {
        "": {},
        ":shared": {"share_heads": True},
        ":one-shot": pixels,
        ":at once": {"stages": Stages(feature_fraction=0, value_fraction=0)},
    }


def wants_longer(taught: dict, student: dict) -> bool:
    """Whether a student about as large as its teacher has lost much against it."""
    return student["lost"] > LOST and 1 / ALIKE <= student["parameters"] / taught["parameters"] <= ALIKE


def measure(source: Source, teachers: list[str], into: list[str], long: bool) -> list[dict]:
    rows = []
    unit = "dB" if source.metric == "psnr" else source.metric
    for name in teachers:
        folder = source.teacher(name)
        rows.append(
            {
                "id": f"{source.key}:teacher:{name}",
                "unit": unit,
                **source.taught,
                "bytes": (folder / "field.safetensors").stat().st_size,
            }
        )
    for name in into:
        students = {
            f"{teacher}>{name}{way}": source.student(teacher, name, way, **options)
            for teacher in teachers
            if teacher != name
            for way, options in ways_of(source.name, teacher, name).items()
        }
        if not students:
            continue
        curve = source.scratch(name, max(found["value"] for found in students.values()))
        scratch = curve[0]["value"]
        rows.append(
            {
                "id": f"{source.key}:scratch:{name}",
                "value": scratch,
                "unit": unit,
                "at_seconds": [row["at"] for row in curve],
                "values": [row["value"] for row in curve],
                "seconds": [row["seconds"] for row in curve],
                "rates": source.factor(name),
            }
        )
        for label, found in students.items():
            rows.append(
                {
                    "id": f"{source.key}:{label}",
                    "unit": unit,
                    "against": "scratch",
                    "against_value": scratch,
                    **found,
                    "ratio": round(found["value"] / scratch, 3),
                    "gain": round(found["value"] - scratch, 4),
                    "sooner": sooner([(row["at"], row["value"]) for row in curve], found["value"]),
                }
            )
        for teacher in teachers if long and source.metric == "psnr" else ():
            source.teacher(teacher)
            if teacher != name and wants_longer(source.taught, students[f"{teacher}>{name}"]):
                rows.append(
                    {
                        "id": f"{source.key}:{teacher}>{name}:long",
                        "unit": unit,
                        **source.student(teacher, name, ":long", LONG_TIMES),
                    }
                )
    return rows


def draw(rows: list[dict], out: Path) -> None:
    """Of each architecture: its curve from scratch, and its students where their time ends."""
    from matplotlib.figure import Figure

    curves = [row for row in rows if ":scratch:" in row["id"]]
    # source, teacher, student, and how it was taught
    students = [
        (*found.groups(), row) for row in rows if (found := re.fullmatch(r"(.+?):(\w+)>(\w+)(:.+)?", row["id"]))
    ]
    colors = {
        teacher: f"C{index}" for index, teacher in enumerate(dict.fromkeys(teacher for _, teacher, *_ in students))
    }
    figure = Figure(figsize=(4.2 * min(3, len(curves)), 3.2 * math.ceil(len(curves) / 3)), layout="constrained")
    for place, curve in enumerate(curves, 1):
        axes = figure.add_subplot(math.ceil(len(curves) / 3), min(3, len(curves)), place)
        source, _, name = curve["id"].split(":")
        axes.semilogx(curve["at_seconds"], curve["values"], "k.-", label="from scratch")
        for where, teacher, into, way, row in students:
            if (where, into) == (source, name):
                axes.plot(
                    row["seconds"],
                    row["value"],
                    MARKERS[way or ""],
                    color=colors[teacher],
                    label=f"from {teacher}{way or ''}",
                )
        axes.set(title=f"{name}, {source}", xlabel="seconds", ylabel=curve["unit"])
        axes.set_xticks(curve["at_seconds"], [f"{seconds:g}" for seconds in curve["at_seconds"]])
        axes.minorticks_off()
        axes.legend(fontsize="x-small")
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pvd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_arguments(parser)
    parser.add_argument("--sources", default=",".join(SOURCES), help="what is distilled")
    parser.add_argument("--methods", default=",".join(METHODS), help="the teachers of the scene")
    parser.add_argument("--into", help="its students (default: the same)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a distillation (default 60)")
    parser.add_argument(
        "--long", action="store_true", help="also distil for longer where a student as large as its teacher lost much"
    )
    parser.add_argument("--work", type=Path, help="where rows and teachers are kept")
    options = parser.parse_args()
    if options.quick:
        options.sources, options.seconds = "image", 3.0
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(options.work or Path(folder))
        rows = []
        for name in options.sources.split(","):
            source = Source(name, ledger, options.seconds)
            teachers = list(source.methods or options.methods.split(","))
            rows += measure(
                source, teachers, list(source.methods or (options.into or options.methods).split(",")), options.long
            )
    result = report("pvd", rows) | {"seconds": options.seconds, "quick": options.quick}
    emit(result, options, partial=True)
    if options.store:
        draw(
            json.loads((RESULTS / "pvd.json").read_text(encoding="utf-8"))["rows"], PLOT
        )  # (with those of earlier parts)


if __name__ == "__main__":
    main()
