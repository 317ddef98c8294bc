"""The objective of shapes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.fit.metrics.samples import psnr
from fields.fit.metrics.shape import (
    SURFACE_POINTS,
    VOLUME_POINTS,
    MatchedSamples,
    intersection_over_union,
    surface_metrics,
)
from fields.fit.objectives.base import Objective
from fields.fit.scoring import Deadline, OutOfTime, estimated_seconds, scored_part
from fields.models.field import PointField
from fields.render.camera import camera_rays
from fields.render.sphere_trace import ShapeView, headlight, in_chunks, render_shape
from fields.render.surface_field import SurfaceField, surface_field
from fields.surface.coarse_scan import CoarseScan, coarse_scan
from fields.surface.implicit import implicit_shape
from fields.surface.surface_mesh import scored_triangles
from scenes.image.color import to_bytes
from scenes.posed.camera import Camera
from scenes.posed.pose import orbit
from scenes.shape import view
from scenes.shape.geometry import Mesh
from scenes.shape.signal import Shape
from scenes.shape.surface import MeshSurface

# Cells along an axis of the mesh whose surface is scored.
RESOLUTION = 256
# Coarser evaluations, by which the time of the whole is estimated: each halving has a quarter of the points, and a mesh
# of half as many cells along an axis.
HALVINGS = (4, 3, 2)
# Fewest cells along an axis of a mesh.
MIN_RESOLUTION = 8
# Factor of the time from one halving to the next: of a surface, and of noise, which fills the volume.
SURFACE_GROWTH, NOISE_GROWTH = 4.0, 8.0
# An estimate ends with the first evaluation that takes so many seconds.
ESTIMATE_SECONDS = 0.1
# The first evaluation, which loads libraries, is made with so many points.
WARM_UP_POINTS = 64
# Side of each image of a preview, and the space between them, in pixels.
PANEL_SIDE = 512
PANEL_GAP = 8
# Seconds that an image of the fit may take, about, and the pixels by which its time is first estimated.
QUICK_SECONDS = 3.0
FIRST_PIXELS = 16 * 16
# The gradient is evaluated at every so many samples of a batch.
GRADIENT_PART = 4
# Distance outside of an unsigned surface at which its gradient is fitted, in unit cubes.
OUTSIDE = 2e-3
# Angle between normals that a preview draws white, in degrees.
WHITE_ANGLE = 45


class ShapeObjective(Objective[Shape, PointField]):
    """Fits distances or occupancy of a shape, and its colors, at points."""

    shown = "source, fit, angle between their normals"

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        """As `Objective.batch`; with a loss on normals, points on the surface and their normals follow."""
        batch = super().batch(step, count, seed, device)
        if "normals" not in self.gradient_terms:
            return batch
        surface = self.signal.surface_batch(step, count // GRADIENT_PART, seed)
        return *batch, *(torch.from_numpy(array).to(device) for array in surface)

    def loss(self, field: PointField, batch: tuple[Any, ...]) -> Tensor:
        """Loss of the samples and of the field's gradient.

        `eikonal` is Gropp et al. 2020, equation 2; `normals` is the last term of Sitzmann et al. 2020, equation 6.
        """
        samples, surface = batch[:3], batch[3:]
        loss = super().loss(field, samples)
        if weight := self.gradient_terms.get("eikonal"):
            loss = loss + weight * ((_gradient(field, samples[0][::GRADIENT_PART]).norm(dim=-1) - 1) ** 2).mean()
        if weight := self.gradient_terms.get("normals"):
            points, normals = surface
            if not self.signal.signed:
                # The gradient of an unsigned distance jumps at the surface, so it is evaluated a little outside.
                points = points + OUTSIDE * normals
            cosine = torch.nn.functional.cosine_similarity(_gradient(field, points), normals, dim=-1)
            loss = loss + weight * (1 - cosine).mean()
        return loss

    def evaluate(self, field: PointField, seconds: float = math.inf) -> dict[str, float]:
        """IoU of the volumes; Chamfer distance, F-score and normal angle of the surfaces; PSNR of their colors.

        Where time does not suffice for all points, a quarter of them is scored on a mesh of half as many cells along
        an axis, or a quarter of these, and so on.
        """
        self.scored = None
        deadline = Deadline(seconds)
        if math.isinf(seconds):
            return self._evaluate(field, 0, deadline)
        scan = self._scan(field)
        halvings = HALVINGS[0]
        scores, spent = self._timed(field, halvings, scan)
        growth = NOISE_GROWTH
        while halvings:
            coming = self._coming(halvings, spent, growth, deadline.left)
            if coming is None:
                break
            before = spent
            try:
                scores, spent = self._timed(field, coming, scan, deadline)
            except OutOfTime:
                break
            growth = _growth(before, spent, halvings - coming)
            halvings = coming
        self.scored = scored_part(1, 4**halvings, "points")
        return scores

    @staticmethod
    def _coming(halvings: int, spent: float, growth: float, left: float) -> int | None:
        """The finest evaluation that fits into the time that is left, by the one before; None where none does.

        The coarse ones are gone through one by one, as they tell how the time grows.
        """
        finest = halvings - 1 if halvings > HALVINGS[-1] else 0
        return next((n for n in range(finest, halvings) if spent * growth ** (halvings - n) <= left), None)

    def evaluation_seconds(self, field: PointField) -> float:
        """Estimate from evaluations of fewer points on coarser meshes, of which the last takes long enough to tell.

        The time in which libraries are loaded at first use does not count.
        """
        begun = time.perf_counter()
        scan = self._scan(field)
        scanning = time.perf_counter() - begun
        self._evaluate(field, HALVINGS[0], Deadline(math.inf), scan, WARM_UP_POINTS)
        before, growth = 0.0, SURFACE_GROWTH
        spent, halvings = 0.0, HALVINGS[0]
        for halvings in HALVINGS:
            spent = self._timed(field, halvings, scan)[1]
            growth = _growth(before, spent) if before else growth
            if spent > ESTIMATE_SECONDS:
                break
            before = spent
        return scanning + spent * growth**halvings

    @staticmethod
    def _scan(field: PointField) -> CoarseScan:
        """The field's values on a coarse lattice, which evaluations of all sizes share."""
        implicit = implicit_shape(field)
        return coarse_scan(implicit, np.zeros(3), np.array(implicit.extents))

    def _timed(
        self, field: PointField, halvings: int, scan: CoarseScan, deadline: Deadline | None = None
    ) -> tuple[dict[str, float], float]:
        """Scores, and the seconds that they took."""
        begun = time.perf_counter()
        scores = self._evaluate(field, halvings, deadline or Deadline(math.inf), scan)
        return scores, time.perf_counter() - begun

    @torch.no_grad()
    def _evaluate(
        self,
        field: PointField,
        halvings: int,
        deadline: Deadline,
        scan: CoarseScan | None = None,
        most_points: int | None = None,
    ) -> dict[str, float]:
        """Scores of so many halvings; see `HALVINGS`. Raises OutOfTime where the deadline passes."""
        volume_points, surface_points = (n // 4**halvings for n in (VOLUME_POINTS, SURFACE_POINTS))
        if most_points:
            volume_points, surface_points = min(volume_points, most_points), min(surface_points, most_points)
        resolution = max(MIN_RESOLUTION, RESOLUTION // 2**halvings)
        fit, implicit = surface_field(field), implicit_shape(field)
        shape = self.signal
        scores: dict[str, float] = {}
        if fit.oriented:
            points = shape.volume_points(volume_points)
            inside = _evaluated(fit, fit.function, points) < 0
            scores["iou"] = intersection_over_union(inside, shape.surface.inside(points))
        points, normals, colors = shape.surface_points(surface_points)
        deadline.check()
        found = scored_triangles(implicit, resolution, scan=scan, progress=lambda done: deadline.check())
        deadline.check()
        if found.crossed:
            fitted = MeshSurface(Mesh(found.vertices, found.faces))
            scores |= self._surface_scores(fitted, points, normals, oriented=fit.oriented)
        else:
            scores["f_score"] = 0.0
        if colors is not None and fit.colors is not None:
            scores["psnr"] = psnr(_evaluated(fit, fit.colors, points), colors)
        return scores

    def _surface_scores(
        self, fitted: MeshSurface, points: np.ndarray, normals: np.ndarray, *, oriented: bool
    ) -> dict[str, float]:
        """Scores of a fitted surface; `points` and `normals` are samples of the source's surface."""
        shape = self.signal
        side = float((shape.box[1] - shape.box[0]).max())
        distances, faces, _ = fitted.distance(points, signed=False)
        source = MatchedSamples(distances / side, normals, fitted.normals(faces))
        own, own_normals, _ = fitted.sample(len(points), np.random.Generator(np.random.Philox(key=[0, 0])))
        distances, faces, _ = shape.surface.distance(own, signed=False)
        return surface_metrics(
            MatchedSamples(distances / side, own_normals, shape.surface.normals(faces)), source, oriented
        )

    def preview(self, field: PointField, longest_side: int = 1024) -> np.ndarray:
        """The fitted surface from the default view."""
        return to_bytes(_quickly_rendered(surface_field(field), min(longest_side, PANEL_SIDE))[0])

    def target(self, longest_side: int = 1024) -> np.ndarray:
        """The source's surface from the default view."""
        side = min(longest_side, PANEL_SIDE)
        return self._source_images(side, np.zeros((side * side, 3), np.float32))[0]

    def save_preview(self, field: PointField, path: Path) -> None:
        """Write source, fit, and the angle between their normals: black where they agree, white from 45 degrees on."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        color, normal = _quickly_rendered(surface_field(field), PANEL_SIDE)
        source, angles = self._source_images(PANEL_SIDE, normal)
        gap = np.full((PANEL_SIDE, PANEL_GAP, 3), 255, np.uint8)
        images = [source, gap, to_bytes(color)]
        images += [gap, angles] if angles is not None else []
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate(images, axis=1)).save(temporary)

    def _source_images(self, side: int, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Images of the source from the default view, and of the angle of its normals to `fitted` `[side, side, 3]`.

        The second is None for point clouds.
        """
        surface = self.signal.surface
        if not isinstance(surface, MeshSurface):
            return to_bytes(view.preview_image(surface, side)), None
        color, normals = self._cast_mesh(surface, side)
        angle = _angle_image(normals, fitted.reshape(-1, 3), signed=self.signal.signed)
        grey = np.repeat(angle[:, None], 3, axis=1).astype(np.float32)
        return to_bytes(color).reshape(side, side, 3), to_bytes(grey).reshape(side, side, 3)

    def _cast_mesh(self, surface: MeshSurface, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Colors and normals `[side * side, 3]` of a mesh from the default view; a normal is 0 where there is none."""
        origins, directions = camera_rays(default_camera(side))
        t, faces = surface.cast(origins.double().numpy(), directions.double().numpy())
        hit = np.flatnonzero(faces >= 0)
        normals = np.zeros((side * side, 3), np.float32)
        normals[hit] = surface.face_normals[faces[hit]]
        paint: dict[str, Any] = {}
        if self.signal.has_colors:
            points = origins.numpy()[hit] + t[hit, None] * directions.numpy()[hit]
            paint["albedo"] = torch.from_numpy(surface.colors(faces[hit], points))
        color = np.full((side * side, 3), view.BACKGROUND, np.float32)
        color[hit] = headlight(torch.from_numpy(normals[hit]), directions[hit], **paint).numpy()
        return color, normals


def default_camera(
    width: int, height: int | None = None, azimuth: float = view.AZIMUTH, elevation: float = view.ELEVATION
) -> Camera:
    """The camera of previews, for images of `width` x `height` pixels. The angles are in degrees."""
    return orbit(azimuth, elevation, view.DISTANCE, (width, height or width), field_of_view=view.FIELD_OF_VIEW)


def _rendered(fit: SurfaceField, side: int) -> ShapeView:
    return render_shape(fit.traceable(), default_camera(side), albedo=fit.colors, device=fit.device)


def _quickly_rendered(fit: SurfaceField, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Color and normals `[side, side, 3]` of a fit from the default view.

    In larger squares where that would take longer than `QUICK_SECONDS`, as rays through noise do.
    """

    def render(pixels: int) -> None:
        _rendered(fit, round(pixels**0.5))

    needed = estimated_seconds(render, side**2, FIRST_PIXELS)
    own = side if needed <= QUICK_SECONDS else max(1, int(side * (QUICK_SECONDS / needed) ** 0.5))
    shown = _rendered(fit, own)
    nearest = np.arange(side) * own // side
    color, normal = (image.cpu().numpy()[nearest][:, nearest] for image in (shown.color, shown.normal))
    return color, normal


def _angle_image(source: np.ndarray, fitted: np.ndarray, *, signed: bool) -> np.ndarray:
    """Angles between normals `[n, 3]` as grey values `[n]`, 1 from 45 degrees on, and where only one surface is."""
    cosine = (source * fitted).sum(axis=1)
    if not signed:
        cosine = np.abs(cosine)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / WHITE_ANGLE
    has_source, has_fitted = (source != 0).any(axis=1), (fitted != 0).any(axis=1)
    return np.where(~has_source & ~has_fitted, 0, np.where(has_source != has_fitted, 1, angle))


def _growth(before: float, after: float, halvings: int = 1) -> float:
    """Factor of the time from one halving to the next, within what surfaces and noise have."""
    return min(max((after / before) ** (1 / halvings), SURFACE_GROWTH), NOISE_GROWTH)


def _gradient(field: PointField, points: Tensor) -> Tensor:
    """Gradient `[N, 3]` of the first channel at points `[N, 3]`; itself differentiable."""
    points = points.detach().requires_grad_()
    return torch.autograd.grad(field(points)[:, 0].sum(), points, create_graph=True)[0]


def _evaluated(fit: SurfaceField, function: Callable[[Tensor], Tensor], points: np.ndarray) -> np.ndarray:
    return in_chunks(function, torch.from_numpy(points).float().to(fit.device)).cpu().numpy()
