"""Helpers of tabs: choose a run, call functions with it, show errors as messages on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import gradio as gr
from markupsafe import Markup

from apps.studio import gallery
from apps.studio.messages import html_message
from apps.studio.tabs.option_controls import QUIET
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.studio.server import Studio

P = ParamSpec("P")
T = TypeVar("T")
# Seconds for which a message is shown.
MESSAGE_SECONDS = 12


def run_choice(elem_id: str, label: str = "Run", info: str | None = None) -> gr.Dropdown:
    """A list of runs. The gallery may set any name; a wrong one is reported when the run is opened."""
    return gr.Dropdown([], label=label, elem_id=elem_id, allow_custom_value=True, info=info)


def update_when_selected(tab: gr.Tab, run: gr.Dropdown, studio: Studio) -> None:
    """List the runs anew whenever the tab is opened."""
    tab.select(lambda: gr.update(choices=gallery.names(studio.folders)), None, run, **QUIET)


def show_errors(function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a function; BadInput becomes a message on the page."""
    try:
        return function(*args, **options)
    except BadInput as error:
        raise gr.Error(html_message(error), duration=MESSAGE_SECONDS) from None


def with_open_run(studio: Studio, name: str, function: Callable[[OpenRun], T]) -> T:
    """Call a function with a run and its field, on the thread of views."""
    return show_errors(lambda: studio.renderer.render(studio.folders.run(name), function).result())


def muted(text: str) -> Markup:
    """A line in grey."""
    return render("message", style="muted", text=text)
