"""Gradio components for options: those of a request (`apps.studio.controls`), and those of a method."""

from __future__ import annotations

from typing import Literal, TypedDict

import gradio as gr

from apps.studio import method_options
from apps.studio.controls import page_options, placeholder
from fields.options import DEFAULT, OptionInfo, Request

OptionComponent = gr.Checkbox | gr.Dropdown | gr.Textbox


class EventOptions(TypedDict):
    """Arguments of Gradio's events that all events of the page have."""

    show_progress: Literal["full", "minimal", "hidden"]
    api_visibility: Literal["public", "private", "undocumented"]


# Of events that are quick, and of those that take long. None of them is in Gradio's public interface.
QUIET = EventOptions(show_progress="hidden", api_visibility="private")
BUSY = EventOptions(show_progress="minimal", api_visibility="private")


class RepeatedEventOptions(TypedDict):
    """Arguments of Gradio's events that may come again before the last one is answered."""

    trigger_mode: Literal["once", "multiple", "always_last"]
    concurrency_limit: int | None


# People choose again before the last answer is there: each event is answered, and `Choice` says which answer counts.
EACH = RepeatedEventOptions(trigger_mode="multiple", concurrency_limit=None)


def option_controls(
    model: type[Request], *, prefix: str = "", sections: tuple[str, ...] | None = None, exclude: tuple[str, ...] = ()
) -> dict[str, OptionComponent]:
    """A component for each option of a request that the page offers, by name.

    `prefix`: begins the id of each component; the option's name follows. `sections`: only these sections.
    """
    return {
        option.name: _component(option, prefix)
        for option in page_options(model)
        if option.name not in exclude and (sections is None or option.section in sections)
    }


def option_control(model: type[Request], name: str, *, prefix: str = "") -> OptionComponent:
    """The component of one option."""
    return next(_component(option, prefix) for option in page_options(model) if option.name == name)


def method_settings(method: gr.Dropdown, kind: gr.State, elem_id: str) -> gr.State:
    """An accordion with a component for each option of the chosen method that means something for a kind of signal.

    Returns the state that `apps.studio.requests.chosen_settings` reads.
    """
    state = gr.State({})
    with gr.Accordion("Method options (advanced)", open=False, elem_id=elem_id):

        @gr.render(inputs=[method, kind])
        def _(name: str | None, kind: str | None) -> None:
            _method_components(name, kind, state)

    return state


def _component(option: OptionInfo, prefix: str) -> OptionComponent:
    elem_id = prefix + option.name.replace("_", "-")
    if option.widget == "switch":
        return gr.Checkbox(label=option.label, info=option.help, elem_id=elem_id)
    if option.widget == "choice":
        choices = list(option.page_choices)
        return gr.Dropdown(choices, value=choices[0], label=option.label, info=option.help, elem_id=elem_id)
    return gr.Textbox(label=option.label, info=option.help, placeholder=placeholder(option), elem_id=elem_id, lines=1)


def _method_components(name: str | None, kind: str | None, state: gr.State) -> None:
    if not name:
        gr.Markdown("Choose a method first.")
        return
    gr.Markdown(method_options.summary(name, kind))
    options = method_options.method_options(name, kind)
    components, section = [], options[0].section
    for option in options:
        if option.section != section:
            section = option.section
            gr.Markdown(f"**{section.capitalize()}**")
        components.append(_method_component(option))

    def collect(*texts: str) -> dict:
        return {"method": name, "texts": {option.name: text for option, text in zip(options, texts)}}

    # The event `input` would miss what is pasted or filled in by the browser.
    for component in components:
        component.change(collect, components, state, trigger_mode="always_last", **QUIET)


def _method_component(option: method_options.MethodOption) -> gr.Dropdown | gr.Textbox:
    description = option.description.rstrip(".")
    if option.choices:
        return gr.Dropdown(
            list(option.choices),
            value=DEFAULT,
            label=option.name,
            info=f"{description}; default {option.default}.",
            elem_classes="option",
        )
    return gr.Textbox(
        label=option.name,
        info=f"{description} ({option.values}).",
        placeholder=option.default,
        elem_classes="option",
        lines=1,
    )
