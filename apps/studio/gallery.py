"""The runs folder as a gallery: what is there, and renaming, deleting and repeating."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from apps.studio.cleanup import clear
from apps.studio.comparing import CompareJob, plan_of
from apps.studio.distilling import DistillJob, DistillOrder
from apps.studio.folders import Folders, checked
from apps.studio.jobs import FitJob, FitOrder, Job, Queue
from fields.compare.comparison import HEADER, Comparison
from fields.runs.run import Run
from scenes.errors import BadInput

MOST = 200
HEADLINES = ("psnr", "snr", "iou", "chamfer")


def listed(folders: Folders, queue: Queue) -> list[dict]:
    """Runs and comparisons, the newest first."""
    found = []
    for path in folders.runs.iterdir():
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        try:
            entry = _comparison(path) if (path / HEADER).is_file() else _run(path)
        except (BadInput, OSError, ValueError, KeyError, TypeError):
            continue  # what is not a whole run is no concern of the gallery
        found.append({**entry, "name": path.name, "busy": queue.busy(path)})
    found.sort(key=lambda entry: -entry["changed"])
    return found[:MOST]


def names(folders: Folders, kinds: tuple[str, ...] | None = None) -> list[str]:
    """Runs that have weights to look at, the newest first."""
    found = []
    for file in folders.runs.glob("*/field.safetensors"):
        try:
            header = Run.open(file.parent).header
        except BadInput:
            continue
        if not file.parent.is_symlink() and (kinds is None or header["kind"] in kinds):
            found.append((file.stat().st_mtime, file.parent.name))
    return [name for _, name in sorted(found, reverse=True)][:MOST]


def _run(path: Path) -> dict:
    run = Run.open(path)
    header, stored = run.header, run.metrics()
    metrics = stored["metrics"] if stored else {}
    headline = next(((name, metrics[name]) for name in HEADLINES if name in metrics), None)
    return {
        "sort": "run",
        "kind": header["kind"],
        "method": header["method"],
        "status": header["status"],
        "parameters": header["parameters"],
        "headline": headline,
        "source": header["source"]["path"].replace("\\", "/").rpartition("/")[2],
        "ready": run.weights.is_file(),
        "picture": (path / "preview.png").is_file(),
        "changed": (path / "run.json").stat().st_mtime,
    }


def _comparison(path: Path) -> dict:
    header = json.loads((path / HEADER).read_text(encoding="utf-8"))
    wanted = len(header["methods"]) * header["seeds"]
    return {
        "sort": "comparison",
        "kind": header["kind"],
        "method": ", ".join(header["methods"]),
        "parameters": header["parameters"],
        "status": "finished" if len(header["rows"]) == wanted else f"{len(header['rows'])} of {wanted} fits",
        "headline": None,
        "source": header["source"]["path"].replace("\\", "/").rpartition("/")[2],
        "ready": (path / "comparison.html").is_file(),
        "picture": any((path / name).is_file() for name in ("crops.png", "target.png")),
        "changed": (path / HEADER).stat().st_mtime,
    }


def rename(folders: Folders, queue: Queue, old: str, new: str) -> str:
    path = folders.run(old)
    new = checked(new.strip())
    if queue.busy(path):
        raise BadInput(f"{old} is being fitted; rename it afterwards")
    if (folders.runs / new).exists():
        raise BadInput(f"there is a run called {new} already")
    path.rename(folders.runs / new)
    queue.moved(path, folders.runs / new)
    return new


def delete(folders: Folders, queue: Queue, name: str) -> None:
    path = folders.run(name)
    if queue.busy(path):
        raise BadInput(f"{name} is being fitted; stop it first")
    if not ((path / "run.json").is_file() or (path / HEADER).is_file()):
        raise BadInput(f"{name} is not a run; it stays")
    shutil.rmtree(path)
    queue.moved(path, None)
    clear(folders, queue.sources())


def repeat(folders: Folders, queue: Queue, name: str) -> Job:
    """The same signal, method, options, seed and budget once more, in a folder of its own; so too what was distilled or compared."""
    path = folders.run(name)
    if (path / HEADER).is_file():
        plan, anew = plan_of(Comparison.open(path).header), queue.free(name)
        return queue.add(CompareJob(anew.name, anew, plan))
    header = Run.open(path).header
    if header.get("teacher"):
        order = DistillOrder.again(header)
        Run.open(order.teacher)  # (told now where it has gone)
        anew = queue.free(name)
        return queue.add(DistillJob(anew.name, anew, order))
    source = header["source"]
    budget = {"steps": header["steps"]} if header["steps"] else {"seconds": header["seconds"]}
    order = FitOrder(
        source["path"],
        header["kind"],
        dict(source.get("options", {})),
        header["method"],
        header["options"],
        **budget,
        seed=header["seed"],
        bits=header.get("bits", 32),
        keep=header.get("keep", 1.0),
        start=Path(header["from"]) if header.get("from") else None,
    )
    return queue.fit(order, name)


def resume(folders: Folders, queue: Queue, name: str) -> Job:
    path = folders.run(name)
    if not (path / HEADER).is_file():
        return queue.resume(path, (DistillJob if Run.open(path).header.get("teacher") else FitJob)(name, path, None))
    comparison = Comparison.open(path)
    if not comparison.missing:
        raise BadInput(f"{name} is finished; repeat it, or compare anew")
    return queue.resume(path, CompareJob(name, path, plan_of(comparison.header)))
