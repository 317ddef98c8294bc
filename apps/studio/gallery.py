"""The gallery of the runs folder: list, rename, delete, repeat and continue runs, comparisons and reconstructions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from apps.studio.cleanup import delete_unused
from apps.studio.compare_job import CompareJob
from apps.studio.distill_job import DistillJob
from apps.studio.fit_job import FitJob
from apps.studio.folders import Folders, check_name
from apps.studio.job import Job
from apps.studio.reconstruct_job import RECORD, ReconstructJob, read_record
from fields.compare.comparison import HEADER, Comparison
from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.kinds import viewer_class
from fields.runs.run import Run
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.job_queue import JobQueue

# Runs that are listed, the newest.
MAX_ENTRIES = 200
# A card shows the first of these metrics that the run has.
HEADLINE_METRICS = ("psnr", "snr", "iou", "chamfer")


def entries(folders: Folders, queue: JobQueue) -> list[dict]:
    """Runs and comparisons as JSON data, the newest first. Folders that hold neither are left out."""
    found = []
    for path in folders.runs.iterdir():
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        try:
            entry = _entry(path)
        except (BadInput, OSError, ValueError, KeyError, TypeError):
            continue
        found.append({**entry, "name": path.name, "busy": queue.is_busy(path)})
    found.sort(key=lambda entry: -entry["changed"])
    return found[:MAX_ENTRIES]


def names(folders: Folders, *, kind: str | None = None, solid: bool = False) -> list[str]:
    """Names of the runs that have weights, the newest first.

    `kind`: only runs of this kind of signal. `solid`: only runs that are viewed in 3-D.
    """
    found = []
    for file in folders.runs.glob("*/field.safetensors"):
        try:
            header = Run.open(file.parent).header
        except BadInput:
            continue
        if file.parent.is_symlink() or kind not in (None, header["kind"]):
            continue
        if solid and not viewer_class(header["kind"]).solid:
            continue
        found.append((file.stat().st_mtime, file.parent.name))
    return [name for _, name in sorted(found, reverse=True)][:MAX_ENTRIES]


def rename(folders: Folders, queue: JobQueue, old: str, new: str) -> str:
    """Rename a run and return its new name. Raises BadInput where it is in use or the name cannot be taken."""
    path = folders.run(old)
    new = check_name(new.strip())
    if queue.is_busy(path):
        raise BadInput(f"{old} is being fitted; rename it afterwards")
    if (folders.runs / new).exists():
        raise BadInput(f"there is a run called {new} already")
    path.rename(folders.runs / new)
    queue.update_path(path, folders.runs / new)
    return new


def delete(folders: Folders, queue: JobQueue, name: str) -> None:
    """Delete a run, and uploads that nothing refers to any more. Raises BadInput where it is in use or no run."""
    path = folders.run(name)
    if queue.is_busy(path):
        raise BadInput(f"{name} is being fitted; stop it first")
    if not any((path / file).is_file() for file in ("run.json", HEADER, RECORD)):
        raise BadInput(f"{name} is not a run and is not deleted")
    shutil.rmtree(path)
    queue.update_path(path, None)
    delete_unused(folders, queue.sources())


def repeat(folders: Folders, queue: JobQueue, name: str) -> Job:
    """Queue the same work again, with the same seed and budget, into a new folder."""
    path = folders.run(name)
    if (path / RECORD).is_file():
        request, out = read_record(path), queue.reserve(name)
        return queue.add(ReconstructJob(out.name, out, request))
    if (path / HEADER).is_file():
        comparison = CompareRequest.from_header(Comparison.open(path).header)
        out = queue.reserve(name)
        return queue.add(CompareJob(out.name, out, comparison))
    header = Run.open(path).header
    if not header.get("teacher"):
        return queue.fit(FitRequest.from_header(header), name)
    distillation = DistillRequest.from_header(header)
    # A teacher that has gone is reported now. Raises BadInput.
    Run.open(Path(header["teacher"]["path"]))
    out = queue.reserve(name)
    return queue.add(DistillJob(out.name, out, distillation))


def resume(folders: Folders, queue: JobQueue, name: str) -> Job:
    """Queue the continuation of a run, comparison or reconstruction. Raises BadInput where it is finished."""
    path = folders.run(name)
    if (path / RECORD).is_file():
        job = ReconstructJob(name, path, read_record(path))
        if job.files:
            raise BadInput(f"{name} is finished; repeat it")
        return queue.resume(job)
    if not (path / HEADER).is_file():
        distilled = Run.open(path).header.get("teacher")
        return queue.resume(DistillJob(name, path) if distilled else FitJob(name, path))
    comparison = Comparison.open(path)
    if not comparison.missing:
        raise BadInput(f"{name} is finished; repeat it, or compare anew")
    return queue.resume(CompareJob(name, path, CompareRequest.from_header(comparison.header)))


def show(folders: Folders, queue: JobQueue, name: str) -> Job:
    """The job of a reconstruction, also of one that another studio made. Raises BadInput where it is none."""
    path = folders.run(name)
    known = [job for job in queue.jobs.values() if job.path == path and isinstance(job, ReconstructJob)]
    return known[-1] if known else queue.remember(ReconstructJob.from_folder(path))


def _entry(path: Path) -> dict:
    if (path / HEADER).is_file():
        return _comparison_entry(path)
    return _reconstruction_entry(path) if (path / RECORD).is_file() else _run_entry(path)


def _reconstruction_entry(path: Path) -> dict:
    """That of its fit, which is there once the cameras are known."""
    job = ReconstructJob(path.name, path, read_record(path))
    if (path / "run.json").is_file():
        entry = _run_entry(path)
    else:
        entry = {
            "kind": "radiance",
            "solid": False,
            "method": job.request.method or "not fitted yet",
            "parameters": 0,
            "headline": None,
            "source": job.request.source.replace("\\", "/").rpartition("/")[2],
            "ready": False,
            "image": False,
            "changed": (path / RECORD).stat().st_mtime,
        }
    return {**entry, "type": "reconstruction", "status": "finished" if job.files else "unfinished"}


def _run_entry(path: Path) -> dict:
    run = Run.open(path)
    header, stored = run.header, run.metrics()
    metrics = stored["metrics"] if stored else {}
    headline = next(((name, metrics[name]) for name in HEADLINE_METRICS if name in metrics), None)
    return {
        "type": "run",
        "kind": header["kind"],
        "solid": viewer_class(header["kind"]).solid,
        "method": header["method"],
        "status": header["status"],
        "parameters": header["parameters"],
        "headline": headline,
        "source": _file_name(header),
        "ready": run.weights.is_file(),
        "image": (path / "preview.png").is_file(),
        "changed": (path / "run.json").stat().st_mtime,
    }


def _comparison_entry(path: Path) -> dict:
    header = json.loads((path / HEADER).read_text(encoding="utf-8"))
    wanted, done = len(header["methods"]) * header["seeds"], len(header["rows"])
    return {
        "type": "comparison",
        "kind": header["kind"],
        "solid": False,
        "method": ", ".join(header["methods"]),
        "parameters": header["parameters"],
        "status": "finished" if done == wanted else f"{done} of {wanted} fits",
        "headline": None,
        "source": _file_name(header),
        "ready": (path / "comparison.html").is_file(),
        "image": any((path / name).is_file() for name in ("crops.png", "target.png")),
        "changed": (path / HEADER).stat().st_mtime,
    }


def _file_name(header: dict) -> str:
    """Name of the source's file, from a path of any system."""
    return header["source"]["path"].replace("\\", "/").rpartition("/")[2]
