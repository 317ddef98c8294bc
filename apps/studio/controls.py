"""Options of the studio's page, made from the requests, so that command line and page always offer the same options.

A tab lays out some options itself; the page shows a control for each of the others. A new option of a request appears
on the page without a change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.options import OptionInfo, Request, options_of
from fields.reconstruct.request import ReconstructRequest

# Options that a tab lays out itself.
TAB_OPTIONS: dict[type[Request], tuple[str, ...]] = {
    FitRequest: ("method", "seconds", "settings", "mask", "start"),
    CompareRequest: ("methods", "seconds", "seeds"),
    DistillRequest: ("teacher", "into", "seconds", "settings", "data"),
    ReconstructRequest: ("method", "settings", "box"),
}
# Options that the page does not offer, with the reason.
_OUT = "runs are named after their signal, and renamed under Runs"
_KIND = "it is recognised from the content and shown; where that fails, the command line takes it"
_RESUME = "Resume and Continue are buttons"
OMITTED_OPTIONS: dict[type[Request], dict[str, str]] = {
    FitRequest: {
        "source": "the signal that is chosen or uploaded",
        "kind": _KIND,
        "out": _OUT,
        "resume": _RESUME,
        "tensorboard": "a log for another program; the page draws its own curve",
        "max_pixels": "the same limit for all uploads",
        "memory": "whoever serves the page decides how much memory samples may take",
    },
    CompareRequest: {"source": "the signal of the first tab", "kind": _KIND, "out": _OUT},
    DistillRequest: {"out": _OUT, "resume": _RESUME},
    ReconstructRequest: {
        "source": "the photographs that are chosen or uploaded",
        "asset": "a GLB, and a USDZ where one is asked for, which are downloaded",
        "meshopt": "the page's viewer would fetch a decoder from another host, so that nobody sees what is downloaded",
        "out": _OUT,
    },
}


def page_options(model: type[Request]) -> tuple[OptionInfo, ...]:
    """Every option of a request that the page shows a control for, section by section."""
    left_out = {*TAB_OPTIONS[model], *OMITTED_OPTIONS[model]}
    return tuple(option for option in options_of(model) if option.name not in left_out and not option.hidden)


def placeholder(option: OptionInfo) -> str:
    """What an empty line for an option says.

    Of the command line's own placeholders, such as N, only those that tell the order of several numbers.
    """
    if option.metavar is None or option.hint != option.metavar:
        return option.hint
    return option.hint.lower() if "," in option.hint else ""


def values_of(model: type[Request], controls: Mapping[str, object]) -> dict[str, Any]:
    """Values of the options that were changed, by name, from what the page's controls hold.

    Raises BadInput, which names the control by its label, for a value that cannot be used.
    """
    values = {}
    for option in page_options(model):
        if option.name in controls and (value := option.from_page(controls[option.name])) != option.default:
            values[option.name] = value
    return values
