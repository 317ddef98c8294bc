"""Methods by name: our own, those of installed packages, and those that a program registers while it runs.

Packages announce methods under the entry-point group `field_studio.methods`. To add one of our own, write its module
and add a line to `BUILT_IN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError

from fields.methods.base import Method
from fields.options import near
from scenes.errors import BadInput

# "module:class" of each method. The modules are imported when a method is asked for.
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
    "neus": "fields.methods.neus:Neus",
}

M = TypeVar("M", bound=type[Method])

_registered: dict[str, type[Method]] = {}


def register(cls: M) -> M:
    """Register a method for this process, under its `name`; a decorator.

    A method that was registered under the same name before is replaced. Raises BadInput for a class that is no method
    or has no name, and for the name of one of our own methods or of an installed package's.
    """
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        raise BadInput(f"{cls!r} is not a method: derive it from fields.methods.base.Method")
    name = getattr(cls, "name", None)
    if not isinstance(name, str):
        raise BadInput(f"{cls.__qualname__} has no name; set the class variable")
    known = _locations().get(name)
    if known not in (None, f"{cls.__module__}:{cls.__qualname__}"):
        raise BadInput(f"there is a method named {name!r} already: {known}")
    _registered[name] = cls
    return cls


@cache
def _locations() -> dict[str, str]:
    """Where our own and installed packages' methods are: "module:class" by name."""
    locations = dict(BUILT_IN)
    for point in entry_points(group="field_studio.methods"):
        if point.name in locations:
            raise BadInput(
                f"two installed packages offer a method named {point.name!r}: {locations[point.name]} and {point.value}"
            )
        locations[point.name] = point.value
    return locations


def method_names() -> list[str]:
    """Names of all known methods."""
    return list(dict.fromkeys([*_locations(), *_registered]))


def method_class(name: str) -> type[Method]:
    """The class of a method. Raises BadInput, with similar names, for an unknown one."""
    if name in _registered:
        return _registered[name]
    if name not in _locations():
        raise BadInput(f"unknown method {name!r}; {near(name, method_names())}")
    module, _, attribute = _locations()[name].partition(":")
    return getattr(import_module(module), attribute)


def make_method(name: str, options: Mapping[str, object] | None = None) -> Method:
    """A method with these options; values may be text, as a person types them.

    Raises BadInput for an unknown method, an unknown option, and a value that is out of range.
    """
    cls = method_class(name)
    options = options or {}
    for key in options:
        if key not in cls.model_fields:
            raise BadInput(f"method {name} has no option {key!r}; {near(key, list(cls.model_fields))}")
    try:
        return cls.model_validate({key: _parsed(cls, key, value) for key, value in options.items()})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or name
        message = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{key}={first['input']}: {message[0].lower()}{message[1:]}") from None


def _parsed(cls: type[Method], key: str, value: object) -> object:
    """An option's value from text: "none" is None, and a text that is one of the option's choices is that choice.

    Pydantic parses numbers and booleans itself, but compares choices without parsing them.
    """
    if value == "none":
        return None
    annotation = cls.model_fields[key].annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    return next((choice for choice in choices if str(choice) == value), value)
