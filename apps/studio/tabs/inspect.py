"""The tab Inspect: zoom into a field to any depth, and see what it consists of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import Markup

from apps.studio import field_inspector
from apps.studio.tabs.option_controls import BUSY
from apps.studio.tabs.run_choice import muted, run_choice, update_when_selected, viewer_html, with_open_run, with_run
from apps.studio.templating import render
from fields.kinds import viewer_class
from scenes.domain import Domain

if TYPE_CHECKING:
    from apps.studio.server import Studio

EMPTY = "Choose a run."


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    """Lay out the tab. Returns the list in which a run is chosen."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=320, elem_classes="card"):
            run = run_choice("inspect-run")
            viewer = gr.HTML(muted(EMPTY), elem_id="inspect-viewer")
        with gr.Column(scale=2, min_width=320, elem_classes="card"):
            spectra = gr.Button("Spectra, and FreSh's choice", elem_id="inspect-spectra")
            drawn = gr.HTML("", elem_id="inspect-drawn")
            parts = gr.HTML("", elem_id="inspect-parts")

    def choose(name: str | None) -> tuple[str, str, str]:
        html = viewer_html(studio, name, view, EMPTY)
        return html, "", with_open_run(studio, name, field_inspector.inspect) if name else ""

    def draw_spectra(name: str | None) -> str:
        return with_run(studio, name, field_inspector.spectra) if name else muted(EMPTY)

    update_when_selected(tab, run, studio)
    run.change(choose, run, [viewer, drawn, parts], **BUSY)
    spectra.click(draw_spectra, run, drawn, **BUSY)
    return run


def view(name: str, header: dict) -> Markup:
    """The element in which a script of the page draws the field, window by window."""
    viewer = viewer_class(header["kind"])
    if viewer.solid:
        return muted("This field is viewed in the tab 3-D.")
    width, height = viewer.aspect_ratio(Domain.from_json(header["domain"]))
    return render(
        "zoom_viewer", run=name, kind=header["kind"], position=viewer.position_name, ratio=f"{width}/{height}"
    )
