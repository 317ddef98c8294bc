"""Compare: the signal of the first tab by several methods, as the command `compare` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.cli.compare import plan_of
from apps.studio.comparing import CompareJob
from apps.studio.controls import options
from apps.studio.tabs.fit import said
from apps.studio.tabs.more import control, controls
from fields.compare.comparison import Plan
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

FIRST = ("hashgrid", "siren")
PANEL = """<section data-studio="comparison" aria-label="The comparison"><p class="quiet empty">What is compared appears here.
Finished comparisons are among the runs.</p></section>"""


def build(studio: Studio, signal: gr.State) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            about = gr.Markdown("Choose a signal under **Fit**.", elem_id="compare-signal")
            methods = gr.CheckboxGroup([], label="Methods", elem_id="compare-methods")
            seconds = gr.Slider(2, 300, value=15, step=1, label="Seconds each", elem_id="compare-seconds")
            seeds = gr.Slider(1, 5, value=1, step=1, label="Seeds", elem_id="compare-seeds")
            params = control("compare", "params", "compare-")
            with gr.Accordion("More: steps, held-out samples", open=False):
                more = {"params": params} | controls("compare", "compare-", leave=("params",))
            start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            name_of_job = gr.Textbox(elem_id="started-comparison", elem_classes="unseen", label="job", container=False)
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            gr.HTML(PANEL, elem_id="comparison")

    def offer(chosen: dict):
        if not chosen:
            return gr.skip(), gr.skip()
        return f"**{chosen['name']}**, {chosen['kind']}", gr.update(
            choices=chosen["methods"], value=[m for m in FIRST if m in chosen["methods"]]
        )

    def begin(chosen: dict, names: list[str], time: float, count: float, *typed) -> str:
        return said(_begin, studio, chosen, names, time, int(count), dict(zip(more, typed)))

    signal.change(offer, signal, [about, methods], show_progress="hidden", api_visibility="private")
    start.click(
        begin,
        [signal, methods, seconds, seeds, *more.values()],
        name_of_job,
        show_progress="hidden",
        concurrency_limit=4,
        api_visibility="private",
    )


def _begin(studio: Studio, chosen: dict, names: list[str], seconds: float, seeds: int, typed: dict[str, object]) -> str:
    plan = ordered(chosen, names, seconds, seeds, typed)
    path = studio.queue.free(f"{chosen['name']}-compare")
    return studio.queue.add(CompareJob(path.name, path, plan)).id


def ordered(chosen: dict, names: list[str], seconds: float, seeds: int, typed: dict[str, object]) -> Plan:
    """What the page asks for, read as the command line reads it."""
    if not chosen:
        raise BadInput("choose a signal under Fit first")
    if not names:
        raise BadInput("choose one method or more")
    read = options(
        "compare",
        [chosen["source"], f"--kind={chosen['kind']}", f"--methods={','.join(names)}", f"--seeds={seeds}"],
        typed,
    )
    read.seconds = None if read.steps else float(seconds)
    return plan_of(read)
