"""A case of the kernel benchmark: its contenders, and how each one is prepared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Name of the contender with this project's own kernels.
NATIVE = "native"


@dataclass(frozen=True)
class Case:
    """One group of rows of the report.

    contenders: names. `native` is this project; `torch` and `torch-compiled` become one peer, the faster of both.
    prepare: `prepare(contender, id)` runs in the contender's own process and returns the function to time. It raises
        where the contender is absent, and the message becomes the row's note.
    quick: whether `--quick` measures it too.
    memory: whether to compare the peak resident memory of native and torch above the memory resident before the call.
    """

    id: str
    contenders: tuple[str, ...]
    prepare: Callable[[str, str], Callable[[], object]]
    quick: bool = False
    memory: bool = False
