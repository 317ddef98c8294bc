"""Every option of a distillation, each described once. See `fields.fit.request`, which holds the shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import model_validator

from fields.distill.stages import Stages
from fields.fit.request import RunRequest
from fields.options import PathText, option, settings


class DistillRequest(RunRequest):
    """Every option of a distillation.

    `settings` are options of the student's method. Options of the stages may be given among them; they go to `stages`.
    """

    first: ClassVar[tuple[str, ...]] = ("teacher", "into")

    teacher: Path | None = option(
        None,
        section="source",
        metavar="RUN",
        positional=True,
        recipe=False,
        help="Folder of the run whose field is converted: the teacher.",
    )
    into: str | None = option(
        None,
        section="method",
        metavar="METHOD",
        header="method",
        help="The student's method.",
    )
    share_heads: bool = option(
        False,
        section="method",
        label="Begin with the teacher's network where it fits",
        help="Begin with the teacher's network where names and shapes agree; what was taken is reported. Try it "
        "between methods with the same kind of network.",
    )
    stages: Stages = option(
        Stages(),
        section="method",
        hidden=True,
        header="stages",
        help="What is matched for how long, and with what weight.",
    )
    data: PathText | None = option(
        None,
        section="result",
        label="Also score on",
        metavar="SOURCE",
        header="also_scored_on",
        help="Also score on this signal; by default the student is scored against its teacher alone.",
    )

    @model_validator(mode="before")
    @classmethod
    def _split_settings(cls, values: Any) -> Any:
        """Move those settings that are options of the stages to `stages`."""
        if not isinstance(values, Mapping) or not values.get("settings"):
            return values
        given = settings(values["settings"])
        own = {name: given.pop(name) for name in list(given) if name in Stages.model_fields}
        if not own:
            return {**values, "settings": given}
        before = values.get("stages") or Stages()
        return {**values, "settings": given, "stages": Stages(**{**before.model_dump(), **own})}

    @classmethod
    def from_header(cls, header: Mapping[str, Any], **changes: Any) -> Self:
        """The request that repeats a distillation, from the header of its `run.json`; `changes` replace options."""
        values = cls.values_in_header(header)
        if values.get("steps"):
            values["seconds"] = None
        values["stages"] = Stages(**values.get("stages", {}))
        return cls(**{**values, "teacher": Path(header["teacher"]["path"]), **changes})
