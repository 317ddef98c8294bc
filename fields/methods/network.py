"""Base class of methods whose size is the width and depth of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field as Option

from fields.methods.base import crossing
from fields.methods.pace import MUON_PACE, RELU_PACE, Pace
from fields.methods.points import PointMethod
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.networks.native import LinearNetwork
    from scenes.signal import Signal

# Widest and deepest network that the native training step takes (`fields.ops.mlp`), and its bytes per point, and per
# parameter for the sums of gradients of parts of a batch.
NATIVE_WIDTH = 512
NATIVE_LAYERS = 8
STEP_BYTES_PER_POINT = 64
STEP_BYTES_PER_PARAMETER = 64
# Learning rate of matrices that Muon updates, in units of Adam's.
MUON_RATE = 2.0
# Samples along an axis of which an image's spectrum is computed; a quarter of them are bins. Of textures, whose mean
# frequency is above half of the bins, fast waves would leave noise between the pixels.
SPECTRUM_SIDE = 256
MAX_MEAN = SPECTRUM_SIDE / 8
# Bounds of the sizes that are tried for a wanted number of parameters.
MAX_WIDTH = 8192
MAX_HIDDEN_LAYERS = 8


class NetworkMethod(PointMethod):
    """A network of `hidden_layers` layers of `width` units on coordinates or on fixed features of them.

    native_step: whether its field trains in one native pass (`fields.networks.native`), which stores no activations.
    native_width: units of a hidden layer there, for each unit of `width`.
    """

    native_step: ClassVar[bool] = False
    native_width: ClassVar[int] = 1
    pace = RELU_PACE

    size_options = ("width", "hidden_layers")

    batch: int = Option(16384, ge=1, le=1 << 24, description="Batch size: points per training step.")
    width: int = Option(
        256, ge=1, le=8192, description="Units per hidden layer. More give more detail and slower steps."
    )
    hidden_layers: int = Option(4, ge=1, le=32, description="Number of hidden layers.")
    matmul_dtype: Literal["auto", "float32", "bfloat16"] = Option(
        "auto",
        description="Type of the factors of matrix products in training steps, but for the first layer and the last "
        "tenth of the steps, which are float32. auto: bfloat16, twice as fast, on processors with AVX512-BF16.",
    )

    def build_field(self, domain: Domain, channels: Channels, seed: int) -> Field:
        from fields.models.field import CoordinateField

        field = super().build_field(domain, channels, seed)
        if isinstance(field.point_field, CoordinateField) and self.native_step and not self.gradient_terms:
            field.point_field.matmul_dtype = self.matmul_dtype
        return field

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    def step_bytes(self, signal: Signal) -> int:
        native = self.native_step and not signal.channels.is_radiance and not self.gradient_terms
        if not native or self.width * self.native_width > NATIVE_WIDTH or self.hidden_layers > NATIVE_LAYERS:
            return super().step_bytes(signal)
        parameters = self.parameters(self.axes_of(signal), len(signal.channels))
        return STEP_BYTES_PER_POINT + STEP_BYTES_PER_PARAMETER * parameters // self.batch

    def with_width(self, width: int) -> Self:
        """A copy with another width, and with what should grow together with it."""
        return self.model_copy(update={"width": width})

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Copies of all depths, the nearest to this one's first; for each depth the two widths of about that size."""
        for hidden_layers in sorted(range(1, MAX_HIDDEN_LAYERS + 1), key=lambda n: abs(n - self.hidden_layers)):
            method = self.model_copy(update={"hidden_layers": hidden_layers})

            def count(width: int, method: Self = method) -> int:
                return method.with_width(width).parameters(dimensions, channels)

            for width in crossing(count, 1, MAX_WIDTH, parameters):
                yield method.with_width(width)


class ReluMethod(NetworkMethod):
    """A network of ReLU units, whose matrices Muon updates where that pays.

    muon_pace: how batch and rates follow from the time of a fit then.
    """

    muon_pace: ClassVar[Pace] = MUON_PACE

    optimizer: Literal["auto", "adam", "muon"] = Option(
        "auto",
        description="What updates the matrices of hidden layers. muon: all directions of a matrix alike, which finds "
        "detail sooner; a step takes longer. auto: muon for images, else adam.",
    )

    @property
    def present_pace(self) -> Pace | None:
        return self.muon_pace if self.optimizer == "muon" else self.pace

    def decide(self, signal: Signal) -> dict[str, Any]:
        chosen = {"optimizer": "muon" if signal.kind == "image" else "adam"} if self.optimizer == "auto" else {}
        return super().decide(signal) | chosen

    def parameter_groups(self, field: Any) -> list[dict[str, Any]]:
        return self.network_groups(field.network)

    def network_groups(self, network: LinearNetwork) -> list[dict[str, Any]]:
        """Groups of a network's parameters; see `parameter_groups`."""
        if self.optimizer != "muon":
            return [{"params": list(network.parameters()), "lr": self.learning_rate, "sparse": False}]
        matrices = network.hidden.weights
        known = {id(matrix) for matrix in matrices}
        others = [parameter for parameter in network.parameters() if id(parameter) not in known]
        rate = MUON_RATE * self.learning_rate
        return [
            {"params": others, "lr": self.learning_rate, "sparse": False},
            {"params": matrices, "lr": rate, "sparse": False, "orthogonal": True},
        ]


def detail(signal: Signal) -> float:
    """Mean frequency of an image's spectrum in cycles across it, at most 32; 0 where it is not known."""
    from fields.init.spectrum import mean_frequency

    return min(mean_frequency(signal, SPECTRUM_SIDE) or 0.0, MAX_MEAN)
