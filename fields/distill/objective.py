"""The staged objective of fields of points: features, then values, then what is rendered from them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields.distill.features import FeatureMatch, last_features, output_layer
from fields.distill.stages import FEATURES, RENDERED, VALUES, Stages
from fields.fit.objectives.base import Objective
from fields.methods.base import Method
from fields.models.field import Field


class StagedObjective(Objective):
    """Fit a student to a teacher, in stages. `stage` is the one of the coming step.

    `inner`: the objective of the kind, on the signal that the teacher gives. `shared`: whether the student begins with
    the teacher's whole network. `seed`: of the points at which the teacher's features are measured.
    """

    requires = Field

    def __init__(
        self, inner: Objective, teacher: Field, student: Field, *, stages: Stages, shared: bool, seed: int
    ) -> None:
        super().__init__(inner.signal, inner.loss_name, inner.gradient_terms)
        self.inner = inner
        self.teacher = teacher.requires_grad_(False)
        self.stages = stages
        self.shown = inner.shown.replace("target", "teacher").replace("source", "teacher").replace("fit", "student")
        comparable = (
            stages.feature_fraction > 0 and output_layer(teacher) is not None and output_layer(student) is not None
        )
        self.match = FeatureMatch(teacher, student, shared, seed) if comparable else None
        self.available = tuple(
            stage
            for stage, exists in ((FEATURES, comparable), (VALUES, True), (RENDERED, stages.normal_weight > 0))
            if exists
        )
        self.stage = self.available[0]

    @property
    def plain(self) -> bool:
        return self.stage == VALUES and self.inner.plain

    def parameter_groups(self, method: Method) -> list[dict]:
        parameters = [] if self.match is None else list(self.match.parameters())
        return [{"params": parameters, "lr": method.learning_rate, "sparse": False}] if parameters else []

    def before_step(self, field: Field, step: int, total: int | None) -> None:
        self.inner.before_step(field, step, total)

    def enter(self, stage: str) -> None:
        """Begin a stage."""
        self.stage = stage
        self.inner.gradient_terms = {"normals": self.stages.normal_weight} if stage == RENDERED else self.gradient_terms
        if stage != FEATURES and self.match is not None:
            for parameter in self.match.parameters():
                # The map is not trained after its stage.
                parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        return {} if self.match is None else self.match.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        if self.match is not None:
            self.match.load_state_dict(state)

    def save_sidecar(self, folder: Path) -> None:
        self.inner.save_sidecar(folder)

    def details(self) -> dict:
        return self.inner.details()

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> tuple[Tensor, ...]:
        return self.inner.batch(step, count, seed, device)

    def loss(self, field: Field, batch: tuple[Tensor, ...]) -> Tensor:
        if self.stage != FEATURES:
            return self.inner.loss(field, batch)
        assert self.match is not None
        with torch.no_grad():
            target = last_features(self.teacher, batch[0])
        return self.match(last_features(field, batch[0]), target)

    def running_quality(self, loss: float) -> tuple[str, float]:
        return ("features", loss) if self.stage == FEATURES else self.inner.running_quality(loss)

    def evaluate(self, field: Field, seconds: float = math.inf) -> dict[str, float]:
        """Metrics against the teacher."""
        metrics = self.inner.evaluate(field, seconds)
        self.scored = self.inner.scored
        return metrics

    def evaluation_seconds(self, field: Field) -> float:
        return self.inner.evaluation_seconds(field)

    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        return self.inner.preview(field, longest_side)

    def target(self, longest_side: int = 1024) -> np.ndarray:
        """The image that the teacher shows."""
        return self.inner.target(longest_side)

    def save_preview(self, field: Field, path: Path) -> None:
        self.inner.save_preview(field, path)
