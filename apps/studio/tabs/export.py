"""The tab Export: choose a form of a run, see how large it will be, and download it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
from markupsafe import escape

from apps.studio import exporting
from apps.studio.tabs.option_controls import BUSY, QUIET
from apps.studio.tabs.run_choice import run_choice, update_when_selected, with_open_run, with_run
from apps.studio.templating import render

if TYPE_CHECKING:
    from apps.studio.server import Studio


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    """Lay out the tab. Returns the list in which a run is chosen."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300, elem_classes="card"):
            run = run_choice("export-run")
            form = gr.Dropdown([], label="As", elem_id="export-as")
            scale = gr.Slider(
                0.25,
                8,
                value=1,
                step=0.25,
                label="Times the size of the original",
                elem_id="export-scale",
                visible=False,
            )
            cells = gr.Slider(
                32,
                exporting.MAX_CELLS,
                value=128,
                step=32,
                label="Cells along the longest side",
                elem_id="export-cells",
                visible=False,
            )
            estimate = gr.Markdown("", elem_id="export-estimate")
            start = gr.Button("Export", variant="primary", elem_id="export-start")
        with gr.Column(scale=1, min_width=300, elem_classes="card"):
            file = gr.File(label="The file", interactive=False, elem_id="export-file", visible=False)
            gr.HTML(render("export_help"))

    def choose(name: str | None) -> tuple[dict, dict]:
        no_file = gr.update(value=None, visible=False)
        if not name:
            return gr.update(choices=[], value=None), no_file
        labels = [choice.label for choice in with_open_run(studio, name, exporting.choices)]
        return gr.update(choices=labels, value=labels[0]), no_file

    def tell(name: str | None, label: str | None, scale: float, cells: float) -> tuple[str, dict, dict]:
        if not name or not label:
            return "", gr.skip(), gr.skip()
        choice, run = with_open_run(studio, name, lambda opened: (exporting.find(opened, label), opened.run))
        return (
            escape(choice.estimate(run, scale, int(cells))),
            gr.update(visible=choice.size == "scale"),
            gr.update(visible=choice.size == "cells"),
        )

    def make(name: str | None, label: str | None, scale: float, cells: float) -> dict:
        if not name or not label:
            raise gr.Error("Choose a run first.", duration=8)
        choice = with_open_run(studio, name, lambda opened: exporting.find(opened, label))
        path = with_run(studio, name, lambda run: exporting.write(run, choice, scale, int(cells)))
        return gr.update(value=str(path), visible=True)

    update_when_selected(tab, run, studio)
    run.change(choose, run, [form, file], **QUIET)
    for changed in (form.change, scale.change, cells.change):
        changed(tell, [run, form, scale, cells], [estimate, scale, cells], trigger_mode="always_last", **QUIET)
    start.click(make, [run, form, scale, cells], file, concurrency_limit=2, **BUSY)
    return run
