"""What an export is made from, how it tells its progress, and one row of the table of formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fields.models.field import Field
from fields.runs.run import Run


class Progress:
    """What an export tells while it works. This one is silent; faces override what they show."""

    def message(self, text: str) -> None:
        """Tell a person something in one line, such as the expected size before the work."""

    def fraction(self, done: float) -> None:
        """Tell how much of the work is done, from 0 to 1."""


@dataclass(frozen=True)
class Source:
    """A run, its field, and the kind of its signal. `run` is None for a field that was never stored."""

    run: Run | None
    field: Field
    kind: str


@dataclass(frozen=True)
class Format:
    """A row of the table of formats: an ending and a form that a writer makes of fields with a capability.

    `ending`: such as ".glb"; "/" stands for a folder (a path without an ending).
    `form`: the name of the form, such as "mesh" (`--as` on the command line).
    `needs`: a key of `fields.export.capabilities.CAPABILITIES`.
    `writer`: "module:function"; `function(source, out, request, progress)` writes the file whole or not at all and returns a
    report: a dict in which "text" is one line for people and "notes" a list of lines that they should read.
    `takes`: names of the options of `ExportRequest` that the writer obeys.
    `description`: one line for people.
    """

    ending: str
    form: str
    needs: str
    writer: str
    takes: tuple[str, ...] = ()
    description: str = ""


def ending_of(out: Path) -> str:
    """The path's ending in lower case; "/" where it has none."""
    name = out.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else out.suffix.lower() or "/"
