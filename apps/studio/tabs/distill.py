"""The tab Convert: convert a run's field to another method, and watch both side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.studio.choice import Choice
from apps.studio.chosen_signal import ChosenSignal
from apps.studio.distill_job import DistillJob
from apps.studio.method_options import suitable_methods
from apps.studio.requests import FIT_DATA, NO_DATA, TEACHER_DATA, distill_request
from apps.studio.tabs.option_controls import BUSY, QUIET, method_settings, option_control, option_controls
from apps.studio.tabs.run_choice import run_choice, show_errors, update_when_selected, with_open_run
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun
from apps.studio.visitors import visitor_of
from fields.distill.distill import check_teacher
from fields.distill.request import DistillRequest
from fields.distill.stages import Stages
from fields.distill.teacher import teacher_signal

if TYPE_CHECKING:
    from apps.studio.server import Studio
    from apps.studio.tabs.fit import FitTab


def build(studio: Studio, tab: gr.Tab, fit: FitTab) -> gr.Dropdown:
    """Lay out the tab. `fit`: the tab in which a signal is chosen. Returns the list in which a run is chosen."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            run = run_choice(
                "distill-run", "Run to convert", "The new field learns from its field, not from the signal."
            )
            about = gr.Markdown("", elem_id="distill-about")
            method = gr.Dropdown(
                [], label="New method", elem_id="distill-into", info="Any method that takes the signal."
            )
            seconds = gr.Slider(
                2,
                600,
                value=30,
                step=1,
                label="Time (seconds)",
                elem_id="distill-seconds",
                info="30 s are enough for most images and shapes; scenes gain from minutes.",
            )
            params = option_control(DistillRequest, "params", prefix="distill-")
            with gr.Accordion("More options: precision, steps, scores", open=False):
                more = option_controls(DistillRequest, prefix="distill-", exclude=("params",))
                data = gr.Dropdown(
                    [NO_DATA, TEACHER_DATA, FIT_DATA],
                    value=NO_DATA,
                    label="Also score on",
                    elem_id="distill-data",
                    info="By default it is scored against its teacher alone.",
                )
            with gr.Accordion("Stages (advanced)", open=False, elem_id="distill-stages"):
                stages = _stage_controls()
            kind = gr.State(None)
            settings = method_settings(method, kind, "distill-options")
            start = gr.Button("Convert to another architecture", variant="primary", elem_id="distill-start")
            started = gr.Textbox(
                elem_id="started-distillation", elem_classes="script-only", label="job", container=False
            )
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            gr.HTML(render("distillation"), elem_id="distillation")
    controls = {"params": params, **more}

    def choose(name: str | None) -> tuple[str, dict, str | None]:
        if not name:
            return "", gr.update(choices=[], value=None), None
        text, methods, teacher_kind = with_open_run(studio, name, students)
        return text, gr.update(choices=methods, value=methods[0] if methods else None), teacher_kind

    def begin(
        request: gr.Request,
        choice: Choice[ChosenSignal],
        shown: str,
        name: str | None,
        into: str | None,
        seconds: float,
        settings: dict,
        data: str,
        *values: object,
    ) -> str:
        wanted = show_errors(
            distill_request,
            studio.folders,
            name,
            into,
            seconds=seconds,
            chosen=show_errors(choice.current, shown) if data == FIT_DATA else None,
            data=data,
            settings=settings,
            stages={stage: str(text or "") for stage, text in zip(stages, values)},
            controls=dict(zip(controls, values[len(stages) :])),
        )
        path = studio.queue.reserve(f"{name}-{into}")
        return show_errors(studio.queue.add, DistillJob(path.name, path, wanted), visitor_of(request)).id

    update_when_selected(tab, run, studio)
    run.change(choose, run, [about, method, kind], **BUSY)
    start.click(
        begin,
        [fit.choice, fit.shown, run, method, seconds, settings, data, *stages.values(), *controls.values()],
        started,
        concurrency_limit=4,
        **QUIET,
    )
    return run


def students(opened: OpenRun) -> tuple[str, list[str], str]:
    """A line about the teacher, the methods that it can be distilled into (its own last), and its kind."""
    header = opened.run.header
    check_teacher(opened.run)
    methods = suitable_methods(teacher_signal(opened.run, opened.field))
    methods.sort(key=lambda name: name == header["method"])
    return f"**{header['method']}**, {header['parameters']:,} parameters", methods, opened.kind


def _stage_controls() -> dict[str, gr.Textbox]:
    return {
        name: gr.Textbox(
            label=name,
            info=option.description,
            placeholder=f"{option.default:.4g}",
            elem_classes="option",
            lines=1,
        )
        for name, option in Stages.model_fields.items()
    }
