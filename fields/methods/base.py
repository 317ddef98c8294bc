"""The base class of methods: named, typed recipes that build a field for a signal.

The same object gives the command line's `--set` options, the studio's controls and the header of a run. Methods import
no torch, so that `--help` is quick; `build` does.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Option

from fields.methods.pace import Pace
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Bytes of a float32.
VALUE_BYTES = 4
# Values per sample of a network that is not known: four layers of 64.
ACTIVATIONS = 4 * 64
# Relative error that a solved size may have.
SIZE_TOLERANCE = 0.03


class OptionGroup(BaseModel):
    """Options that apply to some kinds of signals only. A method that takes such signals inherits from the group.

    section: heading under which listings show the options that the group defines.
    signal_kinds: the kinds of signals that the options apply to.
    """

    section: ClassVar[str]
    signal_kinds: ClassVar[tuple[str, ...]]


@dataclass(frozen=True)
class OptionSection:
    """Options that listings show together: names under a title, and the kinds of signals they apply to (None: all)."""

    title: str
    names: tuple[str, ...]
    signal_kinds: tuple[str, ...] | None


class Method(BaseModel):
    """Options that every method has. A concrete method adds its own and sets the class variables.

    A method that fits scenes derives from `fields.methods.points.PointMethod` if it builds a map from points to values,
    which then fits shapes too, or from `fields.methods.radiance.RadianceMethod` if it builds a radiance field itself.

    An option that is None is decided from the signal: `prepare` returns a copy in which nothing is None, and only
    such a copy is built, counted or stored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    # Numbers of axes that the method takes, and what a refusal of others adds.
    dimensions: ClassVar[tuple[int, ...]]
    why_dimensions: ClassVar[str] = ""
    # Kinds of signals that the method takes. None: all with such a number of axes.
    kinds: ClassVar[tuple[str, ...] | None] = None
    # Options that set the size of the field; listings begin with them.
    size_options: ClassVar[tuple[str, ...]] = ()
    # The option that sets which frequencies are learned early, for FreSh. None: there is none.
    frequency_option: ClassVar[str | None] = None
    # Whether `sizes` solves for that option, so that FreSh cannot choose it for a requested size.
    size_by_frequency: ClassVar[bool] = False
    # Whether the Trainer also begins again where a fit does not start to learn, and goes back at the first sign of
    # divergence (`fields.fit.guard.RestartingGuard`).
    guarded: ClassVar[bool] = False
    # Whether most parameters lie in tables, of which a sample trains a few entries only.
    has_tables: ClassVar[bool] = False
    # Options whose names end in "_rate" and that are multiples of another rate.
    relative_rates: ClassVar[tuple[str, ...]] = ()
    # How batch and rates follow from the time of a fit (`present_pace`). None: they are the same for all times.
    pace: ClassVar[Pace | None] = None
    # The same for scenes, of which a step takes about as many samples that light reaches.
    scene_pace: ClassVar[Pace | None] = None
    # Copies of each activation that autograd keeps alive in one step.
    activation_copies: ClassVar[int] = 4

    learning_rate: float = Option(
        1e-3, gt=0, le=1, description="Adam's learning rate. Lower it if the loss jumps, raise it for short fits."
    )
    final_rate: float = Option(
        0.0, ge=0, le=1, description="Fraction of the learning rates that is left at the last step (cosine schedule)."
    )
    batch: int = Option(65536, ge=1, le=1 << 24, description="Batch size: points per training step.")
    loss: Literal["auto", "l1", "l2", "relative_l2"] = Option(
        "auto", description="Loss of the values. auto: l1 for shapes, relative_l2 for linear (HDR) signals, else l2."
    )

    @classmethod
    def option_sections(cls) -> list[OptionSection]:
        """All options in the order of listings.

        The method's own come first, and of these the ones that people change most: size, learning rates, batch,
        frequency. The options of each `OptionGroup` follow in a section of their own; the class that defines an option
        decides where it belongs.
        """
        own: list[str] = []
        groups: dict[str, tuple[list[str], type[OptionGroup]]] = {}
        for name in cls.model_fields:
            bases = (
                base for base in reversed(cls.__mro__) if issubclass(base, BaseModel) and name in base.model_fields
            )
            defining = next(bases)
            if issubclass(defining, OptionGroup) and not issubclass(defining, Method):
                groups.setdefault(defining.section, ([], defining))[0].append(name)
            else:
                own.append(name)
        rates = sorted((name for name in own if name.endswith("_rate") and name != "final_rate"), key=_not_main_rate)
        first = [*cls.size_options, *rates, "batch", *filter(None, [cls.frequency_option])]
        ordered = dict.fromkeys([*(name for name in first if name in own), *own])
        return [
            OptionSection("options", tuple(ordered), None),
            *(OptionSection(title, tuple(names), group.signal_kinds) for title, (names, group) in groups.items()),
        ]

    @classmethod
    def learning_rates(cls) -> list[str]:
        """Names of the options that are learning rates, but for multiples of another one."""
        others = ("final_rate", *cls.relative_rates)
        return [name for name in cls.model_fields if name.endswith("_rate") and name not in others]

    @property
    def present_pace(self) -> Pace | None:
        """How batch and rates follow from the time of a fit with these options; see `pace`."""
        return self.pace

    # Deciding what is open

    def prepare(self, signal: Signal) -> Self:
        """A copy in which every open option is decided from the signal. BadInput if the method cannot fit it."""
        if self.kinds and signal.kind not in self.kinds:
            kinds = " or ".join(self.kinds)
            raise BadInput(f"method {self.name} takes signals of the kind {kinds}; this is of the kind {signal.kind}")
        update = self.decide(signal)
        dimensions = self.axes_of(signal)
        if dimensions not in self.dimensions:
            allowed = " or ".join(str(count) for count in self.dimensions)
            raise BadInput(
                f"method {self.name} takes signals of {allowed} dimensions; "
                f"this {signal.kind} has {dimensions}{self.why_dimensions and ': ' + self.why_dimensions}"
            )
        if self.gradient_terms and not signal.channels.is_distance:
            raise BadInput(
                f"{' and '.join(self.gradient_terms)}: is of the gradient of a distance, and this {signal.kind} is not "
                "fitted as one"
            )
        if self.loss == "auto":
            update["loss"] = signal.preferred_loss
        return self.model_copy(update=update) if update else self

    def decide(self, signal: Signal) -> dict[str, Any]:
        """Values of open options that depend on the kind of the signal. BadInput if the method takes no such kind."""
        if signal.channels.is_radiance:
            raise BadInput(
                f"method {self.name} does not take scenes: it builds neither a point field nor a radiance field"
            )
        return {}

    def axes_of(self, signal: Signal) -> int:
        """Number of coordinates that the built field takes for this signal."""
        return signal.domain.dimensions

    def frequency_candidates(self, stretch: float = 1.0) -> list[float]:
        """Values of `frequency_option` that FreSh chooses from, ascending.

        stretch: the candidates suit signals of up to `stretch` times 64 cycles along an axis.
        """
        raise NotImplementedError

    def half_frequency(self, value: float) -> float:
        """The value of `frequency_option` that makes the field half as fast as `value` does."""
        return value / 2

    def between_samples(self, signal: Signal) -> float:
        """Fraction of a batch between samples, where `FitRequest.between` is open and the signal has a lattice.

        Above 0 where the samples lose at most 0.5 dB by it in the same time.
        """
        return 0.0

    @property
    def gradient_terms(self) -> dict[str, float]:
        """Weights of the loss terms on the field's gradient, by name; only those above zero."""
        return {}

    # What a concrete method overrides: the field that it builds, and its size

    def parameters(self, dimensions: int, channels: int) -> int:
        """Number of parameters of the field that `build` makes. Of a prepared method."""
        raise NotImplementedError

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Prepared copies of about `parameters` parameters, those most like this method first."""
        return [self]

    def sized(self, dimensions: int, channels: int, parameters: int) -> Self:
        """A copy that has `parameters` parameters to within 3 %. BadInput if there is none."""

        def error(method: Self) -> float:
            return abs(method.parameters(dimensions, channels) - parameters) / parameters

        candidates = []
        for method in self.sizes(dimensions, channels, parameters):
            if error(method) <= SIZE_TOLERANCE:
                return method
            candidates.append(method)
        nearest = min(candidates, key=error).parameters(dimensions, channels) if candidates else None
        hint = f"; the nearest it can make is {nearest:,}" if nearest else ""
        raise BadInput(f"`params={parameters}`: {self.name} has no size within 3 % of that{hint}")

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        """The untrained field of a prepared method. The same seed gives the same weights."""
        raise NotImplementedError

    def parameter_groups(self, field: Any) -> list[dict]:
        """Groups for `fields.ops.adam.Adam` of a field from `build`: `params`, `lr`, and `sparse` for tables."""
        return [{"params": list(field.parameters()), "lr": self.learning_rate, "sparse": False}]

    # The whole field for a signal, which for scenes is more than what `build` makes

    def count_parameters(self, domain: Domain, channels: Channels) -> int:
        """Number of parameters of the field that `build_field` makes. Of a prepared method."""
        return self.parameters(domain.dimensions, len(channels))

    def sized_field(self, domain: Domain, channels: Channels, parameters: int) -> Self:
        """A copy whose field has `parameters` parameters to within 3 %. BadInput if there is none."""
        return self.sized(domain.dimensions, len(channels), parameters)

    def build_field(self, domain: Domain, channels: Channels, seed: int) -> Field:
        """The untrained field for a signal with this domain and these channels. Of a prepared method."""
        return self.build(domain, channels, seed)

    def field_groups(self, field: Any) -> list[dict]:
        """Groups for `fields.ops.adam.Adam` of a field from `build_field`."""
        return self.parameter_groups(field)

    # Training

    def activations(self) -> int:
        """Values per sample that a training step keeps for the backward pass; an upper estimate for small networks."""
        return ACTIVATIONS

    def step_bytes(self, signal: Signal) -> int:
        """Bytes that each sample of a training step takes, for `fields.fit.estimate`. Of a prepared method."""
        # Along rays, more samples are evaluated than contribute to the loss.
        samples = 2 if signal.channels.is_radiance else 1
        return samples * VALUE_BYTES * self.activation_copies * self.activations()

    def rate_factor(self, step: int, total: int | None) -> float:
        """Factor on the learning rates at `step` of `total`.

        Constant for the first tenth, so that it does not depend on `total` while the trainer still measures how many
        steps the time allows; then half a cosine down to `final_rate`.
        """
        if total is None or step < total / 10:
            return 1.0
        fraction = (step - total / 10) / (total - total / 10)
        return self.final_rate + (1.0 - self.final_rate) * 0.5 * (1.0 + math.cos(math.pi * fraction))


def _not_main_rate(name: str) -> bool:
    return name != "learning_rate"


def crossing(count: Callable[[int], int], low: int, high: int, target: int) -> list[int]:
    """The two neighbours in low..high between which the ascending `count` passes `target`; one if it never does."""
    upper = bisect.bisect_right(range(low, high + 1), target, key=count) + low
    return [n for n in (upper - 1, upper) if low <= n <= high]
