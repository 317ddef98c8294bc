"""The tab Photographs to 3-D: photographs or a film in, cameras and a crop box, and a mesh with its texture out."""

from __future__ import annotations

import math
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from markupsafe import escape

from apps.studio import examples, uploads
from apps.studio.choice import Choice
from apps.studio.cleanup import mark_used
from apps.studio.exporting import new_folder
from apps.studio.folders import clean_name
from apps.studio.messages import message_of, note_for_page, unexpected
from apps.studio.photographs import ChosenPhotographs, OpenedScene, choose, open_scene
from apps.studio.reconstruct_job import MODEL, POSES, ReconstructJob, continues, read_record
from apps.studio.requests import reconstruct_request
from apps.studio.tabs.option_controls import BUSY, EACH, QUIET, method_settings, option_control, option_controls
from apps.studio.tabs.run_choice import MESSAGE_SECONDS, muted, show_errors
from apps.studio.templating import render
from apps.studio.visitors import visitor_of
from fields.methods.radiance import SceneMethod
from fields.methods.registry import method_class, method_names
from fields.options import option_named
from fields.reconstruct.request import ReconstructRequest
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

# Scenes that the tab offers beside uploads.
EXAMPLES = ("Duck, a posed scene",)
# The numbers of the crop box, in the order of the request.
BOX_LABELS = ("x from", "y from", "z from", "x to", "y to", "z to")
# Options in front of the others.
FRONT = ("preview", "seconds")
# Sections of the other options, by heading. The last ones stand with the method.
MORE = {"Surface and texture": ("surface",), "Orientation, scale and file": ("place", "file")}
# A script of the page reports what a job has to show with `studioShowReconstruction("RUN", "cameras" or "mesh")`.
CANCEL_OPENING = "window.studioCancelPhotographs = () => trigger('select', {});"
SHOW = "window.studioShowReconstruction = (run, what) => trigger('select', { run, what });"
DEFAULT_METHOD = "decided from the photographs"
NO_SCENE = "Cameras and points appear here once they are known."


class ReconstructTab:
    """The components of the tab and what their events do."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        # Which photographs are chosen, and their copy (`ChosenPhotographs` or empty); corners of the whole box.
        self.choice, self.chosen, self.whole = gr.State(Choice()), gr.State({}), gr.State([])
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300, elem_classes="card"):
                self._lay_out_source()
                self._lay_out_options()
            with gr.Column(scale=5, min_width=320, elem_classes="card"):
                self.scene = gr.HTML(muted(NO_SCENE), elem_id="recon-scene")
                self.mesh = gr.Model3D(
                    label="The mesh that is downloaded",
                    elem_id="recon-mesh",
                    height=460,
                    visible="hidden",
                    interactive=False,
                    clear_color=(0.0, 0.0, 0.0, 0.0),
                )
                gr.HTML(render("reconstruction"), elem_id="recon-panel")
            self.shown = gr.HTML("", js_on_load=SHOW, elem_classes="script-only")
            self.cancelled = gr.HTML("", js_on_load=CANCEL_OPENING, elem_classes="script-only")
        self._connect()

    def _lay_out_source(self) -> None:
        self.upload = gr.File(
            label="Photographs, a zip, or a film",
            elem_id="recon-upload",
            height=140,
            file_count="multiple",
            file_types=[*uploads.IMAGE_ENDINGS, *uploads.VIDEO_ENDINGS, ".zip"],
        )
        self.example = gr.Dropdown(
            list(EXAMPLES),
            value=None,
            label="Or an example",
            elem_id="recon-example",
            info="A computed scene whose cameras are known.",
        )
        self.about = gr.Markdown("", elem_id="recon-about")
        self.find = gr.Button("Find the cameras", elem_id="recon-cameras", visible="hidden")
        self.box: list[gr.Slider] = []
        with gr.Accordion("Crop box", open=True, visible="hidden", elem_id="recon-box") as self.box_accordion:
            for index, label in enumerate(BOX_LABELS):
                self.box.append(gr.Slider(0, 1, value=0, step=0.005, label=label, elem_id=f"recon-box-{index}"))
            gr.Markdown("In units of the poses. Left at their ends, they crop nothing.", elem_classes="muted")

    def _lay_out_options(self) -> None:
        self.controls: dict[str, Any] = {
            name: option_control(ReconstructRequest, name, prefix="recon-") for name in FRONT
        }
        self.start = gr.Button("Make the mesh", variant="primary", elem_id="recon-start")
        for title, sections in MORE.items():
            with gr.Accordion(title, open=False):
                self.controls |= option_controls(ReconstructRequest, prefix="recon-", sections=sections)
        with gr.Accordion("Fit: method, background, seed", open=False):
            self.method = gr.Dropdown(
                [(DEFAULT_METHOD, ""), *((name, name) for name in _methods())],
                value="",
                label="Method",
                info=option_named(ReconstructRequest, "method").help,
                elem_id="recon-method",
            )
            self.controls |= option_controls(ReconstructRequest, prefix="recon-", exclude=tuple(self.controls))
        self.settings = method_settings(self.method, gr.State("radiance"), "recon-options")
        self.started = gr.Textbox(
            elem_id="started-reconstruction", elem_classes="script-only", label="job", container=False
        )

    def _connect(self) -> None:
        opened = [self.chosen, self.about, self.find, self.scene, self.box_accordion, self.whole, *self.box]
        # Not on every slider of the box.
        busy = {"show_progress_on": self.about, **BUSY}
        choice = self.choice
        self.upload.upload(self._open_upload, [choice, self.upload], [*opened, self.example], **EACH, **busy)
        self.upload.clear(self._forget, choice, opened, **EACH, **QUIET)
        self.example.input(self._open_example, [choice, self.example], opened, **EACH, **busy)
        self.cancelled.select(self._cancel, choice, [*opened, self.upload, self.example], **EACH, **QUIET)
        self.shown.select(self._show, [choice, self.chosen], [*opened, self.mesh], **QUIET)
        inputs = [choice, self.chosen, self.whole, self.method, self.settings, *self.box, *self.controls.values()]
        outputs = [self.started, self.chosen]
        options = {"concurrency_limit": 4, **QUIET}

        def begin(request: gr.Request, *given: Any) -> tuple[str, dict]:
            return self._begin(visitor_of(request), False, *given)

        def find(request: gr.Request, *given: Any) -> tuple[str, dict]:
            return self._begin(visitor_of(request), True, *given)

        self.start.click(begin, inputs, outputs, **options)
        self.find.click(find, inputs, outputs, **options)

    def _open_upload(self, choice: Choice, paths: list[str]) -> list:
        def keep() -> tuple[str, str]:
            self.studio.delete_unused_uploads()
            source = uploads.keep_photographs([Path(path) for path in paths], self.studio.folders)
            return str(source), clean_name(Path(paths[0]).stem) if len(paths) == 1 else "photographs"

        return [*self._open(choice, keep, "these photographs"), None]

    def _forget(self, choice: Choice) -> list:
        choice.finish(choice.begin(), None)
        return [{}, "", gr.update(visible="hidden"), *self._no_scene()]

    def _cancel(self, choice: Choice) -> list:
        """Wait no longer for the photographs that are being read."""
        chosen, _, *others = self._forget(choice)
        return [chosen, "Cancelled: nothing is chosen.", *others, None, None]

    def _open_example(self, choice: Choice, name: str | None) -> list:
        if not name:
            return [gr.skip()] * (6 + len(self.box))
        found = examples.find(name).title.lower()
        return self._open(choice, lambda: (examples.source(name, self.studio.folders), found), found)

    def _open(self, choice: Choice, find: Callable[[], tuple[str, str]], label: str) -> list:
        """Open what `find()` returns, a source and its name: values of the components that show it.

        Nothing changes where something else is chosen meanwhile.
        """
        ticket = choice.begin(label)
        values = self._opened(find, label, lambda: choice.is_newest(ticket))
        if values is None or not choice.finish(ticket, values[0] or None):
            return [gr.skip()] * (6 + len(self.box))
        return values

    def _opened(self, find: Callable[[], tuple[str, str]], label: str, is_wanted: Callable[[], bool]) -> list | None:
        """Values of the components that show what was opened; None as soon as it is not wanted any more."""
        try:
            source, name = find()
            mark_used(source, self.studio.folders)
            opening = self.studio.opening
            if (found := opening.result(lambda: choose(source, name), is_wanted)) is None:
                return None
            chosen, about = found
            if not chosen["posed"]:
                return [chosen, f"**{escape(name)}**: {about}", gr.update(visible=True), *self._no_scene()]
            if (scene := opening.result(lambda: open_scene(source), is_wanted)) is None:
                return None
            return [chosen, _about(name, scene), gr.update(visible="hidden"), *self._scene(scene)]
        except BadInput as error:
            problem = message_of(error)
        except Exception as error:
            # The files may be anything: every error of their readers is reported.
            traceback.print_exc()
            problem = f"{label}: {unexpected(error)}"
        gr.Warning(escape(problem), duration=MESSAGE_SECONDS, title="Not opened")
        return [{}, render("problem", text=problem), gr.update(visible="hidden"), *self._no_scene()]

    def _scene(self, scene: OpenedScene, box: tuple[float, ...] | None = None) -> list:
        """Values of the viewer, the accordion of the box, the whole box, and the sliders, which show `box`."""
        html = render("camera_viewer", data=scene.viewer, left_out=scene.left_out)
        ranges = [slider_range(low, high) for low, high in zip(scene.lower, scene.upper)]
        whole = [*(low for low, _, _ in ranges), *(high for _, high, _ in ranges)]
        sliders = []
        for index, value in enumerate(box or whole):
            low, high, step = ranges[index % 3]
            sliders.append(gr.update(minimum=low, maximum=high, step=step, value=value))
        return [html, gr.update(visible=True), whole, *sliders]

    def _no_scene(self) -> list:
        return [muted(NO_SCENE), gr.update(visible="hidden"), [], *[gr.skip()] * len(self.box)]

    def _show(self, event: gr.EventData, choice: Choice, chosen: dict) -> list:
        """Show what a job has made: the cameras that were found, or the mesh."""
        name, what = str(event.run), str(event.what)  # pyright: ignore[reportAttributeAccessIssue]
        scene: list = [gr.skip()] * (6 + len(self.box))
        ticket = choice.newest()
        no_mesh = gr.update(value=None, visible="hidden")
        if not name:
            return [*scene, no_mesh]
        path = self.studio.folders.run(name)
        if what == "mesh":
            return [*scene, _mesh_of(path)]
        job = next((job for job in self._jobs() if job.path == path), None)
        # What somebody chooses meanwhile, or has cropped already, stays.
        if job is None or (chosen and (chosen["posed"] or chosen["source"] != job.request.source)):
            return [*scene, gr.skip()]
        found = path / POSES
        try:
            source = str(found) if found.is_dir() else job.request.source
            opened = self.studio.opening.submit(lambda: open_scene(source)).result()
        except BadInput as error:
            return [gr.skip(), render("problem", text=message_of(error)), *scene[2:], gr.skip()]
        if not choice.is_newest(ticket):
            return [*scene, gr.skip()]
        known = ChosenPhotographs(source=job.request.source, name=clean_name(job.name), posed=True, run=name)
        return [
            known,
            _about(job.name, opened),
            gr.update(visible="hidden"),
            *self._scene(opened, job.request.box),
            gr.skip(),
        ]

    def _begin(
        self,
        owner: str,
        only_cameras: bool,
        choice: Choice[ChosenPhotographs],
        chosen: ChosenPhotographs,
        whole: list[float],
        method: str | None,
        settings: dict,
        *values: Any,
    ) -> tuple[str, dict]:
        """Queue the job. Returns its id, and what is chosen, with the run that keeps its stages."""
        show_errors(choice.check)
        box = _box(values[: len(self.box)], whole)
        controls = dict(zip(self.controls, values[len(self.box) :]))
        request = show_errors(reconstruct_request, chosen, method, box=box, settings=settings, controls=controls)
        mark_used(request.source, self.studio.folders)
        job = show_errors(self._job, chosen, request, only_cameras)
        return show_errors(self.studio.queue.add, job, owner).id, {**chosen, "run": job.path.name}

    def _job(self, chosen: ChosenPhotographs, request: ReconstructRequest, only_cameras: bool) -> ReconstructJob:
        """A job in the run's folder that has the same fit already, or in a new one, which takes over its cameras."""
        queue, folders = self.studio.queue, self.studio.folders
        earlier = folders.runs / chosen["run"] if chosen["run"] else None
        if earlier is not None and earlier.is_dir() and continues(earlier, request):
            if queue.is_busy(earlier):
                raise BadInput(f"{earlier.name} is being made already; stop it first, or wait for its end")
            return ReconstructJob(earlier.name, earlier, request, only_cameras=only_cameras)
        same_seed = earlier is not None and earlier.is_dir() and _seed(earlier) == request.seed
        path = queue.reserve(chosen["name"])
        cameras_of = earlier if same_seed else None
        return ReconstructJob(path.name, path, request, only_cameras=only_cameras, cameras_of=cameras_of)

    def _jobs(self) -> list[ReconstructJob]:
        return [job for job in reversed(list(self.studio.queue.jobs.values())) if isinstance(job, ReconstructJob)]


def slider_range(low: float, high: float) -> tuple[float, float, float]:
    """Least and largest value of a slider that holds a range, and its step: a power of ten, 100 to 1,000 steps."""
    digits = 2 - math.floor(math.log10(high - low))
    scale = 10.0**digits
    shown = max(0, digits)
    return round(math.floor(low * scale) / scale, shown), round(math.ceil(high * scale) / scale, shown), 1 / scale


def _methods() -> list[str]:
    """Methods that take posed photographs."""
    return [name for name in method_names() if issubclass(method_class(name), SceneMethod)]


def _about(name: str, scene: OpenedScene) -> str:
    notes = [note_for_page(note) for note in scene.notes]
    return render("signal", kind=name, guess="cameras are known", description=scene.description, notes=notes)


def _box(values: tuple[float, ...], whole: list[float]) -> tuple[float, ...] | None:
    """The crop box; None where it is the whole one, which the fit decides."""
    if not whole:
        return None
    near = [abs(value - end) <= 1e-6 * max(1.0, abs(end)) for value, end in zip(values, whole)]
    return None if all(near) else tuple(map(float, values))


def _seed(path: Path) -> int | None:
    try:
        return read_record(path).seed
    except BadInput:
        return None


def _mesh_of(path: Path) -> dict:
    """The viewer with the GLB of a run: a copy, in the folder from which Gradio hands out files."""
    file = path / f"{MODEL}.glb"
    if not file.is_file():
        return gr.update(value=None, visible="hidden")
    copy = new_folder("mesh-") / f"{path.name}.glb"
    shutil.copyfile(file, copy)
    return gr.update(value=str(copy), visible=True)
