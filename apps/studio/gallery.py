"""The gallery of the runs folder: list, rename, delete, repeat and continue runs, comparisons and reconstructions."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from apps.studio import descriptions
from apps.studio.cleanup import delete_unused
from apps.studio.compare_job import CompareJob
from apps.studio.distill_job import DistillJob
from apps.studio.fit_job import FitJob
from apps.studio.folders import TOKEN, Folders, check_name
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
# Seconds for which the size of a run's folder is not counted again.
SIZE_SECONDS = 15.0
# Folder: size in bytes, and the `time.monotonic()` at which it was counted.
_sizes: dict[Path, tuple[int, float]] = {}


def entries(folders: Folders, queue: JobQueue) -> list[dict]:
    """Runs and comparisons as JSON data, the newest first. Folders that hold neither are left out."""
    found = []
    for path in folders.runs.iterdir():
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        try:
            found.append(entry(path, queue))
        except (BadInput, OSError, ValueError, KeyError, TypeError):
            continue
    found.sort(key=lambda entry: -entry["changed"])
    return found[:MAX_ENTRIES]


def entry(path: Path, queue: JobQueue) -> dict:
    """What the page shows of the run, comparison or reconstruction in a folder, as JSON data."""
    return {
        **_entry(path),
        **descriptions.read(path),
        "name": path.name,
        "busy": queue.is_busy(path),
        "bytes": _size(path),
    }


def names(folders: Folders, *, kind: str | None = None) -> list[str]:
    """Names of the runs that have weights, the newest first. `kind`: only runs of this kind of signal."""
    found = []
    for file in folders.runs.glob("*/field.safetensors"):
        try:
            header = Run.open(file.parent).header
        except BadInput:
            continue
        if file.parent.is_symlink() or kind not in (None, header["kind"]):
            continue
        found.append((file.stat().st_mtime, file.parent.name))
    return [name for _, name in sorted(found, reverse=True)][:MAX_ENTRIES]


def _size(path: Path) -> int:
    """Bytes of all files in a folder, counted at most every `SIZE_SECONDS`."""
    now = time.monotonic()
    known = _sizes.get(path)
    if known is None or now - known[1] > SIZE_SECONDS:
        files = (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
        known = sum(file.lstat().st_size for file in files), now
        _sizes[path] = known
    return known[0]


def rename(folders: Folders, queue: JobQueue, old: str, new: str) -> str:
    """Rename a run and return its new name. Raises BadInput where it is in use or the name cannot be taken."""
    path = folders.run(old)
    new = check_name(new.strip())
    if queue.is_busy(path):
        raise BadInput(f"{old} is being worked on; rename it afterwards")
    if (folders.runs / new).exists():
        raise BadInput(f"there is a run called {new} already")
    path.rename(folders.runs / new)
    queue.update_path(path, folders.runs / new)
    return new


def delete(folders: Folders, queue: JobQueue, name: str) -> str:
    """Move a run to the trash, and return the token with which it can be restored, for a day.

    Raises BadInput where it is in use or no run.
    """
    path = folders.run(name)
    if queue.is_busy(path):
        raise BadInput(f"{name} is being worked on; stop it first")
    if not any((path / file).is_file() for file in ("run.json", HEADER, RECORD)):
        raise BadInput(f"{name} is not a run and is not deleted")
    token = secrets.token_hex(8)
    place = folders.trash / token
    place.mkdir(parents=True)
    path.rename(place / name)
    queue.update_path(path, None)
    _sizes.pop(path, None)
    delete_unused(folders, queue.sources())
    return token


def restore(folders: Folders, token: str) -> str:
    """Bring back a run that was deleted, and return its name, which is new where another run has taken it."""
    place = folders.trash / token
    if not TOKEN.fullmatch(token) or not place.is_dir():
        raise BadInput("this run cannot be brought back any more: deleted runs are kept for a day")
    path = next(place.iterdir())
    target = folders.new(path.name)
    path.rename(target)
    place.rmdir()
    return target.name


def repeat(folders: Folders, queue: JobQueue, name: str, owner: str = "") -> Job:
    """Queue the same work again, with the same seed and budget, into a new folder."""
    path = folders.run(name)
    if (path / RECORD).is_file():
        request, out = read_record(path), queue.reserve(name)
        return queue.add(ReconstructJob(out.name, out, request), owner)
    if (path / HEADER).is_file():
        comparison = CompareRequest.from_header(Comparison.open(path).header)
        out = queue.reserve(name)
        return queue.add(CompareJob(out.name, out, comparison), owner)
    header = Run.open(path).header
    if not header.get("teacher"):
        return queue.fit(FitRequest.from_header(header), name, owner)
    distillation = DistillRequest.from_header(header)
    # A teacher that has gone is reported now. Raises BadInput.
    Run.open(Path(header["teacher"]["path"]))
    out = queue.reserve(name)
    return queue.add(DistillJob(out.name, out, distillation), owner)


def resume(folders: Folders, queue: JobQueue, name: str, owner: str = "") -> Job:
    """Queue the continuation of a run, comparison or reconstruction. Raises BadInput where it is finished."""
    path = folders.run(name)
    if (path / RECORD).is_file():
        job = ReconstructJob(name, path, read_record(path))
        if job.files:
            raise BadInput(f"{name} is finished; repeat it")
        return queue.resume(job, owner)
    if not (path / HEADER).is_file():
        distilled = Run.open(path).header.get("teacher")
        return queue.resume(DistillJob(name, path) if distilled else FitJob(name, path), owner)
    comparison = Comparison.open(path)
    if not comparison.missing:
        raise BadInput(f"{name} is finished; repeat it, or compare anew")
    return queue.resume(CompareJob(name, path, CompareRequest.from_header(comparison.header)), owner)


def show(folders: Folders, queue: JobQueue, name: str, owner: str = "") -> Job:
    """The job of a reconstruction, also of one that another studio made. Raises BadInput where it is none."""
    path = folders.run(name)
    known = [job for job in queue.jobs.values() if job.path == path and isinstance(job, ReconstructJob)]
    if known:
        return known[-1]
    job = ReconstructJob.from_folder(path)
    job.owner = owner
    return queue.remember(job)


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
        "image": run.weights.is_file(),
        "weights": run.weights.stat().st_mtime if run.weights.is_file() else None,
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
