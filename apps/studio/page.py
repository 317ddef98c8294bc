"""The page: its head, and one tab a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.studio.tabs import compare, export, fit, runs, space
from apps.studio.tabs import distill as distil
from apps.studio.tabs import inspect as inside

if TYPE_CHECKING:
    from apps.studio.server import Studio

TITLE = """<header class="masthead"><h1>Field Studio</h1>
<p>A signal goes in, a field is fitted to it, the field is looked at and taken home.</p></header>"""
# The page's own script opens a run in another tab with `studioOpen("TAB", "RUN")`.
OPENER = "window.studioOpen = (tab, run) => trigger('select', { tab, run });"


def build(studio: Studio) -> gr.Blocks:
    with gr.Blocks(title="Field Studio", analytics_enabled=False, fill_width=True, delete_cache=(3600, 86400)) as page:
        gr.HTML(TITLE, elem_id="masthead")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Fit", id="fit"):
                signal = fit.build(studio, page)
            with gr.Tab("Runs", id="runs"):
                runs.build()
            with gr.Tab("Look inside", id="inside") as inside_tab:
                inside_run = inside.build(studio, inside_tab)
            with gr.Tab("3-D", id="space") as space_tab:
                space_run = space.build(studio, space_tab)
            with gr.Tab("Compare", id="compare"):
                compare.build(studio, signal)
            with gr.Tab("Distil", id="distil") as distil_tab:
                distil.build(studio, distil_tab, signal)
            with gr.Tab("Export", id="export") as export_tab:
                export_run = export.build(studio, export_tab)
        opener = gr.HTML("", js_on_load=OPENER, elem_classes="unseen")
        opened = {"inside": inside_run, "space": space_run, "export": export_run}

        def open_run(wanted: gr.EventData):
            tab, name = str(wanted.tab), str(wanted.run)
            return [
                gr.update(selected=tab),
                *(gr.update(value=name) if place == tab else gr.skip() for place in opened),
            ]

        opener.select(open_run, None, [tabs, *opened.values()], show_progress="hidden", api_visibility="private")
    return page
