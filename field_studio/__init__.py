"""Field Studio: fit neural fields to signals, look at them, convert and export them.

    import field_studio as fs

    result = fs.fit("photo.jpg", seconds=30, out="runs/photo")
    result.field.at(384.5, 256.5)  # the color at a position, in pixels
    fs.render("runs/photo", "large.png", scale=4)

This is the public surface, and nothing else is. Names are imported on first use: importing the package imports neither
torch nor numpy. Options are named as the flags of `fit-a-scene`: `--held-out 0.1` is `held_out=0.1`. `docs/library.md`
has examples.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from field_studio import encoders, networks
    from field_studio.functions import compare, distill, export, fit, load, open_run, reconstruct, render
    from fields.compare.comparison import Comparison
    from fields.distill.stages import Stages
    from fields.fit.fit import Fit
    from fields.fit.trainer import Trainer
    from fields.methods.base import Method
    from fields.methods.network import NetworkMethod
    from fields.methods.options import undecided
    from fields.methods.points import PointMethod
    from fields.methods.radiance import RadianceMethod
    from fields.methods.registry import make_method, method_names, register
    from fields.models.field import CoordinateField, Field, FrameField, PointField, RadianceField
    from fields.runs.run import Run, load_field
    from scenes.domain import Axis, Channels, Domain
    from scenes.errors import BadInput
    from scenes.signal import Signal

__all__ = [
    "Axis",
    "BadInput",
    "Channels",
    "Comparison",
    "CoordinateField",
    "Domain",
    "Field",
    "Fit",
    "FrameField",
    "Method",
    "NetworkMethod",
    "PointField",
    "PointMethod",
    "RadianceField",
    "RadianceMethod",
    "Run",
    "Signal",
    "Stages",
    "Trainer",
    "compare",
    "distill",
    "encoders",
    "export",
    "fit",
    "load",
    "load_field",
    "make_method",
    "method_names",
    "networks",
    "open_run",
    "reconstruct",
    "register",
    "render",
    "undecided",
]

# The public names of each module.
_NAMES = {
    "field_studio.functions": ("compare", "distill", "export", "fit", "load", "open_run", "reconstruct", "render"),
    "fields.compare.comparison": ("Comparison",),
    "fields.distill.stages": ("Stages",),
    "fields.fit.fit": ("Fit",),
    "fields.fit.trainer": ("Trainer",),
    "fields.methods.base": ("Method",),
    "fields.methods.network": ("NetworkMethod",),
    "fields.methods.options": ("undecided",),
    "fields.methods.points": ("PointMethod",),
    "fields.methods.radiance": ("RadianceMethod",),
    "fields.methods.registry": ("make_method", "method_names", "register"),
    "fields.models.field": ("CoordinateField", "Field", "FrameField", "PointField", "RadianceField"),
    "fields.runs.run": ("Run", "load_field"),
    "scenes.domain": ("Axis", "Channels", "Domain"),
    "scenes.errors": ("BadInput",),
    "scenes.signal": ("Signal",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in ("encoders", "networks"):
        return import_module(f"field_studio.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'field_studio' has no attribute {name!r}")
    found = getattr(import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
