"""Distil: a run's field into another architecture; the fit is watched on the first tab, the teacher in the target's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from apps.cli import types
from apps.studio import forms, gallery
from apps.studio.distilling import DistillJob, DistillOrder
from apps.studio.looks import Opened
from apps.studio.tabs.choose import asked, run_choice
from apps.studio.tabs.fit import read, said
from fields.distill.distill import check_teacher
from fields.distill.teacher import teacher_signal
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio


def build(studio: Studio, tab: gr.Tab) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            run = run_choice("distil-run", "Teacher")
            about = gr.Markdown("", elem_id="distil-about")
            method = gr.Dropdown([], label="Into", elem_id="distil-into")
            seconds = gr.Slider(2, 600, value=30, step=1, label="Seconds", elem_id="distil-seconds")
            params = gr.Textbox(label="Parameters", placeholder="the method's own size; such as 50k", elem_id="distil-params")
            start = gr.Button("Distil", variant="primary", elem_id="distil-start")
            name_of_job = gr.Textbox(elem_id="started-distillation", elem_classes="unseen", label="job", container=False)
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            gr.HTML(LIVE, elem_id="distillation")

    def choose(name: str | None):
        if not name:
            return "", gr.update(choices=[], value=None)
        text, methods = asked(studio, name, students)
        return text, gr.update(choices=methods, value=methods[0] if methods else None)

    def begin(name: str | None, into: str | None, time: float, size: str) -> str:
        return said(_begin, studio, name, into, time, size)

    tab.select(lambda: gr.update(choices=gallery.names(studio.folders)), None, run, show_progress="hidden", api_visibility="private")
    run.change(choose, run, [about, method], show_progress="minimal", api_visibility="private")
    start.click(begin, [run, method, seconds, params], name_of_job, show_progress="hidden", concurrency_limit=4, api_visibility="private")


LIVE = """<section data-studio="live" data-started="started-distillation" data-sort="distillation" aria-label="The distillation">
<p class="quiet empty">Choose a run and a method, then <b>Distil</b>: teacher and student appear here, side by side.</p></section>"""


def students(opened: Opened) -> tuple[str, list[str]]:
    """A line about the teacher, and the methods that it can become, its own last."""
    header = opened.run.header
    check_teacher(opened.run)
    signal = teacher_signal(opened.run, opened.field)
    methods = forms.suitable(signal)
    others = [name for name in methods if name != header["method"]]
    return f"**{header['method']}**, {header['parameters']:,} parameters", others + [name for name in methods if name == header["method"]]


def _begin(studio: Studio, name: str | None, into: str | None, seconds: float, size: str) -> str:
    if not name or not into:
        raise BadInput("choose a run and a method first")
    params = read("Parameters", types.count, size.strip()) if size and size.strip() else None
    teacher = studio.folders.run(name)
    path = studio.queue.free(f"{name}-{into}")
    return studio.queue.add(DistillJob(path.name, path, DistillOrder(teacher, into, {}, float(seconds), params))).id
