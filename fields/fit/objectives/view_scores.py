"""Scores of a radiance field on the test views of a scene, and remarks on cameras that stand in matter."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fields.fit.metrics.samples import psnr, ssim
from fields.fit.objectives.view_images import view_colors
from fields.fit.scoring import Deadline, ScoredPart, estimated_seconds, parts_within, scored_part
from fields.models.field import RadianceField
from fields.render.camera_view import rays_per_side
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
# Pixels of the part of a view that is first rendered to estimate the time of an evaluation.
ESTIMATE_PIXELS = 256
# Shortest time of an evaluation, in seconds: some rays are rendered even if there is none.
MIN_SECONDS = 0.1
# Views of which a part of the pixels is scored, where time does not suffice for as many whole ones.
PARTIAL_VIEWS = 4
# Rays of the first rendering during a fit. Where it takes more than 2 % of the time, there are no more of them later.
FIRST_WATCHED_RAYS = 256


class ViewScores:
    """PSNR and SSIM of a field on the test views.

    views: the views that are scored; all test views at first.
    fitted: cameras that the field was fitted to, where these are not the scene's: pixels that stand for more than
        theirs are means of several rays.
    per_view: scores of each view in the last evaluation, with its name.
    scored: what was scored, where its time did not suffice for all.
    """

    def __init__(self, scene: RadianceScene) -> None:
        self.scene = scene
        self.views: Sequence[View] = scene.test
        self.fitted: Sequence[Camera] = ()
        self.per_view: list[dict[str, Any]] = []
        self.scored: ScoredPart | None = None
        self._watched: tuple[float, float] | None = None  # time of the last rendering, and its score
        self._watch_cost = 0.0

    def evaluate(self, field: RadianceField, seconds: float = math.inf) -> dict[str, float]:
        """Means over the views.

        PSNR counts the pixels that a view's mask keeps. SSIM counts all pixels of an image in which those outside the
        mask are taken from the photograph. Where `seconds` do not suffice for four views, some pixels of views are
        scored, by PSNR alone.
        """
        deadline, stride = Deadline(seconds), 1
        if math.isfinite(seconds):
            needed = self._view_seconds(field, self.views[len(self.views) // 2]) * min(PARTIAL_VIEWS, len(self.views))
            stride = max(1, math.ceil((needed / max(deadline.left, MIN_SECONDS)) ** 0.5))
        scores = {
            index: {"name": self.views[index].name, **self._scores(field, self.views[index], stride)}
            for index in parts_within(len(self.views), deadline.left)
        }
        self.per_view = [scores[index] for index in sorted(scores)]
        self.scored = scored_part(len(scores), len(self.views), "views")
        if stride > 1:
            self.scored = ScoredPart(len(scores) / len(self.views) / stride**2, "pixels of the views")
        metrics = [name for name in self.per_view[0] if name != "name"]
        return {name: float(np.mean([scores[name] for scores in self.per_view])) for name in metrics}

    def _scores(self, field: RadianceField, view: View, stride: int = 1) -> dict[str, float]:
        if stride > 1:
            return {"psnr": self._strided_psnr(field, view, stride)}
        rays = rays_per_side(field, view, self.fitted)
        fit, target, mask = (
            view_colors(self.scene, field, view, rays=rays),
            self.scene.image(view),
            self.scene.mask(view),
        )
        similarity = ssim(fit if mask is None else np.where(mask[..., None], fit, target), target)
        scores = {"psnr": _masked_psnr(fit, target, mask), "ssim": similarity}
        return {name: value for name, value in scores.items() if value is not None}

    def details(self) -> list[dict[str, Any]]:
        """`per_view` with rounded values, for `metrics.json`."""
        return [
            {name: round(value, 5) if isinstance(value, float) else value for name, value in scores.items()}
            for scores in self.per_view
        ]

    def watched_psnr(self, field: RadianceField, rays: int = WATCHED_RAYS) -> float:
        """PSNR of about so many rays of some test views."""
        views, stride = watched_views(self.scene, rays)
        return float(np.mean([self._strided_psnr(field, view, stride) for view in views]))

    def _strided_psnr(self, field: RadianceField, view: View, stride: int) -> float:
        """PSNR of every `stride`-th pixel along both sides of a view; of all of these if the mask keeps none."""
        fit, target = view_colors(self.scene, field, view, stride), self.scene.image(view)[::stride, ::stride]
        mask = self.scene.mask(view)
        mask = None if mask is None else mask[::stride, ::stride]
        return _masked_psnr(fit, target, None if mask is None or not mask.any() else mask)

    def running_psnr(self, field: RadianceField) -> float:
        """`watched_psnr`, from now or from a few seconds ago, so that it takes at most 2 % of the time."""
        begun = time.perf_counter()
        wait = max(WATCH_SECONDS, self._watch_cost / WATCH_FRACTION)
        if self._watched is None or begun - self._watched[0] > wait:
            # A field of fog takes minutes for what a field that has taken shape takes a moment.
            costly = self._watched is None or self._watch_cost > WATCH_SECONDS * WATCH_FRACTION
            quality = self.watched_psnr(field, FIRST_WATCHED_RAYS if costly else WATCHED_RAYS)
            now = time.perf_counter()
            self._watched, self._watch_cost = (now, quality), now - begun
        return self._watched[1]

    def seconds(self, field: RadianceField) -> float:
        """About how long an evaluation takes, measured on a part of one view."""
        return self._view_seconds(field, self.scene.test[len(self.scene.test) // 2]) * len(self.scene.test)

    def _view_seconds(self, field: RadianceField, view: View) -> float:
        """About how long a view takes to be scored."""
        begun = time.perf_counter()
        target = self.scene.image(view)
        ssim(np.zeros_like(target), target)
        scoring = time.perf_counter() - begun

        def render(pixels: int) -> int:
            stride = max(1, round((view.num_pixels / pixels) ** 0.5))
            return view_colors(self.scene, field, view, stride)[..., 0].size

        return scoring + estimated_seconds(render, view.num_pixels, ESTIMATE_PIXELS)


def watched_views(scene: RadianceScene, rays: int = WATCHED_RAYS) -> tuple[list[View], int]:
    """The test views that are rendered during a fit, and the stride of their pixels along both sides."""
    views = list(scene.test[:: max(1, len(scene.test) // WATCHED_VIEWS)][:WATCHED_VIEWS])
    pixels = sum(view.num_pixels for view in views)
    return views, max(1, round((pixels / rays) ** 0.5))


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
