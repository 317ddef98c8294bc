"""Routes of the gallery and of the pages of runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from apps.studio import crop_box, field_inspector, gallery, run_page, sounds, thumbnails
from apps.studio.bodies import json_object, number
from apps.studio.compare_job import preview_of
from apps.studio.folders import Folders
from apps.studio.job_queue import JobQueue
from apps.studio.reconstruct_job import MODEL, RECORD
from apps.studio.shelf import Shelf
from apps.studio.tasks import Tasks
from apps.studio.view_renderer import OpenRun, ViewRenderer
from apps.studio.visitors import visitor_of
from fields.compare.comparison import HEADER
from fields.runs.run import Run
from scenes.errors import BadInput

T = TypeVar("T")
# Files of a comparison that may be downloaded, and their media types.
COMPARISON_FILES = {
    "comparison.html": "text/html",
    "comparison.json": "application/json",
    "curves.png": "image/png",
    "crops.png": "image/png",
}
# Files of a reconstruction that may be downloaded or shown: their place in its folder, and their media types.
RECONSTRUCTION_FILES = {
    "model.glb": (f"{MODEL}.glb", "model/gltf-binary"),
    "model.usdz": (f"{MODEL}.usdz", "model/vnd.usdz+zip"),
    "report.png": ("asset/report.png", "image/png"),
    "report.json": ("asset/report.json", "application/json"),
}
# Policy of pages that are shown as if they came from nowhere.
SANDBOX = "sandbox allow-scripts allow-downloads allow-popups"
NOT_CACHED = {"Cache-Control": "no-store"}
# The browser asks each time whether the file has changed.
REVALIDATED = {"Cache-Control": "no-cache"}


def run_routes(folders: Folders, queue: JobQueue, renderer: ViewRenderer, shelf: Shelf, tasks: Tasks) -> APIRouter:
    """Routes under `/studio/runs`: the gallery, and everything that a run's page asks for."""
    router = APIRouter(prefix="/runs")

    async def with_field(name: str, function: Callable[[OpenRun], T]) -> T:
        """Call a function with a run and its field, on the thread of views."""
        return await asyncio.wrap_future(renderer.render(folders.run(name), function))

    @router.get("")
    def runs() -> Response:
        return JSONResponse(gallery.entries(folders, queue), headers=NOT_CACHED)

    @router.get("/{name}/facts")
    def facts(name: str) -> Response:
        return JSONResponse(run_page.facts(folders, queue, shelf, name), headers=NOT_CACHED)

    @router.get("/{name}/thumbnail.webp")
    async def thumbnail(name: str) -> Response:
        path = folders.run(name)
        if (path / HEADER).is_file():
            file = preview_of(path)
        else:
            file = thumbnails.current(path) or await with_field(name, thumbnails.draw)
        if file.is_symlink() or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type=f"image/{file.suffix[1:]}", headers=REVALIDATED)

    @router.get("/{name}/viewer")
    def viewer(name: str) -> Response:
        return HTMLResponse(run_page.viewer(Run.open(folders.run(name))), headers=NOT_CACHED)

    @router.get("/{name}/parts")
    async def parts(name: str) -> Response:
        return HTMLResponse(await with_field(name, field_inspector.inspect), headers=NOT_CACHED)

    @router.get("/{name}/cameras")
    async def cameras(name: str) -> Response:
        return HTMLResponse(await with_field(name, run_page.cameras), headers=NOT_CACHED)

    @router.get("/{name}/box")
    async def box(name: str) -> Response:
        return JSONResponse(await with_field(name, crop_box.whole_box), headers=NOT_CACHED)

    @router.post("/{name}/spectra")
    def spectra(name: str) -> Response:
        run = Run.open(folders.run(name))
        return JSONResponse(tasks.start(lambda report: field_inspector.spectra(run, report)).to_dict())

    @router.get("/{name}/sound/{file_name}")
    async def sound(name: str, file_name: str) -> Response:
        which, _, ending = file_name.partition(".")
        if which not in ("field", "signal") or ending not in ("wav", "webp"):
            return Response(status_code=404)
        run, make = Run.open(folders.run(name)), sounds.sound if ending == "wav" else sounds.picture
        made = await asyncio.wrap_future(shelf.submit(lambda: make(run, which)))
        if isinstance(made, bytes):
            return Response(made, media_type="image/webp", headers=REVALIDATED)
        return FileResponse(made, media_type="audio/wav", headers=REVALIDATED)

    @router.get("/{name}/value")
    async def value(name: str, x: float, y: float, at: float = 0.5, axis: str = "z") -> Response:
        values = await with_field(name, lambda opened: run_page.values_at(opened, x, y, at, axis))
        return JSONResponse(values, headers=NOT_CACHED)

    @router.get("/{name}/forms")
    async def forms(name: str) -> Response:
        return JSONResponse(await with_field(name, run_page.forms), headers=NOT_CACHED)

    @router.get("/{name}/estimate")
    async def estimate(name: str, label: str, scale: float = 1.0, cells: int = 128) -> Response:
        text = await with_field(name, lambda opened: run_page.estimate(opened, label, scale, cells))
        return JSONResponse({"text": text}, headers=NOT_CACHED)

    @router.post("/{name}/exports")
    async def start_export(name: str, request: Request) -> Response:
        given = await json_object(request)
        options = given.get("options") or {}
        if not isinstance(options, dict):
            raise BadInput("the options of an export have names")
        label = str(given.get("label", ""))
        choice = await with_field(name, lambda opened: run_page.chosen_form(opened, label, options))
        scale, cells = number(given, "scale", 1.0), int(number(given, "cells", 128))
        return JSONResponse(shelf.start(folders.run(name), choice, scale, cells).to_dict())

    @router.get("/{name}/exports/{export_id}")
    def exported(name: str, export_id: str, open: bool = False) -> Response:
        file = shelf.file(folders.run(name), export_id)
        if open and file.suffix == ".html":
            # The file may come with a run that somebody else made: it is shown, but it is no page of the studio.
            return FileResponse(file, headers={**REVALIDATED, "Content-Security-Policy": "sandbox allow-scripts"})
        return FileResponse(file, filename=file.name, headers=REVALIDATED)

    @router.post("/{name}/exports/{export_id}/{action}")
    def change_export(name: str, export_id: str, action: str) -> Response:
        if action not in ("cancel", "delete"):
            return Response(status_code=404)
        getattr(shelf, action)(folders.run(name), export_id)
        return JSONResponse({})

    @router.get("/{name}/{file_name}")
    def result_file(name: str, file_name: str) -> Response:
        """A file of a comparison or of a reconstruction."""
        path = folders.run(name)
        if (path / RECORD).is_file():
            place, file_type = RECONSTRUCTION_FILES.get(file_name, ("", ""))
        else:
            place, file_type = file_name, COMPARISON_FILES.get(file_name, "")
        file = path / place
        if not file_type or file.is_symlink() or file.parent.is_symlink() or not file.is_file():
            return Response(status_code=404)
        # The page of a comparison that somebody else made may hold any script; it must not act for the studio.
        alone = {"Content-Security-Policy": SANDBOX} if file_type == "text/html" else {}
        return FileResponse(file, media_type=file_type, headers=REVALIDATED | alone)

    @router.post("/{name}/{action}")
    async def change(name: str, action: str, request: Request) -> Response:
        given = await json_object(request)
        if action in ("rename", "delete") and shelf.is_busy(folders.run(name)):
            raise BadInput(f"an export of {name} is being made; cancel it first, or wait for its end")
        if action == "rename":
            return JSONResponse({"name": gallery.rename(folders, queue, name, str(given.get("to", "")))})
        if action == "delete":
            return JSONResponse({"token": await asyncio.to_thread(gallery.delete, folders, queue, name)})
        if action == "restore":
            return JSONResponse({"name": gallery.restore(folders, str(given.get("token", "")))})
        if action == "describe":
            tags = given.get("tags", [])
            tags = [str(tag) for tag in tags] if isinstance(tags, list) else []
            return JSONResponse(run_page.describe(folders, name, str(given.get("note", "")), tags))
        starts = {"repeat": gallery.repeat, "resume": gallery.resume, "show": gallery.show}
        if action in starts:
            visitor = visitor_of(request)
            job = await asyncio.to_thread(starts[action], folders, queue, name, visitor)
            return JSONResponse(job.to_dict(visitor))
        return Response(status_code=404)

    return router
