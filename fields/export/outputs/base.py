"""How a fitted field becomes a file that other programs open: one Output a kind of signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from fields.models.field import Field
from scenes.errors import BadInput


@dataclass(frozen=True)
class Request:
    """What `fit-a-scene render` was asked for; None where nothing was said. The names are those of the flags."""

    size: tuple[int, int] | None = None
    scale: float | None = None
    crop: tuple[float, float, float, float] | None = None
    part: tuple[float, float] | None = None
    rate: float | None = None
    time: float | None = None
    slice: tuple[str, float] | None = None
    what: str | None = None
    view: int | tuple[float, float] | None = None
    turntable: bool | int | None = None  # once around, in so many pictures
    path: Path | None = None
    crop_box: tuple[float, ...] | None = None
    clean: bool | None = None

    @classmethod
    def names(cls) -> list[str]:
        return [entry.name for entry in fields(cls)]

    def turns(self, usual: int) -> int:
        """The pictures of a turntable."""
        return usual if self.turntable is True else int(self.turntable)

    def given(self) -> list[str]:
        return [name for name in self.names() if getattr(self, name) is not None]


class Output(ABC):
    """Writes what `field` holds; knows the domain and channels from the field, and needs no signal.

    `takes` names the entries of `Request` that mean something for this kind; `closer` is the flag that a person may
    like to try next.
    """

    takes: ClassVar[tuple[str, ...]]
    shows: ClassVar[tuple[str, ...]] = ("color", "depth", "normal")  # what `--what` may name, where it is taken
    closer: ClassVar[str] = "--scale 4"

    def __init__(self, field: Field, folder: Path | None = None) -> None:
        """`folder`: the run that the field comes from, where kinds keep more than the field there."""
        self.field = field
        self.folder = folder

    def check(self, request: Request, kind: str) -> None:
        """Refuses flags that this kind has no use for, rather than ignoring them."""
        if wrong := [name for name in request.given() if name not in self.takes]:
            raise BadInput(f"{flags(wrong)}: is not for runs of the kind {kind}; it takes {flags(self.takes)}")
        if request.what not in (None, *self.shows):
            raise BadInput(
                f"--what {request.what}: is not for runs of the kind {kind}; they show {', '.join(self.shows)}"
            )

    @abstractmethod
    def default_name(self, request: Request) -> str:
        """The file's name where none is given."""

    @abstractmethod
    def render(self, out: Path, request: Request) -> dict:
        """Writes the file, whole or not at all, and returns what a report says of it.

        "text" is for people ("640 x 480"), "notes" is a list of lines that they should read; the other entries go into
        the JSON report. A place or ending that cannot be written is told before the work.
        """


def flags(names) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)
