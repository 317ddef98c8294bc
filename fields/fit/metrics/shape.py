"""The metrics of surfaces, defined once. Lengths are in units of the longest side of the source's bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A sample counts as matched within this distance.
F_SCORE_AT = 0.01
VOLUME_POINTS = 1 << 20
SURFACE_POINTS = 200_000


@dataclass(frozen=True)
class Matched:
    """Samples of one surface and what the other one has nearest: distances `[n]`, and both normals `[n, 3]` (unit)."""

    distances: np.ndarray
    normals: np.ndarray
    found: np.ndarray


def intersection_over_union(prediction: np.ndarray, target: np.ndarray) -> float:
    """Of two sets of points (bool `[n]`): those in both over those in either; 1 where both are empty."""
    either = np.count_nonzero(prediction | target)
    return float(np.count_nonzero(prediction & target) / either) if either else 1.0


def surface_metrics(fitted: Matched, source: Matched, oriented: bool) -> dict[str, float]:
    """`chamfer`, `f_score` and `normal_angle` from samples of the fitted surface matched to the source, and the other way.

    chamfer        the mean of the two directed means of point-to-surface distance
    f_score        harmonic mean of the shares of samples that are within 0.01
    normal_angle   mean degrees between the normals at matched points; without orientation where a surface has none
    """
    precision, recall = ((side.distances < F_SCORE_AT).mean() for side in (fitted, source))
    return {
        "chamfer": float((fitted.distances.mean() + source.distances.mean()) / 2),
        "f_score": float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0,
        "normal_angle": float((_angles(fitted, oriented).mean() + _angles(source, oriented).mean()) / 2),
    }


def _angles(side: Matched, oriented: bool) -> np.ndarray:
    """Degrees `[n]`. By the arc tangent: the cosine's inverse cannot tell small angles apart."""
    a, b = side.normals, side.found
    if not oriented:
        b = np.where((a * b).sum(axis=1, keepdims=True) < 0, -b, b)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)))
