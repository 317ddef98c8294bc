"""Base class of what renders fields to image, audio and video files, one subclass per kind of signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from fields.export.request import RenderRequest
from fields.models.field import Field
from scenes.errors import BadInput

T = TypeVar("T")
# Options that only Python sets; every kind ignores those that it does not know.
INTERNAL_OPTIONS = ("frames",)


class Output(ABC):
    """Renders a field to a file, by its domain and channels alone, so that its signal is not needed.

    field: the field.
    folder: the run that it comes from; scenes have their cameras there.
    """

    # Names of the options of `RenderRequest` that this kind takes.
    options: ClassVar[tuple[str, ...]]
    # Values of the option `what` that this kind can show.
    what_choices: ClassVar[tuple[str, ...]] = ("color", "depth", "normal")
    # Forms that `render` writes and `export` does not: name, and ending of the file.
    render_forms: ClassVar[Mapping[str, str]] = {}
    # Options that the command line suggests to try after a fit.
    suggested_options: ClassVar[Mapping[str, object]] = {"scale": 4}

    def __init__(self, field: Field, folder: Path | None = None) -> None:
        self.field = field
        self.folder = folder
        # Called with the fraction of the frames of a video that are done.
        self.progress: Callable[[float], None] = lambda done: None

    def reported(self, items: Sequence[T]) -> Iterator[T]:
        """The items, with a report to `progress` when each is done with."""
        for index, item in enumerate(items):
            yield item
            self.progress((index + 1) / len(items))

    def check(self, request: RenderRequest, kind: str) -> None:
        """Raise BadInput for options that this kind of signal does not take."""
        if wrong := [name for name in request.given() if name not in (*self.options, *INTERNAL_OPTIONS)]:
            raise BadInput(
                f"{option_list(wrong)}: is not for runs of the kind {kind}; it takes {option_list(self.options)}"
            )
        if request.what not in (None, *self.what_choices):
            raise BadInput(
                f"`what={request.what}`: is not for runs of the kind {kind}; they show {', '.join(self.what_choices)}"
            )

    @abstractmethod
    def default_name(self, request: RenderRequest) -> str:
        """Name of the file if none is given, such as "render.png"."""

    @abstractmethod
    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        """Render a file in the format of its ending, whole or not at all, and return a report.

        In the report "text" is for people ("640 x 480") and "notes" is a list of sentences for people; the other
        entries are for the JSON report. Raises BadInput, before the work, for a file that cannot be written.
        """


def option_list(names: Iterable[str]) -> str:
    """Names of options as messages name them."""
    return ", ".join(f"`{name}`" for name in names)
