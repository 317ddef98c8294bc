"""Read files of meshes and point clouds: which reader reads which ending."""

from __future__ import annotations

import os
import zipfile
from importlib import import_module
from pathlib import Path, PurePosixPath

import numpy as np

from scenes.errors import BadInput
from scenes.io.files import read_head
from scenes.io.silence import silence_libraries
from scenes.shape.endings import ENDINGS, READERS, UNREAD
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.readers.images import looking_in

# Levels of folders in which the shape of a folder or a zip is looked for.
MAX_DEPTH = 4


def shape_files(folder: Path) -> list[Path]:
    """The meshes and point clouds of a folder, by name. Raises BadInput where it cannot be listed."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be listed: {error.strerror}") from error
    return sorted(found)


def shapes_below(folder: Path) -> list[Path]:
    """The meshes and point clouds of a folder, else those of the folders in it, down to `MAX_DEPTH` levels."""
    level = [folder]
    for _ in range(MAX_DEPTH):
        if found := [file for place in level for file in shape_files(place)]:
            return found
        level = [inner for place in level for inner in _folders(place)]
    return []


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that can be listed, without hidden ones and those of packing programs."""
    return [
        place
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith((".", "__")) and os.access(place, os.R_OK | os.X_OK)
    ]


def zipped_shapes(archive: Path) -> list[str]:
    """Names of the meshes and point clouds in a zip; none for a file that is not a zip."""
    try:
        with zipfile.ZipFile(archive) as packed:
            paths = [PurePosixPath(name.replace("\\", "/")) for name in packed.namelist()]
    except (OSError, zipfile.BadZipFile, ValueError):
        return []
    return [
        path.name
        for path in paths
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and "__MACOSX" not in path.parts
    ]


def only_shape(folder: Path) -> Path:
    """The one shape of a folder. Raises BadInput where there is none or more than one."""
    files = shapes_below(folder)
    if not files:
        raise BadInput(f"{folder}: the folder holds no mesh ({', '.join(ENDINGS)})")
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4]) + (", ..." if len(files) > 4 else "")
        raise BadInput(f"{folder}: the folder holds {len(files)} shapes ({names}); name one of them")
    return files[0]


def read_zipped_shape(archive: Path) -> Mesh | Cloud:
    """Read the one shape of a zip, with its materials and textures. Raises BadInput as `read_shape`, also for bombs."""
    from scenes.posed.zipped import unpacked

    root, temporary = unpacked(archive)
    with temporary:
        try:
            with looking_in(root):
                geometry = read_shape(only_shape(root))
        except BadInput as error:
            # Messages name files as they are in the zip, not in the temporary folder.
            message = str(error).replace(f"{root}{os.sep}", "").replace(f"{root}: the folder", "it")
            raise BadInput(f"{archive}: {message.replace(str(root), 'it')}") from None
    geometry.beside = []
    return geometry


def read_shape(path: Path) -> Mesh | Cloud:
    """Read the mesh or the point cloud of a file; several bodies become one mesh.

    Raises BadInput, one line, where the file has another ending, is damaged, or holds no surface.
    """
    ending = path.suffix.lower()
    if ending in UNREAD:
        raise BadInput(
            f"{path}: {UNREAD[ending]} are not read; convert it to GLB, OBJ or PLY, for example with Blender"
        )
    # What a file is called does not matter where its first bytes say what it is.
    head = read_head(path, 4)
    ending = ".glb" if head == b"glTF" else ".ply" if head[:3] == b"ply" else ending
    if ending not in READERS:
        raise BadInput(
            f"{path}: files ending in {ending or 'nothing'} are not read as shapes; "
            f"convert it to one of {', '.join(ENDINGS)}"
        )
    reader = import_module(f"scenes.shape.readers.{READERS[ending]}")
    try:
        with silence_libraries(), np.errstate(all="ignore"):
            geometry: Mesh | Cloud = reader.read(path)
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (a damaged file can fail anywhere in a reader)
        raise BadInput(f"{path}: cannot be read as a shape: {_reason(error)}; export it again") from error
    if isinstance(geometry, Mesh) and not len(geometry.faces):
        raise BadInput(f"{path}: has {len(geometry.vertices)} vertices and no faces; a surface needs faces")
    return geometry


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
