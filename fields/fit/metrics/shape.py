"""Metrics of surfaces. Lengths are in units of the longest side of the source's bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Distance within which a sample counts as matched for the F-score.
F_SCORE_DISTANCE = 0.01
# Points in the volume for the IoU.
VOLUME_POINTS = 1 << 20
# Points on each surface for the other metrics.
SURFACE_POINTS = 200_000


@dataclass(frozen=True)
class MatchedSamples:
    """Samples of one surface, each with the nearest point of the other one.

    `distances`: `[n]`, to the nearest points. `normals`: `[n, 3]`, unit normals at the samples. `other_normals`:
    `[n, 3]`, unit normals at the nearest points.
    """

    distances: np.ndarray
    normals: np.ndarray
    other_normals: np.ndarray


def intersection_over_union(prediction: np.ndarray, target: np.ndarray) -> float:
    """IoU of two sets of points (bool `[n]`): the number in both by the number in either; 1 where both are empty."""
    either = np.count_nonzero(prediction | target)
    return float(np.count_nonzero(prediction & target) / either) if either else 1.0


def surface_metrics(fitted: MatchedSamples, source: MatchedSamples, oriented: bool) -> dict[str, float]:
    """Metrics from samples of the fitted surface matched to the source, and samples of the source matched to the fit.

    chamfer        mean of the two directed means of point-to-surface distance
    f_score        harmonic mean of the two fractions of samples within 0.01
    normal_angle   mean angle between the normals at matched points, in degrees; regardless of their direction where
                   the surface is not `oriented`
    """
    precision, recall = ((side.distances < F_SCORE_DISTANCE).mean() for side in (fitted, source))
    return {
        "chamfer": float((fitted.distances.mean() + source.distances.mean()) / 2),
        "f_score": float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0,
        "normal_angle": float((_angles(fitted, oriented).mean() + _angles(source, oriented).mean()) / 2),
    }


def _angles(side: MatchedSamples, oriented: bool) -> np.ndarray:
    """Angles `[n]` between normals, in degrees. By the arc tangent, as the arc cosine cannot resolve small angles."""
    a, b = side.normals, side.other_normals
    if not oriented:
        b = np.where((a * b).sum(axis=1, keepdims=True) < 0, -b, b)
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)))
