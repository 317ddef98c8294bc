"""The staged objective of radiance fields (Fang et al. 2023): the volume feature, then density and colour at each sample, then pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fields.distill.hard_samples import HardCameras, HardRays, heaviest
from fields.distill.stages import FEATURES, RENDERED, VALUES, Stages
from fields.distill.teacher_cache import Answer, Answers
from fields.fit.objectives.radiance import MIN_RAYS, MAX_RAYS, PASSED_OVER, RadianceObjective, RayBatch
from fields.methods.base import Method
from fields.models.radiance import EncodedRadiance, density_of
from fields.ops.composite import composite, weights_of
from fields.ops.march import pack_cells
from fields.ops.packed import Samples
from fields.render.volume import THRESHOLD
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import envelope_loss
from scenes.posed.signal import Rays

# Logarithms of density are compared within these: all that is emptier is empty, all that is denser is solid. The authors' [-2, 7], whose
# cube has sides of 2 where ours has 1.
LEAST, MOST = -2.0 + 0.6931, 7.0 + 0.6931
# What stands for the logarithm of no density.
EMPTY = -20.0
# Samples a step, at most. A fit wants more, as its pixels are few and tell of no sample; here each sample is told what it should be, and more steps gain
# more than steps that are less noisy: tables less so, as an entry hears of the samples beside it only.
TABLES_SAMPLES, NETWORK_SAMPLES = 1 << 14, 1 << 12
# Under the root of a norm, whose slope is infinite at 0; and under the spread of a feature that hardly differs from place to place.
TINY, MIN_SPREAD = 1e-12, 1e-2


class TaughtRadiance(RadianceObjective):
    """Teacher and student are asked at the same samples: those in the teacher's cells and beside them that its light reaches; once pixels are
    compared, only where the teacher has weight or the student's cells are occupied.

    Every distance is a root mean square: the authors' norm, without its dependence on how many rays a step has. The student never has
    density where the teacher's grid and its neighbours have none; within, its occupancy grid is its own, for pictures. Of a scene without bounds the
    samples are those that the teacher's proposals ask for.
    """

    def __init__(self, signal, teacher: EncodedRadiance, student: EncodedRadiance, loss: str, stages: Stages) -> None:
        super().__init__(signal, loss)
        self.teacher = teacher.requires_grad_(False)
        self.stages = stages
        self.shown = "teacher, student, error"
        wide, narrow = (len(field.trunk.channels) - 1 for field in (teacher, student))
        # (coefficients of harmonics are colours already, no feature to match: the authors leave the stage out there)
        matched = stages.feature_share and None not in (teacher.head, student.head)
        self.map = None
        if matched and wide != narrow:
            self.map = nn.Linear(narrow, wide).to(teacher.occupied.device)
            with torch.no_grad():
                self.map.weight.copy_(torch.eye(wide, narrow))
                self.map.bias.zero_()
        self.available = tuple(stage for stage in (FEATURES, VALUES, RENDERED) if stage != FEATURES or matched)
        self.stage = self.available[0]
        self._hard_rays = HardRays(stages.hard_share, teacher.occupied.device) if stages.hard_share else None
        self._hard_cameras = HardCameras(stages.hard_cameras, signal.cameras) if stages.hard_cameras else None
        self._answers = Answers(stages.cache << 20) if stages.cache else None
        self._asked: tuple[int, int] = 0, 0  # the step whose rays are looked at, and how many were wanted

    @property
    def plain(self) -> bool:
        return False

    def parameter_groups(self, method: Method) -> list[dict]:
        mapped = (
            []
            if self.map is None
            else [{"params": list(self.map.parameters()), "lr": method.learning_rate, "sparse": False}]
        )
        return super().parameter_groups(method) + mapped

    def enter(self, stage: str) -> None:
        self.stage = stage

    def _begin(self, field: EncodedRadiance) -> None:
        super()._begin(field)
        near = self.signal.near(field.cells)
        self._near = OccupancyGrid(field.cells, field.levels).to(near.device)
        self._near.words = pack_cells(near)
        self.grid.leave_out(~near)
        if not int(self.grid.updates):
            self.grid.words = self._near.words
        field.occupied = self.grid.words

    def state(self) -> dict[str, Tensor]:
        mapped = {f"map.{name}": tensor for name, tensor in (self.map.state_dict().items() if self.map else ())}
        return (
            super().state()
            | mapped
            | ({"hard.rays": self._hard_rays.pool} if self._hard_rays else {})
            | ({"hard.cameras": self._hard_cameras.pool} if self._hard_cameras else {})
            | ({"answers": self._answers.state()} if self._answers else {})
        )

    def restore(self, state: dict[str, Tensor]) -> None:
        if self.map is not None:
            self.map.load_state_dict(
                {name.removeprefix("map."): tensor for name, tensor in state.items() if name.startswith("map.")}
            )
        for name, hard in (("hard.rays", self._hard_rays), ("hard.cameras", self._hard_cameras)):
            if hard and name in state:
                hard.pool = state[name]
        if self._answers and "answers" in state:
            self._answers.restore(state["answers"])
        super().restore(
            {
                name: tensor
                for name, tensor in state.items()
                if name != "answers" and not name.startswith(("map.", "hard."))
            }
        )

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> RayBatch:
        """Some of the rays are hard ones of earlier steps, or all are those of an earlier step, where that is wanted."""
        if self._answers:
            self._asked = step, self._rays = self._answers.turn(step, self._rays)
            if answer := self._answers.get(step):
                return answer.batch
        batch = super().batch(step, count, seed, device)
        if self._hard_rays:
            self._hard_rays.mix_in(batch, step)
        return batch

    def _drawn(self, step: int, seed: int) -> Rays:
        cameras = self.signal.drawn(step, seed)
        if self._hard_cameras:
            cameras = self._hard_cameras.mix_in(cameras, step)
        return self.signal.rays_through(cameras, step, self._rays, seed)

    def evaluation_seconds(self, field: EncodedRadiance) -> float:
        for view in self.signal.test:
            self.signal.picture(view)  # (kept: of the teacher's pictures nothing is left to wait for)
        return super().evaluation_seconds(field)

    def loss(self, field: EncodedRadiance, batch: RayBatch) -> Tensor:
        """Stages 1 to 3 of the specification."""
        answer, looked = self._answers.get(self._asked[0]) if self._answers else None, 0
        if answer is None:
            answer, looked = self._answer(field, batch)
        if self.stage == RENDERED and self.teacher.guide is None:
            answer = self._weighty(field, answer)
        self._adapt(len(answer.samples), looked)
        loss = self._compared(field, answer)
        if answer.edges is None:
            return loss
        # The student's proposals learn where the teacher's light ends.
        own = field.propose(batch.origins, batch.directions, batch.jitter, 0).rounds[0]
        return loss + envelope_loss(answer.edges, answer.weights, *own).mean()

    @torch.no_grad()
    def _answer(self, field: EncodedRadiance, batch: RayBatch) -> tuple[Answer, int]:
        """The teacher's, at samples that light reaches in it, and how many it was asked at. The student has no say: what it lets through behind a surface
        of the teacher's falls on the background, and shows as an error."""
        edges = weights = None
        if self.teacher.guide is None:
            samples = self._near.sample(batch.origins, batch.directions, field.step, field.how["cone"], batch.jitter)
            # In the cells beside its own the teacher is empty, as its pictures show it.
            own = self.teacher.grid.holds(samples.positions(batch.origins, batch.directions))
            taught = self._ask(self.teacher, batch, samples.keep(own))
            taught = taught.new_full((len(samples), taught.shape[1]), EMPTY).index_copy(
                0, own.nonzero().flatten(), taught
            )
        else:
            proposed = self.teacher.propose(batch.origins, batch.directions, batch.jitter, 0)
            samples, edges = proposed.samples, proposed.edges
            taught = self._ask(self.teacher, batch, samples)
            weights = weights_of(_density(taught), samples).reshape(len(batch.origins), -1)
        # (be there density or not)
        light = weights_of(_density(taught).clamp(min=1e-30), samples, THRESHOLD) > 0
        looked, samples, taught = len(samples), samples.keep(light), taught[light]
        colors = self.teacher.color(taught, batch.directions[samples.ray_indices]) if self._answers else None
        answer = Answer(batch, samples, taught, colors, edges, weights)
        if self._answers:
            self._answers.keep(*self._asked, answer)
        return answer, looked

    @torch.no_grad()
    def _weighty(self, field: EncodedRadiance, answer: Answer) -> Answer:
        """Where the teacher has weight or the student may have, be it as fog: in its own cells, whose others its pictures pass over. (To ask the student
        instead costs a third of what the samples cost that stay, and as many stay.)"""
        batch, samples, taught = answer[:3]
        seen = self._weighs(field, taught, samples) | self.grid.holds(
            samples.positions(batch.origins, batch.directions)
        )
        return answer._replace(
            samples=samples.keep(seen),
            taught=taught[seen],
            colors=None if answer.colors is None else answer.colors[seen],
        )

    def _compared(self, field: EncodedRadiance, answer: Answer) -> Tensor:
        batch, samples, taught = answer[:3]
        learned = self._ask(field, batch, samples)
        # Densities are compared everywhere, or where one of the two shows most; features and colours where the teacher shows something.
        compared = torch.ones(len(samples), dtype=torch.bool, device=taught.device)
        if self.stages.sample_share < 1:
            compared = torch.stack(
                [
                    heaviest(weights_of(_density(raw.detach()), samples), samples, self.stages.sample_share)
                    for raw in (taught, learned)
                ]
            ).any(0)
        apart = _rms(density_difference(learned[compared], taught[compared]))
        seen = (compared & self._weighs(field, taught, samples)).nonzero().flatten()
        if self.stage == FEATURES:
            mine, wanted = learned[seen, 1:], taught[seen, 1:]
            spread = wanted.std(dim=0, correction=0)
            return apart + _rms(
                ((mine if self.map is None else self.map(mine)) - wanted) / spread.clamp(min=MIN_SPREAD)
            )
        if self.stage == VALUES:
            towards = batch.directions[samples.ray_indices[seen]]
            wanted = self.teacher.color(taught[seen], towards) if answer.colors is None else answer.colors[seen]
            return apart + _rms(field.color(learned[seen], towards) - wanted)
        towards = batch.directions[samples.ray_indices]
        wanted = self.teacher.color(taught, towards) if answer.colors is None else answer.colors
        shown = field.color(learned, towards)
        loss = self.stages.density_weight * apart + self.stages.color_weight * _rms(shown[seen] - wanted[seen])
        pixels = [
            self._pixels(who, batch, samples, raw, colors)
            for who, raw, colors in ((field, learned, shown), (self.teacher, taught, wanted))
        ]
        difference = pixels[0] - pixels[1].detach()
        for hard in (self._hard_rays, self._hard_cameras):
            if hard:
                hard.note(batch, difference.detach().abs().sum(dim=1))
        return _rms(difference) + loss

    def _ask(self, field: EncodedRadiance, batch: RayBatch, samples: Samples) -> Tensor:
        """The volume feature `[S, F]`, its first channel the logarithm of density."""
        rays = samples.ray_indices
        time = None if batch.times is None else batch.times[rays]
        towards = batch.directions[rays] if field.sees_directions else None
        feature = field.feature(field.coords(samples.positions(batch.origins, batch.directions)), time, towards)
        return torch.cat([feature[:, :1] + field.fresh, feature[:, 1:]], dim=1)

    @staticmethod
    def _weighs(field: EncodedRadiance, feature: Tensor, samples: Samples) -> Tensor:
        """Where there is more weight than `field`'s pictures pass over, `[S]` bool."""
        return weights_of(_density(feature), samples, THRESHOLD) > field.how.get("least", 0.0)

    def _pixels(
        self, field: EncodedRadiance, batch: RayBatch, samples: Samples, feature: Tensor, colors: Tensor
    ) -> Tensor:
        found = composite(_density(feature), colors, samples, THRESHOLD)
        behind = field.backdrop() if batch.background is None else batch.background
        return found.color + (1.0 - found.opacity)[:, None] * behind

    def _adapt(self, reached: int, looked: int) -> None:
        """A fit finds its way to the number of rays; here the first step knows how many samples a ray has."""
        self._rays = max(
            MIN_RAYS, min(MAX_RAYS, int(self.method.batch * self._rays / max(reached, looked / PASSED_OVER, 1)))
        )


def samples_a_step(method: Method) -> int:
    """The most that a student of the method is asked at in a step, unless its options say."""
    return TABLES_SAMPLES if hasattr(method, "table_rate") else NETWORK_SAMPLES


def density_difference(student: Tensor, teacher: Tensor) -> Tensor:
    """Between the logarithms of density of features `[S, F]`, `[S]`: the teacher's within `LEAST` and `MOST`; where it is at such an end,
    a student beyond the end is right too. (The authors clip both, and what strayed beyond the wrong end never comes back.)"""
    mine, wanted = student[:, 0], teacher[:, 0]
    mine = torch.where(wanted <= LEAST, mine.clamp(min=LEAST), mine)
    mine = torch.where(wanted >= MOST, mine.clamp(max=MOST), mine)
    return mine - wanted.clamp(LEAST, MOST)


def _density(feature: Tensor) -> Tensor:
    return density_of(feature[:, 0])


def _rms(difference: Tensor) -> Tensor:
    return torch.sqrt((difference**2).sum() / max(1, difference.numel()) + TINY)
