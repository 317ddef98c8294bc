"""Base class of methods whose size is the width and depth of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field as Option

from fields.methods.base import crossing
from fields.methods.pace import RELU_PACE
from fields.methods.points import PointMethod
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import Field
    from scenes.signal import Signal

# Widest and deepest network that the native training step takes (`fields.ops.mlp`), and its bytes per point, and per
# parameter for the sums of gradients of parts of a batch.
NATIVE_WIDTH = 512
NATIVE_LAYERS = 8
STEP_BYTES_PER_POINT = 64
STEP_BYTES_PER_PARAMETER = 64
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
