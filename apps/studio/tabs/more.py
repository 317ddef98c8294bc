"""Controls that tabs share: a command's options (`apps.studio.controls`), and those of a method."""

from __future__ import annotations

import gradio as gr

from apps.studio import forms
from apps.studio.controls import Offer, offers


def controls(
    command: str, prefix: str = "", leave: tuple[str, ...] = (), only: str | None = None
) -> dict[str, gr.components.Component]:
    """A control for each option of a command (of the group `only`), by name; its id is `prefix` and the name, with dashes."""
    return {
        offer.name: _control(offer, prefix + offer.name.replace("_", "-"))
        for offer in offers(command)
        if offer.name not in leave and (only is None or offer.group == only)
    }


def control(command: str, name: str, prefix: str = "") -> gr.components.Component:
    """The control of one option."""
    return next(_control(offer, prefix + name.replace("_", "-")) for offer in offers(command) if offer.name == name)


def _control(offer: Offer, elem_id: str) -> gr.components.Component:
    if offer.switch:
        return gr.Checkbox(label=offer.label, info=offer.info, elem_id=elem_id)
    if offer.choices:
        return gr.Dropdown(
            list(offer.choices), value=offer.choices[0], label=offer.label, info=offer.info, elem_id=elem_id
        )
    return gr.Textbox(label=offer.label, info=offer.info, placeholder=offer.hint, elem_id=elem_id, lines=1)


def method_options(method: gr.Dropdown, kind: gr.State, elem_id: str) -> gr.State:
    """An accordion with a control for each option of the chosen method that a kind of signal has; the state is for `given`."""
    settings = gr.State({})
    with gr.Accordion("Options of the method", open=False, elem_id=elem_id):

        @gr.render(inputs=[method, kind])
        def _(name: str | None, kind: str | None):
            _method_options(name, kind, settings)

    return settings


def given(name: str, settings: dict) -> list[str]:
    """What was typed there, as the command line has it."""
    if settings.get("method") != name:
        return []
    return [f"--set={option}={text}" for option, text in forms.options(name, settings["typed"]).items()]


def _method_options(name: str | None, kind: str | None, settings: gr.State) -> None:
    if not name:
        gr.Markdown("Choose a signal first.")
        return
    gr.Markdown(forms.summary(name))
    made = []
    found = forms.controls(name, kind)
    for option in found:
        info = f"{option.description} ({option.values})" if not option.choices else option.description
        if option.choices:
            made.append(
                gr.Dropdown(
                    list(option.choices),
                    value=forms.DEFAULT,
                    label=option.name,
                    info=f"{info}; default {option.default}",
                    elem_classes="option",
                )
            )
        else:
            made.append(
                gr.Textbox(label=option.name, info=info, placeholder=option.default, elem_classes="option", lines=1)
            )

    def collect(*typed):
        return {"method": name, "typed": {option.name: text for option, text in zip(found, typed)}}

    for component in made:  # (`input` would not tell of what is pasted or filled in)
        component.change(
            collect, made, settings, show_progress="hidden", trigger_mode="always_last", api_visibility="private"
        )
