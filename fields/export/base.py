"""What an export is asked for, what it is made from, and one row of the table of formats."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from fields.models.field import Field
from fields.runs.run import Run


@dataclass(frozen=True)
class Request:
    """What `fit-a-scene export` was asked for; None where nothing was said. The names are those of the flags."""

    resolution: int | None = None
    level: float | None = None
    crop: tuple[float, ...] | None = None
    largest: bool | None = None
    faces: int | None = None
    texture: int | None = None
    normal_map: bool | None = None
    error_map: bool | None = None
    points: int | None = None
    memory: int | None = None
    size: tuple[int, int] | None = None
    scale: float | None = None
    rate: float | None = None
    time: float | None = None
    part: tuple[float, float] | None = None
    bits: int | None = None
    turntable: int | None = None

    @classmethod
    def names(cls) -> list[str]:
        return [entry.name for entry in fields(cls)]

    def given(self) -> list[str]:
        return [name for name in self.names() if getattr(self, name) is not None]


@dataclass(frozen=True)
class Source:
    """The run, its field, and the kind of its signal."""

    run: Run
    field: Field
    kind: str


@dataclass(frozen=True)
class Format:
    """A row of the table: this ending, as this form, for the fields that can do what it `needs`.

    ending   ".glb"; "/" is a folder (a path without an ending)
    form     what --as calls it
    needs    a key of `fields.export.capabilities.CAPABILITIES`
    writer   "module:function"; `function(source, out, request)` writes the file whole or not at all and returns a dict for
             the report, in which "text" is for people and "notes" is a list of lines that they should read
    takes    the entries of `Request` that mean something to it
    what     one line about it
    """

    ending: str
    form: str
    needs: str
    writer: str
    takes: tuple[str, ...] = ()
    what: str = ""


def ending_of(out: Path) -> str:
    """In lower case; "/" where there is none."""
    name = out.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else out.suffix.lower() or "/"
