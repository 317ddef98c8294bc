"""What the page's own script asks for: states, pictures, views, and the buttons of fits and of the gallery."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse

import fields.compare
from apps.studio import examples, gallery
from apps.studio.comparing import CompareJob, preview_of
from apps.studio.distilling import DistillJob
from apps.studio.folders import Folders
from apps.studio.images import media_type, webp
from apps.studio.jobs import FitJob, Job, Queue
from apps.studio.view_renderer import Looks, around, window
from fields.compare.chart import SMALL, Line, svg
from scenes.errors import BadInput

STATIC = Path(__file__).parent / "static"
COMPARISON = Path(fields.compare.__file__).parent
FILES = {
    "studio.js": (STATIC / "studio.js", "text/javascript"),
    "studio.css": (STATIC / "studio.css", "text/css"),
    "comparison.js": (COMPARISON / "page.js", "text/javascript"),
    "comparison.css": (COMPARISON / "page.css", "text/css"),
}
FILES |= {
    f"example-{index}.webp": (examples.PICTURES / f"{index}.webp", "image/webp")
    for index in range(len(examples.names()))
}
COMPARED = {
    "comparison.html": "text/html",
    "comparison.json": "application/json",
    "curves.png": "image/png",
    "crops.png": "image/png",
}
FRESH = {"Cache-Control": "no-store"}


def routes(folders: Folders, queue: Queue, looks: Looks) -> APIRouter:
    router = APIRouter(prefix="/studio")

    @router.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in FILES:
            return Response(status_code=404)
        file, media_type = FILES[name]
        return FileResponse(file, media_type=media_type, headers={"Cache-Control": "no-cache"})

    @router.get("/jobs")
    async def jobs(of: str = "") -> Response:
        """All fits of this studio, oldest first, and everything about one of them: what a page asks twice a second, in one answer."""
        found = queue.jobs.get(of)
        told = None
        if found is not None:
            found.watched = time.monotonic()
            told = {**found.told(), "curve": _curve(found), "page": getattr(found, "page", "")}
        return JSONResponse(
            {
                "jobs": [
                    {"id": job.id, "name": job.name, "state": job.state, "sort": _sort(job)}
                    for job in list(queue.jobs.values())
                ],
                "job": told,
            },
            headers=FRESH,
        )

    @router.get("/jobs/{number}/{name}")
    async def picture(number: str, name: str) -> Response:
        content = queue.job(number).pictures.get(name)
        return (
            Response(content, media_type=media_type(content), headers=FRESH) if content else Response(status_code=404)
        )

    @router.post("/jobs/{number}/{action}")
    def act(number: str, action: str) -> Response:
        found = queue.job(number)
        if action == "pause":
            found.pause()
        elif action == "stop":
            found.stop()
        elif action == "resume":
            if isinstance(found, FitJob):
                found = queue.resume(found.path)
            elif found.requeue():
                queue.add(found)
        else:
            return Response(status_code=404)
        return JSONResponse(found.told())

    @router.get("/runs")
    def runs() -> Response:
        return JSONResponse(gallery.listed(folders, queue), headers=FRESH)

    @router.get("/runs/{name}/preview.png")
    def preview(name: str) -> Response:
        path = folders.run(name)
        file = path / "preview.png" if (path / "run.json").is_file() else preview_of(path)
        if file.is_symlink() or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type="image/png", headers={"Cache-Control": "no-cache"})

    @router.get("/runs/{name}/{part}")
    def comparison(name: str, part: str) -> Response:
        """What a comparison consists of, for download."""
        file = folders.run(name) / part
        if part not in COMPARED or file.is_symlink() or not file.is_file():
            return Response(status_code=404)
        return FileResponse(file, media_type=COMPARED[part])

    @router.post("/runs/{name}/{action}")
    async def change(name: str, action: str, request: Request) -> Response:
        given = await request.json()
        if action == "rename":
            return JSONResponse({"name": gallery.rename(folders, queue, name, str(given.get("to", "")))})
        if action == "delete":
            await asyncio.to_thread(gallery.delete, folders, queue, name)
            return JSONResponse({})
        if action in ("repeat", "resume"):
            started = await asyncio.to_thread(getattr(gallery, action), folders, queue, name)
            return JSONResponse({**started.told(), "sort": _sort(started)})
        return Response(status_code=404)

    @router.get("/view/{name}")
    async def view(
        name: str, x0: float, y0: float, x1: float, y1: float, w: int, h: int, at: float = 0.5, axis: str = "z"
    ) -> Response:
        if axis not in ("x", "y", "z"):
            raise BadInput("a slice is cut across x, y or z")
        seen = await asyncio.wrap_future(
            looks.ask(folders.run(name), lambda opened: webp(window(opened, x0, y0, x1, y1, w, h, at, axis), 94))
        )
        return Response(seen, media_type="image/webp", headers=FRESH)

    @router.get("/orbit/{name}")
    async def orbit(
        name: str, azimuth: float, elevation: float, distance: float, side: int, what: str = "color", at: float = 0.0
    ) -> Response:
        if what not in ("color", "normal", "depth"):
            raise BadInput("what is shown is color, normal or depth")
        seen = await asyncio.wrap_future(
            looks.ask(
                folders.run(name), lambda opened: webp(around(opened, azimuth, elevation, distance, side, what, at), 92)
            )
        )
        return Response(seen, media_type="image/webp", headers=FRESH)

    return router


def _sort(job: Job) -> str:
    return "comparison" if isinstance(job, CompareJob) else "distillation" if isinstance(job, DistillJob) else "fit"


def _curve(job: Job) -> str:
    if len(job.points) < 2:
        return ""
    unit = {"psnr": "PSNR, dB", "test_psnr": "PSNR of test views, dB", "snr": "SNR, dB"}.get(job.measure, job.measure)
    return svg([Line(job.measure, job.points)], "seconds", unit, size=SMALL)


def told(request: Request, error: BadInput) -> Response:
    """BadInput as an answer: one readable line."""
    return JSONResponse({"error": " ".join(str(error).split())}, status_code=400, headers=FRESH)
