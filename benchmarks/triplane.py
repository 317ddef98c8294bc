"""Fields as data: whole folders of shapes fitted at once, and networks that read the tri-planes.

    python -m benchmarks.triplane [--json] [--quick] [--store] [--only PART,...] [--work DIR] [--splits N]

Parts. `vectorised`: shapes fitted together against one after the other, for equal steps, batches and samples, reading
and scoring excluded. `fit`: the 266 shapes of `shared/data/shapes` beside the repository (Labeled PSB, 19 classes of
14, turned in any direction; without it 48 procedural shapes stand in, under another id), reading, sampling, scoring and
writing included. `classify`, `procedural` and `segment`: networks on the fields of `fit` and on those of 400 procedural
shapes of 8 classes, which stand upright. Accuracy and mean IoU of parts are means over stratified splits that all
networks share; `interval` is the 95 % interval of the paired difference to what stands beside it. Fields that --work
has already are not fitted again, and their rows not measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.report import add_arguments, emit, report
from fields.batch.batch import Batch, prepared
from fields.batch.request import BatchRequest
from fields.batch.sources import sources_of
from fields.batch.stack_fit import StackFit, open_stack
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.learn.request import LearnRequest
from fields.learn.tasks import classify, segment
from fields.weights.dataset import FieldDataset

SHAPES = Path(__file__).resolve().parents[2] / "shared" / "data" / "shapes" / "labeled_psb_shared.npz"
PARTS = ("vectorised", "fit", "classify", "procedural", "segment")
# Of a shape: training samples, steps, and points of a step.
SAMPLES, STEPS, POINTS = 1 << 15, 300, 1024
# Shapes that are fitted together and one after the other.
COMPARED = 8
# Procedural shapes, and steps and points of each: they are simpler.
PROCEDURAL: dict[str, Any] = {"items": 400, "steps": 200, "points": 512, "samples": 1 << 14, "stack": 50}
SPLITS = 5
# Epochs by what a network sees.
EPOCHS = {"planes": 50, "maps": 50, "points": 50, "weights": 20, "histogram": 1}
# Student's t for 95 % by the number of splits.
STUDENT = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776}


def vectorised(work: Path, quick: bool) -> list[dict[str, Any]]:
    """Shapes a second, fitted together and one after the other."""
    folder = _shapes(work)
    request = BatchRequest(source=str(folder), items=COMPARED, stack=COMPARED, samples=SAMPLES, points=POINTS)
    sources = sources_of(str(folder), items=COMPARED)
    opened = open_stack(sources, request, None)
    steps = 20 if quick else STEPS // 2
    method = prepared(request, opened.shapes[0])
    fit = StackFit(opened, method, request.model_copy(update={"steps": steps}))
    together = _seconds(lambda: fit.train())
    single = method.model_copy(update={"batch": POINTS})
    trainers = []
    for source in sources:
        shape = source.open()
        shape.set_budget(None, 1, SAMPLES)
        field = single.build_field(shape.domain, shape.channels, 0)
        shape.batch(0, POINTS, 0)
        trainers.append(Trainer(field, objective_for(shape, field, single.loss), single, steps=steps, seed=0))
    after_another = _seconds(lambda: [trainer.step() for trainer in trainers for _ in range(steps)])
    return [
        {
            "id": "fit-vectorised",
            "value": round(COMPARED / together, 3),
            "unit": f"shapes/s, {steps} steps of {POINTS} points",
            "against": "one after the other",
            "against_value": round(COMPARED / after_another, 3),
            "ratio": round(after_another / together, 2),
            "backend": fit.stack.backend,
        }
    ]


def fit(work: Path, quick: bool) -> list[dict[str, Any]]:
    """Quality and time of fitting the whole folder."""
    folder, out = _shapes(work), work / "shapes"
    name = "psb" if SHAPES.is_file() else "procedural"
    if (out / "dataset.json").is_file() and len(Batch.create(_request(folder, out)).missing) == 0:
        print(f"{out}: is there already", file=sys.stderr)
        return []
    items = 16 if quick else None
    begun = time.perf_counter()
    batch = Batch.create(_request(folder, out).model_copy(update={"items": items}))
    batch.run(_Lines())
    seconds = time.perf_counter() - begun
    ious = [row["iou"] for row in batch.rows if "iou" in row]
    more = {"shapes": len(ious), "steps": STEPS, "points": POINTS, "not_fitted": len(batch.rows) - len(ious)}
    return [
        {"id": f"fit-{name}-seconds", "value": round(seconds, 1), "unit": "s", **more},
        {"id": f"fit-{name}-iou-median", "value": round(float(np.median(ious)), 4), "unit": "IoU of 32,768 points"},
        {"id": f"fit-{name}-iou-min", "value": round(min(ious), 4), "unit": "IoU of 32,768 points"},
    ]


def classification(work: Path, splits: int) -> list[dict[str, Any]]:
    """Accuracy on the shapes of `fit` by what a network sees."""
    _fitted(work / "shapes")
    return _compared(
        work / "shapes",
        splits,
        {
            "classify-maps": LearnRequest(source="", on="maps"),
            "classify-triplane": LearnRequest(source="", on="planes"),
            "classify-pointnet": LearnRequest(source="", on="points"),
            "classify-histogram": LearnRequest(source="", on="histogram"),
            "classify-weights": LearnRequest(source="", on="weights"),
        },
        classify,
        "accuracy",
        against="classify-maps",
    )


def procedural(work: Path, splits: int) -> list[dict[str, Any]]:
    """Accuracy on the classes of procedural shapes."""
    out = _procedural_fields(work)
    wanted = {
        f"classify-procedural-{name}": LearnRequest(source="", on=name, turned=False)
        for name in ("maps", "planes", "points", "histogram", "weights")
    }
    return _compared(out, splits, wanted, classify, "accuracy", against="classify-procedural-maps")


def segmentation(work: Path, splits: int) -> list[dict[str, Any]]:
    """Mean IoU of the parts of procedural shapes."""
    out = _procedural_fields(work)
    wanted = {
        "segment-triplane": LearnRequest(source="", on="planes"),
        "segment-pointnet": LearnRequest(source="", on="points"),
    }
    return _compared(out, splits, wanted, segment, "miou", against="segment-pointnet")


def _compared(
    dataset: Path,
    splits: int,
    wanted: dict[str, LearnRequest],
    train: Callable[..., Any],
    score: str,
    *,
    against: str,
) -> list[dict[str, Any]]:
    """A row for each request: the mean of a score over splits, and its paired difference to one of them."""
    found: dict[str, list[float]] = {}
    for name, request in wanted.items():
        for seed in range(splits):
            model = dataset.parent / "models" / f"{name}-{seed}"
            full = request.model_copy(
                update={"source": str(dataset), "seed": seed, "epochs": EPOCHS[request.on], "batch": 16, "rate": 2e-3}
            )
            begun = time.perf_counter()
            scores = train(full, model).header["scores"]
            print(f"{name} {seed}: {scores} in {time.perf_counter() - begun:.1f} s", file=sys.stderr, flush=True)
            found.setdefault(name, []).append(scores[score])
    rows = []
    for name, values in found.items():
        row: dict[str, Any] = {"id": name, "value": round(mean(values), 4), "unit": score, "splits": values}
        if name != against:
            row |= {"against": against, "against_value": round(mean(found[against]), 4), "ratio": None}
            row["interval"] = interval([a - b for a, b in zip(values, found[against])])
        rows.append(row)
    return rows


def interval(differences: list[float]) -> list[float]:
    """95 % interval of the mean of paired differences, by Student's t."""
    if len(differences) < 2:
        return []
    half = STUDENT[len(differences)] * stdev(differences) / math.sqrt(len(differences))
    return [round(mean(differences) - half, 4), round(mean(differences) + half, 4)]


def _request(folder: Path | str, out: Path) -> BatchRequest:
    return BatchRequest(source=str(folder), out=out, steps=STEPS, points=POINTS, samples=SAMPLES, stack=38)


def _shapes(work: Path) -> Path:
    """The folder of the meshes, which is written where it is not there."""
    folder = work / "meshes"
    if folder.is_dir():
        return folder
    if not SHAPES.is_file():
        return _procedural_meshes(folder)
    import trimesh

    data = np.load(SHAPES, allow_pickle=False)
    vertices, faces = data["vertices"], data["faces"]
    corners, triangles = data["vertex_offsets"], data["face_offsets"]
    partial = folder.with_name("meshes.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for i, label in enumerate(data["label"]):
        own = faces[triangles[i] : triangles[i + 1]].astype(np.int64)
        mesh = trimesh.Trimesh(vertices[corners[i] : corners[i + 1]], own, process=False)
        file = partial / str(data["class_names"][label]) / f"{data['source_id'][i]}.ply"
        file.parent.mkdir(parents=True, exist_ok=True)
        mesh.export(file)
    partial.rename(folder)
    return folder


def _procedural_meshes(folder: Path) -> Path:
    """Meshes of procedural shapes, for machines without the labelled ones."""
    from skimage.measure import marching_cubes
    from trimesh import Trimesh

    from scenes.procedural.part_shapes import CLASSES, part_shape

    axis = np.linspace(0, 1, 65)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    for i in range(48):
        values = part_shape(i).values(points).reshape(65, 65, 65)
        vertices, faces, _, _ = marching_cubes(values, 0.0)
        file = folder / list(CLASSES)[i % len(CLASSES)] / f"{i}.ply"
        file.parent.mkdir(parents=True, exist_ok=True)
        Trimesh(vertices / 64, faces[:, ::-1]).export(file)
    return folder


def _procedural_fields(work: Path) -> Path:
    out = work / "parts"
    Batch.create(BatchRequest(source="procedural:parts", out=out, **PROCEDURAL)).run(_Lines())
    return out


def _fitted(path: Path) -> None:
    if not (path / "dataset.json").is_file():
        raise SystemExit(f"{path}: there are no fields yet; run the part `fit` before")
    print(f"{path}: {len(FieldDataset.open(path))} fields", file=sys.stderr)


class _Lines:
    """Progress, a line every 10 seconds."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: Any) -> None:
        if time.perf_counter() >= self._next:
            self._next = time.perf_counter() + 10
            print(f"{progress.done}/{progress.total}  {progress.doing}", file=sys.stderr, flush=True)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,...", help="the parts to measure")
    parser.add_argument("--work", type=Path, default=Path("build/triplane"), help="folder of meshes, fields and models")
    parser.add_argument("--splits", type=int, default=SPLITS, help="stratified splits")
    options = parser.parse_args()
    work, splits = options.work, 2 if options.quick else options.splits
    work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "vectorised": lambda: vectorised(work, options.quick),
        "fit": lambda: fit(work, options.quick),
        "classify": lambda: classification(work, splits),
        "procedural": lambda: procedural(work, splits),
        "segment": lambda: segmentation(work, splits),
    }
    rows: list[dict[str, Any]] = []
    names = options.only.split(",")
    for name in names:
        if name not in parts:
            raise SystemExit(f"there is no part {name!r}; there are {', '.join(parts)}")
        rows += parts[name]()
        if options.store and name != names[-1]:
            # A long measurement that is cut off keeps its finished parts.
            with contextlib.redirect_stdout(sys.stderr):
                emit(report("triplane", rows), options, partial=True)
    print(json.dumps({"parts": names}), file=sys.stderr)
    emit(report("triplane", rows), options, partial=True)


if __name__ == "__main__":
    main()
