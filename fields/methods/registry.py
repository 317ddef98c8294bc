"""Methods by name: our own, those that installed packages announce (entry points `field_studio.methods`), and those that a program
registers while it runs."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal, get_args, get_origin

from pydantic import ValidationError

from fields.methods.base import Method
from scenes.errors import BadInput

BUILT_IN = {
    "hashgrid": "fields.methods.hashgrid:HashGrid",
    "frequency": "fields.methods.frequency:Frequency",
    "fourier": "fields.methods.fourier:Fourier",
    "nerf": "fields.methods.nerf:Nerf",
    "siren": "fields.methods.siren:Siren",
    "finer": "fields.methods.finer:Finer",
    "wire": "fields.methods.wire:Wire",
    "cam": "fields.methods.cam:Cam",
    "densegrid": "fields.methods.densegrid:DenseGrid",
    "triplane": "fields.methods.triplane:TriPlane",
    "tensorf": "fields.methods.tensorf:TensoRF",
    "kplanes": "fields.methods.kplanes:KPlanes",
    "nerv": "fields.methods.nerv:Nerv",
    "nervpp": "fields.methods.nerv:NervPlus",
    "rbf": "fields.methods.rbf:Rbf",
    "neurbf": "fields.methods.neurbf:NeuRbf",
    "nstr": "fields.methods.nstr:Nstr",
}


_registered: dict[str, type[Method]] = {}


def register(cls: type[Method]) -> type[Method]:
    """Makes a method known by its name, in this process; a decorator. The same name twice replaces what was registered, not our own."""
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise BadInput(
            f"{getattr(cls, '__qualname__', cls)!s} is not a method: derive it from fields.methods.base.Method"
        )
    if not isinstance(getattr(cls, "name", None), str):
        raise BadInput(f"{cls.__qualname__} has no name; set the class variable")
    if _places().get(cls.name) not in (None, f"{cls.__module__}:{cls.__qualname__}"):
        raise BadInput(f"there is a method named {cls.name!r} already: {_places()[cls.name]}")
    _registered[cls.name] = cls
    return cls


@cache
def _places() -> dict[str, str]:
    places = dict(BUILT_IN)
    for point in entry_points(group="field_studio.methods"):
        if point.name in places:
            raise BadInput(
                f"two installed packages offer a method named {point.name!r}: {places[point.name]} and {point.value}"
            )
        places[point.name] = point.value
    return places


def method_names() -> list[str]:
    return list(dict.fromkeys([*_places(), *_registered]))


def method_class(name: str) -> type[Method]:
    """The config class of a method; an unknown name is refused with the near ones."""
    if name in _registered:
        return _registered[name]
    if name not in _places():
        raise BadInput(f"unknown method {name!r}; {near(name, method_names())}")
    module, _, attribute = _places()[name].partition(":")
    return getattr(import_module(module), attribute)


def make_method(name: str, options: dict[str, object] | None = None) -> Method:
    """The config of a method from option names and values (strings are parsed); BadInput says what is wrong."""
    cls = method_class(name)
    for key in options or {}:
        if key not in cls.model_fields:
            raise BadInput(f"method {name} has no option {key!r}; {near(key, list(cls.model_fields))}")
    try:
        return cls.model_validate({key: _parsed(cls, key, value) for key, value in (options or {}).items()})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or name
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{key}={first['input']}: {message[0].lower()}{message[1:]}") from None


def near(word: str, known: list[str]) -> str:
    """ "did you mean …" or the whole list, for error messages."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(known)}"


def _parsed(cls: type[Method], key: str, value: object) -> object:
    """ "none" is None; text for one of a list of numbers is that number (pydantic compares such lists, it does not parse)."""
    if value == "none":
        return None
    choices = (
        get_args(cls.model_fields[key].annotation) if get_origin(cls.model_fields[key].annotation) is Literal else ()
    )
    return next((choice for choice in choices if str(choice) == value), value)
