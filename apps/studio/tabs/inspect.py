"""Look inside: zoom into a field at any depth, and see what it is made of."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from apps.studio import field_inspector as insides
from apps.studio import gallery
from apps.studio.tabs.run_choice import asked, run_choice, viewer_of

if TYPE_CHECKING:
    from apps.studio.server import Studio

FLAT = ("image", "audio", "video", "volume")
EMPTY = "<p class='quiet'>Choose a run.</p>"


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320, elem_classes="card"):
            run = run_choice("inside-run")
            viewer = gr.HTML(EMPTY, elem_id="inside-viewer")
        with gr.Column(scale=2, min_width=320, elem_classes="card"):
            spectra = gr.Button("Spectra, and FreSh's pick", elem_id="inside-spectra")
            drawn = gr.HTML("", elem_id="inside-drawn")
            parts = gr.HTML("", elem_id="inside-parts")

    def choose(name: str | None):
        if not name:
            return EMPTY, "", ""
        return viewer_of(studio, name, view, EMPTY), "", asked(studio, name, insides.parts)

    tab.select(
        lambda: gr.update(choices=gallery.names(studio.folders)),
        None,
        run,
        show_progress="hidden",
        api_visibility="private",
    )
    run.change(choose, run, [viewer, drawn, parts], show_progress="minimal", api_visibility="private")
    spectra.click(
        lambda name: asked(studio, name, insides.spectra, "make") if name else EMPTY,
        run,
        drawn,
        show_progress="minimal",
        api_visibility="private",
    )
    return run


def view(name: str, header: dict) -> str:
    """The place where the page's script draws the field, window by window."""
    kind = header["kind"]
    if kind not in FLAT:
        return "<p class='quiet'>This field is looked at in 3-D.</p>"
    shape = [axis["samples"] or 1 for axis in header["domain"]["axes"]]
    ratio = f"{shape[0]}/{shape[1]}" if kind != "audio" else "5/2"
    place = {"video": "moment", "volume": "slice"}.get(kind, "")
    return (
        f'<div data-studio="zoom" data-run="{escape(name)}" data-kind="{kind}" data-place="{place}" style="--ratio:{ratio}">'
        f"</div>"
    )
