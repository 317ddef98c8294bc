"""Posed views of every kind that can be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from scenes.errors import BadInput
from scenes.io.files import PROCEDURAL_PREFIX, read_head
from scenes.posed.colmap import model_in, open_colmap
from scenes.posed.conventions import Convention
from scenes.posed.find_record import left_out_note
from scenes.posed.llff import open_llff
from scenes.posed.locate import file_in
from scenes.posed.npz import open_bundle
from scenes.posed.photographs import Orientation
from scenes.posed.transforms import open_transforms
from scenes.posed.view import MAX_PIXELS, PosedViews
from scenes.posed.zipped import TRANSFORMS_FILES, holds_cameras, is_zipped_folder, unpacked

# The first bytes of a zip, which an `.npz` is too.
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True)
class ReadingOptions:
    """How a scene's files are to be read where they do not say it.

    Attributes:
        orientation: whether poses belong to the photographs' pixels as stored, or turned upright by their EXIF
            orientation. None: as the sizes of photographs and cameras tell, else stored.
        convention: of the poses, for files that do not fix it: camera to world with OpenGL axes ("opengl") or with
            OpenCV's ("opencv"), or world to camera with these ("w2c", "w2c-opencv"). None: "opengl" unless only "w2c"
            makes the cameras look at one place.
    """

    orientation: Orientation | None = None
    convention: Convention | None = None


# Opens a folder or file of one kind.
Opener = Callable[[Path, ReadingOptions], PosedViews]


def posed_folder(folder: str | os.PathLike) -> tuple[str, Opener] | None:
    """A description of the posed scene in a folder and the function that opens it; None where the folder holds none.

    `transforms.json` comes before the files that it was made from.
    """
    folder = Path(folder)
    if any(file_in(folder, name) for name in TRANSFORMS_FILES):
        return "a folder with transforms.json", _open_transforms
    if file_in(folder, "poses_bounds.npy"):
        return "a folder with poses_bounds.npy", lambda path, options: open_llff(path, options.orientation)
    if model_in(folder) is not None:
        return "a folder with a COLMAP model", lambda path, options: open_colmap(path, options.orientation)
    return None


def _open_transforms(path: Path, options: ReadingOptions) -> PosedViews:
    return open_transforms(path, options.orientation, options.convention)


def is_posed(source: str | os.PathLike) -> bool:
    """Whether a source seems to have cameras, by its name, its first bytes and, of a zip, the names in it.

    `scenes.posed.find.find_poses` finds those of photographs and films that have none. Raises BadInput where the source
    does not exist.
    """
    path = Path(source)
    if str(source).startswith(PROCEDURAL_PREFIX):
        return True
    if path.is_dir():
        return posed_folder(path) is not None
    if not path.is_file():
        raise BadInput(f"{path}: no such file or folder")
    if read_head(path, len(ZIP_MAGIC)) == ZIP_MAGIC:
        return path.suffix.lower() == ".npz" or not is_zipped_folder(path) or holds_cameras(path)
    return path.suffix.lower() in (".json", ".npz")


def open_posed(
    source: str | os.PathLike, max_pixels: int = MAX_PIXELS, options: ReadingOptions = ReadingOptions()
) -> PosedViews:
    """The views of a source.

    Args:
        source: a folder (transforms.json in its dialects, else LLFF, else a COLMAP model), a zip of such a folder, a
            transforms file, an `.npz`, or `procedural:NAME`.
        max_pixels: limit for an `.npz`, which is read at once.
        options: how the files are to be read where they do not say it.

    Raises BadInput, one line that names the file or view, where the source cannot be used.
    """
    if str(source).startswith(PROCEDURAL_PREFIX):
        from scenes.procedural.photographs import procedural_views

        return procedural_views(str(source).removeprefix(PROCEDURAL_PREFIX))
    path = Path(source)
    if not path.exists():
        raise BadInput(f"{path}: no such file or folder")
    if path.is_dir():
        found = posed_folder(path)
        if found is None:
            raise BadInput(
                f"{path}: no transforms.json, no poses_bounds.npy and no COLMAP model in this folder; name one that "
                "has posed views, or find the cameras of its photographs with: fit-a-scene poses"
            )
        scene = found[1](path, options)
        if note := left_out_note(path):
            scene.notes.append(note)
        return scene
    if read_head(path, len(ZIP_MAGIC)) != ZIP_MAGIC:
        if path.suffix.lower() != ".json" and not read_head(path).lstrip().startswith(b"{"):
            raise BadInput(
                f"{path}: has no cameras; find those of a video with: fit-a-scene poses {path} --out my-scene"
            )
        return _open_transforms(path, options)
    if path.suffix.lower() == ".zip" or is_zipped_folder(path):
        return _open_zip(path, options)
    return open_bundle(path, max_pixels, options.convention)


def _open_zip(path: Path, options: ReadingOptions) -> PosedViews:
    unpacked_folder, temporary = unpacked(path)
    # A folder may have been packed with its name, and with the files around it.
    folders = [unpacked_folder, *(place for place in unpacked_folder.rglob("*") if place.is_dir())]
    for folder in sorted(folders, key=lambda folder: (len(folder.parts), folder)):
        if found := posed_folder(folder):
            try:
                return replace(found[1](folder, options), keep_alive=temporary)
            except BadInput as error:
                # Messages name files as they are in the zip, not in the temporary folder.
                message = str(error).replace(f"{folder}: ", "").replace(f"{folder}{os.sep}", "")
                raise BadInput(f"{path}: {message.replace(str(folder), 'it')}") from None
    raise BadInput(
        f"{path}: no transforms.json, no poses_bounds.npy and no COLMAP model in this zip; find the cameras of its "
        f"photographs with: fit-a-scene poses {path} --out my-scene"
    )
