"""Place flat charts in the square of a texture: by xatlas in a child process with a deadline, or on shelves.

xatlas fits charts of any outline into each other. It cannot be asked how far it is, nor be stopped, and its time has no
bound: hence the child process. Shelves need the charts' bounding rectangles only, and take seconds for any input.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fields.surface import pack_worker
from fields.surface.extract import ProgressCallback, no_progress

# Directions that are tried for the smallest bounding rectangle of a chart, over a quarter turn.
DIRECTIONS = 16
# Steps of the search for the largest density that fits on shelves: it is found to 2 ** -12 of its range.
SEARCH_STEPS = 12
# xatlas leaves out triangles whose area is about 1e-8: it gets charts whose triangles have this mean area.
MEAN_AREA = 100.0
# Area of a triangle that it may leave out, as a fraction of the mean.
THIN_AREA = 1e-5
# Largest distance, in texels, of a corner that xatlas packed from where its chart's affine map has it.
MAX_ERROR = 0.5
# Seconds between looks at the child.
POLL_SECONDS = 0.1
# Seconds after which the child ends itself if the parent is gone, beyond its deadline.
ORPHAN_SECONDS = 2.0


@dataclass(frozen=True)
class FlatCharts:
    """Charts in planes of their own.

    points: corners `[V, 2]` float64, in any unit that all charts share; each belongs to one chart.
    faces: `[F, 3]` int64 of corners.
    chart: the chart of each corner, `[V]`, from 0 to `count - 1`; each has corners.
    """

    points: np.ndarray
    faces: np.ndarray
    chart: np.ndarray

    @property
    def count(self) -> int:
        """Number of charts."""
        return int(self.chart.max()) + 1

    @property
    def areas(self) -> np.ndarray:
        """Area of each face `[F]`; negative where its orientation is turned."""
        a, b, c = (self.points[self.faces[:, k]] for k in range(3))
        p, q = b - a, c - a
        return (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2


def pack_by_xatlas(
    charts: FlatCharts, size: int, gap: int, *, seconds: float, progress: ProgressCallback = no_progress
) -> np.ndarray | None:
    """Positions of the corners in a square of `size` texels, `[V, 2]` in texels; None if none was found in time.

    gap: texels that stay free between two charts. Half of it stays free at the square's borders.

    `progress` is called ten times a second with the fraction of the time that has passed. The child process is killed
    after `seconds`, and whenever this function is left; the best packing that it found by then is returned.
    """
    with tempfile.TemporaryDirectory(prefix="charts-") as name:
        folder = Path(name)
        scale = (MEAN_AREA / max(float(np.abs(charts.areas).mean()), 1e-300)) ** 0.5
        np.save(folder / "uv.npy", (charts.points * scale).astype(np.float32), allow_pickle=False)
        np.save(folder / "faces.npy", charts.faces.astype(np.uint32), allow_pickle=False)
        np.save(folder / "charts.npy", charts.chart[charts.faces[:, 0]].astype(np.uint32), allow_pickle=False)
        _run_child(folder, size, gap, seconds, progress)
        path = folder / "packed.npy"
        packed = np.load(path, allow_pickle=False).astype(np.float64) if path.exists() else None
    return None if packed is None else _moved(charts, packed)


def _run_child(folder: Path, size: int, gap: int, seconds: float, progress: ProgressCallback) -> None:
    """Run the worker until it ends, `seconds` have passed, or `progress` raises.

    Raises RuntimeError with the worker's message if it raised an error; a crash of xatlas is no error.
    """
    # The child finds the packages that this process finds; `-P` keeps this folder's modules out of the way.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    arguments = [str(folder), str(size), str(gap), str(seconds + ORPHAN_SECONDS)]
    start = time.monotonic()
    with open(folder / "errors.txt", "w+b") as errors:
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(pack_worker.__file__)), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        try:
            while child.poll() is None and (passed := time.monotonic() - start) < seconds:
                progress(passed / seconds)
                time.sleep(POLL_SECONDS)
            failed = child.poll() == 1
        finally:
            child.kill()
            child.wait()
        if failed:
            errors.seek(0)
            raise RuntimeError(f"packing charts failed: {errors.read().decode(errors='replace')}")


def _moved(charts: FlatCharts, packed: np.ndarray) -> np.ndarray | None:
    """The corners, moved as xatlas moved their charts: `[V, 2]` float64; None if a chart was not packed.

    xatlas works in float32 and leaves out what it takes for triangles without area. So each chart's affine map is
    fitted to the corners that it moved, and applied to all. A chart without any area becomes a point.
    """
    area = np.abs(charts.areas)
    good = area > THIN_AREA * area.mean()
    weight = np.bincount(charts.faces[good].reshape(-1), np.repeat(area[good], 3), minlength=len(charts.points))
    if not np.isfinite(packed[weight > 0]).all():
        return None
    total = np.bincount(charts.chart, weight, minlength=charts.count)
    safe = np.maximum(total, 1e-300)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(charts.chart, weight * np.where(weight > 0, values, 0.0), minlength=charts.count) / safe

    from_, to = (np.stack([mean(points[:, k]) for k in range(2)], axis=1) for points in (charts.points, packed))
    before, after = charts.points - from_[charts.chart], packed - to[charts.chart]
    spread, moved = np.zeros((2, charts.count, 2, 2))
    for i in range(2):
        for k in range(2):
            spread[:, i, k] = mean(before[:, i] * before[:, k])
            moved[:, i, k] = mean(after[:, i] * before[:, k])
    matrix = moved @ np.linalg.pinv(spread, rcond=1e-12, hermitian=True)
    result = np.einsum("nik,nk->ni", matrix[charts.chart], before) + to[charts.chart]
    error = np.abs(result - packed)[weight > 0]
    return result if not len(error) or error.max() < MAX_ERROR else None


def pack_on_shelves(charts: FlatCharts, size: int, gap: int) -> np.ndarray:
    """Positions of the corners in a square of `size` texels, `[V, 2]` in texels: bounding rectangles in rows.

    gap: texels that stay free between two charts. Half of it stays free at the square's borders. Charts that are too
    many for that gap become points.
    """
    points, low, extent = _smallest_rectangles(charts)
    # Shelves of decreasing height waste least.
    order = np.argsort(-extent[:, 1], kind="stable")
    room = size - gap
    upper = room / max(float(extent.max()), 1e-300)
    lower = density = 0.0
    found = np.zeros((charts.count, 2))
    for step in range(SEARCH_STEPS):
        tried = (lower + upper) / 2 if step else upper
        corners = _shelves(np.ceil(extent[order] * tried).astype(np.int64) + gap, room + gap)
        if corners is None:
            upper = tried
            continue
        lower = density = tried
        found[order] = corners
        if not step:
            break
    return (points - low[charts.chart]) * density + found[charts.chart] + gap / 2


def _smallest_rectangles(charts: FlatCharts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners turned so that their charts' bounding rectangles are small and wide: `[V, 2]`, low `[n, 2]`, extent."""
    order = np.argsort(charts.chart, kind="stable")
    starts = np.flatnonzero(np.diff(charts.chart[order], prepend=-1))
    sorted_points = charts.points[order]

    def bounds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)

    best = np.full(charts.count, np.inf)
    angle = np.zeros(charts.count)
    for turn in np.arange(DIRECTIONS) * (np.pi / 2 / DIRECTIONS):
        low, high = bounds(_turned(sorted_points, np.full(len(sorted_points), turn)))
        area, flat = (high - low).prod(axis=1), high[:, 0] - low[:, 0] < high[:, 1] - low[:, 1]
        better = area < best
        best[better] = area[better]
        angle[better] = turn + np.where(flat[better], np.pi / 2, 0)
    points = _turned(charts.points, angle[charts.chart])
    low, high = bounds(points[order])
    return points, low, high - low


def _turned(points: np.ndarray, angle: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1]], axis=1)


def _shelves(sizes: np.ndarray, room: int) -> np.ndarray | None:
    """Lower corners `[n, 2]` of rectangles `[n, 2]` of decreasing height in rows; None if the square is too small."""
    ends = np.cumsum(sizes[:, 0])
    corners = np.zeros((len(sizes), 2))
    start, bottom = 0, 0
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + room, side="right"))
        height = int(sizes[start:, 1].max()) if stop == start else int(sizes[start, 1])
        if stop == start or bottom + height > room:
            return None
        corners[start:stop, 0] = ends[start:stop] - sizes[start:stop, 0] - before
        corners[start:stop, 1] = bottom
        start, bottom = stop, bottom + height
    return corners
