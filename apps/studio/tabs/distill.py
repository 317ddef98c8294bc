"""Distil: a run's field into another architecture; the fit is watched on the first tab, the teacher in the target's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.cli.distill import split
from apps.studio import forms, gallery
from apps.studio.controls import options
from apps.studio.distilling import DistillJob, DistillOrder
from apps.studio.tabs.fit import said
from apps.studio.tabs.more import control, controls, given, method_options
from apps.studio.tabs.run_choice import asked, run_choice
from apps.studio.view_renderer import Opened
from fields.distill.distill import check_teacher
from fields.distill.stages import Stages
from fields.distill.teacher import teacher_signal
from fields.methods.registry import make_method
from fields.runs.run import Run
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

NOTHING, ITS_OWN, UNDER_FIT = "nothing", "what the teacher was fitted to", "the signal under Fit"


def build(studio: Studio, tab: gr.Tab, signal: gr.State) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            run = run_choice("distil-run", "Teacher")
            about = gr.Markdown("", elem_id="distil-about")
            method = gr.Dropdown([], label="Into", elem_id="distil-into")
            seconds = gr.Slider(2, 600, value=30, step=1, label="Seconds", elem_id="distil-seconds")
            params = control("distill", "params", "distil-")
            with gr.Accordion("More: bits, steps, heads, data", open=False):
                more = {"params": params} | controls("distill", "distil-", leave=("params",))
                data = gr.Dropdown(
                    [NOTHING, ITS_OWN, UNDER_FIT], value=NOTHING, label="Also score on", elem_id="distil-data"
                )
            with gr.Accordion("Stages", open=False, elem_id="distil-stages"):
                stages = {
                    name: gr.Textbox(
                        label=name,
                        info=option.description,
                        placeholder=f"{option.default:.4g}",
                        elem_classes="option",
                        lines=1,
                    )
                    for name, option in Stages.model_fields.items()
                }
            kind = gr.State(None)
            settings = method_options(method, kind, "distil-options")
            start = gr.Button("Distil", variant="primary", elem_id="distil-start")
            name_of_job = gr.Textbox(
                elem_id="started-distillation", elem_classes="unseen", label="job", container=False
            )
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            gr.HTML(LIVE, elem_id="distillation")

    def choose(name: str | None):
        if not name:
            return "", gr.update(choices=[], value=None), None
        text, methods, of = asked(studio, name, students)
        return text, gr.update(choices=methods, value=methods[0] if methods else None), of

    def begin(chosen: dict, name: str | None, into: str | None, time: float, settings: dict, also: str, *typed) -> str:
        of_stages = dict(zip(stages, typed))
        return said(
            _begin, studio, chosen, name, into, time, settings, also, of_stages, dict(zip(more, typed[len(stages) :]))
        )

    tab.select(
        lambda: gr.update(choices=gallery.names(studio.folders)),
        None,
        run,
        show_progress="hidden",
        api_visibility="private",
    )
    run.change(choose, run, [about, method, kind], show_progress="minimal", api_visibility="private")
    start.click(
        begin,
        [signal, run, method, seconds, settings, data, *stages.values(), *more.values()],
        name_of_job,
        show_progress="hidden",
        concurrency_limit=4,
        api_visibility="private",
    )


LIVE = """<section data-studio="live" data-started="started-distillation" data-sort="distillation" aria-label="The distillation">
<p class="quiet empty">Choose a run and a method, then <b>Distil</b>: teacher and student appear here, side by side.</p></section>"""


def students(opened: Opened) -> tuple[str, list[str], str]:
    """A line about the teacher, the methods that it can become, its own last, and its kind."""
    header = opened.run.header
    check_teacher(opened.run)
    signal = teacher_signal(opened.run, opened.field)
    methods = forms.suitable(signal)
    others = [name for name in methods if name != header["method"]]
    return (
        f"**{header['method']}**, {header['parameters']:,} parameters",
        others + [name for name in methods if name == header["method"]],
        header["kind"],
    )


def _begin(
    studio: Studio,
    chosen: dict,
    name: str | None,
    into: str | None,
    seconds: float,
    settings: dict,
    also: str,
    stages: dict[str, str],
    typed: dict[str, object],
) -> str:
    order = order_of(studio, chosen, name, into, seconds, settings, also, stages, typed)
    path = studio.queue.free(f"{name}-{into}")
    return studio.queue.add(DistillJob(path.name, path, order)).id


def order_of(
    studio: Studio,
    chosen: dict,
    name: str | None,
    into: str | None,
    seconds: float,
    settings: dict,
    also: str,
    stages: dict[str, str],
    typed: dict[str, object],
) -> DistillOrder:
    """What the page asks for, read as the command line reads it."""
    if not name or not into:
        raise BadInput("choose a run and a method first")
    teacher = studio.folders.run(name)
    words = [
        str(teacher),
        f"--into={into}",
        *given(into, settings),
        *(f"--set={key}={text.strip()}" for key, text in stages.items() if text and text.strip()),
    ]
    if also == UNDER_FIT and not chosen:
        raise BadInput("choose the signal to score on under Fit first")
    if also != NOTHING:
        words.append(f"--data={chosen['source'] if also == UNDER_FIT else Run.open(teacher).header['source']['path']}")
    read = options("distill", words, typed)
    matched, own = split(dict(read.settings))
    make_method(into, own)
    return DistillOrder(
        teacher,
        into,
        own,
        None if read.steps else float(seconds),
        read.params,
        read.seed,
        read.steps,
        read.bits,
        matched,
        read.share_heads,
        read.device,
        read.data,
    )
