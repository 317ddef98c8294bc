"""Export: choose a form, see how much it will be, take it home."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import gradio as gr

from apps.studio import exporting, gallery
from apps.studio.tabs.run_choice import asked, run_choice

if TYPE_CHECKING:
    from apps.studio.server import Studio


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
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
            gr.HTML(
                "<p class='quiet'>Your file appears here when it is made. Large results are made by <code>fit-a-scene render</code> and <code>fit-a-scene export</code>, in bounded memory.</p>"
            )

    def choose(name: str | None):
        if not name:
            return gr.update(choices=[], value=None), gr.update(value=None, visible=False)
        labels = [choice.label for choice in asked(studio, name, exporting.choices)]
        return gr.update(choices=labels, value=labels[0]), gr.update(value=None, visible=False)

    def tell(name: str | None, label: str | None, times: float, fine: float):
        if not name or not label:
            return "", gr.skip(), gr.skip()
        choice, run = asked(studio, name, lambda opened: (exporting.find(opened, label), opened.run))
        return (
            escape(exporting.estimate(run, choice, times, int(fine))),
            gr.update(visible=choice.size == "scale"),
            gr.update(visible=choice.size == "cells"),
        )

    def make(name: str | None, label: str | None, times: float, fine: float):
        if not name or not label:
            raise gr.Error("Choose a run first.", duration=8)
        choice = asked(studio, name, lambda opened: exporting.find(opened, label))
        made = asked(studio, name, lambda run: exporting.write(run, choice, times, int(fine)), "make")
        return gr.update(value=str(made), visible=True)

    tab.select(
        lambda: gr.update(choices=gallery.names(studio.folders)),
        None,
        run,
        show_progress="hidden",
        api_visibility="private",
    )
    run.change(choose, run, [form, file], show_progress="hidden", api_visibility="private")
    for trigger in (form.change, scale.change, cells.change):
        trigger(
            tell,
            [run, form, scale, cells],
            [estimate, scale, cells],
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
    start.click(
        make, [run, form, scale, cells], file, show_progress="minimal", concurrency_limit=2, api_visibility="private"
    )
    return run
