"""Options of a distillation besides those of the student's method: how long each stage lasts, and what it weighs.

The stages go from deep to shallow: first the features that the networks' last layers see are matched, then values, then
what is rendered from them. The steps that the first two stages leave are the last one's. The authors (Fang et al. 2023)
give them 1/15 and 1/10 of 30,000 steps. A minute has some hundreds of steps, of which more are needed for the stages
that compare samples one by one. The authors' weights of 0.002 in the last stage are for norms that are not averaged:
with about 12,000 values of pixels and 100,000 samples they correspond to 0.006 for root mean squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import model_validator

from fields.options import Request, option

# The stages, in order.
FEATURES, VALUES, RENDERED = "features", "values", "rendered"


class Stages(Request):
    """How long each stage of a distillation lasts, and what it weighs."""

    sections: ClassVar[Mapping[str, str]] = {"stages": "stages"}

    feature_fraction: float = option(
        0.1,
        ge=0,
        le=1,
        section="stages",
        help="Fraction of the steps that match features only; 0: none. The authors' is 1/15.",
    )
    value_fraction: float = option(
        0.3,
        ge=0,
        le=1,
        section="stages",
        help="Fraction of the steps that then match values, where a rendered stage follows. The authors' is 1/10.",
    )
    density_weight: float = option(
        6e-3,
        ge=0,
        le=1e4,
        section="stages",
        kinds=("radiance",),
        help="Weight of the difference of densities in the last stage, where that of pixels is 1.",
    )
    color_weight: float = option(
        6e-3,
        ge=0,
        le=1e4,
        section="stages",
        kinds=("radiance",),
        help="Weight of the difference of the samples' colors in the last stage.",
    )
    hard_ray_fraction: float = option(
        0.0,
        ge=0,
        le=0.5,
        section="stages",
        kinds=("radiance",),
        help="Fraction of a step's rays that are repeated where pixels differed most (the rays of PVD-AL).",
    )
    hard_camera_fraction: float = option(
        0.0,
        ge=0,
        le=0.5,
        section="stages",
        kinds=("radiance",),
        help="Fraction of a step's cameras that are repeated, turned a little, where images differed most (the cameras "
        "of PVD-AL).",
    )
    sample_fraction: float = option(
        1.0,
        gt=0,
        le=1,
        section="stages",
        kinds=("radiance",),
        help="Fraction of a ray's samples at which features, densities and colors are compared: those of largest "
        "weight in teacher or student (the points of PVD-AL: 0.3).",
    )
    cache: int = option(
        0,
        ge=0,
        le=1 << 20,
        section="stages",
        kinds=("radiance",),
        help="Megabytes in which the teacher's outputs are kept. When they are full, the rays of the first steps are "
        "used again. 0: new rays in every step.",
    )
    normal_weight: float = option(
        0.0,
        ge=0,
        le=1e4,
        section="stages",
        kinds=("shape",),
        help="Weight of 1 - cos of the angle between the normals in the last stage; 0: there is no such stage.",
    )

    @model_validator(mode="after")
    def _fractions(self) -> Self:
        if self.feature_fraction + self.value_fraction > 1:
            raise ValueError("`feature_fraction` and `value_fraction` are fractions of the steps: together at most 1")
        if self.cache and (self.hard_ray_fraction or self.hard_camera_fraction):
            raise ValueError(
                "`cache` repeats rays unchanged, `hard_ray_fraction` and `hard_camera_fraction` change them: give one "
                "of the two"
            )
        return self

    def stage_of(self, step: int, total: int | None, available: tuple[str, ...]) -> str:
        """The stage of a step of `total`; the first one while `total` is not known.

        `available`: the stages that this pair of fields has, in order. The steps of an absent stage go to the next one.
        """
        if total is None:
            return available[0]
        ends = {FEATURES: self.feature_fraction, VALUES: self.feature_fraction + self.value_fraction}
        for stage in available[:-1]:
            if step < ends[stage] * total:
                return stage
        return available[-1]
