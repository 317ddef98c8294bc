"""COLLADA files (.dae): the instances of the scene with their polygons and diffuse colours.

Read here and not by trimesh, which asks pycollada: that keeps coordinates in float32, and trimesh leaves out which axis
is up and cuts concave polygons into fans. COLLADA 1.4.1 and 1.5.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import MeshColors, Texture
from scenes.shape.geometry import Mesh, join_meshes
from scenes.shape.polygons import fan_triangles, strip_triangles, triangulate
from scenes.shape.readers.images import beside_image
from scenes.shape.readers.placeholder import is_placeholder
from scenes.shape.readers.units import unit_of, up_note

PRIMITIVES = ("triangles", "polylist", "polygons", "tristrips", "trifans")
UP_AXES = {"X_UP": "x", "Y_UP": "y", "Z_UP": "z"}
# Largest nesting of nodes that instance each other.
MAX_DEPTH = 100

Element = ElementTree.Element


def read(path: Path) -> Mesh:
    """The scene of a COLLADA file as one mesh, in the file's axes and units. Raises BadInput where it is damaged."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise BadInput(f"{path}: is no whole COLLADA file ({error}); it may be cut short: export it again") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    reader = _Reader(path, root)
    reader.add_scene()
    if not reader.meshes:
        raise BadInput(f"{path}: holds no geometry in its scene; export it again")
    result = join_meshes(reader.meshes)
    if not reader.colored:
        result.colors = None
    if len(reader.meshes) > 1:
        reader.notes.append(f"{len(reader.meshes)} bodies are taken as one shape")
    unit = root.find("asset/unit")
    result.unit, note = unit_of(float(unit.get("meter", "1")) if unit is not None else 1.0)
    up = UP_AXES.get((root.findtext("asset/up_axis") or "Y_UP").strip().upper(), "y")
    result.beside = reader.files
    result.notes = list(dict.fromkeys([*reader.notes, *result.notes, *filter(None, (note, up_note(up)))]))
    return result


class _Reader:
    """Meshes of the scene of a document whose tags have no namespaces."""

    def __init__(self, path: Path, root: Element) -> None:
        self.path, self.root = path, root
        self.by_id = {element.get("id", ""): element for element in root.iter() if element.get("id")}
        self.meshes: list[Mesh] = []
        self.notes: list[str] = []
        self.files: list[Path] = []
        self.colored = False
        self._arrays: dict[str, np.ndarray] = {}
        self._textures: dict[str, Texture | None] = {}

    def target(self, url: str | None) -> Element:
        """The element that a URL of this document names."""
        found = self.by_id.get((url or "").lstrip("#"))
        if found is None:
            raise BadInput(f"{self.path}: refers to {url}, which is not in it; export it again")
        return found

    def add_scene(self) -> None:
        instance = self.root.find("scene/instance_visual_scene")
        scene = self.root.find("library_visual_scenes/visual_scene") if instance is None else None
        scene = self.target(instance.get("url")) if instance is not None else scene
        for node in scene.findall("node") if scene is not None else ():
            self._add_node(node, np.eye(4), 0)

    def _add_node(self, node: Element, parent: np.ndarray, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise BadInput(f"{self.path}: its nodes contain each other; export it again")
        matrix = parent @ _node_matrix(node)
        for child in node:
            if child.tag == "node":
                self._add_node(child, matrix, depth + 1)
            elif child.tag == "instance_node":
                self._add_node(self.target(child.get("url")), matrix, depth + 1)
            elif child.tag == "instance_geometry":
                self._add_geometry(self.target(child.get("url")), child, matrix)
            elif child.tag == "instance_controller":
                # A skin in the pose in which it was bound.
                skin = self.target(child.get("url")).find("skin")
                if skin is not None:
                    bind = skin.findtext("bind_shape_matrix")
                    bound = matrix @ (np.array(bind.split(), np.float64).reshape(4, 4) if bind else np.eye(4))
                    self._add_geometry(self.target(skin.get("source")), child, bound)
                    self.notes.append("skinned bodies are in the pose in which they were bound")

    def _add_geometry(self, geometry: Element, instance: Element, matrix: np.ndarray) -> None:
        materials = {entry.get("symbol"): entry.get("target") for entry in instance.iter("instance_material")}
        for primitive in geometry.findall("mesh/*"):
            if primitive.tag in PRIMITIVES:
                self._add_primitive(primitive, materials.get(primitive.get("material")), matrix)

    def _add_primitive(self, primitive: Element, material: str | None, matrix: np.ndarray) -> None:
        inputs, stride = {}, 0
        for entry in primitive.findall("input"):
            offset = int(entry.get("offset", "0"))
            stride = max(stride, offset + 1)
            inputs.setdefault(entry.get("semantic"), (offset, entry.get("source")))
        if "VERTEX" not in inputs:
            return
        vertices = self.target(inputs["VERTEX"][1])
        of_vertices = {entry.get("semantic"): entry.get("source") for entry in vertices.findall("input")}
        points = self._array(of_vertices["POSITION"])[:, :3]
        rows, counts = _corners(primitive, stride)
        corners = rows[:, inputs["VERTEX"][0]]
        if not len(corners) or counts.sum() != len(corners) or corners.min() < 0 or corners.max() >= len(points):
            if len(corners):
                raise BadInput(
                    f"{self.path}: a polygon does not fit the vertices; it may be cut short: export it again"
                )
            return
        placed = points @ matrix[:3, :3].T + matrix[:3, 3]
        positions, _ = triangulate(placed, corners, counts)
        if not len(positions):
            return

        def values(semantic: str) -> np.ndarray | None:
            if semantic in inputs:
                offset, source = inputs[semantic]
                return self._array(source)[rows[:, offset]][positions]
            return self._array(of_vertices[semantic])[corners[positions]] if semantic in of_vertices else None

        mesh = Mesh(placed, corners[positions], self._colors(material, values("TEXCOORD"), values("COLOR"), positions))
        if np.linalg.det(matrix[:3, :3]) < 0:
            mesh.faces = mesh.faces[:, ::-1]
            mesh.colors = mesh.colors and mesh.colors.flipped(np.ones(len(mesh.faces), bool))
        self.meshes.append(mesh)

    def _array(self, url: str | None) -> np.ndarray:
        """Values `[n, k]` of a source."""
        source = self.target(url)
        key = source.get("id", "")
        if key not in self._arrays:
            accessor = source.find("technique_common/accessor")
            values = source.find("float_array")
            if values is None:
                raise BadInput(f"{self.path}: the source {key} has no numbers; export it again")
            width = int(accessor.get("stride", "1")) if accessor is not None else 3
            flat = np.array((values.text or "").split(), np.float64)
            self._arrays[key] = flat[: len(flat) // width * width].reshape(-1, width)
        return self._arrays[key]

    def _colors(
        self, material: str | None, uv: np.ndarray | None, colors: np.ndarray | None, positions: np.ndarray
    ) -> MeshColors:
        """Colours of triangles by the texture of the material, else of the corners, else by its diffuse colour."""
        corners = np.ones((len(positions), 3, 3))
        diffuse = self._diffuse(material)
        if isinstance(diffuse, Texture) and uv is not None:
            self.colored = True
            return MeshColors(corners, False, uv[..., :2], [diffuse], np.zeros(len(positions), np.int64))
        if colors is not None and colors.shape[-1] >= 3:
            corners = colors[..., :3]
        elif isinstance(diffuse, np.ndarray):
            corners[:] = diffuse
        self.colored |= not is_placeholder(corners)
        return MeshColors(corners)

    def _diffuse(self, material: str | None) -> Texture | np.ndarray | None:
        """The texture or the sRGB colour `[3]` of a material."""
        if material is None or material.lstrip("#") not in self.by_id:
            return None
        instance = self.target(material).find("instance_effect")
        if instance is None:
            return None
        profile = self.target(instance.get("url")).find("profile_COMMON")
        diffuse = next(iter(profile.iter("diffuse")), None) if profile is not None else None
        if profile is None or diffuse is None:
            return None
        if color := diffuse.findtext("color"):
            return np.clip(np.array(color.split()[:3], np.float64), 0, 1)
        texture = diffuse.find("texture")
        return None if texture is None else self._texture(profile, texture.get("texture", ""))

    def _texture(self, profile: Element, name: str) -> Texture | None:
        """The image of a sampler, of a surface, or of an image, whose ids are one after the other."""
        parameters = {entry.get("sid"): entry for entry in profile.iter("newparam")}
        for path in ("sampler2D/source", "surface/init_from"):
            if name in parameters and (text := parameters[name].findtext(path)):
                name = text.strip()
        if name in parameters and (instance := parameters[name].find("sampler2D/instance_image")) is not None:
            name = instance.get("url", "").lstrip("#")
        image = self.by_id.get(name)
        file = "".join(next(image.iter("init_from")).itertext()).strip() if image is not None else name
        if file not in self._textures:
            found, note = beside_image(self.path, file.removeprefix("file://"))
            self.notes += [note] if note else []
            self.files += [found.path] if found else []
            self._textures[file] = Texture(found.pixels) if found else None
        return self._textures[file]


def _corners(primitive: Element, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices `[C, stride]` of the corners of a primitive's polygons, and the polygons' numbers of corners."""
    parts = [np.array((entry.text or "").split(), np.int64) for entry in primitive.iter("p")]
    rows = [part[: len(part) // stride * stride].reshape(-1, stride) for part in parts]
    if not rows:
        return np.zeros((0, stride), np.int64), np.zeros(0, np.int64)
    if primitive.tag in ("tristrips", "trifans"):
        cut = strip_triangles if primitive.tag == "tristrips" else fan_triangles
        triangles = [part[cut(np.arange(len(part)))].reshape(-1, stride) for part in rows if len(part) >= 3]
        joined = np.concatenate(triangles) if triangles else np.zeros((0, stride), np.int64)
        return joined, np.full(len(joined) // 3, 3)
    joined = np.concatenate(rows)
    if primitive.tag == "polygons":
        return joined, np.array([len(part) for part in rows])
    if primitive.tag == "polylist":
        return joined, np.array((primitive.findtext("vcount") or "").split(), np.int64)
    return joined[: len(joined) // 3 * 3], np.full(len(joined) // 3, 3)


def _node_matrix(node: Element) -> np.ndarray:
    """The product of a node's transforms, in their order."""
    matrix = np.eye(4)
    for entry in node:
        if entry.tag not in ("matrix", "translate", "scale", "rotate"):
            continue
        numbers, step = np.array((entry.text or "").split(), np.float64), np.eye(4)
        if entry.tag == "matrix":
            step = numbers.reshape(4, 4)
        elif entry.tag == "translate":
            step[:3, 3] = numbers
        elif entry.tag == "scale":
            step[:3, :3] *= numbers
        else:
            x, y, z = numbers[:3] / max(float(np.linalg.norm(numbers[:3])), 1e-300)
            cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
            angle = np.radians(numbers[3])
            # Rodrigues' formula.
            step[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        matrix = matrix @ step
    return matrix
