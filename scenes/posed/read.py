"""Posed views of any kind that can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from scenes.errors import BadInput
from scenes.io.files import PROCEDURAL_PREFIX, read_head
from scenes.posed.colmap import model_in, open_colmap
from scenes.posed.llff import open_llff
from scenes.posed.npz import open_bundle
from scenes.posed.transforms import open_transforms
from scenes.posed.view import MAX_PIXELS, PosedViews
from scenes.posed.zipped import is_zipped_folder, unpacked

# The pictures of a scene made of formulas are taken by the renderer, a room above this one, which is therefore named here and
# loaded on use, as `scenes.LOADERS` does.
PHOTOGRAPHER = "fields.render.still_life:posed_views"
ZIP = b"PK\x03\x04"


def posed_folder(folder: str | os.PathLike) -> tuple[str, Callable[[Path], PosedViews]] | None:
    """What a folder holds, in words, and what opens it; None where it is no posed scene. transforms.json goes before what it was made from."""
    folder = Path(folder)
    if any((folder / name).is_file() for name in ("transforms.json", "transforms_train.json")):
        return "a folder with transforms.json", open_transforms
    if (folder / "poses_bounds.npy").is_file():
        return "a folder with poses_bounds.npy", open_llff
    if model_in(folder) is not None:
        return "a folder with a COLMAP model", open_colmap
    return None


def is_posed(source: str | os.PathLike) -> bool:
    """Whether a source says where its pictures were taken, as far as can be told at a glance."""
    path = Path(source)
    if str(source).startswith(PROCEDURAL_PREFIX):
        return True
    if path.is_dir():
        return posed_folder(path) is not None
    if not path.is_file():
        raise BadInput(f"{path}: no such file or folder")
    return path.suffix.lower() in (".json", ".npz") or read_head(path, 4) == ZIP


def open_posed(source: str | os.PathLike, max_pixels: int = MAX_PIXELS) -> PosedViews:
    """The views of a folder (transforms.json in its dialects, else LLFF, else a COLMAP model), of a zip of such a folder, of a
    transforms file, of an `.npz` (of at most `max_pixels`, as that is read at once), or of `procedural:NAME`. Raises BadInput."""
    if str(source).startswith(PROCEDURAL_PREFIX):
        module, _, function = PHOTOGRAPHER.partition(":")
        return getattr(import_module(module), function)(str(source).removeprefix(PROCEDURAL_PREFIX))
    path = Path(source)
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if path.is_dir():
        found = posed_folder(path)
        if found is None:
            raise BadInput(
                f"{path}: no transforms.json, no poses_bounds.npy and no COLMAP model in this folder; name one that has posed views, "
                "or find the cameras of its photographs with: fit-a-scene poses"
            )
        return found[1](path)
    if read_head(path, 4) != ZIP:
        if path.suffix.lower() != ".json" and not read_head(path).lstrip().startswith(b"{"):
            raise BadInput(
                f"{path}: says nothing of cameras; find those of a film with: fit-a-scene poses {path} --out my-scene"
            )
        return open_transforms(path)
    return _open_zip(path) if path.suffix.lower() == ".zip" or is_zipped_folder(path) else open_bundle(path, max_pixels)


def _open_zip(path: Path) -> PosedViews:
    folder, kept = unpacked(path)
    # A folder may have been packed with its name, and with what was around it.
    for place in sorted([folder, *(p for p in folder.rglob("*") if p.is_dir())], key=lambda p: (len(p.parts), p)):
        if found := posed_folder(place):
            try:
                return replace(found[1](place), kept=kept)
            except BadInput as error:
                raise BadInput(
                    f"{path}: {str(error).replace(f'{place}: ', '').replace(f'{place}{os.sep}', '').replace(str(place), 'it')}"
                ) from None
    raise BadInput(f"{path}: no transforms.json, no poses_bounds.npy and no COLMAP model in this zip")
