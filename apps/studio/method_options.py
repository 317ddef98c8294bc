"""Options of methods for the page, made from the same description as the list of `fit-a-scene methods`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fields.methods import figures
from fields.methods.base import Method
from fields.methods.description import describe
from fields.methods.registry import make_method, method_class, method_names
from fields.options import DEFAULT
from scenes.errors import BadInput
from scenes.signal import Signal


@dataclass(frozen=True)
class MethodOption:
    """One option of a method.

    `section`: the heading under which it is listed. `values`: its range, for people. `choices`: its allowed values
    where that is a short list, after `DEFAULT`, which leaves the option as it is; None where text is typed.
    """

    name: str
    section: str
    description: str
    default: str
    values: str
    choices: tuple[str, ...] | None


def method_options(name: str, kind: str | None = None) -> list[MethodOption]:
    """Every option that `--set` reaches, section by section. `kind`: only those that apply to this kind of signal."""
    cls = method_class(name)
    schema = cls.model_json_schema()["properties"]
    described = {option["name"]: option for option in describe(cls)["options"]}
    return [
        MethodOption(
            option,
            section.title,
            described[option]["description"],
            _default_text(described[option]["default"]),
            described[option]["values"],
            _choices(schema[option]),
        )
        for section in cls.option_sections()
        if None in (kind, section.signal_kinds) or kind in (section.signal_kinds or ())
        for option in section.names
    ]


def settings_of(name: str, texts: Mapping[str, str | None]) -> dict[str, object]:
    """The options that were set, as `--set` takes them; blank and `DEFAULT` leave an option as it is.

    Raises BadInput for a value that the method refuses.
    """
    stripped = {key: str(text or "").strip() for key, text in texts.items()}
    settings: dict[str, object] = {key: text for key, text in stripped.items() if text not in ("", DEFAULT)}
    make_method(name, settings)
    return settings


def suitable_methods(signal: Signal) -> list[str]:
    """Names of the methods that take this signal, in the registry's order."""
    return [name for name in method_names() if _takes(name, signal)]


def prepared_method(name: str, settings: dict[str, object], signal: Signal, params: int | None) -> Method:
    """The method as it would be fitted. `params`: a size that is asked for."""
    method = make_method(name, settings).prepare(signal)
    return method.sized_field(signal.domain, signal.channels, params) if params else method


def summary(name: str, kind: str | None = None) -> str:
    """A sentence about a method and its paper, as Markdown, and what it reached on signals of a kind."""
    cls = method_class(name)
    text = f"{cls.summary[0].upper()}{cls.summary[1:]}. *{cls.paper}*"
    measured = figures.lines(name, kind) if kind else []
    if not measured:
        return text
    return f"{text}\n\nMeasured on {figures.where()}, with its place among methods: {'; '.join(measured)}."


def _takes(name: str, signal: Signal) -> bool:
    try:
        make_method(name).prepare(signal)
    except BadInput:
        return False
    return True


def _default_text(default: object) -> str:
    if default is None:
        return "decided from the signal"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _choices(entry: dict) -> tuple[str, ...] | None:
    if "enum" in entry:
        return (DEFAULT, *(str(value) for value in entry["enum"]))
    return (DEFAULT, "true", "false") if entry.get("type") == "boolean" else None
