"""Errors of the library as the page shows them: one line, with the labels of the page's controls for the arguments."""

from __future__ import annotations

import re
from functools import cache

from markupsafe import Markup, escape

from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.options import options_of, replace_arguments
from fields.reconstruct.request import ReconstructRequest
from scenes.errors import BadInput, missing_package

# A folder of this machine in front of the name of a file or a run. The names of uploads' folders tell that one begins
# before any space in it.
_UPLOAD_FOLDER = re.compile(r"/[^\n:;`]*?/\.uploads/(?:[0-9a-f]{16}/|arriving/|examples/)")
_FOLDER = re.compile(r"""(?<![\w.)/:])(?:~|\.)?/(?:[^\s/:;`'"]+/)+""")
# How a message of the command line names an option.
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]+)(?:=(\S+))?")
# What the command line advises, and what does the same on the page.
_ADVICE = (
    (re.compile(r"\s*with: fit-a-scene poses(?: \S+ --out \S+)?"), " under “Photographs to 3-D”"),
    (re.compile(r"pip install '?([\w\[\],-]+)'?"), r"whoever runs this studio can install it (\1)"),
)


def message_of(error: BadInput) -> str:
    """The text of an error, in the page's own words.

    Arguments in backticks and flags become labels of controls; options of methods stay as they are. Files are named
    without the folders in which the server keeps them.
    """
    text = str(error)
    for advice, page_advice in _ADVICE:
        text = advice.sub(page_advice, text)
    text = _FOLDER.sub("", _UPLOAD_FOLDER.sub("", replace_arguments(text, _label)))
    text = _FLAG.sub(lambda flag: _label(flag[1].replace("-", "_"), flag[2]), text)
    return " ".join(text.split())


def unexpected(error: Exception) -> str:
    """What the page says of an error that nobody foresaw. The server's log has the rest."""
    if isinstance(error, ImportError) and (missing := missing_package(error)):
        return message_of(missing)
    if isinstance(error, OSError) and error.strerror:
        return f"the server could not read or write a file: {error.strerror.lower()}"
    return "something went wrong that the studio did not foresee; its log has the details. Try again, or another file"


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
