"""3MF files: objects, components, build items and units.

Read here and not by trimesh, which needs lxml and leaves colours out. 3MF core specification 1.3.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scenes.errors import BadInput
from scenes.shape.geometry import Mesh, join_meshes
from scenes.shape.readers.placeholder import is_placeholder
from scenes.shape.readers.threemf_looks import ThreemfLooks, local_name

UNITS = {"micron": "um", "millimeter": "mm", "centimeter": "cm", "inch": "in", "foot": "ft", "meter": "m"}
# Largest nesting of components, and size of all files of a package together.
MAX_DEPTH = 64
MAX_BYTES = 4 << 30


@dataclass
class _Object:
    """An object of a model: a mesh, or other objects with their matrices `[4, 4]`. parts: (model, id, matrix)."""

    mesh: Mesh | None
    parts: list[tuple[str, str, np.ndarray]]


def read(path: Path) -> Mesh:
    """The items that a 3MF file builds, as one mesh. Raises BadInput where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise BadInput(f"{path}: unpacks to more than {MAX_BYTES >> 30} GiB; do not trust this file")
            names = {name.lstrip("/").lower(): name for name in archive.namelist() if name.lower().endswith(".model")}
            roots = {name: ElementTree.fromstring(archive.read(entry)) for name, entry in names.items()}
            main = _main_model(archive, list(roots))
            looks = {name: ThreemfLooks(archive, root) for name, root in roots.items()}
    except (zipfile.BadZipFile, EOFError, ElementTree.ParseError) as error:
        raise BadInput(f"{path}: is no whole 3MF file ({error}); it may be cut short: export it again") from error
    objects = {
        (name, ident): entry for name, root in roots.items() for ident, entry in _objects(path, name, root, looks[name])
    }
    root = roots[main]
    unit = root.get("unit", "millimeter")
    meshes: list[Mesh] = []
    items = [entry for entry in root.iter() if local_name(entry.tag) == "item"]
    for item in items:
        model = next((value for name, value in item.attrib.items() if local_name(name) == "path"), main)
        matrix = _matrix(item.get("transform"))
        _place(path, objects, (model.lstrip("/").lower(), item.get("objectid", "")), matrix, meshes, 0)
    if not items:
        for (name, _), entry in objects.items():
            if entry.mesh is not None and name == main:
                meshes.append(entry.mesh)
    if not meshes:
        raise BadInput(f"{path}: holds no geometry; it may be cut short: export it again")
    result = join_meshes(meshes)
    result.notes += dict.fromkeys(note for look in looks.values() for note in look.notes)
    if result.colors is not None and not result.colors.textures and is_placeholder(result.colors.corners):
        result.colors = None
    result.unit = UNITS.get(unit, unit)
    if len(meshes) > 1:
        result.notes.append(f"{len(meshes)} bodies are taken as one shape")
    return result


def _main_model(archive: zipfile.ZipFile, models: list[str]) -> str:
    """Name of the model that the package starts from."""
    for name in archive.namelist():
        if name.lower().endswith("_rels/.rels"):
            for relation in ElementTree.fromstring(archive.read(name)):
                target = relation.get("Target", "").lstrip("/").lower()
                if relation.get("Type", "").endswith("/3dmodel") and target in models:
                    return target
    if not models:
        raise zipfile.BadZipFile("it has no model")
    return models[0]


def _place(
    path: Path,
    objects: dict[tuple[str, str], _Object],
    key: tuple[str, str],
    matrix: np.ndarray,
    meshes: list[Mesh],
    depth: int,
) -> None:
    """Add the meshes of an object, moved by a matrix."""
    if depth > MAX_DEPTH:
        raise BadInput(f"{path}: its objects contain each other; export it again")
    if key not in objects:
        raise BadInput(f"{path}: refers to the object {key[1]}, which is not in it; export it again")
    entry = objects[key]
    if entry.mesh is not None:
        mesh = entry.mesh
        vertices = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        faces, colors = mesh.faces, mesh.colors
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces, colors = faces[:, ::-1], colors and colors.flipped(np.ones(len(faces), bool))
        meshes.append(Mesh(vertices, faces, colors, mesh.notes))
    for model, ident, inner in entry.parts:
        _place(path, objects, (model, ident), matrix @ inner, meshes, depth + 1)


def _objects(path: Path, name: str, root: ElementTree.Element, looks: ThreemfLooks) -> list[tuple[str, _Object]]:
    """The objects of a model by their ids."""
    found = []
    for entry in root.iter():
        if local_name(entry.tag) != "object" or entry.get("type") in ("support", "other"):
            continue
        mesh, parts = None, []
        for child in entry:
            if local_name(child.tag) == "mesh":
                mesh = _mesh(path, child, entry, looks)
            elif local_name(child.tag) == "components":
                for part in child:
                    model = next((value for key, value in part.attrib.items() if local_name(key) == "path"), name)
                    place = model.lstrip("/").lower(), part.get("objectid", ""), _matrix(part.get("transform"))
                    parts.append(place)
        found.append((entry.get("id", ""), _Object(mesh, parts)))
    return found


def _mesh(path: Path, mesh: ElementTree.Element, entry: ElementTree.Element, looks: ThreemfLooks) -> Mesh:
    vertices, triangles = [], []
    for child in mesh:
        if local_name(child.tag) == "vertices":
            vertices = [(v.get("x"), v.get("y"), v.get("z")) for v in child]
        elif local_name(child.tag) == "triangles":
            triangles = list(child)
    faces = np.array([(t.get("v1"), t.get("v2"), t.get("v3")) for t in triangles], np.float64).reshape(-1, 3)
    points = np.array(vertices, np.float64).reshape(-1, 3)
    index = faces.astype(np.int64)
    if len(index) and (index.min() < 0 or index.max() >= len(points)):
        raise BadInput(f"{path}: a triangle names vertex {index.max()} and there are {len(points)}; export it again")
    return Mesh(points, index, looks.of(triangles, entry))


def _matrix(text: str | None) -> np.ndarray:
    """The matrix `[4, 4]` of a transform of twelve numbers, which multiply row vectors from the right."""
    matrix = np.eye(4)
    if text:
        matrix[:3] = np.array(text.split(), np.float64).reshape(4, 3).T
    return matrix
