"""The tab Runs: the gallery. A script of the page draws it and asks `apps.studio.routes`."""

from __future__ import annotations

import gradio as gr

from apps.studio.templating import render


def build() -> None:
    gr.HTML(render("gallery"))
