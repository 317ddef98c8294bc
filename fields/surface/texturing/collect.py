"""Collect the pixels of photographs that show a mesh, within limits of memory and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fields.render.mesh_projection import project_vertices
from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.texturing.footprints import Footprints, MeshInViews, view_footprints
from fields.surface.texturing.rows import PixelRows, RowCollector, Taps
from scenes.posed.view import View

# Pixels that are kept at most: with 16 texels each, 130 bytes a pixel.
MAX_PIXELS = 6_000_000
# Views from which sizes are estimated.
PROBED_VIEWS = 8
# Seed of the choice of pixels where there are too many.
SEED = 21


@dataclass
class Collected:
    """Equations of the pixels of photographs.

    rows: the equations.
    views: number of the photographs that were looked at.
    reduction: pixels along each side that were averaged to one.
    kept: fraction of the pixels that was kept.
    """

    rows: list[PixelRows]
    views: int
    reduction: int
    kept: float


def collect_pixels(
    mesh: MeshInViews,
    views: Sequence[View],
    taps: Taps,
    num_unknowns: int,
    *,
    reduction: int = 1,
    deadline: float = np.inf,
    progress: ProgressCallback = no_progress,
) -> Collected:
    """The equations of the pixels of all views, or until the deadline (`time.monotonic`) of some from all sides.

    Where there are more than `MAX_PIXELS`, pixels are drawn at random in proportion to their weights.
    """
    collector = RowCollector(taps, num_unknowns)
    generator = np.random.Generator(np.random.Philox(SEED))
    order = _spread(len(views))
    total, kept, looked = 0, 0, 0
    for index in order:
        if looked and time.monotonic() > deadline:
            break
        footprints = view_footprints(mesh, views[index], reduction)
        looked += 1
        total += len(footprints.trust)
        # What the views so far let expect of all of them.
        expected = total / looked * len(views)
        footprints = _drawn(footprints, min(1.0, MAX_PIXELS / max(expected, 1)), generator)
        kept += len(footprints.trust)
        collector.add(footprints, index)
        progress(looked / len(views))
    return Collected(collector.rows(), looked, reduction, kept / max(total, 1))


def collection_notes(collected: Collected, num_views: int) -> list[str]:
    """What a person should know of how the pixels were collected from `num_views` views."""
    notes = []
    if collected.views < num_views:
        notes.append(f"Colors come from {collected.views} of {num_views} photographs: the time was up")
    if collected.kept < 0.999:
        notes.append(f"Colors come from {collected.kept:.0%} of the photographs' pixels: more do not fit in memory")
    return notes


def pixels_per_texel(mesh: MeshInViews, views: Sequence[View]) -> float:
    """Median area of a texel in the photographs that see it from the front, in pixels."""
    found = []
    for view in views[:: max(1, len(views) // PROBED_VIEWS)]:
        positions = project_vertices(view, mesh.vertices)
        a, b, c = (positions[mesh.faces[:, k]].astype(np.float64) for k in range(3))
        areas = ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
        inside = (
            (positions[:, 2] > 0)
            & (positions[:, 0] > 0)
            & (positions[:, 1] > 0)
            & (positions[:, 0] < view.intrinsics.width)
            & (positions[:, 1] < view.intrinsics.height)
        )[mesh.faces].all(axis=1)
        # Counter-clockwise faces have negative areas where y points down.
        front = inside & (areas < 0) & (mesh.texel_areas > 0)
        found.append(np.column_stack([-areas[front] / mesh.texel_areas[front], mesh.texel_areas[front]]))
    ratios = np.concatenate(found) if found else np.zeros((0, 2))
    if not len(ratios):
        return 1.0
    ratios = ratios[np.argsort(ratios[:, 0])]
    total = np.cumsum(ratios[:, 1])
    return float(ratios[np.searchsorted(total, total[-1] / 2), 0])


def _drawn(footprints: Footprints, fraction: float, generator: np.random.Generator) -> Footprints:
    """Some of the pixels, drawn in proportion to their weights, and with weights that make up for the others."""
    if fraction >= 1:
        return footprints
    trust = footprints.trust.numpy()
    chance = np.minimum(1, fraction * trust / max(float(trust.mean()), 1e-20))
    kept = torch.from_numpy(np.flatnonzero(generator.random(len(trust)) < chance))
    return Footprints(
        triangles=footprints.triangles[kept],
        weights=footprints.weights[kept],
        colors=footprints.colors[kept],
        trust=footprints.trust[kept] / torch.from_numpy(chance.astype(np.float32))[kept],
    )


def _spread(count: int) -> list[int]:
    """The numbers below `count` in an order of which every beginning is spread evenly (by the golden ratio)."""
    return list(np.argsort(np.arange(count) * 0.6180339887498949 % 1.0, kind="stable"))
