"""Puts the page, the routes behind it and the guard in front of it together, and serves them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from apps.studio.access import LOOPBACK, Guard
from apps.studio.cleanup import clear
from apps.studio.folders import Folders
from apps.studio.jobs import Queue
from apps.studio.routes import routes, told
from apps.studio.theme import theme
from apps.studio.uploads import MAX_BYTES
from apps.studio.view_renderer import Looks
from scenes.errors import BadInput

HEAD = """<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/studio/static/studio.css">
<script defer src="/studio/static/comparison.js"></script>
<script defer src="/studio/static/studio.js"></script>"""
PORT = 7860


@dataclass
class Studio:
    """What the tabs and the routes share."""

    folders: Folders
    queue: Queue
    looks: Looks

    @classmethod
    def at(cls, runs: Path) -> Studio:
        folders = Folders.at(runs)
        studio = cls(folders, Queue(folders), Looks())
        studio.looks.submit(studio.clear)
        return studio

    def clear(self) -> None:
        """Drops uploads that nothing speaks of."""
        clear(self.folders, self.queue.sources())

    def close(self) -> None:
        self.queue.close()
        self.looks.close()


def make_app(studio: Studio, password: str | None = None, hosts: tuple[str, ...] | None = LOOPBACK) -> Guard:
    """The whole application; `hosts` are the names that it answers to (None: any)."""
    # Gradio keeps what browsers upload there until a tab takes it over.
    os.environ["GRADIO_TEMP_DIR"] = str(studio.folders.arriving)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from apps.studio.page import build

    @asynccontextmanager
    async def lifespan(app: FastAPI):
        yield
        studio.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(routes(studio.folders, studio.queue, studio.looks))
    app.add_exception_handler(BadInput, told)
    page = build(studio)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        theme=theme(),
        head=HEAD,
        footer_links=[],
        run_history=False,
        show_error=True,
        ssr_mode=False,
        max_file_size=MAX_BYTES,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
    )
    # Gradio checks where files come from only if it believes that it serves itself (seen in 6.31): without this, a request could name
    # any file of this machine as its upload.
    page.has_launched = True
    return Guard(app, password, hosts)


def serve(host: str, port: int, password: str | None, runs: Path) -> None:
    """Serves until it is interrupted."""
    studio = Studio.at(runs)
    hosts = LOOPBACK if host in LOOPBACK else None
    config = uvicorn.Config(
        make_app(studio, password, hosts), host=host, port=port, log_level="warning", timeout_graceful_shutdown=3
    )
    uvicorn.Server(config).run()
