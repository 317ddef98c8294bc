"""The staged objective of radiance fields (Fang et al. 2023): features, then density and color, then pixels."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from fields.distill.hard_samples import HardCameras, HardRays, heaviest_samples
from fields.distill.sample_losses import (
    density_difference,
    density_of_features,
    pixel_colors,
    root_mean_square,
    visible_samples,
    volume_features_at,
)
from fields.distill.stages import FEATURES, RENDERED, VALUES, Stages
from fields.distill.teacher_cache import CachedStep, TeacherCache
from fields.distill.views import TeacherScene
from fields.fit.objectives.radiance import RadianceObjective
from fields.fit.objectives.ray_batches import RayBatch
from fields.methods.base import Method
from fields.models.field import MIN_LOG_DENSITY, RadianceField
from fields.ops.composite import compositing_weights
from fields.ops.march import pack_cells
from fields.render.volume import TINY_DENSITY
from fields.sampling.march_settings import MIN_TRANSMITTANCE
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import envelope_loss
from scenes.posed.pixels import PixelRays

# Largest batch of a student, in samples per step. A fit wants more, because its pixels are few and say nothing of
# single samples; here each sample has a target, and more steps gain more than less noisy ones. Tables gain less,
# because an entry is trained by the samples near it only.
TABLE_SAMPLES = 1 << 14
NETWORK_SAMPLES = 1 << 12
# Smallest standard deviation that features are scaled by.
MIN_SPREAD = 1e-2


class RadianceDistillation(RadianceObjective[TeacherScene]):
    """Compares student and teacher at the same samples.

    These are the samples in the teacher's occupied cells, and in the cells next to them, that light reaches in the
    teacher. Once pixels are compared, they are only those where the teacher has weight or the student's cells are
    occupied. If the teacher samples by proposals, they are its proposed samples. The student never gets density where
    the teacher's grid and its neighbours are empty; within, its occupancy grid is its own, for images.

    stage: what the next step compares. available: the stages that this pair of fields has, shallow first.
    """

    def __init__(
        self, signal: TeacherScene, teacher: RadianceField, student: RadianceField, loss: str, stages: Stages
    ) -> None:
        super().__init__(signal, loss)
        self.teacher = teacher.requires_grad_(False)
        self.stages = stages
        self.shown = "teacher, student, error"
        wide, narrow = teacher.feature_channels, student.feature_channels
        matched = stages.feature_fraction > 0 and wide is not None and narrow is not None
        self.map = _feature_map(wide, narrow, teacher.device) if matched and wide != narrow else None
        self.available = tuple(stage for stage in (FEATURES, VALUES, RENDERED) if stage != FEATURES or matched)
        self.stage = self.available[0]
        self._hard_rays = HardRays(stages.hard_ray_fraction, teacher.device) if stages.hard_ray_fraction else None
        self._hard_cameras = (
            HardCameras(stages.hard_camera_fraction, signal.cameras) if stages.hard_camera_fraction else None
        )
        self._cache = TeacherCache(stages.cache << 20) if stages.cache else None
        self._replayed = 0, 0  # the step whose rays this one uses, and their number
        self._near: OccupancyGrid | None = None  # the teacher's occupied cells and those next to them

    @property
    def plain(self) -> bool:
        return False

    def parameter_groups(self, method: Method) -> list[dict]:
        groups = super().parameter_groups(method)
        if self.map is None:
            return groups
        return [*groups, {"params": list(self.map.parameters()), "lr": method.learning_rate, "sparse": False}]

    def enter(self, stage: str) -> None:
        """Begin a stage."""
        self.stage = stage

    def begin_occupancy(self, field: RadianceField) -> None:
        super().begin_occupancy(field)
        near = self.signal.dilated_occupancy(field.cells)
        self._near = OccupancyGrid(field.cells, field.cascades).to(near.device)
        self._near.words = pack_cells(near)
        grid = self.occupancy.grid
        grid.exclude(~near)
        if not int(grid.updates):
            grid.words = self._near.words
        field.occupied = grid.words

    def state(self) -> dict[str, Tensor]:
        state = super().state()
        if self.map is not None:
            state |= {f"map.{name}": tensor for name, tensor in self.map.state_dict().items()}
        if self._hard_rays is not None:
            state["hard.rays"] = self._hard_rays.pool
        if self._hard_cameras is not None:
            state["hard.cameras"] = self._hard_cameras.pool
        if self._cache is not None:
            state["cache"] = self._cache.state()
        return state

    def restore(self, state: dict[str, Tensor]) -> None:
        if self.map is not None:
            tensors = {name.removeprefix("map."): state[name] for name in state if name.startswith("map.")}
            self.map.load_state_dict(tensors)
        for name, hard in (("hard.rays", self._hard_rays), ("hard.cameras", self._hard_cameras)):
            if hard is not None and name in state:
                hard.pool = state[name]
        if self._cache is not None and "cache" in state:
            self._cache.restore(state["cache"])
        own = ("map.", "hard.", "cache")
        super().restore({name: tensor for name, tensor in state.items() if not name.startswith(own)})

    # Rays

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> RayBatch:
        """The rays of a step: new ones, some of them hard ones of earlier steps, or those of a cached step."""
        if self._cache is not None:
            self._replayed = self._cache.replayed_step(step, self.ray_count.rays)
            step, self.ray_count.rays = self._replayed
            if cached := self._cache.get(step):
                return cached.batch
        batch = super().batch(step, count, seed, device)
        if self._hard_rays is not None:
            self._hard_rays.mix_in(batch, step)
        return batch

    def draw_rays(self, step: int, seed: int) -> PixelRays:
        cameras = self.signal.draw_cameras(step, seed)
        if self._hard_cameras is not None:
            cameras = self._hard_cameras.mix_in(cameras, step)
        return self.signal.rays_through(cameras, step, self.ray_count.rays, seed)

    def evaluation_seconds(self, field: RadianceField) -> float:
        for view in self.signal.test:
            self.signal.image(view)  # The teacher's images are kept, so an evaluation does not wait for them.
        return super().evaluation_seconds(field)

    # Losses

    def loss(self, field: RadianceField, batch: tuple[Any, ...]) -> Tensor:
        """The loss of the current stage; with proposals, plus that of the student's."""
        rays = cast(RayBatch, batch)
        cached, queried = self._cache.get(self._replayed[0]) if self._cache is not None else None, 0
        if cached is None:
            cached, queried = self.query_teacher(field, rays)
        if self.stage == RENDERED and not self.teacher.samples_by_proposals:
            cached = self.drop_weightless(field, cached)
        self.ray_count.adapt_at_once(len(cached.samples), queried)
        self.occupancy.count(len(cached.samples))
        loss = self._stage_loss(field, cached)
        if cached.edges is None or cached.weights is None:
            return loss
        proposal = field.propose(rays.origins, rays.directions, seed=rays.jitter).rounds[0]
        return loss + envelope_loss(cached.edges, cached.weights, *proposal).mean()

    @torch.no_grad()
    def query_teacher(self, field: RadianceField, batch: RayBatch) -> tuple[CachedStep, int]:
        """What the teacher gives where light reaches in it, and the number of samples that it was queried at.

        The student has no say in the samples: what it lets through behind a surface of the teacher falls on the
        background, and shows as an error.
        """
        teacher, edges, weights = self.teacher, None, None
        if teacher.samples_by_proposals:
            proposed = teacher.propose(batch.origins, batch.directions, seed=batch.jitter)
            samples, edges = proposed.samples, proposed.edges
            features = volume_features_at(teacher, batch, samples)
            weights = compositing_weights(density_of_features(features), samples).reshape(len(batch.origins), -1)
        else:
            samples = cast(OccupancyGrid, self._near).sample(
                batch.origins, batch.directions, step=field.step, cone=field.march.cone, seed=batch.jitter
            )
            # In the cells next to its own the teacher is empty, as in its images.
            own = teacher.grid.contains(samples.positions(batch.origins, batch.directions))
            known = volume_features_at(teacher, batch, samples.select(own))
            features = known.new_full((len(samples), known.shape[1]), MIN_LOG_DENSITY)
            features = features.index_copy(0, own.nonzero().flatten(), known)
        # With a density that is never zero, so that empty samples count as reached by light.
        density = density_of_features(features).clamp(min=TINY_DENSITY)
        lit = compositing_weights(density, samples, threshold=MIN_TRANSMITTANCE) > 0
        queried, samples, features = len(samples), samples.select(lit), features[lit]
        colors = None
        if self._cache is not None:
            colors = teacher.color_of_volume_features(features, batch.directions[samples.ray_indices])
        cached = CachedStep(batch, samples, features, colors, edges, weights)
        if self._cache is not None:
            self._cache.store(*self._replayed, cached)
        return cached, queried

    @torch.no_grad()
    def drop_weightless(self, field: RadianceField, cached: CachedStep) -> CachedStep:
        """Keep samples where the teacher has weight, or where the student may have it, even as fog: its occupied cells.

        The student's images skip its other cells. Querying the student's weights instead costs a third of what the
        remaining samples cost, and as many remain.
        """
        batch, samples, features = cached[:3]
        kept = visible_samples(field, features, samples)
        kept = kept | self.occupancy.grid.contains(samples.positions(batch.origins, batch.directions))
        colors = cached.teacher_colors
        return cached._replace(
            samples=samples.select(kept),
            teacher_features=features[kept],
            teacher_colors=None if colors is None else colors[kept],
        )

    def _stage_loss(self, field: RadianceField, cached: CachedStep) -> Tensor:
        batch, samples, wanted = cached[:3]
        learned = volume_features_at(field, batch, samples)
        compared = self._compared_samples(cached, learned)
        density_loss = root_mean_square(density_difference(learned[compared], wanted[compared]))
        # Features and colors count only where the teacher shows something.
        visible = (compared & visible_samples(field, wanted, samples)).nonzero().flatten()
        if self.stage == FEATURES:
            return density_loss + self._feature_loss(learned[visible, 1:], wanted[visible, 1:])
        if self.stage == VALUES:
            directions = batch.directions[samples.ray_indices[visible]]
            colors = self._teacher_colors(cached, visible, directions)
            shown = field.color_of_volume_features(learned[visible], directions)
            return density_loss + root_mean_square(shown - colors)
        directions = batch.directions[samples.ray_indices]
        colors = self._teacher_colors(cached, None, directions)
        shown = field.color_of_volume_features(learned, directions)
        color_loss = root_mean_square(shown[visible] - colors[visible])
        loss = self.stages.density_weight * density_loss + self.stages.color_weight * color_loss
        pixels = pixel_colors(field, batch, samples, features=learned, colors=shown)
        difference = pixels - pixel_colors(self.teacher, batch, samples, features=wanted, colors=colors).detach()
        for hard in (self._hard_rays, self._hard_cameras):
            if hard is not None:
                hard.record(batch, difference.detach().abs().sum(dim=1))
        return root_mean_square(difference) + loss

    def _compared_samples(self, cached: CachedStep, learned: Tensor) -> Tensor:
        """Mask `[S]` of the samples that are compared: all, or those of most weight in teacher or student."""
        samples, wanted = cached.samples, cached.teacher_features
        if self.stages.sample_fraction == 1:
            return torch.ones(len(samples), dtype=torch.bool, device=wanted.device)
        weights = (compositing_weights(density_of_features(x.detach()), samples) for x in (wanted, learned))
        masks = [heaviest_samples(weight, samples, self.stages.sample_fraction) for weight in weights]
        return torch.stack(masks).any(0)

    def _feature_loss(self, learned: Tensor, wanted: Tensor) -> Tensor:
        """Difference of features `[S, F]`, in units of the spread of the teacher's."""
        spread = wanted.std(dim=0, correction=0).clamp(min=MIN_SPREAD)
        mapped = learned if self.map is None else self.map(learned)
        return root_mean_square((mapped - wanted) / spread)

    def _teacher_colors(self, cached: CachedStep, rows: Tensor | None, directions: Tensor) -> Tensor:
        """The teacher's colors at all samples, or at the given rows of them, seen along `directions`."""
        if cached.teacher_colors is not None:
            return cached.teacher_colors if rows is None else cached.teacher_colors[rows]
        features = cached.teacher_features if rows is None else cached.teacher_features[rows]
        return self.teacher.color_of_volume_features(features, directions)


def _feature_map(wide: int | None, narrow: int | None, device: torch.device) -> nn.Linear:
    """Linear map from the student's features to the teacher's; the identity as far as both have channels."""
    wide, narrow = cast(int, wide), cast(int, narrow)
    linear = nn.Linear(narrow, wide).to(device)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(wide, narrow))
        cast(Tensor, linear.bias).zero_()
    return linear


def samples_per_step(method: Method) -> int:
    """Largest default batch of a student of the method."""
    return TABLE_SAMPLES if method.has_tables else NETWORK_SAMPLES
