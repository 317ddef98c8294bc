"""The objective of posed views: colors rendered along rays against the pixels that they pass through."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from fields.encoders.coarse_to_fine import schedule_progress
from fields.fit.objectives.base import Objective, point_loss
from fields.fit.objectives.density_terms import entropy, orientation, sample_points, sparsity
from fields.fit.objectives.exposure import Exposure
from fields.fit.objectives.occupancy_updates import OccupancyUpdates
from fields.fit.objectives.ray_batches import RayBatch, RayCount, ray_batch
from fields.fit.objectives.view_images import quick_view_colors, save_comparison
from fields.fit.objectives.view_scores import ViewScores, camera_remarks
from fields.fit.scoring import Deadline
from fields.methods.base import Method
from fields.methods.radiance import SceneMethod
from fields.models.field import RadianceField
from fields.models.radiance import NEAR
from fields.ops.distortion import distortion
from fields.ops.packed import Samples
from fields.render.volume import RayColors, render_rays
from fields.sampling.proposal import ProposedSamples, envelope_loss
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.posed.camera_file import CAMERAS_FILE, write_cameras
from scenes.posed.pixels import PixelRays
from scenes.posed.signal import RadianceScene

if TYPE_CHECKING:
    from fields.runs.run import Run

S = TypeVar("S", bound=RadianceScene)

# Steps over which proposed samples go from even spacing to where the proposals say.
ANNEAL_STEPS = 50
# Fraction of the steps at which the entropy has its full weight; before a tenth it has none: colors have to form first.
ENTROPY_FULL = 0.3
# Opacities are taken to be so far from 0 and 1 at least, so that their logarithms stay finite.
MIN_OPACITY = 1e-4


class RadianceObjective(Objective[S, RadianceField], Generic[S]):
    """Fits a radiance field to posed views.

    What it is made of: the number of rays per step and their batches (`ray_batches`), the occupancy grid
    (`occupancy_updates`), exposures (`exposure`), scores on the test views (`view_scores`), and images (`view_images`).
    """

    requires = RadianceField
    shown = "test views: photograph, fit, error"
    # As space empties, the same number of samples comes from more rays.
    step_cost_varies = True

    def __init__(self, signal: S, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        super().__init__(signal, loss, gradient_terms)
        self.occupancy = OccupancyUpdates(signal)
        self.scores = ViewScores(signal)
        self.exposure: Exposure | None = None
        self.remarks: list[str] = []
        self._method: SceneMethod | None = None
        self._ray_count: RayCount | None = None
        self._field: RadianceField | None = None
        self._step = 0
        self._entropy = 0.0

    @property
    def method(self) -> SceneMethod:
        """The method that is trained. ValueError before `parameter_groups`, and in an objective that only scores."""
        if self._method is None:
            raise ValueError("the objective learns its method with its parameter groups")
        return self._method

    @property
    def ray_count(self) -> RayCount:
        """The number of rays per step. ValueError as for `method`."""
        if self._ray_count is None:
            raise ValueError("the objective learns its batch with its parameter groups")
        return self._ray_count

    # Training

    def parameter_groups(self, method: Method) -> list[dict]:
        self._method = cast(SceneMethod, method)
        self._ray_count = RayCount(method.batch)
        if not self._method.exposure:
            return []
        self.exposure = Exposure(len(self.signal.training))
        return [{"params": [self.exposure.log_gains], "lr": method.learning_rate, "sparse": False}]

    def before_step(self, field: RadianceField, step: int, total: int | None) -> None:
        self._step = step
        self._entropy = schedule_progress(step, total, ENTROPY_FULL)
        self._field = field
        if not self.occupancy.begun:
            self.begin_occupancy(field)
        self.occupancy.update(field, step, seed=self.method.batch)

    def begin_occupancy(self, field: RadianceField) -> None:
        """Make the occupancy grid, before the first step of a fit or of its continuation."""
        self.occupancy.begin(field, self.method.hull)

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> RayBatch:
        """As many rays as lately had about `count` samples that light reaches."""
        rays = self.draw_rays(step, seed)
        return ray_batch(self.signal, rays, self.method.background, step=step, seed=seed, device=device)

    def draw_rays(self, step: int, seed: int) -> PixelRays:
        """The rays of a step."""
        return self.signal.rays(step, self.ray_count.rays, seed)

    def loss(self, field: RadianceField, batch: tuple[Any, ...]) -> Tensor:
        rays = cast(RayBatch, batch)
        proposed = None
        if field.samples_by_proposals:
            anneal = min(1.0, self._step / ANNEAL_STEPS)
            proposed = field.propose(rays.origins, rays.directions, seed=rays.jitter, anneal=anneal)
        found = self._rendered(field, rays, proposed)
        color = found.color if self.exposure is None else self.exposure.apply(found.color, rays.views)
        loss = point_loss(self.loss_name, color, rays.colors)
        if self.method.distortion:
            samples = found.samples if proposed is None else _in_disparity(found.samples)
            loss = loss + self.method.distortion * distortion(found.weights, samples).mean()
        if proposed is not None:
            loss = loss + _proposal_loss(found, proposed)
        loss = loss + self._density_terms(field, rays, found)
        if self.method.mask and rays.alpha is not None:
            loss = loss + self.method.mask * _mask_loss(found.opacity, rays.alpha)
        if self.exposure is not None:
            loss = loss + self.exposure.penalty()
        self.ray_count.adapt(len(found.samples), found.num_queries)
        self.occupancy.count(found.num_queries)
        return loss

    def _density_terms(self, field: RadianceField, rays: RayBatch, found: RayColors) -> Tensor | float:
        """The terms that make density opaque or empty, of those that the method asks for."""
        total: Tensor | float = 0.0
        if self.method.entropy and self._entropy:
            total = total + self._entropy * self.method.entropy * entropy(found.weights) / len(found.opacity)
        if self.method.sparsity or self.method.orientation:
            density = self.occupancy.density_function(field, self._step)
            if self.method.sparsity:
                empty = sparsity(
                    density, field.step, cascades=field.cascades, seed=self._step, device=found.color.device
                )
                total = total + self.method.sparsity * empty
            if self.method.orientation:
                points, along = sample_points(found.samples, rays.origins, rays.directions)
                turned = orientation(density, points, along, found.weights, length=field.step, seed=self._step)
                total = total + self.method.orientation * turned
        return total

    def _rendered(self, field: RadianceField, rays: RayBatch, proposed: ProposedSamples | None) -> RayColors:
        march = field.march
        if self.method.march == "nerfacc":
            march = replace(march, accelerator="nerfacc")
        if proposed is not None:
            march = replace(march, sampler=lambda origins, directions, seed, first_ray: proposed.samples)
        background = field.background_color() if rays.background is None else rays.background
        return render_rays(
            field,
            rays.origins,
            rays.directions,
            march=march,
            background=cast(Tensor, background),
            time=rays.times,
            seed=rays.jitter,
        )

    def state(self) -> dict[str, Tensor]:
        if not self.occupancy.begun:
            return {}
        state = {f"grid.{name}": tensor for name, tensor in self.occupancy.state().items()}
        state["rays"] = torch.tensor(self.ray_count.rays)
        return state if self.exposure is None else {**state, "exposure": self.exposure.log_gains.detach()}

    def restore(self, state: dict[str, Tensor]) -> None:
        if not state:
            return
        self.ray_count.rays = int(state["rays"])
        grid = {name.removeprefix("grid."): tensor for name, tensor in state.items() if name.startswith("grid.")}
        self.occupancy.restore(grid)
        if self.exposure is not None:
            self.exposure.log_gains.data.copy_(state["exposure"])

    def save_sidecar(self, folder: Path) -> None:
        write_cameras(folder / CAMERAS_FILE, self.signal.views.views)

    def exclude_training_views(self, run: Run) -> None:
        """Score all views except those with the camera and time of a training view of the run, whatever their split."""
        known = [camera for camera in run.cameras() if camera.split == "train"]
        views = self.signal.views.views
        self.scores.fitted = known
        self.scores.views = [view for view in views if not any(camera.same_as(view) for camera in known)]
        if not self.scores.views:
            raise BadInput(
                f"{self.signal.source['path']}: the run was fitted to all of its {len(views)} views; "
                "name a folder with others"
            )

    # Scores and images

    def running_quality(self, loss: float) -> tuple[str, float]:
        """PSNR of some rays of the test views, measured every few seconds."""
        if self._field is None:
            return super().running_quality(loss)
        return "test_psnr", self.scores.running_psnr(self._field)

    def evaluate(self, field: RadianceField, seconds: float = math.inf) -> dict[str, float]:
        """Mean PSNR and SSIM over the test views; see `fields.fit.objectives.view_scores`."""
        deadline = Deadline(seconds)
        self.remarks = camera_remarks(self.signal, field)
        metrics = self.scores.evaluate(field, deadline.left)
        self.scored = self.scores.scored
        return metrics

    def details(self) -> dict[str, Any]:
        remarks = {"remarks": self.remarks} if self.remarks else {}
        return {**super().details(), "views": self.scores.details(), **remarks}

    def evaluation_seconds(self, field: RadianceField) -> float:
        return self.scores.seconds(field)

    def preview(self, field: RadianceField, longest_side: int = 1024) -> np.ndarray:
        """The first test view as the fit shows it."""
        view = self.signal.test[0]
        stride = -(-max(view.intrinsics.width, view.intrinsics.height) // longest_side)
        return to_bytes(quick_view_colors(self.signal, field, view, stride))

    def save_preview(self, field: RadianceField, path: Path) -> None:
        save_comparison(self.signal, field, path)


def _mask_loss(opacity: Tensor, alpha: Tensor) -> Tensor:
    """Mean cross-entropy of opacities `[N]` against alpha `[N]`."""
    return torch.nn.functional.binary_cross_entropy(opacity.clamp(MIN_OPACITY, 1.0 - MIN_OPACITY), alpha)


def _proposal_loss(found: RayColors, proposed: ProposedSamples) -> Tensor:
    """Mean envelope loss of the proposals: they must bound the weights that rendering found."""
    weights = found.weights.new_zeros(len(proposed.samples))
    weights = weights.index_copy(0, cast(Tensor, found.kept), found.weights.detach())
    return envelope_loss(proposed.edges, weights.reshape(len(proposed.edges), -1), *proposed.rounds[0]).mean()


def _in_disparity(samples: Samples) -> Samples:
    """The same intervals in 1 / distance, from 0 at the near end to 1, so that distant matter may spread out more."""
    return Samples(1.0 - NEAR / samples.t_starts, 1.0 - NEAR / samples.t_ends, samples.ray_indices, samples.offsets)
