"""Names that changed since the first runs were written, so that old runs still load: today's name for each old one.

Options of methods outside this project are left alone: what they are called is their package's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fields.methods.registry import BUILT_IN

T = TypeVar("T")

# Options of methods (the header's `options`).
METHOD_OPTIONS = {
    "fresh_density": "initial_density",
    "products": "matmul_dtype",
}
# Options of loaders (the header's `source.options`).
SOURCE_OPTIONS: dict[str, str] = {
    "backdrop": "background",
}
# First parts of tensors' names in a field's state dict.
STATE_PREFIXES: dict[str, str] = {}


def current_header(header: dict[str, Any]) -> dict[str, Any]:
    """The header of a run, a field or a comparison with today's names of options."""
    renamed = dict(header)
    if header.get("method") in BUILT_IN and isinstance(header.get("options"), dict):
        renamed["options"] = _renamed(header["options"], METHOD_OPTIONS)
    source = header.get("source")
    if isinstance(source, dict) and isinstance(source.get("options"), dict):
        renamed["source"] = {**source, "options": _renamed(source["options"], SOURCE_OPTIONS)}
    return renamed


def current_state(state: Mapping[str, T]) -> dict[str, T]:
    """A field's state dict with today's names of tensors."""
    return {_current_name(name): tensor for name, tensor in state.items()}


def _current_name(name: str) -> str:
    for old, new in STATE_PREFIXES.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _renamed(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in options.items()}
