"""The page on which work begins: its head, and one module per tab. Each run has a page of its own, see `run_page`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.studio.tabs import compare, distill, runs
from apps.studio.tabs.fit import FitTab
from apps.studio.tabs.option_controls import QUIET
from apps.studio.tabs.reconstruct import ReconstructTab
from apps.studio.templating import render

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Scripts of the page open a tab, and choose a run in it where it has a list, with `studioOpenTab("TAB", "RUN")`.
OPEN_TAB = "window.studioOpenTab = (tab, run) => trigger('select', { tab, run });"
# Seconds between two cleanups of Gradio's files, and the age at which a file is deleted.
CACHE_SECONDS = (3600, 86400)


def build(studio: Studio) -> gr.Blocks:
    """The whole page."""
    with gr.Blocks(title="Field Studio", analytics_enabled=False, fill_width=True, delete_cache=CACHE_SECONDS) as page:
        gr.HTML(render("masthead"), elem_id="masthead")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Fit", id="fit"):
                fit = FitTab(studio)
            with gr.Tab("Photographs to 3-D", id="reconstruct"):
                ReconstructTab(studio)
            with gr.Tab("Runs", id="runs"):
                runs.build()
            with gr.Tab("Compare", id="compare"):
                compare.build(studio, fit)
            with gr.Tab("Convert", id="distill") as distill_tab:
                distill_run = distill.build(studio, distill_tab, fit)
        opener = gr.HTML("", js_on_load=OPEN_TAB, elem_classes="script-only")

        def open_tab(event: gr.EventData) -> tuple[dict, dict]:
            tab, name = str(event.tab), str(event.run)  # pyright: ignore[reportAttributeAccessIssue]
            return gr.update(selected=tab), gr.update(value=name) if tab == "distill" and name else gr.skip()

        opener.select(open_tab, None, [tabs, distill_run], **QUIET)
    return page
