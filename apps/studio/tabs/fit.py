"""The tab Fit: choose a signal, a method and an effort, and watch the fit."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import Markup, escape

from apps.studio import examples, gallery, method_options, uploads
from apps.studio.choice import Choice
from apps.studio.chosen_signal import MAX_PIXELS, ChosenSignal, estimate, open_signal
from apps.studio.cleanup import mark_used
from apps.studio.folders import clean_name
from apps.studio.images import data_url, encode_png
from apps.studio.job_queue import MAX_WAITING
from apps.studio.messages import message_of, note_for_page, unexpected
from apps.studio.requests import fit_request
from apps.studio.tabs.option_controls import BUSY, EACH, QUIET, method_settings, option_controls
from apps.studio.tabs.run_choice import MESSAGE_SECONDS, show_errors
from apps.studio.templating import render
from apps.studio.visitors import visitor_of
from fields.fit.request import SAMPLES, FitRequest
from fields.kinds import default_method
from fields.options import options_of
from scenes.errors import BadInput
from scenes.signal import Signal

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Seconds of each effort; the rest is the method's own defaults.
EFFORTS = {"fast": 8, "balanced": 30, "best": 180}
# Longest time of a fit, and that of an example whose picture was clicked, in seconds.
MAX_SECONDS = 600
EXAMPLE_SECONDS = 15
# Layers of the network in the welcome's picture, in its own units. `next`: index of the layer that follows.
NETWORK = [
    {"x": 14, "ys": (40, 80), "next": 1},
    {"x": 44, "ys": (18, 46, 74, 102), "next": 2},
    {"x": 76, "ys": (18, 46, 74, 102), "next": 3},
    {"x": 106, "ys": (32, 60, 88), "next": None},
]
EFFORT_INFO = "balanced is close to what a method can reach; fast is for trying, best for keeping"
# Longest side of the image of a signal in pixels.
PREVIEW_SIDE = 480
# A script of the page reports a click on the image of an example with `studioChooseExample("NAME")`.
CHOOSE_EXAMPLE = "window.studioChooseExample = (name) => trigger('select', { name });"
# A script of the page reports a click on the Cancel of a file that is being read.
CANCEL_OPENING = "window.studioCancelOpening = () => trigger('select', {});"
# A script of the page reports that a file begins to be uploaded with `studioUploadBegins("NAME")`.
UPLOAD_BEGINS = "window.studioUploadBegins = (name) => trigger('select', { name });"
OTHER_SECTIONS = tuple(section for section in FitRequest.sections if section != SAMPLES)

# A signal that was asked for: its source and its name.
Asked = tuple[str, str]


class FitTab:
    """The components of the tab and what their events do."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        # Which signal is chosen, and its copy, a `ChosenSignal` or empty, whose changes update the page; the file of
        # the mask.
        self.choice = gr.State(Choice())
        self.signal = gr.State({})
        self.mask_path = gr.State(None)
        self.kind = gr.State(None)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300, elem_classes="card"):
                self._lay_out_signal()
                self._lay_out_effort()
                self._lay_out_options()
            with gr.Column(scale=5, min_width=320, elem_classes="card live-card"):
                gr.HTML(welcome(), elem_id="live")
            self.picked = gr.HTML("", js_on_load=CHOOSE_EXAMPLE, elem_classes="script-only")
            self.begun = gr.HTML("", js_on_load=UPLOAD_BEGINS, elem_classes="script-only")
            self.cancelled = gr.HTML("", js_on_load=CANCEL_OPENING, elem_classes="script-only")
            # The ticket of the choice that the page shows.
            self.shown = gr.Textbox(
                "", elem_id="shown-signal", elem_classes="script-only", label="ticket", container=False
            )
        self._connect_signal()
        self._connect_options()
        self._connect_start()

    def _lay_out_signal(self) -> None:
        self.example = gr.Dropdown(
            examples.names(), value=None, label="Signal", info="An example, or a file below", elem_id="example"
        )
        self.upload = gr.File(label="Upload", elem_id="upload", height=116, file_types=list(uploads.ENDINGS))
        self.about = gr.Markdown("", elem_id="about")
        self.image = gr.HTML("", elem_id="signal-image")

    def _lay_out_effort(self) -> None:
        self.method = gr.Dropdown([], label="Method", visible=True, elem_id="method", info="Choose a signal first")
        self.method_about = gr.Markdown("", elem_id="method-about", elem_classes="muted")
        self.effort = gr.Radio(list(EFFORTS), value="balanced", label="Effort", info=EFFORT_INFO, elem_id="effort")
        self.seconds = gr.Slider(
            2,
            MAX_SECONDS,
            value=EFFORTS["balanced"],
            step=1,
            label="Time (seconds)",
            elem_id="seconds",
            info="From opening the signal to the last score. The effort sets it; any other time will do.",
        )
        self.estimate = gr.Markdown("", elem_id="estimate")
        self.start = gr.Button("Fit", variant="primary", elem_id="start")

    def _lay_out_options(self) -> None:
        with gr.Accordion("More options: size, precision, seed", open=False):
            self.more = option_controls(FitRequest, sections=OTHER_SECTIONS)
            self.start_from = gr.Dropdown(
                [],
                value=None,
                label="Start from a run",
                elem_id="start-from",
                info="Begin with the weights of a run of the same kind. Its method and size are used.",
            )
        with gr.Accordion("Samples used", open=False, elem_id="samples"):
            self.samples = option_controls(FitRequest, sections=(SAMPLES,))
            self.mask = gr.File(
                label="Mask: an image of the same size, white where the signal counts; the field fills in the rest",
                elem_id="mask",
                height=104,
                visible=False,
                file_types=list(uploads.IMAGE_ENDINGS),
            )
        self.settings = method_settings(self.method, self.kind, "options")
        self.started = gr.Textbox(elem_id="started-fit", elem_classes="script-only", label="job", container=False)

    def _connect_signal(self) -> None:
        outputs = [self.shown, self.signal, self.about, self.image, self.method]
        choice, example = self.choice, self.example
        example.input(self._open_example, [choice, example], outputs, **EACH, **BUSY)
        self.picked.select(self._open_picked, choice, [*outputs, example], **EACH, **QUIET)
        self.picked.select(lambda: EXAMPLE_SECONDS, None, self.seconds, **QUIET)
        self.begun.select(self._upload_begins, choice, [*outputs, example], **EACH, **QUIET)
        self.upload.upload(self._open_upload, [choice, self.upload], [*outputs, example], **EACH, **BUSY)
        self.upload.clear(self._forget, choice, outputs, **EACH, **QUIET)
        self.cancelled.select(self._cancel, choice, [*outputs, example, self.upload], **EACH, **QUIET)
        self.effort.input(lambda name: EFFORTS[name], self.effort, self.seconds, **QUIET)

    def _connect_options(self) -> None:
        studio = self.studio
        options = [*self.samples.values(), self.mask, self.mask_path, self.start_from, self.kind]
        self.signal.change(self._offer_options, self.signal, options, **QUIET)

        def keep_mask(path: str) -> str:
            return str(show_errors(uploads.keep_upload, Path(path), studio.folders))

        self.mask.upload(keep_mask, self.mask, self.mask_path, **QUIET)
        self.mask.clear(lambda: None, None, self.mask_path, **QUIET)
        self.start_from.focus(
            lambda chosen: gr.update(choices=_runs_like(studio, chosen)), self.signal, self.start_from, **QUIET
        )
        self.method.change(about_method, [self.method, self.signal], self.method_about, **QUIET)
        params, bits = self.more["params"], self.more["bits"]
        assert isinstance(params, gr.Textbox)
        inputs = [self.signal, self.method, self.settings, params, bits]
        for changed in (self.signal.change, self.method.change, params.blur, bits.change, self.settings.change):
            changed(self._estimate, inputs, self.estimate, **QUIET)

    def _connect_start(self) -> None:
        controls = {**self.more, **self.samples}
        inputs = [self.choice, self.shown, self.method, self.settings, self.seconds, self.mask_path, self.start_from]

        def begin(
            request: gr.Request,
            choice: Choice[ChosenSignal],
            shown: str,
            method: str | None,
            settings: dict,
            seconds: float,
            mask: str | None,
            start: str | None,
            *values: object,
        ) -> str:
            return self._begin(
                show_errors(choice.current, shown),
                method,
                owner=visitor_of(request),
                seconds=seconds,
                settings=settings,
                mask=mask,
                start=start,
                controls=dict(zip(controls, values)),
            )

        self.start.click(begin, [*inputs, *controls.values()], self.started, concurrency_limit=4, **QUIET)

    def _open_example(self, choice: Choice, name: str | None) -> list:
        def find(name: str) -> Asked:
            return examples.source(name, self.studio.folders), examples.find(name).title.lower()

        return self._open(choice, find, name, name or "")

    def _open_picked(self, event: gr.EventData, choice: Choice) -> list:
        name = str(event.name)  # pyright: ignore[reportAttributeAccessIssue]  (what the page's script sent)
        return [*self._open_example(choice, name), name]

    def _open_upload(self, choice: Choice, path: str) -> list:
        def keep(path: str) -> Asked:
            self.studio.delete_unused_uploads()
            signal = uploads.keep_upload(Path(path), self.studio.folders)
            uploads.refuse_photographs(signal)
            return str(signal), clean_name(Path(path).stem)

        return [*self._open(choice, keep, path, Path(path or "").name), None]

    def _upload_begins(self, event: gr.EventData, choice: Choice) -> list:
        """Forget what was chosen before as soon as a file is on its way, which may take minutes."""
        name = clean_name(str(event.name))  # pyright: ignore[reportAttributeAccessIssue]
        choice.begin(name)
        return ["", {}, f"Uploading {name} …", "", gr.update(choices=[], value=None), None]

    def _forget(self, choice: Choice) -> list:
        choice.finish(choice.begin(), None)
        return ["", {}, "", "", gr.update(choices=[], value=None)]

    def _cancel(self, choice: Choice) -> list:
        """Wait no longer for the file that is being read."""
        shown, signal, _, *others = self._forget(choice)
        return [shown, signal, "Cancelled: nothing is chosen.", *others, None, None]

    def _open(self, choice: Choice, find: Callable[[Any], Asked], given: object, label: str) -> list:
        """Open a signal and show it: values of `shown`, `signal`, `about`, `image` and `method`.

        `find(given)`: its source and its name. Nothing changes where something else is chosen meanwhile.
        """
        if not given:
            return [gr.skip()] * 5
        ticket = choice.begin(label)
        try:
            source, name = find(given)
            mark_used(source, self.studio.folders)
            # One thread opens files, so that many clicks open one file after another, and only the last of them.
            shown = self.studio.opening.result(
                lambda: shown_signal(source, name) if choice.is_newest(ticket) else None,
                lambda: choice.is_newest(ticket),
            )
            if shown is None or not choice.finish(ticket, shown[0]):
                return [gr.skip()] * 5
            return [str(ticket), *shown]
        except BadInput as error:
            problem = message_of(error)
        except Exception as error:
            # The file may be anything: every error of its reader is reported.
            traceback.print_exc()
            problem = f"{label}: {unexpected(error)}"
        if not choice.finish(ticket, None):
            return [gr.skip()] * 5
        gr.Warning(escape(problem), duration=MESSAGE_SECONDS, title="Not opened")
        return ["", {}, render("problem", text=problem), "", gr.update(choices=[], value=None)]

    def _offer_options(self, chosen: ChosenSignal | dict) -> list:
        """Show the options that mean something for the kind of the signal, and the runs that it may begin with."""
        kind = chosen.get("kind")
        shown = {option.name: kind is None or option.applies_to(kind) for option in options_of(FitRequest)}
        return [
            *(gr.update(visible=shown[name]) for name in self.samples),
            gr.update(visible=kind is not None and shown["mask"], value=None),
            None,
            gr.update(choices=_runs_like(self.studio, chosen), value=None),
            kind,
        ]

    def _estimate(self, chosen: ChosenSignal, method: str | None, settings: dict, params: str, bits: str) -> str:
        if not chosen or not method:
            return ""
        try:
            request = fit_request(
                self.studio.folders,
                chosen,
                method,
                seconds=EFFORTS["balanced"],
                settings=settings,
                controls={"params": params, "bits": bits},
            )
            return estimate(chosen, request)
        except BadInput as error:
            return render("problem", text=message_of(error))

    def _begin(self, chosen: ChosenSignal | None, method: str | None, *, owner: str, **given: Any) -> str:
        """Queue the fit and return the id of its job."""
        request = show_errors(fit_request, self.studio.folders, chosen, method, **given)
        assert chosen is not None, "refused by `fit_request`"
        mark_used(chosen["source"], self.studio.folders)
        return show_errors(self.studio.queue.fit, request, chosen["name"], owner).id


def _notes(signal: Signal) -> list[str]:
    return [note_for_page(note) for note in signal.notes]


def shown_signal(source: str, name: str) -> tuple[ChosenSignal, Markup, Markup, dict]:
    """Open a signal: what is chosen, a line about it, its image, and the list of methods."""
    chosen, signal, guess = open_signal(source, name)
    notes = _notes(signal)
    if chosen["kind"] == "video" and Path(source).is_dir():
        notes.append("Taken as the frames of a film. Photographs of an object go under “Photographs to 3-D”.")
    # Of an image, which is what is none of the other kinds, that is no news.
    guess = "" if chosen["kind"] == "image" else guess
    about = render("signal", kind=chosen["kind"], guess=guess, description=signal.describe(), notes=notes)
    image = render("signal_image", source=data_url(encode_png(signal.preview(PREVIEW_SIDE))))
    methods, default = chosen["methods"], default_method(chosen["kind"])
    update = gr.update(
        choices=methods,
        value=default if default in methods else methods[0],
        info=f"{len(methods)} methods take this signal",
    )
    return chosen, about, image, update


def welcome() -> Markup:
    """What is shown before the first fit: what the studio does, an example of each kind, and its limits."""
    ready = [
        {"name": example.name, "title": example.title, "description": example.description, "number": number}
        for number, example in enumerate(examples.EXAMPLES)
        if example.title in examples.READY
    ]
    limits = (
        f"A file has at most {uploads.MAX_BYTES >> 20} MB, an image {MAX_PIXELS // 1_000_000} megapixels, "
        f"a fit {MAX_SECONDS} seconds; at most {MAX_WAITING} jobs wait in line."
    )
    return render(
        "welcome", examples=ready, side=examples.IMAGE_SIDE, network=NETWORK, seconds=EXAMPLE_SECONDS, limits=limits
    )


def about_method(name: str | None, chosen: ChosenSignal | dict) -> str:
    """What a method is good at, and why it is the one that is chosen at first."""
    if not name or not chosen:
        return ""
    kind = chosen["kind"]
    is_default = name == default_method(kind)
    why = f"Suggested for this kind of signal ({kind}); another may be better on yours: compare them. "
    return f"{why if is_default else ''}{method_options.summary(name, kind)}"


def _runs_like(studio: Studio, chosen: ChosenSignal | dict) -> list[str]:
    """Runs of the same kind as the chosen signal."""
    return gallery.names(studio.folders, kind=chosen["kind"]) if chosen else []
