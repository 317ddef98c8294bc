"""Assemble the page, its routes and the access control, and serve them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from apps.studio.access import LOOPBACK, AccessControl
from apps.studio.arriving import use_upload_parser
from apps.studio.cleanup import delete_unused
from apps.studio.folders import Folders
from apps.studio.job_queue import JobQueue
from apps.studio.opening import Opening
from apps.studio.owner import Owner
from apps.studio.routes import add_routes
from apps.studio.shelf import Shelf
from apps.studio.static_files import SCRIPTS
from apps.studio.tasks import Tasks
from apps.studio.templating import render
from apps.studio.theme import theme
from apps.studio.uploads import MAX_BYTES
from apps.studio.view_renderer import ViewRenderer
from apps.studio.visitors import Visitors

# Seconds that open requests have to end when the server is stopped.
SHUTDOWN_SECONDS = 3


@dataclass
class Studio:
    """State that tabs and routes share. Fits, views, opening files, and exports have one thread each."""

    folders: Folders
    queue: JobQueue
    renderer: ViewRenderer
    shelf: Shelf
    tasks: Tasks = field(default_factory=Tasks)
    owner: Owner = field(default_factory=Owner)
    opening: Opening = field(default_factory=Opening)

    @classmethod
    def at(cls, runs: Path) -> Studio:
        """The studio of a folder of runs, which is created where it does not exist."""
        folders = Folders.at(runs)
        studio = cls(folders, JobQueue(folders), ViewRenderer(), Shelf())
        studio.opening.submit(studio.delete_unused_uploads)
        return studio

    def delete_unused_uploads(self) -> None:
        delete_unused(self.folders, self.queue.sources())

    def close(self) -> None:
        self.queue.close()
        self.renderer.close()
        self.shelf.close()
        self.tasks.close()
        self.opening.close()


def make_app(studio: Studio, password: str | None = None, hosts: tuple[str, ...] | None = LOOPBACK) -> AccessControl:
    """The whole application. It closes the studio when it ends. `password`, `hosts`: see `AccessControl`."""
    # Read by Gradio when it is imported: where uploads arrive until a tab takes them.
    os.environ["GRADIO_TEMP_DIR"] = str(studio.folders.arriving)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import safehttpx

    from apps.studio.page import build

    # Gradio fetches files whose address a visitor sends, and asks a public service for the address of the host.
    safehttpx.async_validate_url = _fetch_nothing
    use_upload_parser()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        studio.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(app, studio.folders, studio.queue, studio.renderer, studio.shelf, tasks=studio.tasks, owner=studio.owner)
    page = build(studio)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=theme(),
        head=render("head", modules=SCRIPTS),
        footer_links=[],
        run_history=False,
        show_error=True,
        ssr_mode=False,
        max_file_size=MAX_BYTES,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
    )
    # Gradio checks where files come from only if it believes that it serves itself (seen in 6.31). Without this, a
    # request could name any file of this machine as its upload.
    page.has_launched = True
    return AccessControl(Visitors(app), password, hosts)


async def _fetch_nothing(hostname: str) -> str:
    raise ValueError("the studio fetches nothing from other machines")


def serve(
    host: str,
    port: int,
    *,
    password: str | None,
    runs: Path,
    hosts: tuple[str, ...] | None,
    show_owner: Callable[[str], None] | None = None,
) -> None:
    """Serve the studio of a folder of runs until it is interrupted.

    `password`, `hosts`: see `AccessControl`. `show_owner`: called with the path of the owner's view, which has its key.
    """
    studio = Studio.at(runs)
    if show_owner is not None:
        show_owner(f"/owner?key={studio.owner.key}")
    app = make_app(studio, password, hosts)
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=SHUTDOWN_SECONDS)
    uvicorn.Server(config).run()
