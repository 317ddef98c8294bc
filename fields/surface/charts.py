"""Lay out a mesh's surface as charts in the square of a texture, within a given time, for any mesh.

Charts are regions of similar normals (`fields.surface.chart_regions`), each projected along its mean normal. Parts of a
chart that cover others in the projection become charts of their own. xatlas packs them in a child process with a
deadline (`fields.surface.chart_packing`); where it finds nothing in time, they stand on shelves.

xatlas can make charts as well. On meshes of 100,000 triangles from real surfaces it makes ten times as many in ten
times the time, most of them of one to four triangles, and on noise or non-manifold meshes it does not end in time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fields.surface.chart_packing import FlatCharts, pack_by_xatlas, pack_on_shelves
from fields.surface.chart_regions import FaceAreas, chart_regions, connected_regions
from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.texel_raster import overlapping_faces

# Texels between charts in a square of `GAP_SIZE`: a bilinear lookup at mip level 2 reaches 5 texels out of a chart,
# since a texel of that level has 4 and its neighbour counts from the middle on.
GAP = 10
GAP_SIZE = 2048
# Least gap: a bilinear lookup at mip level 1.
MIN_GAP = 4
# The gap shrinks, down to one texel, as long as it costs charts more than the rest of this fraction of their texels.
MIN_LEFT = 0.25
# Fraction of the square that charts and gaps together fill, roughly.
PACKED_FRACTION = 0.75
# Seconds for all work, unless the caller says otherwise.
SECONDS = 60.0
# Rounds in which overlapping parts are cut out, before the packing.
CUT_ROUNDS = 4
# Fraction of the time after which charts stop growing, and after which no more overlaps are cut out.
REGION_TIME = 0.2
CUT_TIME = 0.35
# Time that is kept for what comes after xatlas, in rounds of looking for overlaps.
ROUND_RESERVE = 1.5
# More charts than this are left to shelves: xatlas's time grows faster than their number.
MAX_XATLAS_CHARTS = 4_000
# Least time that xatlas is started for.
MIN_XATLAS_SECONDS = 1.0


@dataclass(frozen=True)
class Charts:
    """A layout of a mesh's faces in the unit square. Vertices are split where charts end.

    source: index of each vertex in the original mesh, `[V]` int64.
    faces: the mesh's faces, in their order, `[F, 3]` int64 of these vertices.
    uv: `[V, 2]` float64 in [0, 1], with the origin at the lower left.
    chart: the chart of each face, `[F]` int64.
    count: number of charts.
    gap: texels that stay free between any two charts; half of it at the borders.
    packer: what placed the charts.
    """

    source: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    chart: np.ndarray
    count: int
    gap: int
    packer: Literal["xatlas", "shelves"]


def gap_of(size: int) -> int:
    """Texels between charts in a texture of `size` x `size` texels: safe at mip levels 0 to 2 from 2,048 on."""
    return max(MIN_GAP, round(GAP * size / GAP_SIZE))


def unwrap(
    vertices: np.ndarray,
    faces: np.ndarray,
    size: int,
    *,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> Charts:
    """Lay out charts in one square of `size` texels.

    vertices: `[V, 3]`, any unit; faces: `[F, 3]`. Any mesh will do: open, non-manifold, noise, loose triangles.
    seconds: wall clock for all work; None: `SECONDS`. progress: called with the fraction done, several times a second.

    No texel's center lies in two triangles. Between two charts there are `gap_of(size)` free texels, or fewer where
    there are too many charts for that (`Charts.gap`). Each chart has the same number of texels for its area on the
    surface, and a face at most twice as many as another. Raises ValueError without faces.
    """
    if not len(faces):
        raise ValueError("a mesh without faces has no charts")
    start = time.monotonic()
    seconds = SECONDS if seconds is None else seconds
    vertices = np.asarray(vertices, np.float64)
    faces = np.asarray(faces, np.int64)
    end = start + REGION_TIME * seconds
    region = chart_regions(vertices, faces, end=end, progress=lambda fraction: progress(0.3 * fraction))
    region, round_seconds = _without_overlaps(vertices, faces, region, size, start + CUT_TIME * seconds, progress)
    flat, source = _flatten(vertices, faces, region)
    gap = _gap_that_fits(flat, size)
    # Shelves, if they are needed, and the last look for overlaps take about one more round.
    left = start + seconds - time.monotonic() - ROUND_RESERVE * round_seconds
    packed = None
    if flat.count <= MAX_XATLAS_CHARTS and left > MIN_XATLAS_SECONDS and flat.areas.any():
        packed = pack_by_xatlas(flat, size, gap, seconds=left, progress=lambda f: progress(0.5 + 0.4 * f))
    uv = (pack_on_shelves(flat, size, gap) if packed is None else packed) / size
    progress(0.95)
    # What still overlaps at this density are slivers about a texel wide. They get the color of one point.
    over = overlapping_faces(uv, flat.faces, size)
    flat_faces, source, uv = _shrunk_to_points(flat.faces, source, uv, over)
    progress(1.0)
    return Charts(
        source=source,
        faces=flat_faces,
        uv=np.clip(uv, 0.0, 1.0),
        chart=region,
        count=flat.count,
        gap=gap,
        packer="shelves" if packed is None else "xatlas",
    )


def _without_overlaps(
    vertices: np.ndarray, faces: np.ndarray, region: np.ndarray, size: int, end: float, progress: ProgressCallback
) -> tuple[np.ndarray, float]:
    """Charts `[F]` after parts that lie over others became charts, and the longest seconds that a round took.

    end: `time.monotonic()` after which no further round begins.
    """
    longest = 0.0
    for round_ in range(CUT_ROUNDS):
        start = time.monotonic()
        if start + longest > end:
            break
        progress(0.3 + 0.05 * round_)
        flat, _ = _flatten(vertices, faces, region)
        uv = pack_on_shelves(flat, size, _gap_that_fits(flat, size)) / size
        progress(0.32 + 0.05 * round_)
        over = overlapping_faces(uv, flat.faces, size)
        if len(over):
            progress(0.34 + 0.05 * round_)
            region = _cut_out(vertices, faces, region, over, single=round_ == CUT_ROUNDS - 1, end=end)
        longest = max(longest, time.monotonic() - start)
        if not len(over):
            break
    return region, longest


def _flatten(vertices: np.ndarray, faces: np.ndarray, region: np.ndarray) -> tuple[FlatCharts, np.ndarray]:
    """Project each chart along its mean normal; also the vertex of the mesh of each corner `[V]`.

    Charts are scaled to their area on the surface.
    """
    count = int(region.max()) + 1
    code = np.repeat(region, 3) * len(vertices) + faces.reshape(-1)
    corners, index = np.unique(code, return_inverse=True)
    chart, source = corners // len(vertices), corners % len(vertices)
    shape = FaceAreas.of(vertices, faces)
    direction = np.stack(
        [np.bincount(region, shape.area * shape.normal[:, k], minlength=count) for k in range(3)], axis=1
    )
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    direction = np.where(length > 1e-300, direction / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
    across = np.cross(direction, np.eye(3)[np.abs(direction).argmin(axis=1)])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    up = np.cross(direction, across)
    points = np.stack([np.einsum("nk,nk->n", vertices[source], axis[chart]) for axis in (across, up)], axis=1)
    flat = FlatCharts(points, index.reshape(-1, 3), chart)
    on_surface = np.bincount(region, shape.area, minlength=count)
    scale = np.sqrt(on_surface / np.maximum(np.bincount(region, np.abs(flat.areas), minlength=count), 1e-300))
    # A chart seen from its edge has no area in the projection, and needs none.
    scale = np.clip(scale, 1.0, 2.0)
    return FlatCharts(points * scale[chart][:, None], flat.faces, chart), source


def _cut_out(
    vertices: np.ndarray, faces: np.ndarray, region: np.ndarray, over: np.ndarray, *, single: bool, end: float
) -> np.ndarray:
    """Charts `[F]` after the faces `over` became charts among themselves; each one for itself if `single`."""
    among = np.arange(len(over)) if single else chart_regions(vertices, faces[over], end=end)
    # Faces of two charts that meet here are not one.
    _, among = np.unique(region[over] * (len(over) + 1) + among, return_inverse=True)
    cut = region.copy()
    cut[over] = region.max() + 1 + among
    return connected_regions(faces, cut, FaceAreas.of(vertices, faces).solid)


def _gap_that_fits(flat: FlatCharts, size: int) -> int:
    """Texels between charts that leave these enough room: `gap_of(size)`, or less for very many charts."""
    gap = gap_of(size)
    order = np.argsort(flat.chart, kind="stable")
    starts = np.flatnonzero(np.diff(flat.chart[order], prepend=-1))
    points = flat.points[order]
    extent = np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)
    # Charts of these areas and perimeters, at the density s, take a s^2 + p gap s + gap^2.
    area, half = float(extent.prod(axis=1).sum()), float(extent.sum()) / 2
    room = PACKED_FRACTION * size**2
    while gap > 1:
        left = room - gap**2 * flat.count
        if left > 0:
            density = (-half * gap + np.sqrt((half * gap) ** 2 + area * left)) / max(area, 1e-300)
            if density**2 * area >= MIN_LEFT * room:
                break
        gap -= 1
    return gap


def _shrunk_to_points(
    faces: np.ndarray, source: np.ndarray, uv: np.ndarray, over: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the faces `over` corners of their own at one point of the texture each: faces, sources, uv."""
    if not len(over):
        return faces, source, uv
    faces = faces.copy()
    corners = faces[over].reshape(-1)
    faces[over] = len(uv) + np.arange(len(corners)).reshape(-1, 3)
    centers = np.repeat(uv[corners].reshape(-1, 3, 2).mean(axis=1), 3, axis=0)
    return faces, np.concatenate([source, source[corners]]), np.concatenate([uv, centers])
