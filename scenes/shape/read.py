"""Read files of meshes and point clouds: which reader reads which ending."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.files import read_head
from scenes.io.silence import silence_libraries
from scenes.shape.endings import ENDINGS, READERS, UNREAD
from scenes.shape.geometry import Cloud, Mesh


def shape_files(folder: Path) -> list[Path]:
    """The meshes and point clouds of a folder, by name. Raises BadInput where it cannot be listed."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be listed: {error.strerror}") from error
    return sorted(found)


def only_shape(folder: Path) -> Path:
    """The one shape of a folder. Raises BadInput where there is none or more than one."""
    files = shape_files(folder)
    if not files:
        raise BadInput(f"{folder}: the folder holds no mesh ({', '.join(ENDINGS)})")
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4]) + (", ..." if len(files) > 4 else "")
        raise BadInput(f"{folder}: the folder holds {len(files)} shapes ({names}); name one of them")
    return files[0]


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
