"""How long each level is matched, and what it weighs: the options of a distillation besides those of the student's method."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Option

FEATURES, VALUES, RENDERED = "features", "values", "rendered"


class Stages(BaseModel):
    """Shallow to deep: first what the networks' last layers see, then values, then what is rendered from them.

    What the first two leave of the steps is the last stage. The authors' shares are 1/15 and 1/10, of 30,000 steps; a minute has some hundreds, of which more
    are wanted where samples are compared one by one. Their weights of 0.002 in the last stage are of norms that are not averaged: for about 12,000
    numbers of pixels and 100,000 samples that is 0.006 of root mean squares.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    feature_share: float = Option(
        0.1, ge=0, le=1, description="share of the steps that match features only; 0: none (the authors': 1/15)"
    )
    value_share: float = Option(
        0.3,
        ge=0,
        le=1,
        description="share of the steps that then match values, where a rendered stage follows (the authors': 1/10)",
    )
    density_weight: float = Option(
        6e-3,
        ge=0,
        le=1e4,
        description="radiance: weight of the densities' difference in the last stage, where pixels have 1",
    )
    color_weight: float = Option(6e-3, ge=0, le=1e4, description="radiance: weight of the samples' colours there")
    hard_share: float = Option(
        0.0,
        ge=0,
        le=0.5,
        description="radiance: share of a step's rays that go again where pixels differed most (PVD-AL's rays)",
    )
    hard_cameras: float = Option(
        0.0,
        ge=0,
        le=0.5,
        description="radiance: share of a step's cameras that stand again, turned a little, where pictures differed "
        "most (PVD-AL's cameras)",
    )
    sample_share: float = Option(
        1.0,
        gt=0,
        le=1,
        description="radiance: features, densities and colours are compared at this share of a ray's samples, those of "
        "most weight in teacher or student (PVD-AL's points: 0.3)",
    )
    cache: int = Option(
        0,
        ge=0,
        le=1 << 20,
        description="radiance: megabytes of the teacher's answers that are kept; when they are full, the rays of the first "
        "steps come around again; 0: new rays in every step",
    )
    normal_weight: float = Option(
        0.0,
        ge=0,
        le=1e4,
        description="shapes: weight of 1 - cos between the normals, in the last stage; 0: there is none",
    )

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.feature_share + self.value_share > 1:
            raise ValueError("feature_share and value_share are shares of the steps: together at most 1")
        if self.cache and (self.hard_share or self.hard_cameras):
            raise ValueError(
                "cache has rays come around as they were, hard_share and hard_cameras change them: give one of the two"
            )
        return self

    def of(self, step: int, total: int | None, available: tuple[str, ...]) -> str:
        """The stage of a step; `available` are those that this pair of fields has, shallow first. What is not there is left out, and
        its steps go to the stage after it."""
        if total is None:
            return available[0]
        ends = {FEATURES: self.feature_share, VALUES: self.feature_share + self.value_share}
        for stage in available[:-1]:
            if step < ends[stage] * total:
                return stage
        return available[-1]
