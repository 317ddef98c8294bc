"""Scores of a radiance field on the test views of a scene, and remarks on cameras that stand in matter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fields.fit.metrics.samples import psnr, ssim
from fields.fit.objectives.view_images import view_colors
from fields.models.field import RadianceField
from fields.render.floaters import cameras_in_matter
from scenes.posed.camera import Camera
from scenes.posed.signal import RadianceScene
from scenes.posed.view import View

# During a fit: rays through test views that are rendered at once, seconds between renderings, and the largest fraction
# of the time that they may take.
WATCHED_RAYS = 4096
WATCH_SECONDS = 5.0
WATCH_FRACTION = 0.02
# Views among which these rays are divided.
WATCHED_VIEWS = 4
# Matter that lets a third of the light through this length, in sides of the cube, is solid.
SOLID_LENGTH = 0.02
# Pixels of the part of a view that is rendered to estimate the time of an evaluation.
ESTIMATE_PIXELS = 16384


class ViewScores:
    """PSNR and SSIM of a field on the test views.

    views: the views that are scored; all test views at first.
    per_view: scores of each view in the last evaluation, with its name.
    """

    def __init__(self, scene: RadianceScene) -> None:
        self.scene = scene
        self.views: Sequence[View] = scene.test
        self.per_view: list[dict[str, Any]] = []
        self._watched: tuple[float, float] | None = None  # time of the last rendering, and its score
        self._watch_cost = 0.0

    def evaluate(self, field: RadianceField) -> dict[str, float]:
        """Means over the views.

        PSNR counts the pixels that a view's mask keeps. SSIM counts all pixels of an image in which those outside the
        mask are taken from the photograph.
        """
        self.per_view = [{"name": view.name, **self._scores(field, view)} for view in self.views]
        metrics = [name for name in self.per_view[0] if name != "name"]
        return {name: float(np.mean([scores[name] for scores in self.per_view])) for name in metrics}

    def _scores(self, field: RadianceField, view: View) -> dict[str, float]:
        fit, target, mask = view_colors(self.scene, field, view), self.scene.image(view), self.scene.mask(view)
        similarity = ssim(fit if mask is None else np.where(mask[..., None], fit, target), target)
        scores = {"psnr": _masked_psnr(fit, target, mask), "ssim": similarity}
        return {name: value for name, value in scores.items() if value is not None}

    def details(self) -> list[dict[str, Any]]:
        """`per_view` with rounded values, for `metrics.json`."""
        return [
            {name: round(value, 5) if isinstance(value, float) else value for name, value in scores.items()}
            for scores in self.per_view
        ]

    def watched_psnr(self, field: RadianceField) -> float:
        """PSNR of a few thousand rays of some test views."""
        views, stride = watched_views(self.scene)
        scores = []
        for view in views:
            fit, target = view_colors(self.scene, field, view, stride), self.scene.image(view)[::stride, ::stride]
            mask = self.scene.mask(view)
            mask = None if mask is None else mask[::stride, ::stride]
            scores.append(_masked_psnr(fit, target, None if mask is None or not mask.any() else mask))
        return float(np.mean(scores))

    def running_psnr(self, field: RadianceField) -> float:
        """`watched_psnr`, from now or from a few seconds ago, so that it takes at most 2 % of the time."""
        begun = time.perf_counter()
        wait = max(WATCH_SECONDS, self._watch_cost / WATCH_FRACTION)
        if self._watched is None or begun - self._watched[0] > wait:
            quality = self.watched_psnr(field)
            now = time.perf_counter()
            self._watched, self._watch_cost = (now, quality), now - begun
        return self._watched[1]

    def seconds(self, field: RadianceField) -> float:
        """About how long an evaluation takes, measured on a part of one view."""
        view = self.scene.test[len(self.scene.test) // 2]
        stride = max(1, round((view.num_pixels / ESTIMATE_PIXELS) ** 0.5))
        begun = time.perf_counter()
        fit = view_colors(self.scene, field, view, stride)
        spent = (time.perf_counter() - begun) * stride**2
        begun = time.perf_counter()
        target = self.scene.image(view)
        ssim(np.zeros_like(target) if stride > 1 else fit, target)
        return (spent + time.perf_counter() - begun) * len(self.scene.test)


def watched_views(scene: RadianceScene) -> tuple[list[View], int]:
    """The test views that are rendered during a fit, and the stride of their pixels along both sides."""
    views = list(scene.test[:: max(1, len(scene.test) // WATCHED_VIEWS)][:WATCHED_VIEWS])
    pixels = sum(view.num_pixels for view in views)
    return views, max(1, round((pixels / WATCHED_RAYS) ** 0.5))


@torch.no_grad()
def camera_remarks(scene: RadianceScene, field: RadianceField) -> list[str]:
    """A remark on training cameras that stand in solid matter, if there are any.

    Such a camera sees nothing but the matter at its lens, and spoils what others see.
    """
    axes = scene.domain.axes[:3]
    lower, upper = [axis.lower for axis in axes], [axis.upper for axis in axes]
    cameras = cameras_in_matter(field.grid.occupancy.cells().cpu().numpy(), lower, upper, scene.training)
    if cameras:
        thickness = _thickness_at(field, cameras)
        cameras = [camera for camera, thick in zip(cameras, thickness) if thick > 1.0]
    if not cameras:
        return []
    names = ", ".join(camera.name for camera in cameras[:3]) + (", ..." if len(cameras) > 3 else "")
    return [
        f"{len(cameras)} of {len(scene.training)} cameras stand in solid matter ({names}): their poses may be wrong, "
        "or a longer fit clears it"
    ]


def _thickness_at(field: RadianceField, cameras: Sequence[Camera]) -> list[float]:
    """Optical thickness of `SOLID_LENGTH` at the position of each camera."""
    positions = torch.from_numpy(np.stack([camera.position for camera in cameras]))
    coords = field.to_coords(field.to_cube(positions))
    times = None
    if field.moving:
        times = torch.tensor([camera.time or 0.0 for camera in cameras], dtype=torch.float32, device=coords.device)
    return (field.density(coords, times, None)[0] * SOLID_LENGTH).tolist()


def _masked_psnr(fit: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> float:
    """PSNR of images `[H, W, 3]`, of the pixels in the mask if there is one."""
    return psnr(fit, target) if mask is None else psnr(fit[mask][None], target[mask][None])
