"""3-D: go around a fitted shape; its extracted mesh beside it."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np

from apps.studio import gallery
from apps.studio.looks import Opened
from apps.studio.tabs.choose import asked, run_choice
from fields.fit.run import Run
from fields.render.surface_field import surface_field
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

SOLID = ("shape",)
EMPTY = "<p class='quiet'>Choose a fitted shape.</p>"


def build(studio: Studio, tab: gr.Tab) -> gr.Dropdown:
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=320, elem_classes="card"):
            run = run_choice("space-run")
            viewer = gr.HTML(EMPTY, elem_id="space-viewer")
        with gr.Column(scale=1, min_width=320, elem_classes="card"):
            resolution = gr.Slider(32, 256, value=96, step=32, label="Cells along the longest side", elem_id="space-cells")
            extract = gr.Button("Extract the mesh", elem_id="space-extract")
            mesh = gr.Model3D(show_label=False, elem_id="space-mesh", height=420, clear_color=(0.0, 0.0, 0.0, 0.0))
            about = gr.Markdown("", elem_id="space-about")

    def choose(name: str | None):
        return (view(studio, name) if name else EMPTY), None, ""

    def make(name: str | None, cells: float):
        if not name:
            raise gr.Error("Choose a fitted shape first.", duration=8)
        return asked(studio, name, lambda opened: extracted(opened, int(cells)))

    tab.select(lambda: gr.update(choices=gallery.names(studio.folders, SOLID)), None, run, show_progress="hidden", api_visibility="private")
    run.change(choose, run, [viewer, mesh, about], show_progress="hidden", api_visibility="private")
    extract.click(make, [run, resolution], [mesh, about], show_progress="minimal", concurrency_limit=1, api_visibility="private")
    return run


def view(studio: Studio, name: str) -> str:
    try:
        header = Run.open(studio.folders.run(name)).header
    except BadInput as error:
        return f"<p class='problem'>{escape(str(error))}</p>"
    if header["kind"] not in SOLID:
        return "<p class='quiet'>This field has no surface; look at it inside.</p>"
    return f'<div data-studio="orbit" data-run="{escape(name)}"></div>'


def extracted(opened: Opened, cells: int) -> tuple[str, str]:
    """A GLB for the page's viewer, and a line about it."""
    import trimesh

    vertices, faces = surface_field(opened.field).triangles(cells)
    if not len(faces):
        raise BadInput("this field has no surface yet; fit it longer")
    # Seen from the front as the picture beside it: centred, one unit large.
    made = trimesh.Trimesh((vertices - 0.5).astype(np.float32), faces, process=False)
    made.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.PBRMaterial(
        baseColorFactor=(214, 209, 201, 255), metallicFactor=0.0, roughnessFactor=0.75, doubleSided=True))
    made.vertex_normals  # (computed once here, so that they are written)
    path = Path(tempfile.mkdtemp(prefix="mesh-", dir=_room())) / f"{opened.run.path.name}.glb"
    made.export(path, include_normals=True)
    return str(path), f"{len(vertices):,} vertices, {len(faces):,} triangles, at {cells} cells"


def _room() -> str:
    """Where Gradio finds files that it may hand out."""
    import os

    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)
