"""Base class of methods whose size is the width and depth of a network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pydantic import Field as Option

from fields.methods.base import crossing
from fields.methods.points import PointMethod

# Bounds of the sizes that are tried for a wanted number of parameters.
MAX_WIDTH = 8192
MAX_HIDDEN_LAYERS = 8


class NetworkMethod(PointMethod):
    """A network of `hidden_layers` layers of `width` units on coordinates or on fixed features of them."""

    size_options = ("width", "hidden_layers")

    batch: int = Option(16384, ge=1, le=1 << 24, description="Batch size: points per training step.")
    width: int = Option(
        256, ge=1, le=8192, description="Units per hidden layer. More give more detail and slower steps."
    )
    hidden_layers: int = Option(4, ge=1, le=32, description="Number of hidden layers.")

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

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
