"""Names that changed since the first runs were written, so that old runs still load: today's name for each old one.

An option of a method outside this project is renamed only if the method has today's name and not the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fields.methods.points import ShapeOptions
from fields.methods.radiance import RadianceOptions
from fields.methods.registry import method_class, method_names

T = TypeVar("T")

# Options of methods (the header's `options`).
METHOD_OPTIONS = {
    "grid_share": "grid_fraction",
    "highest": "max_frequency",
    "layer_highest": "layer_max_frequency",
    "layer_lowest": "layer_min_frequency",
    "lowest": "min_frequency",
    "state": "state_size",
    "fresh_density": "initial_density",
    "products": "matmul_dtype",
    "cubes": "cascades",
}
# Options of loaders (the header's `source.options`).
SOURCE_OPTIONS: dict[str, str] = {
    "backdrop": "background",
}
# Options of loaders whose meaning is now the default.
DROPPED_SOURCE_OPTIONS = ("ignore_invalid",)
# Options of the stages of a distillation (the header's `stages`).
STAGE_OPTIONS = {
    "feature_share": "feature_fraction",
    "value_share": "value_fraction",
    "hard_share": "hard_ray_fraction",
    "hard_cameras": "hard_camera_fraction",
    "sample_share": "sample_fraction",
}
# First parts of tensors' names in a field's state dict.
STATE_PREFIXES: dict[str, str] = {
    "guide.": "proposal_field.",
}
# First parts of tensors' names in an objective's state, in checkpoints.
OBJECTIVE_PREFIXES: dict[str, str] = {
    "answers": "cache",
}
# Options that all methods once had, by today's names. Methods that fit neither scenes nor shapes have them no more.
ONCE_COMMON = frozenset({*RadianceOptions.model_fields, *ShapeOptions.model_fields})


def current_header(header: dict[str, Any]) -> dict[str, Any]:
    """The header of a run, a field or a comparison with today's names of options."""
    renamed = dict(header)
    if header.get("method") in method_names() and isinstance(header.get("options"), dict):
        renamed["options"] = _method_options(header["method"], header["options"])
    if isinstance(header.get("stages"), dict):
        renamed["stages"] = _renamed(header["stages"], STAGE_OPTIONS)
    source = header.get("source")
    if isinstance(source, dict) and isinstance(source.get("options"), dict):
        kept = {name: value for name, value in source["options"].items() if name not in DROPPED_SOURCE_OPTIONS}
        renamed["source"] = {**source, "options": _renamed(kept, SOURCE_OPTIONS)}
    return renamed


def current_state(state: Mapping[str, T], field: Mapping[str, Any]) -> dict[str, T]:
    """A stored state dict with today's names of tensors. Names in `field`, the state dict to load into, stay."""
    return {name if name in field else _current_name(name, STATE_PREFIXES): value for name, value in state.items()}


def current_objective_state(state: Mapping[str, T]) -> dict[str, T]:
    """An objective's state, as a checkpoint holds it, with today's names of tensors."""
    return {_current_name(name, OBJECTIVE_PREFIXES): tensor for name, tensor in state.items()}


def _method_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    known = method_class(method).model_fields
    names = {
        old: new for old, new in METHOD_OPTIONS.items() if old not in known and (new in known or new in ONCE_COMMON)
    }
    return {name: value for name, value in _renamed(options, names).items() if name in known or name not in ONCE_COMMON}


def _current_name(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _renamed(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in options.items()}
