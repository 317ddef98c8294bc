"""Field Studio's library: load a signal, fit a neural field to it, query it, render it and save it.

    import fields, scenes
    result = fields.fit_field(scenes.load("photo.jpg"), seconds=30)
    result.field.at(384.5, 256.5)

Names are imported on first use, so that importing the package does not import torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fields.fit.fit import Fit, fit_field
    from fields.fit.objectives.base import Objective
    from fields.fit.trainer import Trainer
    from fields.methods.base import Method
    from fields.methods.registry import make_method, method_names
    from fields.models.field import Field, FrameField, PointField, RadianceField
    from fields.runs.run import Run, load_field

# Threads that wait for the others of a parallel region sleep after some microseconds. By default GNU's OpenMP, which
# torch brings along, lets them spin for milliseconds: beside other work that burned up to half of a fit's processor
# time (`python -m benchmarks.load`). It reads this when it is loaded, so it has to be set before torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "Field",
    "Fit",
    "FrameField",
    "Method",
    "Objective",
    "PointField",
    "RadianceField",
    "Run",
    "Trainer",
    "fit_field",
    "load_field",
    "make_method",
    "method_names",
]

# Module of each public name.
_MODULES = {
    "Field": "fields.models.field",
    "PointField": "fields.models.field",
    "RadianceField": "fields.models.field",
    "FrameField": "fields.models.field",
    "Method": "fields.methods.base",
    "make_method": "fields.methods.registry",
    "method_names": "fields.methods.registry",
    "Objective": "fields.fit.objectives.base",
    "Trainer": "fields.fit.trainer",
    "Run": "fields.runs.run",
    "fit_field": "fields.fit.fit",
    "Fit": "fields.fit.fit",
    "load_field": "fields.runs.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'fields' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
