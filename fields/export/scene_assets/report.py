"""A picture of the asset beside the field and the photographs, and a report as JSON, in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fields.export.scene_assets.fitted_scene import FittedScene
from fields.export.scene_assets.stage_runner import StageRunner
from fields.render.camera_view import render_camera
from fields.runs.run import write_json
from fields.surface.texturing.mesh_psnr import render_texture, render_vertex_colors
from scenes.image.color import to_bytes
from scenes.posed.camera import Camera
from scenes.posed.view import View

# Views in the picture, and their largest side in pixels.
VIEWS = 6
SIDE = 288
GAP = 6
# Direction of the light of the shaded mesh, in the camera's axes (right, up, backward), and its share beside ambient
# light.
LIGHT = np.array([0.4, 0.6, 0.7])
DIFFUSE = 0.8
PAPER = 1.0


def save_report(
    scene: FittedScene,
    mesh: dict[str, np.ndarray],
    texture: np.ndarray | None,
    report: dict[str, Any],
    runner: StageRunner,
) -> None:
    """Write `report.png`, which shows photographs, field, mesh and its shape from a few cameras, and `report.json`."""
    with runner.timed("report"):
        views = _spread(scene.test or scene.training or scene.cameras)
        if views:
            columns = []
            for index, view in enumerate(views):
                columns.append(_column(scene, view, mesh, texture))
                runner.reports.fraction((index + 1) / len(views))
            runner.folder.save_image("report", _sheet(columns))
        write_json(runner.folder.path / "report.json", {**report, "seconds": runner.seconds})


def _spread(views: Sequence[Camera]) -> list[Camera]:
    """A few cameras, evenly through the list, with small images."""
    chosen = [views[i] for i in np.linspace(0, len(views) - 1, min(VIEWS, len(views))).round().astype(int)]
    return list(dict.fromkeys(chosen))


def _column(
    scene: FittedScene, view: Camera, mesh: dict[str, np.ndarray], texture: np.ndarray | None
) -> list[np.ndarray]:
    """From one camera: the photograph if there is one, the field, the mesh with its colors, and its shape."""
    camera = small_camera(view, SIDE)
    width, height = camera.intrinsics.width, camera.intrinsics.height
    images = []
    if isinstance(view, View):
        images.append(_photograph(view, width, height))
    images.append(render_camera(scene.field, camera, background=PAPER)[0].color.cpu().numpy())
    vertices, faces = mesh["vertices"], mesh["faces"]
    if texture is not None:
        images.append(_on_paper(render_texture(camera, vertices, faces, mesh["uv"], texture)))
    elif "colors" in mesh:
        images.append(_on_paper(render_vertex_colors(camera, vertices, faces, mesh["colors"])))
    shaded = shaded_shape(camera, vertices, faces, mesh["normals"])
    return [*(to_bytes(np.clip(image, 0, 1)) for image in images), shaded]


def small_camera(view: Camera, side: int) -> Camera:
    """The camera with an image whose longer side is `side` pixels at most."""
    intrinsics = view.intrinsics
    scale = min(1.0, side / max(intrinsics.width, intrinsics.height))
    return view.resized(max(1, round(scale * intrinsics.width)), max(1, round(scale * intrinsics.height)))


def shaded_shape(camera: Camera, vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A mesh as grey plaster on white, lit from behind the camera, `[H, W, 3]` uint8.

    vertices `[V, 3]`, faces `[F, 3]`, normals `[V, 3]`: in units of the camera's scene.
    """
    light = camera.pose[:, :3] @ (LIGHT / np.linalg.norm(LIGHT))
    shade = 1 - DIFFUSE + DIFFUSE * np.clip(normals @ light, 0, 1)
    image = render_vertex_colors(camera, vertices, faces, np.repeat(shade[:, None], 3, axis=1).astype(np.float32))
    return to_bytes(np.clip(_on_paper(image), 0, 1))


def _photograph(view: View, width: int, height: int) -> np.ndarray:
    from PIL import Image

    pixels = view.read_image()
    if pixels.shape[-1] == 4:
        alpha = pixels[..., 3:] / 255
        pixels = to_bytes(pixels[..., :3] / 255 * alpha + PAPER * (1 - alpha))
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), np.float32) / 255


def _on_paper(image: np.ndarray) -> np.ndarray:
    """An image `[H, W, 4]` with premultiplied alpha on white."""
    return image[..., :3] + PAPER * (1 - image[..., 3:])


def _sheet(columns: list[list[np.ndarray]]) -> np.ndarray:
    """Images in columns, with gaps, as one image."""
    height = max(len(image) for column in columns for image in column)
    width = max(image.shape[1] for column in columns for image in column)

    def padded(image: np.ndarray) -> np.ndarray:
        below, right = height - len(image) + GAP, width - image.shape[1] + GAP
        return np.pad(image, ((0, below), (0, right), (0, 0)), constant_values=255)

    return np.concatenate([np.concatenate([padded(image) for image in column]) for column in columns], axis=1)
