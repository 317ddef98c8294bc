"""Writes `field_studio/options.py`: the types of the options of every function, from the requests that describe them.

    python tests/field_studio/option_types.py

A test compares the file with what this would write.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "field_studio" / "options.py"
sys.path.insert(0, str(ROOT))

from fields.compare.request import CompareRequest  # noqa: E402
from fields.distill.request import DistillRequest  # noqa: E402
from fields.distill.stages import Stages  # noqa: E402
from fields.export.request import ExportRequest, RenderRequest  # noqa: E402
from fields.fit.request import SAMPLES, FitRequest  # noqa: E402
from fields.options import OptionInfo, Request, options_of  # noqa: E402
from fields.reconstruct.request import ReconstructRequest  # noqa: E402

HEAD = '''"""Types of the options of the functions in `field_studio`, for editors and type checkers.

Written by `tests/field_studio/option_types.py` from the requests that describe the options; do not edit it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from fields.distill.stages import Stages

'''


def written() -> str:
    """The content of the file."""
    samples = [o.name for o in options_of(FitRequest) if o.section == SAMPLES and not o.hidden]
    # Options that the functions have as arguments of their own, and those that only make sense on a command line.
    positional = ("source", "method", "methods", "teacher", "into", "asset")
    without = (*positional, "resume", "plan", "loading", "tensorboard", "data")
    fit = [name for name in FitRequest.model_fields if name not in without]
    classes = (
        _class("LoadOptions", "Options of `load`; see its documentation.", FitRequest, samples),
        _class("FitOptions", "Options of `fit`.", FitRequest, fit),
        _class("RenderOptions", "Options of `render`.", RenderRequest, [*RenderRequest.model_fields]),
        _class("ExportOptions", "Options of `export`.", ExportRequest, [*ExportRequest.model_fields]),
        _class("DistillOptions", "Options of `distill`.", DistillRequest, _others(DistillRequest, without)),
        _class("CompareOptions", "Options of `compare`.", CompareRequest, _others(CompareRequest, (*without, "out"))),
        _class(
            "ReconstructOptions",
            "Options of `reconstruct`.",
            ReconstructRequest,
            [name for name in ReconstructRequest.model_fields if name not in ("source", "asset", "out")],
        ),
    )
    return HEAD + "\n\n".join(classes)


def _others(model: type[Request], without: tuple[str, ...]) -> list[str]:
    return [name for name in model.model_fields if name not in without]


def _class(name: str, summary: str, model: type[Request], names: list[str]) -> str:
    options = {option.name: option for option in options_of(model)}
    rows = [f"    {n}: {_type(model, options[n])}" for n in names]
    return f'class {name}(TypedDict, total=False):\n    """{summary}"""\n\n' + "\n".join(rows) + "\n"


def _type(model: type[Request], option: OptionInfo) -> str:
    """The values that Python code may give: the type itself, and the text that a command line would take."""
    field = model.model_fields[option.name]
    if option.choices and field.annotation is int:
        return f"Literal[{', '.join(map(repr, option.choices))}]"
    found = dict.fromkeys(_names(field.annotation))
    return " | ".join(sorted(found, key=lambda text: (text == "None", text == "str")))


def _names(annotation: Any) -> list[str]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _names(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [name for part in get_args(annotation) for name in _names(part)]
    if origin is Literal:
        return [f"Literal[{', '.join(f'{value!r}'.replace(chr(39), chr(34)) for value in get_args(annotation))}]"]
    if annotation is Stages:
        return ["Stages"]
    if origin is dict:
        return ["Mapping[str, Any]"]
    if origin is tuple:
        if str in get_args(annotation):
            return [f"tuple[{', '.join(part.__name__ for part in get_args(annotation))}]", "str"]
        items = [part for part in get_args(annotation) if part is not Ellipsis]
        texts = {name for part in items for name in _names(part)} - {"str"}
        return [f"Sequence[{' | '.join(sorted(texts)) or 'str'}]", "str"]
    if annotation in (int, float):
        return [annotation.__name__, "str"]
    if annotation is Path:
        return ["os.PathLike[str]", "str"]
    if annotation in (bool, str):
        return [annotation.__name__]
    if annotation is type(None):
        return ["None"]
    raise TypeError(f"no type for {annotation}")


if __name__ == "__main__":
    TARGET.write_text(written(), encoding="utf-8")
