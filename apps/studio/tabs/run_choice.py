"""What the tabs that look at runs share: the choice of one, and asking for something of it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

import gradio as gr

from fields.runs.run import Run
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio


def run_choice(elem_id: str, label: str = "Run") -> gr.Dropdown:
    """Any name may be set from outside (the gallery); what is no run is told when it is looked at."""
    return gr.Dropdown([], label=label, elem_id=elem_id, allow_custom_value=True)


def asked(studio: Studio, name: str, function: Callable, ask: str = "ask") -> object:
    """`function` of the opened run, in the thread that looks (`ask="make"`: of the run, in that which makes); BadInput becomes a message."""
    try:
        return getattr(studio.looks, ask)(studio.folders.run(name), function).result()
    except BadInput as error:
        raise gr.Error(html.escape(" ".join(str(error).split())), duration=12) from None


def viewer_of(studio: Studio, name: str | None, view: Callable[[str, dict], str], empty: str) -> str:
    """`view` of a run's name and header as HTML: `empty` where none is chosen, a message where there is no such run."""
    if not name:
        return empty
    try:
        return view(name, Run.open(studio.folders.run(name)).header)
    except BadInput as error:
        return f"<p class='problem'>{html.escape(str(error))}</p>"
