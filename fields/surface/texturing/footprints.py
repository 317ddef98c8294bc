"""What the pixels of photographs see of a mesh: points on its triangles, the color there, and how far to trust it.

A pixel is sampled at 2 x 2 points, since it shows the mean of what it covers. Pixels that the mesh does not fill, or
that a mask or the alpha channel leaves out, are not used. The weight of the others is the cosine of the angle to the
surface, times the fourth root of pixels per texel, times a ramp that rises with the distance from silhouettes, edges of
what occludes, soft edges of the alpha channel and the image's border. The squares of these weights, which are usual for
means, gave 0.1 dB less on new views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from fields.ops.rasterise import rasterise
from fields.render.mesh_projection import project_vertices
from scenes.posed.view import View

# Samples along each side of a pixel.
SAMPLES = 2
# Alpha, of 255, from which on a pixel shows the object alone.
OPAQUE = 250
# Step in depth between neighbouring pixels that counts as an edge, in widths of a pixel: a slope of 80 degrees.
DEPTH_STEP = 5.0
# Pixels next to an edge that mix what lies on both sides, and pixels over which the weight then rises to 1.
MIXED_PIXELS = 1
RAMP_PIXELS = 4
# Weight of pixels beside an edge, which are all that thin parts have.
EDGE_WEIGHT = 0.15
# Least cosine of the angle between the surface and the ray.
MIN_COSINE = 0.1


@dataclass(frozen=True)
class MeshInViews:
    """A mesh, and what of it is the same in all views.

    vertices: `[V, 3]` float64; faces: `[F, 3]` int64; normals: of the faces, `[F, 3]`; zero where a face has no area.
    centers: of the faces, `[F, 3]`.
    texel_areas: areas of the faces in the texture, `[F]`, in texels; 1 where there is no texture.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    centers: np.ndarray
    texel_areas: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray | None = None, size: int = 1) -> MeshInViews:
        """The mesh with the texture coordinates uv `[V, 2]` in a texture of `size` x `size` texels."""
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
        areas = np.ones(len(faces)) if uv is None else size**2 * np.abs(_doubled_areas(uv[faces])) / 2
        return cls(vertices, faces, normals, (a + b + c) / 3, areas)


@dataclass(frozen=True)
class Footprints:
    """What pixels of one view see.

    triangles: faces at the samples, `[N, 4]` int32.
    weights: barycentric coordinates of the faces' corners 0 and 1 at the samples, `[N, 4, 2]` float32.
    colors: sRGB in [0, 1], `[N, 3]` float32.
    trust: weights of the pixels, `[N]` float32, above 0.
    """

    triangles: Tensor
    weights: Tensor
    colors: Tensor
    trust: Tensor


def view_footprints(mesh: MeshInViews, view: View, reduction: int = 1) -> Footprints:
    """What the pixels of a view see of a mesh.

    reduction: pixels along each side that are averaged to one; a remainder at the right and lower border is left out.
    """
    height, width = view.intrinsics.height // reduction, view.intrinsics.width // reduction
    positions = project_vertices(view, mesh.vertices)
    positions[:, :2] /= reduction
    colors, opaque = reduced_photograph(view, reduction)
    fine = torch.from_numpy(positions * np.array([SAMPLES, SAMPLES, 1], np.float32))
    raster = rasterise(fine, torch.from_numpy(mesh.faces), SAMPLES * height, SAMPLES * width)
    triangles = _by_pixel(raster.triangles, height, width)
    covered = (triangles >= 0).all(-1)
    depth = _by_pixel(raster.depth, height, width)
    pixel_width = reduction / min(view.intrinsics.fl_x, view.intrinsics.fl_y)
    edge = ~(covered & opaque) | _depth_edges(depth, pixel_width)
    trust = _ramp(edge) * _face_weights(mesh, view, positions)[triangles[..., 0].clamp_min(0).long()]
    used = (covered & opaque & (trust > 0)).reshape(-1).nonzero()[:, 0]
    weights = _by_pixel(raster.weights, height, width)
    return Footprints(
        triangles=triangles.reshape(-1, SAMPLES**2)[used],
        weights=weights.reshape(-1, SAMPLES**2, 2)[used],
        colors=colors.reshape(-1, 3)[used],
        trust=trust.reshape(-1)[used],
    )


def reduced_photograph(view: View, reduction: int) -> tuple[Tensor, Tensor]:
    """Colors of a photograph `[H, W, 3]` float32 in [0, 1], and which pixels show the object alone, `[H, W]` bool."""
    pixels = view.read_image()
    counts = pixels[..., 3] >= OPAQUE if pixels.shape[-1] == 4 else np.ones(pixels.shape[:2], bool)
    if (mask := view.read_mask()) is not None:
        counts = counts & mask
    height, width = pixels.shape[0] // reduction, pixels.shape[1] // reduction
    blocks = (height, reduction, width, reduction)
    inside = slice(height * reduction), slice(width * reduction)
    colors = pixels[..., :3][inside].reshape(*blocks, 3).mean(axis=(1, 3), dtype=np.float32) / np.float32(255)
    return torch.from_numpy(colors), torch.from_numpy(counts[inside].reshape(blocks).all(axis=(1, 3)))


def _by_pixel(samples: Tensor, height: int, width: int) -> Tensor:
    """Samples `[2 H, 2 W, ...]` as `[H, W, 4, ...]`."""
    grid = samples.reshape(height, SAMPLES, width, SAMPLES, *samples.shape[2:])
    return grid.transpose(1, 2).reshape(height, width, SAMPLES**2, *samples.shape[2:])


def _depth_edges(depth: Tensor, pixel_width: float) -> Tensor:
    """Pixels `[H, W]` within which, or to the neighbours of which, the depth `[H, W, 4]` jumps."""
    near, far = depth.amin(-1), depth.amax(-1)
    # Of a pixel and its neighbours: infinite depths beside the mesh are edges too.
    nearest = -max_pool2d(-near[None, None], 3, 1, 1)[0, 0]
    return ~(far - nearest <= 2 * DEPTH_STEP * pixel_width * nearest)


def _ramp(edge: Tensor) -> Tensor:
    """Weights of pixels `[H, W]` by their distance from edges and from the image's border."""
    reached = torch.ones(edge.shape[0] + 2, edge.shape[1] + 2)
    reached[1:-1, 1:-1] = edge.float()
    weight = torch.ones_like(reached)
    steps = MIXED_PIXELS + RAMP_PIXELS
    for step in range(steps):
        # From far to near would need all masks; from near to far each pixel is weighted when it is first reached.
        level = EDGE_WEIGHT + (1 - EDGE_WEIGHT) * max(0, step - MIXED_PIXELS) / RAMP_PIXELS
        weight = torch.where((reached > 0) & (weight == 1), torch.tensor(min(level, 1 - 1e-6)), weight)
        reached = max_pool2d(reached[None, None], 3, 1, 1)[0, 0]
    return weight[1:-1, 1:-1]


def _face_weights(mesh: MeshInViews, view: View, positions: np.ndarray) -> Tensor:
    """Weights of the faces in a view by angle and resolution, `[F]` float32; 0 where a face is seen from behind."""
    to_camera = view.position - mesh.centers
    to_camera /= np.maximum(np.linalg.norm(to_camera, axis=1, keepdims=True), 1e-30)
    cosine = (mesh.normals * to_camera).sum(axis=1)
    pixel_areas = np.abs(_doubled_areas(positions[mesh.faces, :2].astype(np.float64))) / 2
    density = np.minimum(pixel_areas / np.maximum(mesh.texel_areas, 1e-12), 1.0) ** 0.25
    return torch.from_numpy(np.where(cosine > MIN_COSINE, cosine * density, 0.0).astype(np.float32))


def _doubled_areas(corners: np.ndarray) -> np.ndarray:
    """Twice the signed areas of triangles `[F, 3, 2]`."""
    p, q = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]
