"""A method: a named, typed recipe that builds a field for a signal.

The same object is the command line's flags, the studio's controls and the checkpoint's header. Configs import no
torch (so `--help` is quick); `build` does.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import ConfigDict
from pydantic import Field as Option

from fields.kinds import KINDS
from fields.methods.radiance import SPACE, RadianceOptions, decided, trunk_domain
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Bytes of a float32.
VALUE_BYTES = 4
# Values per sample of a network that is not known: four layers of 64.
ACTIVATIONS = 4 * 64
# Share by which a solved size may miss the one asked for.
SIZE_TOLERANCE = 0.03


class Method(RadianceOptions):
    """Options that every method has; each concrete method adds its own and sets the class variables.

    An option that is None means "decided from the signal": `prepare` returns a copy in which nothing is None, and
    only such a copy is built, counted or stored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    dimensions: ClassVar[tuple[int, ...]]
    # The option that sets which frequencies are learned early, for `--init fresh`.
    frequency_option: ClassVar[str | None] = None
    # The kinds of signals that it takes; None: all that have such dimensions.
    kinds: ClassVar[tuple[str, ...] | None] = None
    guarded: ClassVar[bool] = False  # whether the Trainer goes back and halves the rates where the loss runs away
    moves: ClassVar[str] = "deform"  # what motion=auto stands for
    # Copies of each activation that autograd keeps alive in one step.
    activation_copies: ClassVar[int] = 4
    why_dimensions: ClassVar[str] = ""  # why no others: a refusal ends with it

    learning_rate: float = Option(1e-3, gt=0, le=1, description="Adam's step size for the networks")
    final_rate: float = Option(0.0, ge=0, le=1, description="share of the rates that is left at the last step (cosine)")
    batch: int = Option(65536, ge=1, le=1 << 24, description="points a training step")
    loss: Literal["auto", "l1", "l2", "relative_l2"] = Option(
        "auto", description="auto: l2; relative_l2 for linear (HDR) signals; l1 for shapes"
    )
    eikonal: float = Option(
        0.0, ge=0, le=1e4, description="shapes: weight of (|gradient| - 1)^2, what makes a distance one"
    )
    normals: float = Option(
        0.0, ge=0, le=1e4, description="shapes: weight of 1 - cos between gradient and normal, on the surface"
    )

    def prepare(self, signal: Signal) -> Self:
        """A copy in which everything that was left open is decided from the signal."""
        if self.kinds and signal.kind not in self.kinds:
            raise BadInput(
                f"method {self.name} takes signals of the kind {' or '.join(self.kinds)}; this is of the kind {signal.kind}"
            )
        update = decided(self, signal)
        dimensions = self.axes_of(signal)
        if dimensions not in self.dimensions:
            can = " or ".join(str(d) for d in self.dimensions)
            raise BadInput(
                f"method {self.name} takes signals of {can} dimensions; "
                f"this {signal.kind} has {dimensions}{self.why_dimensions and ': ' + self.why_dimensions}"
            )
        if self.gradient_terms and not signal.channels.space.endswith("_distance"):
            raise BadInput(
                f"{' and '.join(self.gradient_terms)}: is of the gradient of a distance, and this {signal.kind} is not fitted as one"
            )
        if self.loss == "auto":
            update["loss"] = signal.preferred_loss
        return self.model_copy(update=update) if update else self

    def axes_of(self, signal: Signal) -> int:
        """How many coordinates its field of points is given."""
        return (trunk_domain(self, signal.domain) if signal.kind == SPACE else signal.domain).dimensions

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        """The values of `frequency_option` that FreSh chooses among, rising, for signals of up to `stretch` * 64 cycles along an axis."""
        raise NotImplementedError

    def half_frequency(self, value: float) -> float:
        """The value of `frequency_option` at which a field is half as fast as at `value`."""
        return value / 2

    @property
    def gradient_terms(self) -> dict[str, float]:
        """Parts of the loss that look at the field's gradient, by their weights; those with a weight only."""
        return {name: weight for name, weight in (("eikonal", self.eikonal), ("normals", self.normals)) if weight}

    def parameters(self, dimensions: int, channels: int) -> int:
        """Stored numbers of the field that `build` would make (of a prepared config)."""
        raise NotImplementedError

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Prepared copies of about `parameters` numbers, the nearest to this recipe first."""
        raise NotImplementedError

    def sized(self, dimensions: int, channels: int, parameters: int) -> Self:
        """A copy that holds `parameters` numbers to within 3 %."""

        def miss(method: Self) -> float:
            return abs(method.parameters(dimensions, channels) - parameters) / parameters

        candidates = []
        for method in self.sizes(dimensions, channels, parameters):
            if miss(method) <= SIZE_TOLERANCE:
                return method
            candidates.append(method)
        nearest = min(candidates, key=miss).parameters(dimensions, channels) if candidates else None
        hint = f"; the nearest it can make is {nearest:,}" if nearest else ""
        raise BadInput(f"--params {parameters:,}: {self.name} has no size within 3 % of that{hint}")

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        """The untrained field of a prepared config; the same seed gives the same weights."""
        raise NotImplementedError

    def activations(self) -> int:
        """Values per sample that a training step keeps for the backward pass; an upper estimate for small networks."""
        return ACTIVATIONS

    def step_bytes(self, signal: Signal) -> int:
        """Memory that each sample of a training step takes, in bytes; for `fields.fit.estimate`. Of a prepared config."""
        # Along rays, more samples are evaluated than contribute to the loss.
        samples = 2 if KINDS[signal.kind].along_rays else 1
        return samples * VALUE_BYTES * self.activation_copies * self.activations()

    def parameter_groups(self, field: Field) -> list[dict]:
        """Groups for `fields.ops.adam.Adam`: `params`, `lr`, and `sparse` for tables."""
        return [{"params": list(field.parameters()), "lr": self.learning_rate, "sparse": False}]

    def rate_factor(self, step: int, total: int | None) -> float:
        """What the learning rates are multiplied with at `step` of `total`.

        Constant for the first tenth, so that it does not depend on `total` while the trainer still measures how many
        steps the time allows; then half a cosine down to `final_rate`.
        """
        if total is None or step < total / 10:
            return 1.0
        share = (step - total / 10) / (total - total / 10)
        return self.final_rate + (1.0 - self.final_rate) * 0.5 * (1.0 + math.cos(math.pi * share))


def crossing(count, low: int, high: int, target: int) -> list[int]:
    """The two neighbours in low..high between which the rising `count` passes `target`; one where it never does."""
    upper = bisect.bisect_right(range(low, high + 1), target, key=count) + low
    return [n for n in (upper - 1, upper) if low <= n <= high]
