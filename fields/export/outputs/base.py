"""How a fitted field becomes a file that other programs open: one Output a kind of signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from fields.export.request import RenderRequest
from fields.models.field import Field
from scenes.errors import BadInput


class Output(ABC):
    """Writes what a field holds as a file. Knows the domain and channels from the field, and needs no signal.

    `takes` names the options of `RenderRequest` that mean something for this kind.
    """

    takes: ClassVar[tuple[str, ...]]
    # Values of the option `what`, where it is taken.
    shows: ClassVar[tuple[str, ...]] = ("color", "depth", "normal")
    # Options that a person may like to try next.
    suggestion: ClassVar[Mapping[str, object]] = {"scale": 4}

    def __init__(self, field: Field, folder: Path | None = None) -> None:
        """`folder`: the run that the field comes from, where kinds keep more than the field there."""
        self.field = field
        self.folder = folder

    def check(self, request: RenderRequest, kind: str) -> None:
        """Refuses flags that this kind has no use for, rather than ignoring them."""
        if wrong := [name for name in request.given() if name not in (*self.takes, "frames")]:
            raise BadInput(f"{arguments(wrong)}: is not for runs of the kind {kind}; it takes {arguments(self.takes)}")
        if request.what not in (None, *self.shows):
            raise BadInput(
                f"`what={request.what}`: is not for runs of the kind {kind}; they show {', '.join(self.shows)}"
            )

    @abstractmethod
    def default_name(self, request: RenderRequest) -> str:
        """The file's name where none is given."""

    @abstractmethod
    def render(self, out: Path, request: RenderRequest) -> dict:
        """Writes the file, whole or not at all, and returns what a report says of it.

        "text" is for people ("640 x 480"), "notes" is a list of lines that they should read; the other entries go into
        the JSON report. A place or ending that cannot be written is told before the work.
        """


def arguments(names: Iterable[str]) -> str:
    """Names of options as messages show them."""
    return ", ".join(f"`{name}`" for name in names)
