"""Read files of meshes and point clouds through trimesh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.errors import BadInput
from scenes.io.silence import silence_libraries
from scenes.shape.geometry import Cloud, Mesh, MeshColors

if TYPE_CHECKING:
    import trimesh

# Endings of the files that trimesh is asked to read. A .ply is a mesh if it has faces, else a point cloud.
MESH_ENDINGS = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off")
CLOUD_ENDINGS = (".ply", ".xyz")
ENDINGS = tuple(dict.fromkeys(MESH_ENDINGS + CLOUD_ENDINGS))


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
    import trimesh

    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(
            f"{path}: files ending in {ending or 'nothing'} are not read as shapes; "
            f"convert it to one of {', '.join(ENDINGS)}"
        )
    try:
        with silence_libraries(), np.errstate(all="ignore"):
            # Without maintain_order, which merges the two texture coordinates of a vertex on a seam into one.
            scene = trimesh.load_scene(path, process=False)
            parts: list[Any] = list(scene.dump())
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (a damaged file can fail anywhere in the reader)
        raise BadInput(f"{path}: cannot be read as a shape: {_reason(error)}; export it again") from error
    meshes = [part for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if ending == ".off" and (announced := _faces_announced(path)) > (found := sum(len(mesh.faces) for mesh in meshes)):
        raise BadInput(f"{path}: announces {announced} faces and holds {found}; it is cut short: export it again")
    if meshes:
        mesh = _join([_mesh(part) for part in meshes])
        if len(meshes) > 1:
            mesh.notes.append(f"{len(meshes)} bodies are taken as one shape")
        return mesh
    vertices = sum(len(part.vertices) for part in parts)
    if not vertices:
        raise BadInput(f"{path}: holds no geometry; it may be cut short: export it again")
    if ending not in CLOUD_ENDINGS:
        raise BadInput(
            f"{path}: has {vertices} vertices and no faces; a surface needs faces, and a point cloud is read from "
            f"{' or '.join(CLOUD_ENDINGS)}"
        )
    return _cloud(parts)


def _mesh(part: trimesh.Trimesh) -> Mesh:
    vertices, faces = np.asarray(part.vertices, np.float64), np.asarray(part.faces, np.int64)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise BadInput(f"a face names vertex {int(faces.max())} and there are {len(vertices)}; export the file again")
    return Mesh(vertices, faces, _colors(part, faces))


def _colors(part: trimesh.Trimesh, faces: np.ndarray) -> MeshColors | None:
    visual: Any = part.visual
    if visual.kind == "vertex":
        return MeshColors(np.asarray(visual.vertex_colors, np.float64)[faces][..., :3] / 255)
    if visual.kind == "face":
        return MeshColors(np.repeat(np.asarray(visual.face_colors, np.float64)[:, None, :3] / 255, 3, axis=1))
    if visual.kind != "texture" or visual.uv is None or len(visual.uv) != len(part.vertices):
        return None
    image = _texture(visual.material)
    if image is None:
        return None
    return MeshColors(np.asarray(visual.uv, np.float64)[faces], np.asarray(image.convert("RGB")))


def _texture(material: Any) -> Any:
    """The image of a material, or None. Physically based materials have it under another name than simple ones."""
    from trimesh.visual.material import PBRMaterial, SimpleMaterial

    if isinstance(material, PBRMaterial):
        return material.baseColorTexture
    return material.image if isinstance(material, SimpleMaterial) else None


def _join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several bodies, with colours where all have colours of one sort."""
    if len(meshes) == 1:
        return meshes[0]
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    joined = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets)]),
    )
    colors = [mesh.colors for mesh in meshes if mesh.colors is not None]
    if len(colors) == len(meshes) and all(own.texture is colors[0].texture for own in colors):
        joined.colors = MeshColors(np.concatenate([own.corners for own in colors]), colors[0].texture)
    elif colors:
        joined.notes.append("the bodies have several textures, or not all have colours: fitted without colours")
    return joined


def _cloud(parts: Sequence[Any]) -> Cloud:
    import trimesh

    points = np.concatenate([np.asarray(part.vertices, np.float64) for part in parts])
    cloud = Cloud(points)
    if len(parts) == 1:
        part = parts[0]
        # The columns of a binary file are fields of an array, those of a text file entries of a dictionary.
        raw: Any = part.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
        if {"nx", "ny", "nz"} <= set(raw if isinstance(raw, dict) else raw.dtype.names):
            cloud.normals = np.stack(
                [np.asarray(raw[name], np.float64).reshape(-1) for name in ("nx", "ny", "nz")], axis=-1
            )
        if isinstance(part, trimesh.PointCloud) and part.colors is not None and len(part.colors) == len(points):
            cloud.colors = np.asarray(part.colors, np.float64)[:, :3] / 255
    return cloud


def _faces_announced(path: Path) -> int:
    """Number of faces in the header of an OFF file, which trimesh does not check; 0 where it is not there."""
    with open(path, "rb") as file:
        words = file.read(200).split()
    return int(words[2]) if len(words) > 2 and words[2].isdigit() else 0


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
