"""Field Studio's library: a signal goes in, a field is fitted to it, the field is looked at and taken home.

    import fields, scenes
    result = fields.fit_field(scenes.load("photo.jpg"), seconds=30)
    result.field.at(384.5, 256.5)

Names load on first use, so that importing the package does not import torch.
"""

from importlib import import_module

_PLACES = {
    "Field": "fields.field",
    "PointField": "fields.field",
    "RadianceField": "fields.field",
    "FrameField": "fields.field",
    "Method": "fields.methods.base",
    "make_method": "fields.methods.registry",
    "method_names": "fields.methods.registry",
    "Objective": "fields.fit.objective",
    "Trainer": "fields.fit.trainer",
    "Run": "fields.fit.run",
    "fit_field": "fields.fit.fit",
    "Fit": "fields.fit.fit",
    "load_field": "fields.fit.run",
}
__all__ = list(_PLACES)


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module 'fields' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
