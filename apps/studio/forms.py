"""The page's controls for a method, made from the same description as the command line's listing."""

from __future__ import annotations

from dataclasses import dataclass

from apps.cli.methods import describe
from fields.methods.base import Method
from fields.methods.radiance import sized_field
from fields.methods.registry import make_method, method_class, method_names
from scenes.errors import BadInput
from scenes.signal import Signal

DEFAULT = "default"
# How descriptions of options begin that say nothing to other kinds of signals.
OF_KINDS = {"radiance": "radiance", "shapes": "shape"}


@dataclass(frozen=True)
class Control:
    """One option: `choices` are what it may be where that is a short list (the first leaves it as it is), else text is typed."""

    name: str
    description: str
    default: str
    values: str
    choices: tuple[str, ...] | None


def controls(name: str, kind: str | None = None) -> list[Control]:
    """A control for every option that `--set` reaches; with `kind`, without those that are of other kinds of signals alone."""
    cls = method_class(name)
    schema = cls.model_json_schema()["properties"]
    return [
        Control(
            option["name"],
            option["description"],
            "decided from the signal"
            if option["default"] is None
            else str(option["default"]).lower()
            if isinstance(option["default"], bool)
            else str(option["default"]),
            option["values"],
            _choices(schema[option["name"]]),
        )
        for option in describe(cls)["options"]
        if kind is None or OF_KINDS.get(option["description"].partition(":")[0], kind) == kind
    ]


def options(name: str, typed: dict[str, str]) -> dict[str, object]:
    """What was typed, as `--set` would have it; blank and "default" leave an option as it is. BadInput as the command line says it."""
    texts = {key: str(text if text is not None else "").strip() for key, text in typed.items()}
    given: dict[str, object] = {key: text for key, text in texts.items() if text and text != DEFAULT}
    make_method(name, given)
    return given


def suitable(signal: Signal) -> list[str]:
    """The methods that take this signal, in the registry's order."""
    found = []
    for name in method_names():
        try:
            make_method(name).prepare(signal)
        except BadInput:
            continue
        found.append(name)
    return found


def prepared(name: str, given: dict[str, object], signal: Signal, parameters: int | None) -> Method:
    """The method as it would be fitted."""
    method = make_method(name, given).prepare(signal)
    return sized_field(method, signal.domain, signal.channels, parameters) if parameters else method


def summary(name: str) -> str:
    cls = method_class(name)
    return f"{cls.summary[0].upper()}{cls.summary[1:]}. *{cls.paper}*"


def _choices(entry: dict) -> tuple[str, ...] | None:
    if "enum" in entry:
        return (DEFAULT, *(str(value) for value in entry["enum"]))
    return (DEFAULT, "true", "false") if entry.get("type") == "boolean" else None
