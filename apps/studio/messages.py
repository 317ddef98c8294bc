"""Errors of the library as the page shows them: one line, with the labels of the page's controls for the arguments."""

from __future__ import annotations

from functools import cache

from markupsafe import Markup, escape

from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.options import options_of, replace_arguments
from fields.reconstruct.request import ReconstructRequest
from scenes.errors import BadInput


def message_of(error: BadInput) -> str:
    """The text of an error. Arguments in backticks become labels; options of methods stay as they are."""
    return " ".join(replace_arguments(str(error), _label).split())


def note_for_page(text: str) -> str:
    """A remark about a signal or a run, with labels for arguments in backticks as in `message_of`."""
    return message_of(BadInput(text))


def html_message(error: BadInput) -> Markup:
    """The text of an error, escaped: it may hold names of files, which anybody chooses."""
    return escape(message_of(error))


def _label(name: str, value: str | None) -> str:
    label = _labels().get(name)
    if label is None:
        return name if value is None else f"{name}={value}"
    return f"“{label}”" if value is None else f"“{label}” {value}"


@cache
def _labels() -> dict[str, str]:
    models = (ReconstructRequest, CompareRequest, DistillRequest, FitRequest)
    return {option.name: option.label for model in models for option in options_of(model)}
