"""What is measured: a case, its contenders, and how each one is made ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NATIVE = "native"


@dataclass(frozen=True)
class Case:
    """One row group of the report.

    `prepare(contender, id)` runs in the contender's own process and returns the function to be timed; it raises where the contender is
    absent, and its message is the row's note. `native` is ours; `torch` and `torch-compiled` become one peer, the faster of both.
    `memory` also compares the peak resident memory of native and torch above what was resident before the call.
    """

    id: str
    contenders: tuple[str, ...]
    prepare: Callable[[str, str], Callable[[], object]]
    quick: bool = False
    memory: bool = False
