"""Train networks that read fields, and ask them. The datasets of fields are what `fit-a-scene batch` makes.

classify DIR trains a classifier of tri-planes on a dataset, and scores it on items that it was not trained on; --on
trains what it is compared with. segment DIR trains a network that says the part of each point. predict MODEL FILE
fits a field to a mesh and says its class, and how sure that is. embed MODEL DIR writes a vector for each item; with
--query NAME it also finds the items most like one and draws them. between DIR A B writes a film from one item to
another, where all share a decoder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.cli.flags import add_flags, group, read_request
from apps.cli.interrupt import stop_on_signals
from fields.learn.request import LearnRequest
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.learn.training import Learning

HELP = "train networks that read fields, and ask them"
EPILOG = """\
examples:
  fit-a-scene learn classify runs/shapes                          19 classes of shapes from their tri-planes
  fit-a-scene learn classify runs/shapes --on points --seed 1     PointNet, on another split
  fit-a-scene learn segment runs/parts
  fit-a-scene learn predict models/shapes-classify chair.obj
  fit-a-scene learn embed models/shapes-classify runs/shapes --query Chair/101.ply --out sheet.png
  fit-a-scene learn between runs/shared Chair/101.ply Table/141.ply --out film.mp4
"""
TASKS = ("classify", "segment", "predict", "embed", "between")
# Folder of all models.
MODELS = Path("models")
# Classes that are printed of an answer.
SHOWN = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    group(parser, "source").add_argument("task", metavar="TASK", choices=TASKS, help=f"{', '.join(TASKS)}.")
    add_flags(parser, LearnRequest)
    more = group(parser, "source")
    more.add_argument(
        "files", nargs="*", metavar="FILE", help="predict: the mesh; embed: the dataset; between: two names of items."
    )
    more.add_argument("--query", metavar="NAME", help="embed: Also find the items most like this one, and draw them.")


def run(options: argparse.Namespace) -> dict:
    request = read_request(LearnRequest, options)
    needed = {"predict": "MODEL and FILE", "embed": "MODEL and DIR", "between": "DIR and two items"}.get(
        options.task, "one folder"
    )
    if len(options.files) != {"predict": 1, "embed": 1, "between": 2}.get(options.task, 0):
        raise BadInput(f"learn {options.task} takes {needed}")
    others = {"predict": _predict, "embed": _embed, "between": _between}
    return others[options.task](options) if options.task in others else _train(request, options)


def _train(request: LearnRequest, options: argparse.Namespace) -> dict[str, Any]:
    from fields.learn import tasks
    from fields.learn.splits import single_classes
    from fields.weights.dataset import FieldDataset

    name = Path(request.source).name or "model"
    on = "" if request.on == "planes" else f"-{request.on}"
    out = request.out or MODELS / f"{name}-{options.task}{on}"
    dataset = FieldDataset.open(request.source)
    if single := single_classes(dataset):
        print(f"classes of one item are trained on and not tested: {', '.join(single)}", file=sys.stderr)
    stopper = _Stopper()
    train = tasks.classify if options.task == "classify" else tasks.segment
    with stop_on_signals(stopper):
        model = train(request, out, stopper)
    report = {"model": str(out), "task": options.task, "on": request.on, "classes": model.classes}
    if model.header["status"] != "finished":
        print("stopped; the same command continues", file=sys.stderr)
        return {**report, "interrupted": True}
    report |= {"scores": model.header["scores"], "items": model.header["items"], "chance": tasks.chance(dataset)}
    if not options.json:
        scores = "   ".join(f"{name} {value:.4g}" for name, value in report["scores"].items())
        print(f"{scores}   on {report['items']['test']} items (the largest class alone: {report['chance']:.3f})")
        print(f"  model    {out}")
        if options.task == "classify":
            print(f"  ask      fit-a-scene learn predict {out} FILE")
    return report


class _Stopper:
    """Prints each epoch, and ends the training after the present one where it was asked to."""

    def __init__(self) -> None:
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def __call__(self, learning: Learning) -> None:
        row = learning.history[-1]
        scores = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
        print(f"epoch {row['epoch']}/{learning.epochs}  {scores}", file=sys.stderr, flush=True)
        if self._stopped:
            learning.stop()


def _predict(options: argparse.Namespace) -> dict[str, Any]:
    from fields.learn.models import Model
    from fields.learn.reading import predict

    answer = predict(Model.load(options.source), options.files[0])
    if not options.json:
        for name, probability in list(zip(answer.classes, answer.probabilities))[:SHOWN]:
            print(f"{name:20} {probability:.1%}")
        if not answer.sure:
            print("not sure: no class has half of the probability", file=sys.stderr)
        if iou := answer.quality.get("iou"):
            print(f"the fitted field has an IoU of {iou:.3f} with the file", file=sys.stderr)
    return {
        "class": answer.classes[0],
        "probability": round(answer.probabilities[0], 6),
        "sure": answer.sure,
        "probabilities": {n: round(p, 6) for n, p in zip(answer.classes, answer.probabilities)},
        "quality": answer.quality,
    }


def _embed(options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from fields.learn.models import Model
    from fields.learn.reading import embeddings, flat_map, nearest
    from fields.weights.dataset import FieldDataset
    from scenes.io.atomic import atomic_write

    dataset = FieldDataset.open(options.files[0])
    query = None if options.query is None else dataset.find(options.query)
    vectors = embeddings(Model.load(options.source), dataset)
    names = [item.name for item in dataset.items]
    if query is None:
        out = Path(options.out or "embeddings.npz")
        with atomic_write(out) as temporary, open(temporary, "wb") as file:
            labels = [item.label or "" for item in dataset.items]
            np.savez(file, names=np.array(names), labels=np.array(labels), vectors=vectors, map=flat_map(vectors))
        if not options.json:
            print(f"{len(names)} vectors of {vectors.shape[1]} numbers   {out}")
        return {"embeddings": str(out), "items": len(names), "width": vectors.shape[1]}
    found = nearest(vectors, query)
    report: dict[str, Any] = {"query": options.query, "nearest": [{"name": names[i], "likeness": s} for i, s in found]}
    out = Path(options.out or "nearest.png")
    from fields.learn.pictures import write_sheet

    write_sheet(out, dataset, query, found)
    if not options.json:
        for entry in report["nearest"]:
            print(f"{entry['name']:30} {entry['likeness']:.3f}")
        print(f"  sheet    {out}")
    return {**report, "sheet": str(out)}


def _between(options: argparse.Namespace) -> dict[str, Any]:
    from fields.learn.pictures import write_film
    from fields.weights.dataset import FieldDataset

    dataset = FieldDataset.open(options.source)
    first, last = (dataset.find(name) for name in options.files)
    out = Path(options.out or "between.mp4")
    for note in write_film(out, dataset, first, last):
        print(f"note: {note}", file=sys.stderr)
    if not options.json:
        print(f"film  {out}")
    return {"film": str(out), "from": options.files[0], "to": options.files[1]}
