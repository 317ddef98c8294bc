"""The owner's view, `/owner`: everybody's jobs and exports, memory and disk, for whoever started the studio.

Its address holds a key, which the command prints; the browser keeps it in a cookie.
"""

from __future__ import annotations

import hmac
import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from apps.studio.folders import Folders
from apps.studio.job import ACTIVE_STATES
from apps.studio.job_queue import MAX_WAITING, JobQueue
from apps.studio.shelf import Shelf
from apps.studio.static_files import SCRIPTS
from apps.studio.templating import render

COOKIE = "studio_owner"
NOT_CACHED = {"Cache-Control": "no-store"}


@dataclass
class Owner:
    """Who may see the owner's view. `key`: nobody can guess it."""

    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    started: float = field(default_factory=time.time)

    def owns(self, request: Request) -> bool:
        """Whether the browser that asks has shown the key before."""
        return self._is_key(request.cookies.get(COOKIE, ""))

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.key.encode())

    def admit(self, key: str) -> Response | None:
        """Keep the key in the browser, and take it out of the address. None for a wrong one."""
        if not self._is_key(key):
            return None
        answer = RedirectResponse("/owner", status_code=303, headers=NOT_CACHED)
        answer.set_cookie(COOKIE, self.key, httponly=True, samesite="strict", path="/")
        return answer


def owner_routes(owner: Owner, folders: Folders, queue: JobQueue, shelf: Shelf) -> APIRouter:
    """The page, and what its script asks."""
    router = APIRouter()

    @router.get("/owner")
    def page(request: Request, key: str = "") -> Response:
        if key and (admitted := owner.admit(key)) is not None:
            return admitted
        if not owner.owns(request):
            text = "This page is for whoever started the studio. Its address stands where the studio was started"
            return HTMLResponse(render("no_run", title="Owner’s view", text=text), status_code=403, headers=NOT_CACHED)
        return HTMLResponse(render("owner", modules=SCRIPTS), headers=NOT_CACHED)

    @router.get("/studio/owner")
    def state(request: Request) -> Response:
        if not owner.owns(request):
            return JSONResponse({"error": "only the owner sees this"}, status_code=403, headers=NOT_CACHED)
        return JSONResponse(overview(owner, folders, queue, shelf), headers=NOT_CACHED)

    return router


def overview(owner: Owner, folders: Folders, queue: JobQueue, shelf: Shelf) -> dict[str, Any]:
    """All jobs, the newest first, with a number for each visitor; exports under way; memory and disk, in bytes."""
    places, jobs = queue.places(), list(queue.jobs.values())
    numbers: dict[str, int] = {}
    for job in jobs:
        if job.owner:
            numbers.setdefault(job.owner, len(numbers) + 1)
    disk = shutil.disk_usage(folders.runs)
    return {
        "jobs": [
            {**job.to_dict(), "place": places.get(job.id), "visitor": numbers.get(job.owner)} for job in reversed(jobs)
        ],
        "exports": shelf.under_way(),
        "visitors": len(numbers),
        "active": sum(job.state in ACTIVE_STATES for job in jobs),
        "max_waiting": MAX_WAITING,
        "seconds": time.time() - owner.started,
        "memory": resident_bytes(),
        "runs": folder_bytes(folders.runs),
        "uploads": folder_bytes(folders.uploads),
        "free": disk.free,
    }


def resident_bytes() -> int | None:
    """Memory of this process; None where the system has no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except OSError:
                continue
    return total
