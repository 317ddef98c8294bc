"""Settings by which rays are marched through a radiance field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from fields.ops.packed import Samples
from fields.sampling.occupancy import Box

Contraction = Callable[[Tensor], Tensor]
# A sample that less than this fraction of the light reaches is skipped: a quarter of a level of an 8-bit image.
MIN_TRANSMITTANCE = 1e-3


class Sampler(Protocol):
    """Chooses samples of rays `[N, 3]`, for example by proposals; `seed` and `first_ray` are those of `render_rays`."""

    def __call__(self, origins: Tensor, directions: Tensor, seed: int | None, first_ray: int) -> Samples: ...


@dataclass(frozen=True)
class MarchSettings:
    """How `fields.render.volume` samples the rays of a radiance field. Lengths are in sides of the scene's cube.

    step               distance between samples
    cone               a step is at least this fraction of the distance from the ray's origin; 0: all steps are equal
    contract           maps points `[M, 3]` in units of the cube to the field's coordinates in [0, 1]^3; None: the box
    of
                       the occupancy grid's first cascade becomes the unit cube
    min_weight         samples of at most this compositing weight get no gradient in training and no color in images;
    with
                       0, the result is exact
    min_transmittance  samples that less than this fraction of the light reaches are skipped
    max_samples        samples per ray
    box                lower and upper corner; samples outside are dropped. None: no limit
    sampler            chooses the samples; None: the occupied cells of the grid do
    accelerator        who finds and composites the samples of occupied cells; None: `fields.ops`
    """

    step: float = 3**0.5 / 1024
    cone: float = 0.0
    contract: Contraction | None = None
    min_weight: float = 0.0
    min_transmittance: float = MIN_TRANSMITTANCE
    max_samples: int = 1024
    box: Box | None = None
    sampler: Sampler | None = None
    accelerator: Literal["nerfacc"] | None = None
