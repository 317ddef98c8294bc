"""The objective of shapes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields.fit.metrics.samples import psnr
from fields.fit.metrics.shape import SURFACE_POINTS, VOLUME_POINTS, Matched, intersection_over_union, surface_metrics
from fields.fit.objectives.base import Objective
from fields.models.field import Field, PointField
from fields.render.camera import camera_rays
from fields.render.sphere_trace import headlight, in_chunks, render_shape
from fields.render.surface_field import SurfaceField, surface_field
from fields.surface.implicit import implicit_shape
from fields.surface.surface_mesh import surface_triangles
from scenes.image.color import to_bytes
from scenes.posed.camera import Camera
from scenes.posed.pose import orbit
from scenes.shape import view
from scenes.shape.geometry import Mesh
from scenes.shape.signal import Shape
from scenes.shape.surface import MeshSurface

# Cells along an axis of the mesh that the metrics of surfaces are taken on.
RESOLUTION = 256
# What `evaluation_seconds` measures: this part of the points, and of the cells along an axis.
PART = 16
PANEL_SIDE = 512
PANEL_GAP = 8
# The gradient is looked at in this part of a batch's samples.
GRADIENT_PART = 4
# How far outside an unsigned distance has a gradient that is worth fitting, in unit cubes.
OUTSIDE = 2e-3


class ShapeObjective(Objective):
    signal: Shape
    shown = "source, fit, angle between their normals"

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        batch = super().batch(step, count, seed, device)
        if "normals" not in self.gradient_terms:
            return batch
        return *batch, *(
            torch.from_numpy(array).to(device)
            for array in self.signal.surface_batch(step, count // GRADIENT_PART, seed)
        )

    def loss(self, field: Field, batch: tuple[Tensor, ...]) -> Tensor:
        """That of the samples, and what the field's gradient adds (Gropp et al. 2020, equation 2; Sitzmann et al. 2020, equation 6)."""
        samples, surface = batch[:3], batch[3:]
        loss = super().loss(field, samples)
        if weight := self.gradient_terms.get("eikonal"):
            loss = loss + weight * ((_gradient(field, samples[0][::GRADIENT_PART]).norm(dim=-1) - 1) ** 2).mean()
        if weight := self.gradient_terms.get("normals"):
            places, normals = surface
            if self.signal.signed:
                cosine = torch.nn.functional.cosine_similarity(_gradient(field, places), normals, dim=-1)
            else:  # the gradient turns round at the surface: it is asked for a little to its outside
                cosine = torch.nn.functional.cosine_similarity(
                    _gradient(field, places + OUTSIDE * normals), normals, dim=-1
                )
            loss = loss + weight * (1 - cosine).mean()
        return loss

    def evaluate(self, field: Field) -> dict[str, float]:
        """IoU of the volumes; Chamfer distance, F-score and normal angle of the surfaces; PSNR of the colours on the surface."""
        return self._evaluate(field, VOLUME_POINTS, SURFACE_POINTS, RESOLUTION)

    def evaluation_seconds(self, field: Field) -> float:
        """From a sixteenth of the points, and a mesh of a sixteenth of the triangles; what is loaded at first use does not count."""
        self._evaluate(field, 64, 64, RESOLUTION // 16)
        begun = time.perf_counter()
        self._evaluate(field, VOLUME_POINTS // PART, SURFACE_POINTS // PART, RESOLUTION // 4)
        return (time.perf_counter() - begun) * PART

    @torch.no_grad()
    def _evaluate(
        self, field: PointField, volume_points: int, surface_points: int, resolution: int
    ) -> dict[str, float]:
        fit, implicit = surface_field(field), implicit_shape(field)
        shape, scores = self.signal, {}
        if fit.oriented:
            points = shape.volume_points(volume_points)
            scores["iou"] = intersection_over_union(_ask(fit, fit.function, points) < 0, shape.surface.inside(points))
        places, normals, colors = shape.surface_points(surface_points)
        mesh = surface_triangles(implicit, resolution)
        if mesh.crossed:
            scores |= self._surface_scores(MeshSurface(Mesh(mesh.vertices, mesh.faces)), places, normals, fit.oriented)
        else:
            scores["f_score"] = 0.0
        if colors is not None:
            scores["psnr"] = psnr(_ask(fit, fit.colors, places), colors)
        return scores

    def _surface_scores(
        self, fitted: MeshSurface, places: np.ndarray, normals: np.ndarray, oriented: bool
    ) -> dict[str, float]:
        shape = self.signal
        side = float((shape.box[1] - shape.box[0]).max())
        distances, faces, nearest = fitted.distance(places, signed=False)
        source = Matched(distances / side, normals, fitted.normals(faces))
        own, own_normals, _ = fitted.sample(len(places), np.random.Generator(np.random.Philox(key=[0, 0])))
        distances, faces, nearest = shape.surface.distance(own, signed=False)
        return surface_metrics(Matched(distances / side, own_normals, shape.surface.normals(faces)), source, oriented)

    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        fit = surface_field(field)
        return to_bytes(self._seen(fit, min(longest_side, PANEL_SIDE)).color.cpu().numpy())

    def target(self, longest_side: int = 1024) -> np.ndarray:
        side = min(longest_side, PANEL_SIDE)
        return self._source_panel(side, np.zeros((side * side, 3), np.float32))[0]

    def _seen(self, fit: SurfaceField, side: int):
        return render_shape(fit.traceable(), default_camera(side), albedo=fit.colors, device=fit.device)

    def save_preview(self, field: Field, path: Path) -> None:
        """Source, fit, and the angle between their normals: black where they agree, white at 45 degrees or more."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        fit = self._seen(surface_field(field), PANEL_SIDE)
        source, panels = self._source_panel(PANEL_SIDE, fit.normal.cpu().numpy())
        gap = np.full((PANEL_SIDE, PANEL_GAP, 3), 255, np.uint8)
        pictures = [source, gap, to_bytes(fit.color.cpu().numpy())]
        pictures += [gap, panels] if panels is not None else []
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate(pictures, axis=1)).save(temporary)

    def _source_panel(self, side: int, fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The source from the same place, and where its normals differ from `fitted` `[side, side, 3]` (None for points)."""
        surface = self.signal.surface
        if not isinstance(surface, MeshSurface):
            return to_bytes(view.shaded(surface, side)), None
        origins, directions = camera_rays(default_camera(side))
        t, faces = surface.cast(origins.double().numpy(), directions.double().numpy())
        hit = np.flatnonzero(faces >= 0)
        normals = np.zeros((side * side, 3), np.float32)
        normals[hit] = surface.face_normals[faces[hit]]
        color = np.full((side * side, 3), view.BACKGROUND, np.float32)
        paint = {}
        if self.signal.has_colors:
            places = origins.numpy()[hit] + t[hit, None] * directions.numpy()[hit]
            paint["albedo"] = torch.from_numpy(surface.colors(faces[hit], places))
        color[hit] = headlight(torch.from_numpy(normals[hit]), directions[hit], **paint).numpy()
        fitted = fitted.reshape(-1, 3)
        cosine = (normals * fitted).sum(axis=1)
        if not self.signal.signed:
            cosine = np.abs(cosine)
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1))) / 45
        only_one = (normals != 0).any(axis=1) != (fitted != 0).any(axis=1)
        neither = ~(normals != 0).any(axis=1) & ~(fitted != 0).any(axis=1)
        shown = np.where(neither, 0, np.where(only_one, 1, angle))
        return (
            to_bytes(color).reshape(side, side, 3),
            to_bytes(np.repeat(shown[:, None], 3, axis=1).astype(np.float32)).reshape(side, side, 3),
        )


def _gradient(field: Field, places: Tensor) -> Tensor:
    """Of the first channel, `[N, 3]`, itself differentiable."""
    places = places.detach().requires_grad_()
    return torch.autograd.grad(field(places)[:, 0].sum(), places, create_graph=True)[0]


def default_camera(
    width: int, height: int | None = None, azimuth: float = view.AZIMUTH, elevation: float = view.ELEVATION
) -> Camera:
    """The view that previews show."""
    return orbit(azimuth, elevation, view.DISTANCE, (width, height or width), field_of_view=view.FIELD_OF_VIEW)


def _ask(fit: SurfaceField, function, points: np.ndarray) -> np.ndarray:
    return in_chunks(function, torch.from_numpy(points).float().to(fit.device)).cpu().numpy()
