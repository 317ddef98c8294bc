"""The tab 3-D: view a fitted shape or scene from all sides, extract its mesh, see the cameras of its photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from markupsafe import Markup, escape

from apps.studio.exporting import new_folder
from apps.studio.images import data_url
from apps.studio.tabs.option_controls import BUSY, QUIET
from apps.studio.tabs.run_choice import muted, run_choice, update_when_selected, viewer_html, with_open_run, with_run
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun
from fields.export.base import Source
from fields.export.formats import export
from fields.export.outputs.cameras import draw_cameras
from fields.export.request import ExportRequest
from fields.kinds import viewer_class
from fields.runs.run import Run
from scenes.domain import Domain

if TYPE_CHECKING:
    from apps.studio.server import Studio

EMPTY = "Choose a fitted shape or scene."
# Letters of the drawing of cameras, in points: it is shown at about half its size.
CAMERA_FONT_SIZE = 17


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    """Lay out the tab. Returns the list in which a run is chosen."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=320, elem_classes="card"):
            run = run_choice("space-run")
            viewer = gr.HTML(muted(EMPTY), elem_id="space-viewer")
        with gr.Column(scale=1, min_width=320, elem_classes="card"):
            resolution = gr.Slider(
                32, 256, value=96, step=32, label="Cells along the longest side", elem_id="space-cells"
            )
            extract = gr.Button("Extract the mesh", elem_id="space-extract")
            mesh = gr.Model3D(
                show_label=False, elem_id="space-mesh", height=420, visible="hidden", clear_color=(0.0, 0.0, 0.0, 0.0)
            )
            about = gr.Markdown("", elem_id="space-about")
            cameras = gr.HTML("", elem_id="space-cameras")

    def choose(name: str | None) -> tuple[str, dict, str, str]:
        html = viewer_html(studio, name, view, EMPTY)
        no_mesh = gr.update(value=None, visible="hidden")
        return html, no_mesh, "", with_open_run(studio, name, camera_drawing) if name else ""

    def make(name: str | None, cells: float) -> tuple[dict, str]:
        if not name:
            raise gr.Error("Choose a fitted shape or scene first.", duration=8)
        file, text = with_run(studio, name, lambda run: extract_mesh(run, int(cells)))
        return gr.update(value=file, visible=True), text

    update_when_selected(tab, run, studio, solid=True)
    run.change(choose, run, [viewer, mesh, about, cameras], **QUIET)
    extract.click(make, [run, resolution], [mesh, about], concurrency_limit=1, **BUSY)
    return run


def view(name: str, header: dict) -> Markup:
    """The element in which a script of the page draws the field from around it."""
    viewer = viewer_class(header["kind"])
    if not viewer.solid:
        return muted("This field has no surface. View it in the tab Inspect.")
    return render("orbit_viewer", run=name, moving=viewer.is_moving(Domain.from_json(header["domain"])))


def extract_mesh(run: Run, cells: int) -> tuple[str, str]:
    """Write a GLB for the page's viewer. Returns its path and a line about it."""
    path = new_folder("mesh-") / f"{run.path.name}.glb"
    # The field is loaded anew, because floaters are removed from that of a scene.
    source = Source(run, run.load_field(), run.header["kind"])
    report = export(source, path, ExportRequest(resolution=cells), "mesh")
    return str(path), escape(f"{report['text']}; {path.stat().st_size / 1e6:.1f} MB")


def camera_drawing(opened: OpenRun) -> str:
    """A drawing of the cameras of a scene's photographs, as HTML; empty for shapes."""
    from matplotlib import rc_context

    cameras = opened.run.cameras()
    if not cameras:
        return ""
    axes = opened.field.domain.axes[:3]
    file = new_folder("cameras-") / "cameras.png"
    # The page shows through the image, and inverts its colors in the dark.
    with rc_context({"font.size": CAMERA_FONT_SIZE, "savefig.transparent": True}):
        draw_cameras(
            file,
            cameras,
            np.array([axis.lower for axis in axes]),
            np.array([axis.upper for axis in axes]),
        )
    num_test = sum(camera.split == "test" for camera in cameras)
    source = data_url(file.read_bytes())
    return render("cameras", source=source, num_train=len(cameras) - num_test, num_test=num_test)
