"""Routes that the page's scripts ask: states of jobs, images, views, and the buttons of jobs and of the gallery."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from apps.studio import gallery
from apps.studio.compare_job import preview_of
from apps.studio.fit_job import TrainingJob
from apps.studio.folders import Folders
from apps.studio.images import encode_webp, media_type
from apps.studio.job import Job
from apps.studio.job_queue import JobQueue
from apps.studio.messages import message_of
from apps.studio.reconstruct_job import MODEL, RECORD, ReconstructJob
from apps.studio.static_files import STATIC_FILES
from apps.studio.view_renderer import ViewRenderer
from scenes.errors import BadInput

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
NOT_CACHED = {"Cache-Control": "no-store"}
# The browser asks each time whether the file has changed.
REVALIDATED = {"Cache-Control": "no-cache"}
# WebP quality of views: of flat fields, which show the fitted values themselves, and of solid ones.
WINDOW_QUALITY = 94
ORBIT_QUALITY = 92


def add_routes(app: FastAPI, folders: Folders, queue: JobQueue, renderer: ViewRenderer) -> None:
    """Add all routes to an application, and answer BadInput with one readable line."""
    for router in (_static_routes(), _job_routes(queue), _run_routes(folders, queue), _view_routes(folders, renderer)):
        app.include_router(router, prefix="/studio")
    app.exception_handler(BadInput)(_answer_bad_input)


def _static_routes() -> APIRouter:
    router = APIRouter()

    @router.get("/static/{path:path}")
    def static(path: str) -> Response:
        if path not in STATIC_FILES:
            return Response(status_code=404)
        file, file_type = STATIC_FILES[path]
        return FileResponse(file, media_type=file_type, headers=REVALIDATED)

    return router


def _job_routes(queue: JobQueue) -> APIRouter:
    router = APIRouter()

    @router.get("/jobs")
    async def jobs(of: str = "") -> Response:
        """All jobs of this studio, oldest first, and everything about the job `of`, which then counts as watched.

        One answer holds both: a page asks twice a second.
        """
        job, details = queue.jobs.get(of), None
        if job is not None:
            job.watched = time.monotonic()
            details = {**job.to_dict(), "curve": job.draw_curve(), "page": job.page}
        summaries = [known.summary() for known in list(queue.jobs.values())]
        return JSONResponse({"jobs": summaries, "job": details}, headers=NOT_CACHED)

    @router.get("/jobs/{job_id}/{name}")
    async def image(job_id: str, name: str) -> Response:
        content = queue.job(job_id).images.get(name)
        if not content:
            return Response(status_code=404)
        return Response(content, media_type=media_type(content), headers=NOT_CACHED)

    @router.post("/jobs/{job_id}/{action}")
    def act(job_id: str, action: str) -> Response:
        job = queue.job(job_id)
        if action == "pause":
            job.pause()
        elif action == "stop":
            job.stop()
        elif action == "usdz":
            job = add_usdz(queue, job)
        elif action == "resume":
            if isinstance(job, TrainingJob):
                job = queue.resume(job)
            elif job.requeue():
                queue.add(job)
        else:
            return Response(status_code=404)
        return JSONResponse(job.to_dict())

    return router


def _run_routes(folders: Folders, queue: JobQueue) -> APIRouter:
    router = APIRouter()

    @router.get("/runs")
    def runs() -> Response:
        return JSONResponse(gallery.entries(folders, queue), headers=NOT_CACHED)

    @router.get("/runs/{name}/preview.png")
    def preview(name: str) -> Response:
        path = folders.run(name)
        file = path / "preview.png" if (path / "run.json").is_file() else preview_of(path)
        if file.is_symlink() or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type="image/png", headers=REVALIDATED)

    @router.get("/runs/{name}/{file_name}")
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
        return FileResponse(file, media_type=file_type, headers=REVALIDATED)

    @router.post("/runs/{name}/{action}")
    async def change(name: str, action: str, request: Request) -> Response:
        given = await request.json()
        if action == "rename":
            return JSONResponse({"name": gallery.rename(folders, queue, name, str(given.get("to", "")))})
        if action == "delete":
            await asyncio.to_thread(gallery.delete, folders, queue, name)
            return JSONResponse({})
        starts = {"repeat": gallery.repeat, "resume": gallery.resume, "show": gallery.show}
        if action in starts:
            job = await asyncio.to_thread(starts[action], folders, queue, name)
            return JSONResponse(job.to_dict())
        return Response(status_code=404)

    return router


def _view_routes(folders: Folders, renderer: ViewRenderer) -> APIRouter:
    router = APIRouter()

    @router.get("/view/{name}")
    async def window(
        name: str, x0: float, y0: float, x1: float, y1: float, w: int, h: int, at: float = 0.5, axis: str = "z"
    ) -> Response:
        """A window of a flat field; see `fields.export.viewers.Viewer.window`."""
        image = renderer.render(
            folders.run(name),
            lambda opened: encode_webp(
                opened.viewer.window((x0, y0, x1, y1), w, h, position=at, axis=axis), WINDOW_QUALITY
            ),
        )
        return Response(await asyncio.wrap_future(image), media_type="image/webp", headers=NOT_CACHED)

    @router.get("/orbit/{name}")
    async def orbit(
        name: str, azimuth: float, elevation: float, distance: float, side: int, what: str = "color", at: float = 0.0
    ) -> Response:
        """A view of a solid field; see `fields.export.viewers.Viewer.orbit`."""
        image = renderer.render(
            folders.run(name),
            lambda opened: encode_webp(
                opened.viewer.orbit(azimuth, elevation, distance, side, channel=what, time=at), ORBIT_QUALITY
            ),
        )
        return Response(await asyncio.wrap_future(image), media_type="image/webp", headers=NOT_CACHED)

    return router


def add_usdz(queue: JobQueue, job: Job) -> Job:
    """Queue the writing of a reconstruction's USDZ file; the other stages are kept. Raises BadInput without a mesh."""
    if not isinstance(job, ReconstructJob) or not job.files:
        raise BadInput("there is no mesh yet")
    if queue.is_busy(job.path):
        raise BadInput(f"{job.name} is being worked on")
    return queue.add(ReconstructJob(job.name, job.path, job.request, ending=".usdz"))


def _answer_bad_input(request: Request, error: BadInput) -> Response:
    return JSONResponse({"error": message_of(error)}, status_code=400, headers=NOT_CACHED)
