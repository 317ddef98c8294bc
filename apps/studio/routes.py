"""Routes that the page's scripts ask: states of jobs, images, views, and the buttons of jobs. See also `run_routes`."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from apps.studio import crop_box, run_comparison, run_page
from apps.studio.fit_job import TrainingJob
from apps.studio.folders import Folders
from apps.studio.images import encode_webp, media_type
from apps.studio.job import Job
from apps.studio.job_queue import JobQueue
from apps.studio.messages import message_of
from apps.studio.owner import Owner, owner_routes
from apps.studio.reconstruct_job import ReconstructJob
from apps.studio.run_routes import NOT_CACHED, REVALIDATED, run_routes
from apps.studio.shelf import Shelf
from apps.studio.static_files import SCRIPTS, STATIC_FILES
from apps.studio.tasks import Tasks
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun, ViewRenderer
from apps.studio.visitors import visitor_of
from scenes.errors import BadInput
from scenes.image.color import Tone

# WebP quality of views: of flat fields, which show the fitted values themselves, and of solid ones.
WINDOW_QUALITY = 94
ORBIT_QUALITY = 92


def add_routes(
    app: FastAPI,
    folders: Folders,
    queue: JobQueue,
    renderer: ViewRenderer,
    shelf: Shelf,
    *,
    tasks: Tasks | None = None,
    owner: Owner | None = None,
) -> None:
    """Add all routes to an application, and answer BadInput with one readable line."""
    tasks = tasks or Tasks()
    app.include_router(owner_routes(owner or Owner(), folders, queue, shelf))
    for router in (
        _static_routes(),
        _job_routes(queue),
        _task_routes(tasks),
        run_routes(folders, queue, renderer, shelf, tasks),
        _view_routes(folders, renderer),
    ):
        app.include_router(router, prefix="/studio")

    @app.get("/run/{name}")
    def page_of_run(name: str) -> Response:
        try:
            return HTMLResponse(run_page.html(folders, queue, name), headers=NOT_CACHED)
        except BadInput as error:
            return HTMLResponse(
                render("no_run", title="No such run", text=message_of(error)), status_code=404, headers=NOT_CACHED
            )

    @app.get("/compare")
    async def compare(request: Request, run: Annotated[list[str], Query()], download: bool = False) -> Response:
        try:
            paths = [folders.run(name) for name in run]
            runs = run_comparison.opened_runs(paths)
            views = [asyncio.wrap_future(renderer.render(path, run_comparison.picture)) for path in paths]
            target = asyncio.wrap_future(renderer.render(paths[0], run_comparison.signal_picture))
            body = await asyncio.to_thread(run_comparison.body, runs, await asyncio.gather(*views), await target)
        except BadInput as error:
            page = render("no_run", title="These runs are not compared", text=message_of(error))
            return HTMLResponse(page, status_code=400, headers=NOT_CACHED)
        if download:
            return HTMLResponse(run_comparison.page(runs, body), headers=NOT_CACHED)
        page = render(
            "compare_runs",
            names=run,
            warnings=run_comparison.warnings(runs),
            clips=run_comparison.clips(runs[0]),
            body=body,
            modules=SCRIPTS,
            download=f"/compare?{urlencode({'run': run, 'download': 'true'}, doseq=True)}",
        )
        return HTMLResponse(page, headers=NOT_CACHED)

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
    # Pages learn from another one that the studio was restarted meanwhile.
    start = secrets.token_hex(8)

    @router.get("/jobs")
    async def jobs(request: Request, of: str = "") -> Response:
        """All jobs of this studio, oldest first, and everything about the job `of`, which then counts as watched.

        One answer holds both: a page asks twice a second. Each job says whether the browser that asks has started it,
        and how many are before it in the queue.
        """
        visitor, places = visitor_of(request), queue.places()
        job, details = queue.jobs.get(of), None
        if job is not None:
            job.watched = time.monotonic()
            details = {
                **job.to_dict(visitor),
                "place": places.get(job.id),
                "curve": job.draw_curve(),
                "page": job.page,
            }
        summaries = [{**known.summary(visitor), "place": places.get(known.id)} for known in list(queue.jobs.values())]
        return JSONResponse({"start": start, "jobs": summaries, "job": details}, headers=NOT_CACHED)

    @router.get("/jobs/{job_id}/{name}")
    async def image(job_id: str, name: str) -> Response:
        content = queue.job(job_id).images.get(name)
        if not content:
            return Response(status_code=404)
        return Response(content, media_type=media_type(content), headers=NOT_CACHED)

    @router.post("/jobs/{job_id}/{action}")
    def act(job_id: str, action: str, request: Request) -> Response:
        job, visitor = queue.job(job_id), visitor_of(request)
        if action == "pause":
            job.pause()
        elif action == "stop":
            job.stop()
        elif action == "usdz":
            job = add_usdz(queue, job, visitor)
        elif action == "resume":
            if isinstance(job, TrainingJob):
                job = queue.resume(job, visitor)
            elif job.requeue():
                queue.add(job, visitor)
        else:
            return Response(status_code=404)
        return JSONResponse(job.to_dict(visitor))

    return router


def _task_routes(tasks: Tasks) -> APIRouter:
    router = APIRouter(prefix="/tasks")

    @router.get("/{task_id}")
    def progress(task_id: str) -> Response:
        return JSONResponse(tasks.find(task_id).to_dict(), headers=NOT_CACHED)

    @router.post("/{task_id}/cancel")
    def cancel(task_id: str) -> Response:
        return JSONResponse(tasks.cancel(task_id).to_dict())

    return router


def _view_routes(folders: Folders, renderer: ViewRenderer) -> APIRouter:
    router = APIRouter()

    @router.get("/view/{name}")
    async def window(
        name: str,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        w: int,
        h: int,
        at: float = 0.5,
        axis: str = "z",
        of: Literal["field", "signal", "error"] = "field",
        gain: float = 10.0,
        exposure: float = 0.0,
        curve: str = "reinhard",
    ) -> Response:
        """A window of a flat field, of its signal, or of the error.

        See `fields.export.viewers.Viewer.window` and `fields.export.signal_windows`; `gain` is that of an error.
        """
        tone = Tone(exposure, curve)  # pyright: ignore[reportArgumentType]  (checked there)
        box = (x0, y0, x1, y1)

        def draw(opened: OpenRun) -> bytes:
            if of == "field":
                image = opened.viewer.window(box, w, h, position=at, axis=axis, tone=tone)
            elif of == "signal":
                image = opened.signal_windows().window(box, w, h, position=at, axis=axis, tone=tone)
            else:
                image = opened.signal_windows().error(box, w, h, position=at, axis=axis, tone=tone, gain=gain)
            return encode_webp(image, WINDOW_QUALITY)

        image = await asyncio.wrap_future(renderer.render(folders.run(name), draw))
        return Response(image, media_type="image/webp", headers=NOT_CACHED)

    @router.get("/orbit/{name}")
    async def orbit(
        name: str,
        azimuth: float,
        elevation: float,
        distance: float,
        side: int,
        what: str = "color",
        at: float = 0.0,
        box: bool = False,
    ) -> Response:
        """A view of a solid field; see `fields.export.viewers.Viewer.orbit`. `box`: also how it projects points."""

        def draw(opened: OpenRun) -> tuple[bytes, dict[str, str]]:
            seen = opened.viewer.orbit(azimuth, elevation, distance, side, channel=what, time=at)
            projected = crop_box.header(opened, azimuth, elevation, distance) if box else {}
            return encode_webp(seen, ORBIT_QUALITY), projected

        image, projected = await asyncio.wrap_future(renderer.render(folders.run(name), draw))
        return Response(image, media_type="image/webp", headers=NOT_CACHED | projected)

    return router


def add_usdz(queue: JobQueue, job: Job, owner: str = "") -> Job:
    """Queue the writing of a reconstruction's USDZ file; the other stages are kept. Raises BadInput without a mesh."""
    if not isinstance(job, ReconstructJob) or not job.files:
        raise BadInput("there is no mesh yet")
    if queue.is_busy(job.path):
        raise BadInput(f"{job.name} is being worked on")
    return queue.add(ReconstructJob(job.name, job.path, job.request, ending=".usdz"), owner)


def _answer_bad_input(request: Request, error: BadInput) -> Response:
    return JSONResponse({"error": message_of(error)}, status_code=400, headers=NOT_CACHED)
