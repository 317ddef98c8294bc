"""What an export works on, how it reports its progress, and a row of the table of formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fields.models.field import Field
from fields.runs.run import Run


class Progress:
    """Reports of an export while it works. This class ignores them; the command line and the studio show them."""

    def message(self, text: str) -> None:
        """Report a sentence, such as the expected size before the work."""

    def stage(self, name: str) -> None:
        """Report what is done next, in one word such as "texture"."""

    def fraction(self, done: float) -> None:
        """Report the fraction of the work that is done, from 0 to 1."""


@dataclass(frozen=True)
class Source:
    """A field to export, the kind of its signal, and the run that it comes from; None for a field without a run."""

    run: Run | None
    field: Field
    kind: str

    @property
    def stored_run(self) -> Run:
        """The run. Raises ValueError for a field without one."""
        if self.run is None:
            raise ValueError("this form needs the run that the field comes from")
        return self.run


@dataclass(frozen=True, kw_only=True)
class Format:
    """A row of the table of formats: a file ending, and the form of the field that is written with it.

    ending: such as ".glb"; "/" stands for a folder (a path without an ending).
    form: name of the form, such as "mesh" (`--as` on the command line).
    needs: what the field must have: a name in `exports` of its kind (`fields.kinds.Kind`), or "any".
    writer: "module:function". `function(source, out, request, progress)` writes the file whole or not at all and
        returns a report: a dict in which "text" is one line for people and "notes" a list of sentences to read.
    options: names of the options of `ExportRequest` that the writer takes.
    description: one line for people.
    bits_per_parameter: bits that the file has for each parameter of the field; None if its size does not depend on
        them.
    """

    ending: str
    form: str
    needs: str
    writer: str
    options: tuple[str, ...] = ()
    description: str
    bits_per_parameter: int | None = None


def ending_of(out: Path) -> str:
    """The path's ending in lower case; "/" if it has none."""
    name = out.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else out.suffix.lower() or "/"
