"""What the methods share whose size is a network's width and depth."""

from __future__ import annotations

from typing import Self

from pydantic import Field as Option

from fields.methods.base import Method, crossing


class NetworkMethod(Method):
    """A network of `hidden_layers` layers of `width` units on coordinates or fixed features of them."""

    batch: int = Option(16384, ge=1, le=1 << 24, description="points a training step")
    width: int = Option(256, ge=1, le=8192, description="units a hidden layer")
    hidden_layers: int = Option(4, ge=1, le=32, description="hidden layers")

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    def with_width(self, width: int) -> Self:
        return self.model_copy(update={"width": width})

    def sizes(self, dimensions: int, channels: int, parameters: int) -> list[Self]:
        found = []
        for hidden in sorted(range(1, 9), key=lambda n: abs(n - self.hidden_layers)):
            method = self.model_copy(update={"hidden_layers": hidden})
            widths = crossing(lambda w: method.with_width(w).parameters(dimensions, channels), 1, 8192, parameters)  # noqa: B023
            found += [method.with_width(w) for w in widths]
        return found
