"""Posed views of any kind that can be read."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from scenes.errors import BadInput
from scenes.files import read_head
from scenes.posed.bundle import open_bundle
from scenes.posed.llff import open_llff
from scenes.posed.transforms import open_transforms
from scenes.posed.view import PosedViews


# `procedural:NAME` is a scene made of formulas. Its pictures are taken by the renderer, a room above this one, which is
# therefore named here and loaded on use, as `scenes.LOADERS` does.
PROCEDURAL = "procedural:"
PHOTOGRAPHER = "fields.render.still_life:posed_views"


def open_posed(source: str | os.PathLike) -> PosedViews:
    """The views of a folder (transforms.json in its dialects, else LLFF), a transforms file, an `.npz`, or `procedural:NAME`.
    Raises BadInput."""
    if str(source).startswith(PROCEDURAL):
        module, _, function = PHOTOGRAPHER.partition(":")
        return getattr(import_module(module), function)(str(source).removeprefix(PROCEDURAL))
    path = Path(source)
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if path.is_dir():
        has_transforms = any((path / name).is_file() for name in ("transforms.json", "transforms_train.json"))
        if has_transforms or not (path / "poses_bounds.npy").is_file():
            return open_transforms(path)
        return open_llff(path)
    return open_bundle(path) if read_head(path, 4) == b"PK\x03\x04" else open_transforms(path)
