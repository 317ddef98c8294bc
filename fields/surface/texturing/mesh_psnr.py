"""Pictures of a textured mesh, and how well they agree with photographs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from fields.ops.rasterise import rasterise
from fields.render.mesh_projection import project_vertices
from fields.surface.texturing.atlas import bilinear_taps, interpolated
from scenes.posed.camera import Camera
from scenes.posed.view import View

# Samples along each side of a pixel.
SAMPLES = 3


def render_texture(
    camera: Camera, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, texture: np.ndarray
) -> np.ndarray:
    """A picture of a textured mesh without shading, `[H, W, 4]` float32: premultiplied sRGB in [0, 1] and coverage.

    texture: `[S, S, 3]` uint8, looked up bilinearly at 3 x 3 points of each pixel.
    """
    flat = texture.reshape(-1, 3)

    def colors(triangles: np.ndarray, weights: np.ndarray) -> np.ndarray:
        taps, weight = bilinear_taps(interpolated(uv, faces, triangles, weights), len(texture))
        return (flat[taps].astype(np.float32) * weight[..., None]).sum(axis=1) / np.float32(255)

    return _render(camera, vertices, faces, colors)


def render_vertex_colors(camera: Camera, vertices: np.ndarray, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same for colors `[V, 3]` of the vertices, sRGB in [0, 1], interpolated in triangles."""
    return _render(camera, vertices, faces, lambda triangles, weights: interpolated(values, faces, triangles, weights))


def mesh_psnr(
    vertices: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray | None,
    texture: np.ndarray,
    views: Sequence[View],
    *,
    background: float = 1.0,
) -> float:
    """Mean PSNR in dB of pictures of a textured mesh against photographs.

    uv, texture: of the mesh; with uv None, `texture` has the sRGB colors `[V, 3]` in [0, 1] of the vertices.
    background: of photographs with alpha, in [0, 1]. In photographs without, only pixels that the mesh fills count.
    """
    values = []
    for view in views:
        photograph = view.read_image().astype(np.float32) / np.float32(255)
        if uv is None:
            image = render_vertex_colors(view, vertices, faces, texture)
        else:
            image = render_texture(view, vertices, faces, uv, texture)
        if photograph.shape[-1] == 4:
            alpha = photograph[..., 3:]
            wanted = photograph[..., :3] * alpha + background * (1 - alpha)
            error = image[..., :3] + background * (1 - image[..., 3:]) - wanted
        else:
            error = (image[..., :3] - photograph)[image[..., 3] > 0.999]
        if error.size:
            values.append(-10 * np.log10(max(float((np.clip(error, -1, 1) ** 2).mean()), 1e-10)))
    return float(np.mean(values)) if values else float("nan")


def _render(camera: Camera, vertices: np.ndarray, faces: np.ndarray, colors) -> np.ndarray:
    height, width = camera.intrinsics.height, camera.intrinsics.width
    positions = project_vertices(camera, vertices) * np.array([SAMPLES, SAMPLES, 1], np.float32)
    raster = rasterise(torch.from_numpy(positions), torch.from_numpy(faces), SAMPLES * height, SAMPLES * width)
    triangles = raster.triangles.numpy().reshape(-1)
    hit = np.flatnonzero(triangles >= 0)
    image = np.zeros((len(triangles), 4), np.float32)
    image[hit, :3] = colors(triangles[hit], raster.weights.numpy().reshape(-1, 2)[hit])
    image[hit, 3] = 1
    return image.reshape(height, SAMPLES, width, SAMPLES, 4).mean(axis=(1, 3))
