"""Field Studio's library: a signal goes in, a field is fitted to it, the field is looked at and taken home.

    import fields, scenes
    result = fields.fit_field(scenes.load("photo.jpg"), seconds=30)
    result.field.at(384.5, 256.5)

Names load on first use, so that importing the package does not import torch.
"""

from importlib import import_module

_PLACES = {
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
__all__ = list(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'fields' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
