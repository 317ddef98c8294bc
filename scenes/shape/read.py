"""Files of shapes → `Mesh` or `Cloud`, through trimesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.silence import silence_libraries
from scenes.shape.geometry import Cloud, Mesh, Paint

# What trimesh is asked to read, by ending. A .ply is a mesh if it has faces, else a point cloud.
MESHES = (".obj", ".ply", ".stl", ".glb", ".gltf", ".off")
CLOUDS = (".ply", ".xyz")


def shape_files(folder: Path) -> list[Path]:
    """The meshes and point clouds of a folder, by name."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in MESHES + CLOUDS and not path.name.startswith(".")
        ]
    except OSError as error:
        raise BadInput(f"{folder}: cannot be listed: {error.strerror}") from error
    return sorted(found)


def only_shape(folder: Path) -> Path:
    """The one shape of a folder; BadInput where there is none, or a choice."""
    files = shape_files(folder)
    if not files:
        raise BadInput(f"{folder}: the folder holds no mesh ({', '.join(dict.fromkeys(MESHES + CLOUDS))})")
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:4]) + (", ..." if len(files) > 4 else "")
        raise BadInput(f"{folder}: the folder holds {len(files)} shapes ({names}); name one of them")
    return files[0]


def read_shape(path: Path) -> Mesh | Cloud:
    """What a file holds; several bodies become one mesh. Raises BadInput with one line where nothing can be made of it."""
    import trimesh

    ending = path.suffix.lower()
    if ending not in MESHES + CLOUDS:
        raise BadInput(
            f"{path}: files ending in {ending or 'nothing'} are not read as shapes; "
            f"convert it to one of {', '.join(dict.fromkeys(MESHES + CLOUDS))}"
        )
    try:
        with silence_libraries(), np.errstate(all="ignore"):
            # (Not maintain_order: it gives a vertex on a seam of the texture one place in it, where it has two.)
            scene = trimesh.load_scene(path, process=False)
            parts = list(scene.dump())
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
    vertices = sum(len(part.vertices) for part in parts if hasattr(part, "vertices"))
    if not vertices:
        raise BadInput(f"{path}: holds no geometry; it may be cut short: export it again")
    if ending not in CLOUDS:
        raise BadInput(
            f"{path}: has {vertices} vertices and no faces; a surface needs faces, and a point cloud is read from "
            f"{' or '.join(CLOUDS)}"
        )
    return _cloud(parts)


def _mesh(part) -> Mesh:
    vertices, faces = np.asarray(part.vertices, np.float64), np.asarray(part.faces, np.int64)
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise BadInput(f"a face names vertex {int(faces.max())} and there are {len(vertices)}; export the file again")
    return Mesh(vertices, faces, _paint(part, faces))


def _paint(part, faces: np.ndarray) -> Paint | None:
    visual = part.visual
    if visual.kind == "vertex":
        return Paint(np.asarray(visual.vertex_colors, np.float64)[faces][..., :3] / 255)
    if visual.kind == "face":
        return Paint(np.repeat(np.asarray(visual.face_colors, np.float64)[:, None, :3] / 255, 3, axis=1))
    if visual.kind != "texture" or visual.uv is None or len(visual.uv) != len(part.vertices):
        return None
    material = visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        return None
    return Paint(np.asarray(visual.uv, np.float64)[faces], np.asarray(image.convert("RGB")))


def _join(meshes: list[Mesh]) -> Mesh:
    if len(meshes) == 1:
        return meshes[0]
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    joined = Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets)]),
    )
    paints = [mesh.paint for mesh in meshes]
    if all(paints):
        if all(paint.texture is None for paint in paints):
            joined.paint = Paint(np.concatenate([paint.corners for paint in paints]))
        elif all(paint.texture is paints[0].texture for paint in paints):
            joined.paint = Paint(np.concatenate([paint.corners for paint in paints]), paints[0].texture)
    if joined.paint is None and any(paints):
        joined.notes.append("the bodies have several textures, or not all have colours: fitted without colours")
    return joined


def _cloud(parts: list) -> Cloud:
    points = np.concatenate([np.asarray(part.vertices, np.float64) for part in parts])
    cloud = Cloud(points)
    if len(parts) == 1:
        part = parts[0]
        # A binary file's columns are fields of an array, a text file's entries of a dictionary.
        raw = part.metadata.get("_ply_raw", {}).get("vertex", {}).get("data", {})
        if {"nx", "ny", "nz"} <= set(raw if isinstance(raw, dict) else raw.dtype.names):
            cloud.normals = np.stack(
                [np.asarray(raw[name], np.float64).reshape(-1) for name in ("nx", "ny", "nz")], axis=-1
            )
        colors = getattr(part, "colors", None)
        if colors is not None and len(colors) == len(points):
            cloud.colors = np.asarray(colors, np.float64)[:, :3] / 255
    return cloud


def _faces_announced(path: Path) -> int:
    """By the second number of an OFF file's header; 0 where that says nothing. (trimesh does not compare.)"""
    with open(path, "rb") as file:
        words = file.read(200).split()
    return int(words[2]) if len(words) > 2 and words[2].isdigit() else 0


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
