"""Runs: the gallery. The page's own script draws it and asks `apps.studio.routes`."""

from __future__ import annotations

import gradio as gr


def build() -> None:
    gr.HTML(
        '<section class="gallery" data-studio="gallery" aria-label="Runs"><p class="quiet">Looking for runs …</p></section>'
    )
