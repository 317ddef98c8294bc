"""How far a mesh is from the shape that its photographs show, where that is known: of procedural scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scenes.io.files import PROCEDURAL_PREFIX
from scenes.posed.camera import Camera
from scenes.procedural.still_life import StillLife, still_life
from scenes.procedural.tracing import clip_to_box, sphere_trace
from scenes.shape.geometry import Mesh
from scenes.shape.surface import MeshSurface

# Points on each of the two surfaces.
POINTS = 50_000
# Half of the way between the two points of a difference, in units of the scene.
STEP = np.float32(1e-3)
TOLERANCE = 1e-4


def true_shape(path: str) -> StillLife | None:
    """The shape that photographs from a source show; None where it is not known."""
    return still_life(path.removeprefix(PROCEDURAL_PREFIX)) if path.startswith(PROCEDURAL_PREFIX) else None


def chamfer(vertices: np.ndarray, faces: np.ndarray, truth: StillLife, cameras: Sequence[Camera]) -> float:
    """Mean of the mean distances from the truth to the mesh and back, as a fraction of the truth's longest side.

    Points of the truth are those that cameras see; of the mesh all count, so that what is hidden inside counts against
    it.

    Args:
        vertices: `[V, 3]` in units of the scene.
        faces: `[F, 3]`.
        cameras: in units of the scene.
    """
    mesh = MeshSurface(Mesh(np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces, np.int64)))
    random = np.random.default_rng(0)
    seen = _seen(truth, cameras, random)
    from_truth = mesh.distance(seen, signed=False)[0]
    points = mesh.sample(POINTS, random).points.astype(np.float32)
    slope = np.stack(
        [
            (truth.distance(points + STEP * axis) - truth.distance(points - STEP * axis)) / (2 * STEP)
            for axis in np.eye(3, dtype=np.float32)
        ]
    )
    to_truth = np.abs(truth.distance(points)) / np.maximum(np.linalg.norm(slope, axis=0), 0.1)
    return float((from_truth.mean() + to_truth.mean()) / 2 / np.ptp(seen, axis=0).max())


def _seen(truth: StillLife, cameras: Sequence[Camera], random: np.random.Generator) -> np.ndarray:
    """Points `[n, 3]` float64 of the truth, at most `POINTS`, where rays through cameras' pixels meet it."""
    rays = [camera.rays() for camera in cameras]
    origins, directions = (np.concatenate(parts).astype(np.float32) for parts in zip(*rays))
    near, far = clip_to_box(origins, directions, truth.lower, truth.upper)
    within = np.flatnonzero(far > near)
    within = within[random.permutation(len(within))[: 2 * POINTS]]
    o, d = origins[within], directions[within]
    hit, t = sphere_trace(
        truth.distance, o, d, near=near[within], far=far[within], steps=200, tolerance=TOLERANCE, fraction=0.9
    )
    return (o + t[:, None] * d)[hit][:POINTS].astype(np.float64)
