"""Options that are described once: the command line, the studio and run headers are derived from the description.

A request is a frozen pydantic model that derives from `Request`. Each of its fields is declared with `option`:

    class FitRequest(Request):
        steps: Count | None = option(None, section="budget", metavar="N", help="Train for this many steps.")

`options_of(FitRequest)` then lists what a face needs to offer the option: `apps/cli/flags.py` makes command-line
arguments from the list, and the studio makes controls. Nothing here imports torch.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic import Field as PydanticField

from scenes.errors import BadInput

# What a face shows for "leave this option as it is" where it shows a list of choices.
DEFAULT = "default"
Widget = Literal["switch", "choice", "text"]
F = TypeVar("F", bound=Callable[..., Any])


class Request(BaseModel):
    """A set of options. Values may be given as text, as a person types them: `FitRequest(steps="2k")`.

    Raises BadInput, which names the option, for a value that cannot be used and for an unknown option.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Headings under which options are shown, in order; the key is the `section` of `option`.
    sections: ClassVar[Mapping[str, str]] = {}
    # Options that are shown first in their section.
    first: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise BadInput(_explain(type(self), error)) from None

    @field_validator("*")
    @classmethod
    def _in_choices(cls, value: object, info: ValidationInfo) -> object:
        choices = _details(cls, info.field_name or "").choices
        if choices and value is not None and value not in choices:
            raise ValueError(f"{value!r} is not one of {', '.join(map(str, choices))}")
        return value

    def changes(self) -> list[OptionInfo]:
        """The options of the recipe (see `option`) whose value differs from the default."""
        return [o for o in options_of(type(self)) if o.recipe and getattr(self, o.name) != o.default]

    def to_header(self) -> dict[str, Any]:
        """The options that a run's header keeps, as plain JSON data, under the keys that they have there."""
        values = self.model_dump(mode="json")
        return {o.header: values[o.name] for o in options_of(type(self)) if o.header}

    @classmethod
    def values_in_header(cls, header: Mapping[str, Any]) -> dict[str, Any]:
        """The values that `to_header` wrote, by option; options that an older header lacks are left out."""
        return {o.name: header[o.header] for o in options_of(cls) if o.header and o.header in header}


@dataclass(frozen=True)
class _Details:
    """What `option` was told besides default, help text and type."""

    section: str = ""
    label: str = ""
    kinds: tuple[str, ...] | None = None
    choices: tuple[object, ...] | None = None
    switches: Mapping[str, object] | None = None
    flag: str = ""
    metavar: str | None = None
    hint: str = ""
    positional: bool = False
    repeated: bool = False
    hidden: bool = False
    recipe: bool = True
    header: str | None = ""


def option(
    default: Any,
    *,
    help: str,
    section: str,
    label: str = "",
    kinds: Sequence[str] | None = None,
    choices: Sequence[object] | None = None,
    switches: Mapping[str, object] | None = None,
    flag: str = "",
    metavar: str | None = None,
    hint: str = "",
    positional: bool = False,
    repeated: bool = False,
    hidden: bool = False,
    recipe: bool = True,
    header: str | None = "",
    **constraints: Any,
) -> Any:
    """Declare an option of a `Request`. Its name, type and range are those of the field.

    `help`: a sentence that tells a newcomer when to change the option. The default is added to it by the faces.
    `section`: the heading under which it is shown, a key of `Request.sections`.
    `label`: its name on a page; by default made from the field's name.
    `kinds`: the kinds of signals for which it means something; None: all.
    `choices`: the values that are allowed, where the type does not say it (as `Literal` and `bool` do).
    `switches`: for an option that is set by one of several flags: the value that each flag's name stands for.
    `flag`: its flag, where that is not `--` and the field's name.
    `metavar`, `hint`: what stands for the value in `--help`, and as a placeholder on a page.
    `positional`: whether the command line takes it without a flag.
    `repeated`: whether the flag may be given several times.
    `hidden`: whether it is for Python only.
    `recipe`: whether it decides what comes out, so that a run that is resumed or repeated must not change it.
    `header`: its key in a run's header: by default its own name for options of the recipe; None: it is not stored.
    `constraints`: of pydantic's `Field`, such as `ge=0, le=1`.
    """
    details = _Details(
        section=section,
        label=label,
        kinds=None if kinds is None else tuple(kinds),
        choices=None if choices is None else tuple(choices),
        switches=switches,
        flag=flag,
        metavar=metavar,
        hint=hint,
        positional=positional,
        repeated=repeated,
        hidden=hidden,
        recipe=recipe,
        header=header,
    )
    extra: Any = {"option": details}
    return PydanticField(default, description=help, json_schema_extra=extra, **constraints)


@dataclass(frozen=True)
class OptionInfo:
    """An option as a face shows it. See `option` for the meaning of the attributes."""

    name: str
    default: Any
    help: str
    section: str
    label: str
    kinds: tuple[str, ...] | None
    choices: tuple[object, ...] | None
    switches: Mapping[str, object] | None
    flag: str
    metavar: str | None
    hint: str
    positional: bool
    repeated: bool
    hidden: bool
    recipe: bool
    header: str | None
    required: bool
    switch: bool
    parse: Callable[[object], Any]  # the value of what was typed; ValueError says what is wrong with it

    @property
    def widget(self) -> Widget:
        """How a page asks for it: a check box, a list of choices, or a line of text."""
        return "switch" if self.switch else "choice" if self.choices or self.switches else "text"

    def applies_to(self, kind: str) -> bool:
        """Whether the option means something for this kind of signal."""
        return self.kinds is None or kind in self.kinds

    @property
    def page_choices(self) -> tuple[str, ...]:
        """What a list of choices shows; the first entry leaves the option as it is."""
        if self.switches:
            return (DEFAULT, *self.switches)
        first = DEFAULT if self.default is None else str(self.default)
        return tuple(dict.fromkeys((first, *map(str, self.choices or ()))))

    def from_page(self, given: object) -> Any:
        """The value of what a page's control holds; an empty line and `DEFAULT` stand for the default.

        Raises BadInput, which names the option by its label.
        """
        if self.switch:
            return bool(given)
        text = "" if given is None else str(given).strip()
        if text in ("", DEFAULT):
            return self.default
        if self.switches:
            if text not in self.switches:
                raise BadInput(f"{self.label}: {text!r} is not one of {', '.join(self.page_choices)}")
            return self.switches[text]
        try:
            value = self.parse(text)
            if self.choices and value not in self.choices:
                raise ValueError(f"{text!r} is not one of {', '.join(map(str, self.choices))}")
        except ValueError as error:
            raise BadInput(f"{self.label}: {error}") from None
        return value

    @property
    def full_help(self) -> str:
        """The help text with the kinds it is for in front and the default behind."""
        kinds = f"{', '.join(self.kinds)}: " if self.kinds else ""
        unsaid = self.required or self.default is None or self.default is False or self.default in ({}, ())
        return f"{kinds}{self.help}" + ("" if unsaid else f" (default {self.default})")


@cache
def options_of(model: type[Request]) -> tuple[OptionInfo, ...]:
    """Every option of a request, section by section."""
    sections = list(model.sections)
    infos = [_info(model, name) for name in model.model_fields]
    return tuple(sorted(infos, key=lambda info: (sections.index(info.section), info.name not in model.first)))


def option_named(model: type[Request], name: str) -> OptionInfo:
    """One option of a request."""
    return next(option for option in options_of(model) if option.name == name)


def _info(model: type[Request], name: str) -> OptionInfo:
    field, details = model.model_fields[name], _details(model, name)
    annotation = field.annotation
    types = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    literal = next((part for part in (annotation, *types) if get_origin(part) is Literal), None)
    # A field's own validators stand in its metadata, those of `X | None` inside the annotation.
    validated: Any = annotation
    if field.metadata:
        validated = Annotated[annotation, *field.metadata]  # pyright: ignore

    # Made on first use: it takes time, and `--help` needs none.
    @cache
    def adapter() -> TypeAdapter[Any]:
        return TypeAdapter(validated)

    def parse(value: object) -> Any:
        try:
            return adapter().validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]
            message = _message(problem)
            raise ValueError(message if _own_error(problem) else f"{value!r}: {message}") from None

    header = details.header
    if header == "":
        header = name if details.recipe and not details.hidden else None
    return OptionInfo(
        name=name,
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        help=field.description or "",
        section=details.section,
        label=details.label or name.replace("_", " ").capitalize(),
        kinds=details.kinds,
        choices=details.choices or (get_args(literal) if literal else None),
        switches=details.switches,
        flag=details.flag or f"--{name.replace('_', '-')}",
        metavar=details.metavar,
        hint=details.hint or (details.metavar or ""),
        positional=details.positional,
        repeated=details.repeated,
        hidden=details.hidden,
        recipe=details.recipe,
        header=header,
        required=field.is_required(),
        switch=annotation is bool,
        parse=parse,
    )


def _details(model: type[Request], name: str) -> _Details:
    extra = model.model_fields[name].json_schema_extra
    found = extra.get("option") if isinstance(extra, dict) else None
    assert isinstance(found, _Details), f"{model.__name__}.{name} is not declared with `option`"
    return found


def _explain(model: type[Request], error: ValidationError) -> str:
    """One line about the first problem of a request, which names the option in backticks."""
    problem = error.errors()[0]
    name = str(problem["loc"][0]) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        return f"there is no option {name!r}; {near(name, list(model.model_fields))}"
    if problem["type"] == "missing":
        return f"`{name}` is missing: {model.model_fields[name].description}"
    if not name:
        return _message(problem)
    # The parsers of this module name the value themselves.
    argument = name if _own_error(problem) else f"{name}={problem['input']}"
    return f"`{argument}`: {_message(problem)}"


def _own_error(problem: Any) -> Exception | None:
    return problem.get("ctx", {}).get("error")


def _message(problem: Any) -> str:
    own = _own_error(problem)
    return str(own) if own else problem["msg"][0].lower() + problem["msg"][1:]


def near(word: str, known: Sequence[str]) -> str:
    """'did you mean …' where a known name is similar, else the list of all."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(known)}"


def with_options_of(model: type[Request], exclude: Sequence[str] = ()) -> Callable[[F], F]:
    """Decorator of a function that takes the options of a request as `**options`: `help(function)` shows them.

    `exclude`: options that the function does not take; it raises ValueError for them.
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        given = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = {*exclude, *(p.name for p in given)}
        added = [
            inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default)
            for o in options_of(model)
            if o.name not in taken
        ]

        @wraps(function)
        def checked(*arguments: Any, **options: Any) -> Any:
            if wrong := [name for name in exclude if name in options and name not in own.parameters]:
                raise ValueError(f"{', '.join(wrong)}: not an option of {function.__name__}")
            return function(*arguments, **options)

        vars(checked)["__signature__"] = own.replace(parameters=[*given, *added])
        return cast(F, checked)

    return decorate


_ARGUMENT = re.compile(r"`([A-Za-z_]\w*)(?:=([^`]*))?`")


def replace_arguments(message: str, replace: Callable[[str, str | None], str]) -> str:
    """A message in which every argument in backticks, `name` or `name=value`, is what `replace(name, value)` returns.

    Errors of `scenes` and `fields` mark arguments so; the command line shows them as flags and the studio as labels.
    """
    return _ARGUMENT.sub(lambda found: replace(found[1], found[2]), message)


# Types of values. Each parser takes text or a value, and raises ValueError with a sentence that names the range.


def count(value: object) -> int:
    """A whole number of at least 1; 1e5, 0.5M and 300k are understood."""
    text = str(value)
    scale = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1)
    try:
        number = float(text[:-1] if scale != 1 else text) * scale
        whole = int(number)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a whole number") from None
    if whole < 1 or whole != number:
        raise ValueError(f"{text!r} should be a whole number of at least 1")
    return whole


def natural(value: object) -> int:
    """A whole number from 0 to 2^63 - 1."""
    text = str(value)
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise ValueError(f"{text!r} should be a whole number from 0 on")
    return int(text)


def positive(value: object) -> float:
    """A finite number above 0."""
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not 0 < number < float("inf"):
        raise ValueError(f"{text!r} should be above 0")
    return number


def fraction(value: object) -> float:
    """A number between 0 and 1, both excluded."""
    number = positive(value)
    if number >= 1:
        raise ValueError(f"{str(value)!r} should be between 0 and 1, such as 0.1")
    return number


def fraction_or_all(value: object) -> float:
    """A number above 0 and up to 1."""
    number = positive(value)
    if number > 1:
        raise ValueError(f"{str(value)!r} should be above 0 and up to 1, such as 0.5")
    return number


# Fraction of each batch that "on" stands for in `fraction_on_or_off`.
ON_FRACTION = 0.75


def fraction_on_or_off(value: object) -> float:
    """A number from 0 on and below 1, or "on" or "off", which is 0."""
    text = str(value).strip().lower()
    if text in ("on", "off"):
        return ON_FRACTION if text == "on" else 0.0
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise ValueError(f"{str(value)!r} should be on, off or a fraction below 1, such as 0.5")
    return number


def size_in_bytes(value: object) -> int:
    """Bytes: a whole number, with K, M or G for powers of 1024."""
    text = str(value)
    power = {"k": 10, "m": 20, "g": 30}.get(text[-1:].lower(), 0)
    digits = text[:-1] if power else text
    if not digits.isdecimal():
        raise ValueError(f"{text!r} should be a number of bytes, such as 500M or 2G")
    return int(digits) << power


def time_span(value: object) -> tuple[float, float]:
    """START,END in seconds, as text or as two numbers."""
    text = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, Sequence) else str(value)
    try:
        start, end = (float(piece) for piece in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} should be START,END in seconds, such as 2.5,8") from None
    if not 0 <= start < end < float("inf"):
        raise ValueError(f"{text!r} is empty: END should come after START")
    return start, end


def corners(value: object) -> tuple[float, ...]:
    """Lower and upper corner of a part of space, X0,Y0,Z0,X1,Y1,Z1, in the units of the source."""
    text = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, Sequence) else str(value)
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 6 or not all(float("-inf") < a < b < float("inf") for a, b in zip(numbers[:3], numbers[3:])):
        raise ValueError(f"{text!r} should be X0,Y0,Z0,X1,Y1,Z1, a lower and an upper corner, such as -1,-1,0,1,1,2")
    return numbers


def names(value: object) -> tuple[str, ...]:
    """A,B,...: one name or more, each once, as text or as a sequence."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    found = tuple(str(part).strip() for part in parts)
    if not found or not all(found) or len(set(found)) < len(found):
        raise ValueError(f"{','.join(found)!r} should be names with commas between, each once, such as hashgrid,siren")
    return found


def setting(value: object) -> tuple[str, object]:
    """KEY=VALUE, as text or as a pair."""
    if not isinstance(value, str):
        key, content = value  # pyright: ignore  (whatever is no pair raises ValueError or TypeError here)
        return str(key), content
    key, equals, content = value.partition("=")
    if not equals or not key:
        raise ValueError(f"{value!r} should be KEY=VALUE")
    return key, content


def settings(value: object) -> dict[str, object]:
    """A mapping, or a sequence of KEY=VALUE; of a key that is given twice the last value counts."""
    return dict(value) if isinstance(value, Mapping) else dict(map(setting, value))  # pyright: ignore


def _path_text(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


Count = Annotated[int, BeforeValidator(count)]
Natural = Annotated[int, BeforeValidator(natural)]
Positive = Annotated[float, BeforeValidator(positive)]
Fraction = Annotated[float, BeforeValidator(fraction)]
FractionOrAll = Annotated[float, BeforeValidator(fraction_or_all)]
FractionOnOrOff = Annotated[float, BeforeValidator(fraction_on_or_off)]
ByteSize = Annotated[int, BeforeValidator(size_in_bytes)]
TimeSpan = Annotated[tuple[float, float], BeforeValidator(time_span)]
Corners = Annotated[tuple[float, ...], BeforeValidator(corners)]
Names = Annotated[tuple[str, ...], BeforeValidator(names)]
Settings = Annotated[dict[str, Any], BeforeValidator(settings)]
PathText = Annotated[str, BeforeValidator(_path_text)]
