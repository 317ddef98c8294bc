"""Fit: choose a signal, a method and an effort, and watch the fit."""

from __future__ import annotations

import html
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

import scenes
from apps.cli import types
from apps.studio import examples, forms, uploads
from apps.studio.jobs import FitOrder
from apps.studio.pictures import inline
from fields.fit.estimate import memory_estimate
from fields.fit.kinds import default_method
from fields.methods.radiance import stored_parameters
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Seconds of each effort; the rest is the method's own defaults.
EFFORTS = {"fast": 8, "balanced": 30, "best": 180}
PREVIEW = 480
# `--held-out`, `--part`, ... of the command line: (name, label, what to type, how it is read).
SAMPLES = (("held_out", "Held out", "a share, such as 0.1: never trained on, scored on", types.share),
           ("part", "Part", "START,END in seconds, of sounds and clips", types.part),
           ("rate", "Frame rate", "frames a second, of clips", types.positive),
           ("quantity", "Quantity", "of shapes: signed, unsigned or occupancy", str))


def build(studio: Studio, page: gr.Blocks) -> gr.State:
    """Returns the state that holds the chosen signal: `{"source", "kind", "name", "methods", "about"}`."""
    signal = gr.State({})
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            example = gr.Dropdown(examples.names(), value=None, label="Signal: an example", elem_id="example")
            upload = gr.File(label="Your own: picture, sound, clip, volume, mesh, points, zip", elem_id="upload", height=104,
                             file_types=list(uploads.ENDINGS))
            about = gr.Markdown("", elem_id="about")
            shown = gr.HTML("", elem_id="signal-picture")
            method = gr.Dropdown([], label="Method", visible=True, elem_id="method", info="Choose a signal first")
            effort = gr.Radio(list(EFFORTS), value="balanced", label="Effort", elem_id="effort")
            seconds = gr.Slider(2, 600, value=EFFORTS["balanced"], step=1, label="Seconds", elem_id="seconds")
            estimate = gr.Markdown("", elem_id="estimate")
            start = gr.Button("Fit", variant="primary", elem_id="start")
            with gr.Accordion("More: size, seed, bits, which samples", open=False):
                params = gr.Textbox(label="Parameters", placeholder="the method's own size; such as 200k", elem_id="params")
                steps = gr.Textbox(label="Steps", placeholder="instead of a time; such as 2000", elem_id="steps")
                seed = gr.Textbox(label="Seed", value="0", elem_id="seed")
                bits = gr.Dropdown(["32", "16", "8"], value="32", label="Bits a stored weight", elem_id="bits")
                init = gr.Dropdown(["default", "fresh"], value="default", label="Start", elem_id="init",
                                   info="fresh: choose the method's frequency from the signal's spectrum first")
                samples = [gr.Textbox(label=label, placeholder=hint, elem_id=f"sample-{name}") for name, label, hint, _ in SAMPLES]
            settings = gr.State({})
            with gr.Accordion("Options of the method", open=False, elem_id="options"):
                @gr.render(inputs=[method])
                def _(name: str | None):
                    _options(name, settings)
            name_of_job = gr.Textbox(elem_id="started-job", elem_classes="unseen", label="job", container=False)
        with gr.Column(scale=5, min_width=320, elem_classes="card live-card"):
            gr.HTML(LIVE, elem_id="live")

    def take(source: str, name: str) -> list:
        """Opens a signal and says what it is; `name` is for people and for the run's folder."""
        # One thread opens files, so that many clicks open one after another.
        return studio.looks.submit(lambda: opened(source, name)).result()

    def from_example(name: str | None) -> list:
        return take(examples.source(name, studio.folders), name.partition(",")[0].lower())

    def from_upload(path: str) -> list:
        kept = uploads.keep(Path(path), studio.folders)
        return take(str(kept), kept.stem)

    def chosen_by(function, given) -> list:
        if not given:
            return [gr.skip()] * 4
        try:
            return function(given)
        except Exception as error:  # noqa: BLE001  (files are made by anybody: whatever a reader stumbles over is told)
            if not isinstance(error, BadInput):
                traceback.print_exc()
                error = BadInput(f"this file cannot be opened ({type(error).__name__}: {error})")
            gr.Warning(_line(error), duration=12, title="Not taken")
            return [{}, f"<span class='problem'>{_line(error)}</span>", "", gr.update(choices=[], value=None)]

    outputs = [signal, about, shown, method]
    example.input(lambda name: chosen_by(from_example, name), example, outputs, show_progress="minimal", api_visibility="private")
    upload.upload(lambda path: [*chosen_by(from_upload, path), None], upload, [*outputs, example], show_progress="minimal", api_visibility="private")
    effort.input(lambda name: EFFORTS[name], effort, seconds, show_progress="hidden", api_visibility="private")
    inputs = [signal, method, settings, params]
    for trigger in (method.change, params.blur, settings.change):
        trigger(lambda *given: _estimate(*given), inputs, estimate, show_progress="hidden", api_visibility="private")

    def begin(chosen: dict, name: str | None, given: dict, *typed):
        order = said(_order, chosen, name, given, *typed)
        return said(studio.queue.fit, order, chosen["name"]).id

    start.click(begin, [signal, method, settings, seconds, steps, params, seed, bits, init, *samples], name_of_job,
                show_progress="hidden", concurrency_limit=4, api_visibility="private")
    return signal


LIVE = """<section data-studio="live" aria-label="The fit">
<p class="quiet empty">Choose a signal, then <b>Fit</b>. What is being fitted appears here.</p></section>"""


def opened(source: str, name: str) -> list:
    """What the page shows of a signal."""
    kind, seen = scenes.recognise(source)
    limits = {"max_pixels": uploads.MOST_PIXELS} if kind in ("image", "video") else {}
    signal = scenes.load(source, kind, **limits)
    methods = forms.suitable(signal)
    notes = "".join(f"<br>{html.escape(note)}" for note in signal.notes)
    text = f"**{kind}** ({html.escape(seen)}): {html.escape(signal.describe())}{notes}"
    chosen = {"source": source, "kind": kind, "name": name, "methods": methods, "loading": limits}
    default = default_method(kind)
    return [chosen, text, f'<img src="{inline(signal.preview(PREVIEW))}" alt="the signal">',
            gr.update(choices=methods, value=default if default in methods else methods[0], info=f"{len(methods)} methods take this signal")]


def _options(name: str | None, settings: gr.State) -> None:
    """A control for each option of the chosen method."""
    if not name:
        gr.Markdown("Choose a signal first.")
        return
    gr.Markdown(forms.summary(name))
    made = []
    controls = forms.controls(name)
    for control in controls:
        info = f"{control.description} ({control.values})" if not control.choices else control.description
        if control.choices:
            made.append(gr.Dropdown(list(control.choices), value=forms.DEFAULT, label=control.name, info=f"{info}; default {control.default}",
                                    elem_classes="option"))
        else:
            made.append(gr.Textbox(label=control.name, info=info, placeholder=control.default, elem_classes="option", lines=1))

    def collect(*typed):
        return {"method": name, "typed": {control.name: text for control, text in zip(controls, typed)}}

    for component in made:
        component.input(collect, made, settings, show_progress="hidden", trigger_mode="always_last", api_visibility="private")


def _given(name: str, settings: dict) -> dict[str, object]:
    return forms.options(name, settings["typed"]) if settings.get("method") == name else {}


def _order(chosen: dict, method: str | None, settings: dict, seconds: float, steps: str, params: str, seed: str, bits: str, init: str,
           *samples: str) -> FitOrder:
    if not chosen or not method:
        raise BadInput("choose a signal first: an example, or a file of your own")
    loading = dict(chosen["loading"])
    for (name, label, _, reader), text in zip(SAMPLES, samples):
        if text and text.strip():
            loading[name] = read(label, reader, text.strip())
    count = read("Steps", types.count, steps.strip()) if steps and steps.strip() else None
    return FitOrder(chosen["source"], chosen["kind"], loading, method, _given(method, settings), None if count else float(seconds), count,
                    read("Parameters", types.count, params.strip()) if params and params.strip() else None,
                    read("Seed", types.natural, seed.strip() or "0"), int(bits), init)


def read(label: str, reader, text: str):
    """As the command line reads it, with its sentence where that fails."""
    import argparse

    try:
        return reader(text)
    except argparse.ArgumentTypeError as error:
        raise BadInput(f"{label}: {error}") from None


def _estimate(chosen: dict, method: str | None, settings: dict, params: str) -> str:
    if not chosen or not method:
        return ""
    try:
        signal = scenes.load(chosen["source"], chosen["kind"], **chosen["loading"])
        wanted = read("Parameters", types.count, params.strip()) if params and params.strip() else None
        config = forms.prepared(method, _given(method, settings), signal, wanted)
        numbers = stored_parameters(config, signal.domain, signal.channels)
        return f"{numbers:,} parameters ({_bytes(4 * numbers)}), about {_bytes(memory_estimate(config, signal))} of memory while it is fitted"
    except BadInput as error:
        return f"<span class='problem'>{_line(error)}</span>"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def said(function, *arguments):
    """BadInput as a message on the page."""
    try:
        return function(*arguments)
    except BadInput as error:
        raise gr.Error(_line(error), duration=12) from None


def _line(error: BadInput) -> str:
    # File names are somebody else's text.
    return html.escape(" ".join(str(error).split()))
