"""Rasterisation of triangle meshes: which triangle each pixel sees, where on it, and how far away.

Vertices are rounded to a fixed grid of 1/4096 pixel, so that the question whether a pixel's centre lies in a triangle
has an exact answer in integers: pixels on an edge that two triangles share belong to one of them (the top-left rule).
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends, rasterise_cuda

# Steps of the fixed grid per pixel.
SUBPIXEL_BITS = 12
SUBPIXELS = 1 << SUBPIXEL_BITS
# Corners further from the image's origin, in pixels, are not rasterised: their edge functions would not fit into int64.
MAX_COORDINATE = float(1 << 17)
# Faces with a corner at this depth or nearer are left out.
NEAR = 1e-6
# Largest height and width of an image in pixels.
MAX_SIZE = 1 << 15
# Pairs of a triangle and a pixel of its bounding box that the reference holds at a time.
PAIRS_PER_PIECE = 1 << 21
# Key of a pixel that no triangle covers.
_NOTHING = (1 << 63) - 1


class Raster(NamedTuple):
    """What each pixel sees of a mesh, on the device of the mesh.

    triangles: `[H, W]` int32, indices of faces; -1 where there is none.
    weights: `[H, W, 2]` float32, perspective-correct barycentric coordinates of the face's corners 0 and 1. That of
        corner 2 is the rest to 1. Zero where there is no face.
    depth: `[H, W]` float32, depth along the optical axis; infinity where there is no face.
    """

    triangles: Tensor
    weights: Tensor
    depth: Tensor


def rasterise(
    positions: Tensor,
    faces: Tensor,
    height: int,
    width: int,
    *,
    backend: backends.Backend = "auto",
    threads: int | None = None,
) -> Raster:
    """The nearest triangle at the centre of each pixel.

    positions: `[V, 3]`, computed with in float32: x to the right and y down in pixels, where pixel i's centre is at
        i + 0.5, and z, the depth along the optical axis. `fields.render.mesh_projection.project_vertices` makes them.
    faces: `[F, 3]` integers. Both sides are visible. Faces with a corner at a depth of 1e-6 or less, with a corner
        2^17 pixels or more away from the origin, or not finite, are left out.
    height, width: 1 to 2^15 pixels.
    backend: as in `hash_grid`. The native CPU kernel and plain torch give the same image to the last bit.
    threads: of the CPU; None: those of torch. 1 suits callers that draw several images at once.

    Of equally near triangles the one with the lower index is seen. For an image with several samples per pixel, scale
    x and y and pass a larger size. The result carries no gradients: `fields.surface.refine` has those of images.

    Raises ValueError for other shapes and for indices outside of the vertices.
    """
    _check(positions, faces, height, width)
    positions, faces = positions.detach().float().contiguous(), faces.detach().long().contiguous()
    if backends.choose(backend, backends.device_type(positions)) == "torch":
        return rasterise_reference(positions, faces, height, width)
    return _rasterise_native(positions, faces, height, width, threads or torch.get_num_threads())


def rasterise_reference(positions: Tensor, faces: Tensor, height: int, width: int) -> Raster:
    """`rasterise` in plain torch, for float32 positions and int64 faces. The native kernels are tested against it."""
    device = positions.device
    corners, inverse_depth, kept = _corners(positions, faces)
    low = (corners.amin(1) - SUBPIXELS // 2 + SUBPIXELS - 1) >> SUBPIXEL_BITS
    high = (corners.amax(1) - SUBPIXELS // 2) >> SUBPIXEL_BITS
    size = torch.tensor([width, height], device=device)
    low, high = low.clamp_min(0), torch.minimum(high, size - 1)
    spans = (high - low + 1).clamp_min(0)
    ends = spans.prod(1).cumsum(0)
    best = torch.full((height * width,), _NOTHING, dtype=torch.int64, device=device)
    first = 0
    while first < len(kept):
        begin = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(torch.searchsorted(ends, begin + PAIRS_PER_PIECE)))
        pairs = spans[first:last].prod(1)
        face = torch.repeat_interleave(torch.arange(first, last, device=device), pairs)
        offset = torch.arange(len(face), device=device) - (ends[face] - begin - spans[face].prod(1))
        x = low[face, 0] + offset % spans[face, 0]
        y = low[face, 1] + torch.div(offset, spans[face, 0], rounding_mode="floor")
        edges, inside = _edges(corners[face], x, y)
        face, x, y, edges = face[inside], x[inside], y[inside], edges[inside]
        _, depth = _interpolated(edges, inverse_depth[face])
        # Positive floats have the order of their bits. The index in the low bits decides between equals.
        keys = depth.view(torch.int32).long() << 32 | kept[face]
        best.scatter_reduce_(0, y * width + x, keys, "amin")
        first = last
    return _resolved(best, corners, inverse_depth, kept, height, width)


class RasteriseCall(ctypes.Structure):
    """`RasteriseCall` in csrc/common/rasterise.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("height", "width", "num_threads")),
        ("vertices", ctypes.c_int64),
        ("num_faces", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("positions", "faces", "triangles", "weights", "depth")),
    ]


def _rasterise_native(positions: Tensor, faces: Tensor, height: int, width: int, threads: int) -> Raster:
    raster = Raster(
        torch.empty(height, width, dtype=torch.int32, device=positions.device),
        torch.empty(height, width, 2, device=positions.device),
        torch.empty(height, width, device=positions.device),
    )
    call = RasteriseCall(
        height=height,
        width=width,
        num_threads=threads,
        vertices=len(positions),
        num_faces=len(faces),
        positions=positions.data_ptr(),
        faces=faces.data_ptr(),
        triangles=raster.triangles.data_ptr(),
        weights=raster.weights.data_ptr(),
        depth=raster.depth.data_ptr(),
    )
    _run(call, positions.device)
    return raster


def _run(call: RasteriseCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        rasterise_cuda.rasterise(call, device)
    else:
        cuda_ext.load(backends.device_type(device)).fs_rasterise(ctypes.byref(call))


def _resolved(best: Tensor, corners: Tensor, inverse_depth: Tensor, kept: Tensor, height: int, width: int) -> Raster:
    """The raster of the keys of the nearest triangles `[H * W]`."""
    covered = (best != _NOTHING).nonzero()[:, 0]
    triangles = torch.full((height * width,), -1, dtype=torch.int32, device=best.device)
    weights = torch.zeros(height * width, 2, device=best.device)
    depth = torch.full((height * width,), torch.inf, device=best.device)
    index = best[covered] & 0xFFFFFFFF
    face = torch.searchsorted(kept, index)
    edges, _ = _edges(corners[face], covered % width, torch.div(covered, width, rounding_mode="floor"))
    triangles[covered] = index.to(torch.int32)
    weights[covered], depth[covered] = _interpolated(edges, inverse_depth[face])
    return Raster(triangles.view(height, width), weights.view(height, width, 2), depth.view(height, width))


def _corners(positions: Tensor, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Faces that can be seen: corners `[K, 3, 2]` on the fixed grid, inverse depths `[K, 3]` float64, indices `[K]`."""
    points = positions[faces]
    usable = (points[..., :2].abs() < MAX_COORDINATE).all(-1) & (points[..., 2] > NEAR) & points[..., 2].isfinite()
    kept = usable.all(1).nonzero()[:, 0]
    points = points[kept].double()
    corners = torch.floor(points[..., :2] * SUBPIXELS + 0.5).long()
    return corners, 1.0 / points[..., 2], kept


def _edges(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Edge functions `[N, 3]` int64 of triangles at pixels, positive inside, and whether the pixels are inside.

    Entry i belongs to the edge opposite of corner i, and is twice the area of the triangle that it makes with the
    pixel's centre (Pineda 1988).
    """
    centre = torch.stack([x, y], -1)[:, None] * SUBPIXELS + SUBPIXELS // 2
    begin, end = corners.roll(-1, 1), corners.roll(-2, 1)
    along, to = end - begin, centre - begin
    edges = along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]
    area = edges.sum(1, keepdim=True)
    # A triangle that is seen from behind is turned round.
    flip = area < 0
    edges, along = torch.where(flip, -edges, edges), torch.where(flip[..., None], -along, along)
    top_left = (along[..., 1] < 0) | ((along[..., 1] == 0) & (along[..., 0] > 0))
    return edges, ((edges > 0) | ((edges == 0) & top_left)).all(1) & (area[:, 0] != 0)


def _interpolated(edges: Tensor, inverse_depth: Tensor) -> tuple[Tensor, Tensor]:
    """Weights of corners 0 and 1 `[N, 2]` and depths `[N]`, both float32: 1 / depth is linear in the image."""
    edges = edges.double()
    scaled = edges * inverse_depth
    total = scaled[:, 0] + scaled[:, 1] + scaled[:, 2]
    area = edges[:, 0] + edges[:, 1] + edges[:, 2]
    return (scaled[:, :2] / total[:, None]).float(), (area / total).float()


def _check(positions: Tensor, faces: Tensor, height: int, width: int) -> None:
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be [V, 3], not {list(positions.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise ValueError(f"faces must be [F, 3] integers, not {list(faces.shape)} {faces.dtype}")
    if positions.device != faces.device:
        raise ValueError(f"positions and faces must be on one device, not {positions.device} and {faces.device}")
    if not (1 <= height <= MAX_SIZE and 1 <= width <= MAX_SIZE):
        raise ValueError(f"an image has 1 to {MAX_SIZE} pixels a side, not {height} x {width}")
    if len(faces) >= 1 << 31:
        raise ValueError(f"a mesh has fewer than 2^31 faces, not {len(faces)}")
    if len(faces) and not (int(faces.min()) >= 0 and int(faces.max()) < len(positions)):
        raise ValueError(f"faces must name vertices 0 to {len(positions) - 1}")
