"""The tab Compare: several methods on the signal of the first tab, as `fit-a-scene compare` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.studio.choice import Choice
from apps.studio.chosen_signal import ChosenSignal
from apps.studio.compare_job import CompareJob
from apps.studio.requests import compare_request
from apps.studio.tabs.option_controls import QUIET, option_control, option_controls
from apps.studio.tabs.run_choice import show_errors
from apps.studio.templating import render
from apps.studio.visitors import visitor_of
from fields.compare.request import CompareRequest

if TYPE_CHECKING:
    from apps.studio.server import Studio
    from apps.studio.tabs.fit import FitTab

# Methods that are chosen at first.
FIRST_METHODS = ("hashgrid", "siren")


def build(studio: Studio, fit: FitTab) -> None:
    """Lay out the tab. `fit`: the tab in which the signal is chosen."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            about = gr.Markdown("Choose a signal under **Fit**.", elem_id="compare-signal")
            methods = gr.CheckboxGroup(
                [],
                label="Methods",
                elem_id="compare-methods",
                info="The two that are marked are the usual choices: a grid and a network. Each of them is fitted.",
            )
            seconds = gr.Slider(
                2,
                300,
                value=15,
                step=1,
                label="Time per fit (seconds)",
                elem_id="compare-seconds",
                info="Every method gets the same. 15 s tells fast methods from slow ones; their best takes longer.",
            )
            seeds = gr.Slider(
                1,
                5,
                value=1,
                step=1,
                label="Repetitions (seeds)",
                elem_id="compare-seeds",
                info="Fits of each method, each from another start. 1 is quick; 3 say how much is chance.",
            )
            params = option_control(CompareRequest, "params", prefix="compare-")
            with gr.Accordion("More options: steps, held-out samples", open=False):
                more = option_controls(CompareRequest, prefix="compare-", exclude=("params",))
            start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            started = gr.Textbox(elem_id="started-comparison", elem_classes="script-only", label="job", container=False)
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            gr.HTML(render("comparison"), elem_id="comparison")
    controls = {"params": params, **more}

    def offer_methods(chosen: ChosenSignal) -> tuple[str | dict, dict]:
        if not chosen:
            return gr.skip(), gr.skip()
        first = [method for method in FIRST_METHODS if method in chosen["methods"]]
        return f"**{chosen['name']}**, {chosen['kind']}", gr.update(choices=chosen["methods"], value=first)

    def begin(
        request: gr.Request,
        choice: Choice[ChosenSignal],
        shown: str,
        methods: list[str],
        seconds: float,
        seeds: float,
        *values: object,
    ) -> str:
        chosen = show_errors(choice.current, shown)
        wanted = show_errors(
            compare_request,
            chosen,
            methods,
            seconds=seconds,
            seeds=int(seeds),
            controls=dict(zip(controls, values)),
        )
        assert chosen is not None, "refused by `compare_request`"
        path = studio.queue.reserve(f"{chosen['name']}-compare")
        return show_errors(studio.queue.add, CompareJob(path.name, path, wanted), visitor_of(request)).id

    fit.signal.change(offer_methods, fit.signal, [about, methods], **QUIET)
    inputs = [fit.choice, fit.shown, methods, seconds, seeds, *controls.values()]
    start.click(begin, inputs, started, concurrency_limit=4, **QUIET)
