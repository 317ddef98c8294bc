"""3-D: go around a fitted shape or scene; its extracted mesh beside it, and where a scene was photographed from."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from apps.studio import gallery
from apps.studio.exporting import room
from apps.studio.tabs.run_choice import asked, run_choice, viewer_of
from apps.studio.view_renderer import Opened
from fields.export.base import Request, Source
from fields.export.formats import export
from fields.export.outputs.cameras import draw_cameras
from fields.runs.run import Run

if TYPE_CHECKING:
    from apps.studio.server import Studio

SOLID = ("shape", "radiance")
EMPTY = "<p class='quiet'>Choose a fitted shape or scene.</p>"


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=320, elem_classes="card"):
            run = run_choice("space-run")
            viewer = gr.HTML(EMPTY, elem_id="space-viewer")
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

    def choose(name: str | None):
        return (
            viewer_of(studio, name, view, EMPTY),
            gr.update(value=None, visible="hidden"),
            "",
            (asked(studio, name, photographed) if name else ""),
        )

    def make(name: str | None, cells: float):
        if not name:
            raise gr.Error("Choose a fitted shape or scene first.", duration=8)
        file, text = asked(studio, name, lambda run: extracted(run, int(cells)), "make")
        return gr.update(value=file, visible=True), text

    tab.select(
        lambda: gr.update(choices=gallery.names(studio.folders, SOLID)),
        None,
        run,
        show_progress="hidden",
        api_visibility="private",
    )
    run.change(choose, run, [viewer, mesh, about, cameras], show_progress="hidden", api_visibility="private")
    extract.click(
        make, [run, resolution], [mesh, about], show_progress="minimal", concurrency_limit=1, api_visibility="private"
    )
    return run


def view(name: str, header: dict) -> str:
    if header["kind"] not in SOLID:
        return "<p class='quiet'>This field has no surface; look at it inside.</p>"
    moving = header["kind"] == "radiance" and len(header["domain"]["axes"]) == 4
    return f'<div data-studio="orbit" data-run="{escape(name)}"{" data-moving" if moving else ""}></div>'


def extracted(run: Run, cells: int) -> tuple[str, str]:
    """A GLB for the page's viewer, as `export` writes it, and a line about it."""
    path = room("mesh-") / f"{run.path.name}.glb"
    # (of a field of its own: that of a scene is cleared for it)
    report = export(Source(run, run.load_field(), run.header["kind"]), path, Request(resolution=cells), "mesh")
    return str(path), escape(f"{report['text']}; {path.stat().st_size / 1e6:.1f} MB")


def photographed(opened: Opened) -> str:
    """Where the photographs of a scene were taken, as a drawing; nothing for shapes."""
    from matplotlib import rc_context

    cameras = opened.run.cameras()
    if not cameras:
        return ""
    tests = [camera.split == "test" for camera in cameras]
    axes = opened.field.domain.axes[:3]
    file = room("cameras-") / "cameras.png"
    # (letters that can be read at half the size; what is behind shows through, and the dark page turns the colours over)
    with rc_context({"font.size": 17, "savefig.transparent": True}):
        draw_cameras(
            file,
            [camera.pose for camera in cameras],
            [camera.intrinsics for camera in cameras],
            tests,
            np.array([axis.lower for axis in axes]),
            np.array([axis.upper for axis in axes]),
        )
    shown = base64.b64encode(file.read_bytes()).decode()
    caption = f"{tests.count(False)} cameras for training, {tests.count(True)} for testing"
    return f'<figure class="drawing"><img alt="Cameras of the scene" src="data:image/png;base64,{shown}"><figcaption>{caption}</figcaption></figure>'
