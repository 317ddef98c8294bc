"""A case of the kernel benchmark: its contenders, and how each one is prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Name of the contender with this project's own kernels.
NATIVE = "native"
# Contenders that compute wherever torch does.
ON_EVERY_DEVICE = (NATIVE, "native+torch-mlp", "torch", "torch-compiled")


@dataclass(frozen=True)
class Case:
    """One group of rows of the report.

    contenders: names. `native` is this project; `torch` and `torch-compiled` become one peer, the faster of both.
    prepare: `prepare(contender, id, device)` runs in the contender's own process and returns the function to time,
        whose tensors are on "cpu" or "cuda". It raises where the contender is absent, and the message becomes the
        row's note.
    quick: whether `--quick` measures it too.
    memory: whether to compare the peak resident memory of native and torch above the memory resident before the call,
        on the CPU.
    gpu: names of contenders that there are on a GPU beside native and torch's; None where the case is the CPU's alone.
    """

    id: str
    contenders: tuple[str, ...]
    prepare: Callable[[str, str, str], Callable[[], object]]
    quick: bool = False
    memory: bool = False
    gpu: tuple[str, ...] | None = ()

    def contenders_on(self, device: str) -> tuple[str, ...]:
        """Names of the contenders on a device; none where the case is not for it."""
        if device == "cpu":
            return self.contenders
        if self.gpu is None:
            return ()
        return *(name for name in self.contenders if name in ON_EVERY_DEVICE), *self.gpu
