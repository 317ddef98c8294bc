"""Fit: choose a signal, a method and an effort, and watch the fit."""

from __future__ import annotations

import html
import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

import scenes
from apps.cli.fit import loading
from apps.studio import examples, forms, gallery, uploads
from apps.studio.cleanup import touch
from apps.studio.controls import offers, options
from apps.studio.folders import cleaned
from apps.studio.images import inline
from apps.studio.jobs import FitOrder
from apps.studio.tabs.more import controls, given, method_options
from fields.fit.estimate import memory_estimate
from fields.kinds import default_method
from fields.methods.radiance import count_parameters
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.signal import Signal

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Seconds of each effort; the rest is the method's own defaults.
EFFORTS = {"fast": 8, "balanced": 30, "best": 180}
PREVIEW = 480
# As the command line's help calls the options that say what is fitted of a signal.
SAMPLES = "which samples"
SAMPLE_NAMES = [offer.name for offer in offers("fit") if offer.group == SAMPLES]


def build(studio: Studio, page: gr.Blocks) -> gr.State:
    """Returns the state that holds the chosen signal: `{"source", "kind", "name", "methods", "loading"}`."""
    signal = gr.State({})
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=300, elem_classes="card"):
            example = gr.Dropdown(examples.names(), value=None, label="An example", elem_id="example")
            upload = gr.File(label="Or a file of yours", elem_id="upload", height=92, file_types=list(uploads.ENDINGS))
            about = gr.Markdown("", elem_id="about")
            shown = gr.HTML("", elem_id="signal-picture")
            method = gr.Dropdown([], label="Method", visible=True, elem_id="method", info="Choose a signal first")
            effort = gr.Radio(list(EFFORTS), value="balanced", label="Effort", elem_id="effort")
            seconds = gr.Slider(2, 600, value=EFFORTS["balanced"], step=1, label="Seconds", elem_id="seconds")
            estimate = gr.Markdown("", elem_id="estimate")
            start = gr.Button("Fit", variant="primary", elem_id="start")
            with gr.Accordion("More: size, seed, bits", open=False):
                more = controls("fit", only="method") | controls("fit", only="effort")
                start_from = gr.Dropdown(
                    [],
                    value=None,
                    label="Begin with the weights of",
                    elem_id="start-from",
                    info="a run of the same kind: its method and size are taken",
                )
            with gr.Accordion("Which samples", open=False, elem_id="samples"):
                samples = controls("fit", only=SAMPLES)
                mask = gr.File(
                    label="Mask: a picture, white where it is fitted; the rest is filled",
                    elem_id="mask",
                    height=104,
                    visible=False,
                    file_types=list(uploads.PICTURES),
                )
            masked = gr.State(None)
            kind = gr.State(None)
            settings = method_options(method, kind, "options")
            name_of_job = gr.Textbox(elem_id="started-job", elem_classes="unseen", label="job", container=False)
        with gr.Column(scale=5, min_width=320, elem_classes="card live-card"):
            gr.HTML(live(), elem_id="live")
        picked = gr.HTML("", js_on_load=PICKER, elem_classes="unseen")

    def take(source: str, name: str, holes: bool) -> list:
        """Opens a signal and says what it is; `name` is for people and for the run's folder."""
        # One thread opens files, so that many clicks open one after another.
        return studio.looks.submit(lambda: opened(source, name, holes)).result()

    def found(function, given) -> list:
        """The place and the name of a signal, and what `take` says of it."""
        if not given:
            return [gr.skip()] * 5
        tried = None
        try:
            *tried, holes = function(given)
            touch(tried[0], studio.folders)
            return [tried, *take(*tried, holes)]
        except Exception as error:  # noqa: BLE001  (files are made by anybody: whatever a reader stumbles over is told)
            if not isinstance(error, BadInput):
                traceback.print_exc()
                error = BadInput(f"this file cannot be opened ({type(error).__name__}: {error})")
            gr.Warning(_line(error), duration=12, title="Not taken")
            return [tried, {}, f"<span class='problem'>{_line(error)}</span>", "", gr.update(choices=[], value=None)]

    def from_example(name: str | None, holes: bool) -> list:
        return found(lambda name: (examples.source(name, studio.folders), name.partition(",")[0].lower(), holes), name)

    def from_picture(event: gr.EventData, holes: bool) -> list:
        return [*from_example(str(event.name), holes), str(event.name)]

    def from_upload(path: str, holes: bool) -> list:
        def kept(path: str):
            studio.clear()
            place = uploads.keep(Path(path), studio.folders)
            return str(place), cleaned(Path(path).stem), holes

        return [*found(kept, path), None]

    def again(place: list | None, holes: bool) -> list:
        return found(lambda place: (*place, holes), place)

    last = gr.State(None)  # what was opened last, or could not be
    outputs, quiet = [last, signal, about, shown, method], {"show_progress": "hidden", "api_visibility": "private"}
    holes = samples["ignore_invalid"]
    example.input(from_example, [example, holes], outputs, show_progress="minimal", api_visibility="private")
    picked.select(from_picture, holes, [*outputs, example], show_progress="hidden", api_visibility="private")
    upload.upload(from_upload, [upload, holes], [*outputs, example], show_progress="minimal", api_visibility="private")
    holes.input(again, [last, holes], outputs, show_progress="minimal", api_visibility="private")
    effort.input(lambda name: EFFORTS[name], effort, seconds, **quiet)

    def offer(chosen: dict) -> list:
        """Only what this kind of signal has, and the runs that it may begin with."""
        of = chosen.get("kind")
        takes = scenes.loader_options(of) if of else set(samples)
        return [
            *(gr.update(visible=name in takes) for name in samples),
            gr.update(visible=bool(of) and "mask" in takes, value=None),
            None,
            gr.update(choices=gallery.names(studio.folders, (of,)) if of else [], value=None),
            of,
        ]

    signal.change(offer, signal, [*samples.values(), mask, masked, start_from, kind], **quiet)
    mask.upload(lambda path: str(said(uploads.keep, Path(path), studio.folders)), mask, masked, **quiet)
    mask.clear(lambda: None, None, masked, **quiet)
    start_from.focus(
        lambda chosen: gr.update(choices=gallery.names(studio.folders, (chosen["kind"],)) if chosen else []),
        signal,
        start_from,
        **quiet,
    )

    inputs = [signal, method, settings, more["params"], more["bits"]]
    for trigger in (signal.change, method.change, more["params"].blur, more["bits"].change, settings.change):
        trigger(_estimate, inputs, estimate, **quiet)

    def begin(chosen: dict, name: str | None, settings: dict, time: float, mask: str | None, start: str | None, *typed):
        given = dict(zip([*more, *samples], typed))
        order = said(order_of, studio, chosen, name, settings, time, mask, start, given)
        touch(chosen["source"], studio.folders)
        return said(studio.queue.fit, order, chosen["name"]).id

    start.click(
        begin,
        [signal, method, settings, seconds, masked, start_from, *more.values(), *samples.values()],
        name_of_job,
        show_progress="hidden",
        concurrency_limit=4,
        api_visibility="private",
    )
    return signal


# The page's own script tells of a click on an example's picture with `studioExample("NAME")`.
PICKER = "window.studioExample = (name) => trigger('select', { name });"


def live() -> str:
    """Where the fit will be seen; before there is one, what may be fitted."""
    pictures = []
    for index, name in enumerate(examples.names()):
        title, _, sort = name.partition(", ")
        pictures.append(
            f'<button type="button" data-example="{html.escape(name, quote=True)}"><img src="/studio/static/example-{index}.webp" alt="" '
            f'width="{examples.PICTURE_SIDE}" height="{examples.PICTURE_SIDE}"><b>{html.escape(title)}</b> <span>{sort or "a photograph"}</span></button>'
        )
    return f"""<section data-studio="live" aria-label="The fit"><div class="welcome"><h2>What shall be fitted?</h2>
<p class="quiet">One of these, or a file of yours. Then press <b>Fit</b>, and watch it here.</p><div class="examples">{"".join(pictures)}</div></div></section>"""


def opened(source: str, name: str, holes: bool = False) -> list:
    """What the page shows of a signal; `holes` takes samples that are not numbers for such, where its kind may have them."""
    kind, seen = scenes.recognise(source)
    # (views and voxels stay as they are in the file, where a picture's numbers may grow)
    most = uploads.MAX_PIXELS * (1 if kind in ("image", "video") else 3)
    limits: dict[str, object] = {"max_pixels": most} if "max_pixels" in scenes.loader_options(kind) else {}
    if holes and "ignore_invalid" in scenes.loader_options(kind):
        limits["ignore_invalid"] = True
    signal = _loaded(source, kind, tuple(limits.items()))
    methods = forms.suitable(signal)
    notes = "".join(f"<br>{html.escape(note)}" for note in signal.notes)
    text = f"**{kind}** ({html.escape(seen)}): {html.escape(signal.describe())}{notes}"
    chosen = {"source": source, "kind": kind, "name": name, "methods": methods, "loading": limits}
    default = default_method(kind)
    return [
        chosen,
        text,
        f'<img src="{inline(signal.preview(PREVIEW))}" alt="the signal">',
        gr.update(
            choices=methods,
            value=default if default in methods else methods[0],
            info=f"{len(methods)} methods take this signal",
        ),
    ]


@lru_cache(4)
def _loaded(source: str, kind: str, loading: tuple[tuple[str, object], ...]) -> Signal:
    """The signals looked at last, of several visitors, are kept for their estimates: a scene takes seconds to open."""
    return scenes.load(source, kind, **dict(loading))


def order_of(
    studio: Studio,
    chosen: dict,
    method: str | None,
    settings: dict,
    seconds: float,
    mask: str | None,
    start: str | None,
    typed: dict[str, object],
) -> FitOrder:
    """What the page asks for, read as the command line reads it."""
    if not chosen or not method:
        raise BadInput("choose a signal first: an example, or a file of your own")
    kind = chosen["kind"]
    takes = scenes.loader_options(kind)
    typed = {name: text for name, text in typed.items() if name not in SAMPLE_NAMES or name in takes}
    words = [chosen["source"], f"--kind={kind}", *given(method, settings), *([f"--mask={mask}"] if mask else [])]
    read = options("fit", words, typed)
    if start:
        started = Run.open(studio.folders.run(start))
        if read.params or started.header["method"] != method:
            raise BadInput(
                f"{start} brings its method and size along: choose {started.header['method']} and leave the parameters open"
            )
    return FitOrder(
        chosen["source"],
        kind,
        {**chosen["loading"], **loading(read)},
        None if start else method,
        dict(read.settings),
        None if read.steps else float(seconds),
        read.steps,
        read.params,
        read.seed or 0,
        read.bits,
        read.init,
        read.keep,
        started.path if start else None,
        read.device,
    )


def _estimate(chosen: dict, method: str | None, settings: dict, params: str, bits: str) -> str:
    if not chosen or not method:
        return ""
    try:
        signal = _loaded(chosen["source"], chosen["kind"], tuple(chosen["loading"].items()))
        read = options("fit", [chosen["source"], *given(method, settings)], {"params": params, "bits": bits})
        config = forms.prepared(method, dict(read.settings), signal, read.params)
        numbers = count_parameters(config, signal.domain, signal.channels)
        return (
            f"{numbers:,} parameters ({_bytes(read.bits / 8 * numbers)}), about {_bytes(memory_estimate(config, signal, read.bits))} of memory "
            "while it is fitted"
        )
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
