"""The page of one run, `/run/NAME`: what it says about the run, and the HTML in which scripts draw the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from markupsafe import Markup

from apps.studio import descriptions, exporting, films, gallery
from apps.studio.controls import placeholder
from apps.studio.exporting import ExportChoice
from apps.studio.folders import Folders, check_name
from apps.studio.images import data_url
from apps.studio.job import ACTIVE_STATES, Job
from apps.studio.job_queue import JobQueue
from apps.studio.messages import note_for_page
from apps.studio.reconstruct_job import RECORD
from apps.studio.shelf import Shelf
from apps.studio.static_files import SCRIPTS
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun
from fields.compare.comparison import HEADER
from fields.export.outputs.cameras import draw_cameras
from fields.export.viewers import AXES, check_window
from fields.kinds import viewer_class
from fields.runs.run import Run
from scenes.domain import Domain
from scenes.errors import BadInput

# Letters of the drawing of cameras, in points: it is shown at about half its size.
CAMERA_FONT_SIZE = 17
# What the help of an option says of its flag alone.
OF_FLAGS = re.compile(r"[.;] negative [^.;]*equals sign[:,] --\w+=[-\w,]+(\.\.\.)?", re.IGNORECASE)
# Half the side of the window around a point that is evaluated.
HALF_PIXEL = 5e-5


def html(folders: Folders, queue: JobQueue, name: str) -> Markup:
    """The whole page. Raises BadInput where there is neither such a run nor a job that will make it."""
    path = folders.runs / check_name(name)
    if not _has_no_folder_yet(newest_job(queue, path), path):
        folders.run(name)
    return render("run", name=name, modules=SCRIPTS, type=_type(path))


def facts(folders: Folders, queue: JobQueue, shelf: Shelf, name: str) -> dict[str, Any]:
    """Everything that the page shows as text, as JSON data. Raises BadInput where the run has gone.

    A run that waits for its turn has a job and nothing else yet; one that failed before it began keeps it so.
    """
    path = folders.runs / check_name(name)
    job = newest_job(queue, path)
    if job is not None and _has_no_folder_yet(job, path):
        known = {"name": name, "type": job.type, "job": job.id, "exports": [], **EMPTY}
        status = "waiting" if job.state in ACTIVE_STATES else job.state
        return {**known, "status": status, "ready": False, "busy": job.state in ACTIVE_STATES, "stored": False}
    folders.run(name)
    try:
        entry = gallery.entry(path, queue)
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(f"{name} holds no run that can be read") from None
    found = {**entry, "job": job.id if job else "", "exports": shelf.entries(path), "stored": True}
    if (path / "run.json").is_file():
        run = Run.open(path)
        found |= _of_header(run.header, (run.metrics() or {}).get("metrics", {}))
    return found


# What is not known of a run before its turn has come.
EMPTY: dict[str, Any] = {"kind": "", "method": "", "note": "", "tags": [], "bytes": 0}


def viewer(run: Run) -> Markup:
    """The element in which a script draws the field: a window of a flat one, an orbit around a solid one."""
    kind = run.header["kind"]
    drawn, domain = viewer_class(kind), Domain.from_json(run.header["domain"])
    if drawn.solid:
        return render("orbit_viewer", run=run.path.name, moving=drawn.is_moving(domain))
    width, height = drawn.aspect_ratio(domain)
    name = run.path.name
    zoom = render(
        "zoom_viewer",
        run=name,
        kind=kind,
        position=drawn.position_name,
        width=width,
        height=height,
        count=domain.grid_shape[2] if kind == "video" else 0,
        seconds=domain.axes[2].upper - domain.axes[2].lower if kind == "video" else 0,
        linear=run.header["channels"]["space"] == "linear",
    )
    if kind != "audio":
        return zoom
    return zoom + render("sound_player", run=name, version=run.weights.stat().st_mtime_ns)


def values_at(opened: OpenRun, x: float, y: float, position: float = 0.5, axis: str = "z") -> dict[str, Any]:
    """The values of field and signal at a point of an image, a video or a volume, in the signal's own units.

    Returns the point in samples, and the values of the field by channel; of the signal too, at the sample that the
    point lies in, where its file is still there. `x`, `y`: in [0, 1] of a window, see `Viewer.window`.

    Raises BadInput for other kinds, and for points outside.
    """
    viewer = opened.viewer
    if viewer.solid or opened.kind == "audio":
        raise BadInput("values at a point are told of images, videos and volumes")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise BadInput("this point is outside")
    check_window((0, 0, 1, 1), 1, 1, position, axis)
    fitted = None
    try:
        fitted, found = opened.signal_windows().sample(x, y, position=position, axis=axis)
    except BadInput:
        box = (x - HALF_PIXEL, y - HALF_PIXEL, x + HALF_PIXEL, y + HALF_PIXEL)
        found = viewer.values(box, 1, 1, position, axis)[0, 0]
    shape = list(opened.field.domain.grid_shape)
    if opened.kind == "volume":
        shape.pop(AXES.index(axis))
    told = {"x": round(x * shape[0], 1), "y": round(y * shape[1], 1), "field": _in_units(opened, found)}
    return told if fitted is None else {**told, "signal": _in_units(opened, fitted)}


def _in_units(opened: OpenRun, values: np.ndarray) -> dict[str, str]:
    """Values by channel, as text, in the signal's own units."""
    channels = opened.field.channels
    own = channels.lower + values * (channels.upper - channels.lower)
    return {name: f"{value:.4g}" for name, value in zip(channels.names, own.tolist())}


def forms(opened: OpenRun) -> list[dict[str, Any]]:
    """What the run can be exported as: label, ending, which control sets its size, and what else may be asked for."""
    return [
        {
            "label": choice.label,
            "ending": choice.ending,
            "size": choice.size,
            "options": [
                {
                    "name": option.name,
                    "label": option.label,
                    "help": note_for_page(OF_FLAGS.sub("", option.help)),
                    "widget": option.widget,
                    "choices": option.page_choices if option.widget == "choice" else [],
                    "hint": placeholder(option),
                }
                for option in choice.offered(opened.kind)
            ],
        }
        for choice in exporting.choices(opened)
    ]


def estimate(opened: OpenRun, label: str, scale: float, cells: int) -> str:
    """How large an export will be, for people."""
    return exporting.find(opened, label).estimate(opened.run, scale, cells)


def chosen_form(opened: OpenRun, label: str, options: Mapping[str, Any]) -> ExportChoice:
    """The choice with a label, or a film along key views. Raises BadInput for options that are wrong."""
    if label == films.LABEL:
        return films.FilmChoice.of(options)
    return exporting.find(opened, label).with_options(options)


def cameras(opened: OpenRun) -> Markup:
    """A drawing of the cameras of a scene's photographs, as HTML; empty for signals without cameras."""
    from matplotlib import rc_context

    known = opened.run.cameras()
    if not known:
        return Markup("")
    axes = opened.field.domain.axes[:3]
    lower, upper = (np.array([getattr(axis, end) for axis in axes]) for end in ("lower", "upper"))
    with TemporaryDirectory() as folder:
        file = Path(folder) / "cameras.png"
        # The page shows through the image, and inverts its colors in the dark.
        with rc_context({"font.size": CAMERA_FONT_SIZE, "savefig.transparent": True}):
            draw_cameras(file, known, lower, upper)
        source = data_url(file.read_bytes())
    num_test = sum(camera.split == "test" for camera in known)
    return render("cameras", source=source, num_train=len(known) - num_test, num_test=num_test)


def newest_job(queue: JobQueue, path: Path) -> Job | None:
    """The job that works in a folder, or did last."""
    return next((job for job in reversed(list(queue.jobs.values())) if job.path == path), None)


def _has_no_folder_yet(job: Job | None, path: Path) -> bool:
    """Whether a job was asked for that has not begun to write its run. One that had a folder was deleted meanwhile."""
    if job is None or path.is_dir():
        return False
    return job.state != "done" and not job.step


def describe(folders: Folders, name: str, note: str, tags: list[str]) -> descriptions.Description:
    """Keep a note and tags. Raises BadInput where the run's folder does not exist yet, or they are too long."""
    return descriptions.write(folders.run(name), note, tags)


def _type(path: Path) -> str:
    if (path / HEADER).is_file():
        return "comparison"
    return "reconstruction" if (path / RECORD).is_file() else "run"


def _of_header(header: Mapping[str, Any], metrics: Mapping[str, float]) -> dict[str, Any]:
    return {
        "metrics": dict(metrics),
        "seed": header.get("seed"),
        "steps": header.get("steps"),
        "seconds": header.get("seconds"),
        "device": header.get("backend"),
        "from": Path(header["from"]).name if header.get("from") else None,
        "teacher": Path(header["teacher"]["path"]).name if header.get("teacher") else None,
    }
