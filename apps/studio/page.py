"""The page: its head, and one module per tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.studio.tabs import compare, distill, export, inspect, runs, space
from apps.studio.tabs.fit import FitTab
from apps.studio.tabs.option_controls import QUIET
from apps.studio.tabs.reconstruct import ReconstructTab
from apps.studio.templating import render

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Scripts of the page open a run in another tab with `studioOpenRun("TAB", "RUN")`.
OPEN_RUN = "window.studioOpenRun = (tab, run) => trigger('select', { tab, run });"
# Seconds between two cleanups of Gradio's files, and the age at which a file is deleted.
CACHE_SECONDS = (3600, 86400)


def build(studio: Studio) -> gr.Blocks:
    """The whole page."""
    with gr.Blocks(title="Field Studio", analytics_enabled=False, fill_width=True, delete_cache=CACHE_SECONDS) as page:
        gr.HTML(render("masthead"), elem_id="masthead")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Fit", id="fit"):
                signal = FitTab(studio).signal
            with gr.Tab("Photographs to 3-D", id="reconstruct"):
                ReconstructTab(studio)
            with gr.Tab("Runs", id="runs"):
                runs.build()
            with gr.Tab("Inspect", id="inspect") as inspect_tab:
                inspect_run = inspect.build(studio, inspect_tab)
            with gr.Tab("3-D", id="space") as space_tab:
                space_run = space.build(studio, space_tab)
            with gr.Tab("Compare", id="compare"):
                compare.build(studio, signal)
            with gr.Tab("Distill", id="distill") as distill_tab:
                distill.build(studio, distill_tab, signal)
            with gr.Tab("Export", id="export") as export_tab:
                export_run = export.build(studio, export_tab)
        opener = gr.HTML("", js_on_load=OPEN_RUN, elem_classes="script-only")
        lists = {"inspect": inspect_run, "space": space_run, "export": export_run}

        def open_run(event: gr.EventData) -> list:
            tab, name = str(event.tab), str(event.run)  # pyright: ignore[reportAttributeAccessIssue]
            return [
                gr.update(selected=tab),
                *(gr.update(value=name) if own == tab else gr.skip() for own in lists),
            ]

        opener.select(open_run, None, [tabs, *lists.values()], **QUIET)
    return page
