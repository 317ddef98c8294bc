"""glTF 2.0 files: the default scene with its instances, in the pose that the nodes have, and its colours.

Read here and not by trimesh, which leaves out base color factors, sparse accessors and the transform of textures,
takes linear colours for sRGB, cuts 16-bit ones to bytes, and puts one texture on everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import MeshColors
from scenes.shape.geometry import Cloud, Mesh, join_clouds, join_meshes
from scenes.shape.polygons import fan_triangles, strip_triangles
from scenes.shape.readers.gltf_file import MESHOPT, GltfFile
from scenes.shape.readers.gltf_looks import GltfLooks
from scenes.shape.readers.placeholder import is_placeholder

POINTS, TRIANGLES, STRIP, FAN = 0, 4, 5, 6
INSTANCING, DRACO = "EXT_mesh_gpu_instancing", "KHR_draco_mesh_compression"
# Extensions that are obeyed when a file requires them, or that change nothing that is read.
KNOWN = (
    *MESHOPT, INSTANCING, DRACO, "KHR_mesh_quantization", "KHR_texture_transform", "KHR_texture_basisu",
    "EXT_texture_webp", "EXT_texture_avif", "KHR_lights_punctual", "KHR_xmp", "KHR_xmp_json_ld",
    "KHR_animation_pointer", "KHR_node_visibility", "MSFT_lod", "MSFT_texture_dds",
)  # fmt: skip
# Most triangles of all instances together.
MAX_TRIANGLES = 100_000_000


def read(path: Path) -> Mesh | Cloud:
    """The default scene of a glTF file as one mesh, or as one cloud where it has points only."""
    file = GltfFile(path)
    unknown = [name for name in file.required if name not in KNOWN and not name.startswith("KHR_materials_")]
    if unknown:
        raise BadInput(
            f"{path}: requires the glTF extension {', '.join(unknown)}, which is not read; export without it"
        )
    try:
        return _Scene(file).joined()
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise file.damaged(f"its JSON objects do not fit together ({type(error).__name__}: {error})") from error


class _Scene:
    """Meshes and clouds of all instances in a file's default scene."""

    def __init__(self, file: GltfFile) -> None:
        self.file = file
        self.looks = GltfLooks(file)
        self.meshes: list[Mesh] = []
        self.clouds: list[Cloud] = []
        self.lines = self.triangles = 0
        self.colored = False
        self._primitives: dict[tuple[int, int], tuple[dict[str, np.ndarray], np.ndarray | None]] = {}
        self._looked: dict[tuple[int, int], MeshColors] = {}
        self._worlds = self._world_matrices()

    def joined(self) -> Mesh | Cloud:
        for node, world in self._worlds.items():
            self._add_node(node, world)
        notes = list(dict.fromkeys(self.looks.notes))
        scenes = self.file.items("scenes")
        if len(scenes) > 1:
            default = self.file.tree.get("scene", 0)
            name = scenes[default].get("name")
            notes.append(f"{len(scenes)} scenes are in the file; the default{f', {name},' if name else ''} is read")
        if self.lines:
            notes.append(f"{self.lines} primitives are lines, which are left out")
        if self.meshes:
            if self.clouds:
                notes.append("points beside triangles are left out")
            result = join_meshes(self.meshes)
            if not self.colored:
                result.colors = None
            if len(self.meshes) > 1:
                notes.append(f"{len(self.meshes)} bodies are taken as one shape")
        elif self.clouds:
            result = join_clouds(self.clouds)
        else:
            raise self.file.damaged("it holds no geometry: no triangles in its scene")
        result.notes += notes
        result.unit, result.beside = "m", self.file.files
        return result

    def _world_matrices(self) -> dict[int, np.ndarray]:
        """Matrices `[4, 4]` of all nodes of the default scene by their indices, parents first."""
        nodes, scenes = self.file.items("nodes"), self.file.items("scenes")
        if scenes:
            roots = self.file.item("scenes", self.file.tree.get("scene", 0)).get("nodes", [])
        else:
            children = {child for node in nodes for child in node.get("children", [])}
            roots = [index for index in range(len(nodes)) if index not in children]
        found: dict[int, np.ndarray] = {}
        waiting = [(root, np.eye(4)) for root in reversed(roots)]
        while waiting:
            index, parent = waiting.pop()
            if index in found:
                raise self.file.damaged(f"its node {index} has two parents or is its own")
            node = self.file.item("nodes", index)
            if not node.get("extensions", {}).get("KHR_node_visibility", {}).get("visible", True):
                continue
            found[index] = parent @ _local_matrix(node)
            waiting += [(child, found[index]) for child in reversed(node.get("children", []))]
        return found

    def _add_node(self, index: int, world: np.ndarray) -> None:
        node = self.file.item("nodes", index)
        if "mesh" not in node:
            return
        matrices = [world]
        if instancing := node.get("extensions", {}).get(INSTANCING):
            matrices = [world @ matrix for matrix in self._instances(instancing["attributes"])]
        mesh = self.file.item("meshes", node["mesh"])
        weights = node.get("weights", mesh.get("weights", []))
        joints = self._joint_matrices(node["skin"]) if "skin" in node else None
        for number, primitive in enumerate(mesh["primitives"]):
            attributes, faces = self._primitive((node["mesh"], number), primitive)
            if faces is None:
                continue
            points = _morphed(self.file, primitive, attributes["POSITION"], weights)
            if joints is not None and "JOINTS_0" in attributes:
                # Joints place the vertices of a skin; its own node does not (glTF 2.0, section 3.7.3.3).
                points, placed = _skinned(points, attributes, joints), [np.eye(4)]
            else:
                placed = matrices
            for matrix in placed:
                self._add_instance((node["mesh"], number), primitive, attributes, points, faces, matrix)

    def _add_instance(
        self,
        key: tuple[int, int],
        primitive: dict[str, Any],
        attributes: dict[str, np.ndarray],
        points: np.ndarray,
        faces: np.ndarray,
        matrix: np.ndarray,
    ) -> None:
        vertices = points @ matrix[:3, :3].T + matrix[:3, 3]
        if primitive.get("mode", TRIANGLES) == POINTS:
            looks = self.looks.of(primitive, attributes, np.repeat(np.arange(len(points))[:, None], 3, axis=1))
            colors = looks.at(np.arange(len(points)), np.tile([1.0, 0, 0], (len(points), 1)))
            normals = attributes.get("NORMAL")
            if normals is not None:
                normals = normals @ np.linalg.inv(matrix[:3, :3])
            self.clouds.append(Cloud(vertices, normals, colors if "COLOR_0" in attributes else None))
            return
        self.triangles += len(faces)
        if self.triangles > MAX_TRIANGLES:
            raise BadInput(f"{self.file.path}: its instances have more than {MAX_TRIANGLES:,} triangles")
        if key not in self._looked:
            self._looked[key] = self.looks.of(primitive, attributes, faces)
        colors = self._looked[key]
        self.colored |= bool(colors.textures) or not is_placeholder(colors.corners)
        if np.linalg.det(matrix[:3, :3]) < 0:
            # A mirrored instance has the opposite orientation (glTF 2.0, section 3.7.4).
            faces, colors = faces[:, ::-1], colors.flipped(np.ones(len(faces), bool))
        self.meshes.append(Mesh(vertices, faces, colors))

    def _primitive(
        self, key: tuple[int, int], primitive: dict[str, Any]
    ) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Attributes by their names, and triangles `[F, 3]`; None for lines and for primitives without positions.

        Points have no triangles, `[0, 3]`.
        """
        if key in self._primitives:
            return self._primitives[key]
        mode = primitive.get("mode", TRIANGLES)
        result: tuple[dict[str, np.ndarray], np.ndarray | None] = {}, None
        if mode not in (POINTS, TRIANGLES, STRIP, FAN):
            self.lines += 1
        elif "POSITION" in primitive["attributes"]:
            attributes, index = self._values(primitive)
            count = len(attributes["POSITION"])
            if len(index) and (index.min() < 0 or index.max() >= count):
                raise self.file.damaged(f"a face names vertex {index.max()} and there are {count}")
            result = attributes, _triangles(index, mode)
        self._primitives[key] = result
        return result

    def _values(self, primitive: dict[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Attributes, and the indices `[n]` of the vertices in the order of the primitive."""
        if draco := primitive.get("extensions", {}).get(DRACO):
            return self._draco(primitive, draco)
        attributes = {name: self.file.accessor(index) for name, index in primitive["attributes"].items()}
        attributes["POSITION"] = attributes["POSITION"].astype(np.float64)
        if "indices" in primitive:
            return attributes, self.file.accessor(primitive["indices"])[:, 0]
        return attributes, np.arange(len(attributes["POSITION"]))

    def _draco(self, primitive: dict[str, Any], draco: dict[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        try:
            import DracoPy
        except ImportError as error:
            raise BadInput(
                f"{self.file.path}: its meshes are compressed ({DRACO}); pip install 'field-studio[draco]', or export "
                "without compression"
            ) from error
        decoded = DracoPy.decode(self.file.view(draco["bufferView"]))
        attributes = {}
        for name, number in draco["attributes"].items():
            values = np.asarray(decoded.get_attribute_by_unique_id(number)["data"])
            accessor = self.file.item("accessors", primitive["attributes"][name])
            if values.dtype.kind in "iu":
                scale = np.iinfo(values.dtype).max if accessor.get("normalized") else 1
                values = values / scale if accessor.get("normalized") else values.astype(np.int64)
            attributes[name] = values.astype(np.float64) if values.dtype.kind == "f" else values
        attributes["POSITION"] = attributes["POSITION"].astype(np.float64)
        faces = decoded.faces if hasattr(decoded, "faces") else np.arange(len(attributes["POSITION"]))
        return attributes, np.asarray(faces, np.int64).reshape(-1)

    def _instances(self, attributes: dict[str, int]) -> list[np.ndarray]:
        values = {name: self.file.accessor(index) for name, index in attributes.items()}
        count = len(next(iter(values.values())))
        nothing: list[None] = [None] * count
        columns = [values.get(name, nothing) for name in ("TRANSLATION", "ROTATION", "SCALE")]
        return [_trs(translation, rotation, scale) for translation, rotation, scale in zip(*columns)]

    def _joint_matrices(self, index: int) -> np.ndarray:
        """Matrices `[J, 4, 4]` from the bind pose to that of the nodes."""
        skin = self.file.item("skins", index)
        worlds = np.stack([self._worlds.get(joint, np.eye(4)) for joint in skin["joints"]])
        if "inverseBindMatrices" not in skin:
            return worlds
        # Matrices are stored column by column.
        inverse = self.file.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        return worlds @ inverse[: len(worlds)]


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    return _trs(node.get("translation"), node.get("rotation"), node.get("scale"))


def _trs(translation: Any, rotation: Any, scale: Any) -> np.ndarray:
    """The matrix that scales, turns by a quaternion (x, y, z, w), and moves."""
    matrix = np.eye(4)
    if rotation is not None:
        x, y, z, w = np.asarray(rotation, np.float64) / max(float(np.linalg.norm(rotation)), 1e-300)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    if scale is not None:
        matrix[:3, :3] *= np.asarray(scale, np.float64)
    if translation is not None:
        matrix[:3, 3] = translation
    return matrix


def _triangles(index: np.ndarray, mode: int) -> np.ndarray:
    """Triangles `[F, 3]` of the indices `[n]` of a primitive."""
    if mode == POINTS or len(index) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == STRIP:
        return strip_triangles(index)
    if mode == FAN:
        return fan_triangles(index)
    return index[: len(index) // 3 * 3].reshape(-1, 3)


def _morphed(file: GltfFile, primitive: dict[str, Any], points: np.ndarray, weights: list[float]) -> np.ndarray:
    """Positions with the morph targets at their default weights."""
    for target, weight in zip(primitive.get("targets", []), weights):
        if weight and "POSITION" in target:
            points = points + weight * file.accessor(target["POSITION"])
    return points


def _skinned(points: np.ndarray, attributes: dict[str, np.ndarray], joints: np.ndarray) -> np.ndarray:
    """Positions as the weighted mean of where their joints take them."""
    matrices = np.zeros((len(points), 4, 4))
    total = np.zeros(len(points))
    for number in range(8):
        if f"JOINTS_{number}" not in attributes or f"WEIGHTS_{number}" not in attributes:
            break
        index, weights = attributes[f"JOINTS_{number}"].astype(np.int64), attributes[f"WEIGHTS_{number}"]
        for column in range(index.shape[1]):
            matrices += weights[:, column, None, None] * joints[index[:, column]]
            total += weights[:, column]
    matrices /= np.where(total > 0, total, 1)[:, None, None]
    moved = np.einsum("nij,nj->ni", matrices[:, :3, :3], points) + matrices[:, :3, 3]
    return np.where(total[:, None] > 0, moved, points)
