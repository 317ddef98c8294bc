"""USD scenes through usd-core: meshes and points at the stage's first time code.

trimesh does not read USD. Instances, transforms and subsets of faces with materials of their own are followed; of
subdivision surfaces the control mesh is read.
"""

from __future__ import annotations

import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.shape.colors import MeshColors, Texture, Wrap
from scenes.shape.geometry import Cloud, Mesh, join_clouds, join_meshes
from scenes.shape.polygons import triangulate
from scenes.shape.readers.images import beside, decoded
from scenes.shape.readers.placeholder import is_placeholder
from scenes.shape.readers.units import unit_of, up_note

WRAPS: dict[str, Wrap] = {"clamp": "clamp", "mirror": "mirror", "black": "clamp"}


def read(path: Path) -> Mesh | Cloud:
    """The default-purpose geometry of a stage, in its own axes and units.

    Raises BadInput where it cannot be opened, or usd-core is not installed.
    """
    try:
        tf, usd, geom = _openusd("Tf", "Usd", "UsdGeom")
    except ImportError as error:
        raise BadInput(f"{path}: USD files need usd-core: pip install 'field-studio[usd]'") from error
    try:
        stage = usd.Stage.Open(str(path))
    except tf.ErrorException as error:
        raise BadInput(f"{path}: cannot be opened as a USD scene; it may be cut short: export it again") from error
    folder = path.resolve().parent
    for layer in stage.GetUsedLayers():
        # A scene may come from anyone, so what leads out of its folder is not followed, as in other formats.
        if layer.realPath and not Path(layer.realPath).resolve().is_relative_to(folder):
            raise BadInput(f"{path}: is made of layers outside of its folder ({layer.realPath}); put them beside it")
    reader = _Reader(path, stage)
    for prim in usd.PrimRange.Stage(stage, usd.TraverseInstanceProxies()):
        reader.add(prim)
    if reader.meshes:
        result: Mesh | Cloud = join_meshes(reader.meshes)
        if isinstance(result, Mesh) and not reader.colored:
            result.colors = None
        if len(reader.meshes) > 1:
            result.notes.append(f"{len(reader.meshes)} bodies are taken as one shape")
    elif reader.clouds:
        result = join_clouds(reader.clouds)
    else:
        raise BadInput(f"{path}: holds no meshes or points; export it again")
    result.unit, note = unit_of(geom.GetStageMetersPerUnit(stage))
    result.notes = list(dict.fromkeys([*reader.notes, *result.notes]))
    result.notes += [text for text in (note, up_note(str(geom.GetStageUpAxis(stage)).lower())) if text]
    result.beside = reader.files
    return result


class _Reader:
    def __init__(self, path: Path, stage: Any) -> None:
        usd, geom = _openusd("Usd", "UsdGeom")

        self.path = path
        self.time = (
            usd.TimeCode(stage.GetStartTimeCode()) if stage.HasAuthoredTimeCodeRange() else usd.TimeCode.Default()
        )
        self.cache = geom.XformCache(self.time)
        self.meshes: list[Mesh] = []
        self.clouds: list[Cloud] = []
        self.notes: list[str] = []
        self.files: list[Path] = []
        self.colored = False
        self._textures: dict[str, Texture | None] = {}

    def add(self, prim: Any) -> None:
        """Add a mesh or points, unless they are invisible or a guide or a proxy."""
        (geom,) = _openusd("UsdGeom")

        if not prim.IsA(geom.Mesh) and not prim.IsA(geom.Points):
            return
        shown = geom.Imageable(prim)
        if shown.ComputeVisibility(self.time) == "invisible" or shown.ComputePurpose() in ("guide", "proxy"):
            return
        geometry = geom.PointBased(prim)
        points = np.asarray(geometry.GetPointsAttr().Get(self.time) or (), np.float64).reshape(-1, 3)
        if not len(points):
            return
        # Matrices of USD multiply row vectors from the right.
        matrix = np.array(self.cache.GetLocalToWorldTransform(prim), np.float64)
        points = points @ matrix[:3, :3] + matrix[3, :3]
        color = geom.PrimvarsAPI(prim).GetPrimvar("displayColor")
        if prim.IsA(geom.Points):
            values = _primvar(color, self.time)
            self.clouds.append(
                Cloud(points, None, values if values is not None and len(values) == len(points) else None)
            )
            return
        mesh = geom.Mesh(prim)
        counts = np.asarray(mesh.GetFaceVertexCountsAttr().Get(self.time) or (), np.int64)
        corners = np.asarray(mesh.GetFaceVertexIndicesAttr().Get(self.time) or (), np.int64)
        if counts.sum() != len(corners) or (len(corners) and (corners.min() < 0 or corners.max() >= len(points))):
            raise BadInput(f"{self.path}: the faces of {prim.GetPath()} do not fit its points; export it again")
        positions, polygons = triangulate(points, corners, counts)
        if not len(positions):
            return
        faces, colors = corners[positions], self._colors(prim, corners, positions, polygons)
        left_handed = mesh.GetOrientationAttr().Get(self.time) == "leftHanded"
        if left_handed != (np.linalg.det(matrix[:3, :3]) < 0):
            faces, colors = faces[:, ::-1], colors.flipped(np.ones(len(faces), bool))
        self.meshes.append(Mesh(points, faces, colors))

    def _colors(self, prim: Any, corners: np.ndarray, positions: np.ndarray, polygons: np.ndarray) -> MeshColors:
        """Linear colours of the material, of the subsets' materials, or else `displayColor`."""
        geom, shade = _openusd("UsdGeom", "UsdShade")

        api = geom.PrimvarsAPI(prim)
        values = _by_corner(api.GetPrimvar("displayColor"), self.time, corners, positions, polygons)
        result = MeshColors(
            np.ones((len(positions), 3, 3)) if values is None else np.array(values[..., :3]), linear=True
        )
        self.colored |= values is not None and not is_placeholder(result.corners)
        bound = [(shade.MaterialBindingAPI(prim).ComputeBoundMaterial()[0], np.ones(len(positions), bool))]
        for subset in shade.MaterialBindingAPI(prim).GetMaterialBindSubsets():
            chosen = np.isin(polygons, np.asarray(subset.GetIndicesAttr().Get(self.time)))
            bound.append((shade.MaterialBindingAPI(subset.GetPrim()).ComputeBoundMaterial()[0], chosen))
        result.uv, result.texture_of = np.zeros((len(positions), 3, 2)), np.full(len(positions), -1)
        for material, chosen in bound:
            if material:
                self._apply(material, chosen, result, lambda name: _by_corner(
                    api.GetPrimvar(name), self.time, corners, positions, polygons
                ))  # fmt: skip
        if not result.textures:
            result.uv = result.texture_of = None
        return result

    def _apply(self, material: Any, chosen: np.ndarray, result: MeshColors, primvar: Any) -> None:
        """Put a material's diffuse colour or texture on the chosen faces."""
        source = material.ComputeSurfaceSource()[0]
        diffuse = source.GetInput("diffuseColor") if source else None
        if not diffuse:
            return
        connected = diffuse.GetConnectedSource() if diffuse.HasConnectedSource() else None
        if not connected:
            value = diffuse.Get(self.time)
            if value is not None and diffuse.GetAttr().HasAuthoredValue():
                result.corners[chosen] = np.asarray(value, np.float64)
                self.colored |= not is_placeholder(result.corners[chosen])
            return
        shader = connected[0]
        file = shader.GetInput("file")
        if not file or file.Get(self.time) is None:
            # A reader of a primvar such as displayColor, which is there already.
            return
        asset = file.Get(self.time)
        inputs = [shader.GetInput(name) for name in ("wrapS", "wrapT")]
        wraps = tuple(WRAPS.get(str(entry.Get()) if entry else "", "repeat") for entry in inputs)
        texture = self._texture(asset.path, asset.resolvedPath, wraps)
        names = ("st", "UVMap", "st0", "map1", "Texture_uv")
        uv = next((found for name in names if (found := primvar(name)) is not None), None)
        if texture is None or uv is None:
            return
        result.corners[chosen] = 1.0
        result.textures.append(texture)
        if result.uv is not None and result.texture_of is not None:
            result.uv[chosen] = uv[chosen][..., :2]
            result.texture_of[chosen] = len(result.textures) - 1
        self.colored = True

    def _texture(self, name: str, resolved: str, wrap: Any) -> Texture | None:
        if name not in self._textures:
            self._textures[name] = None
            try:
                content = self._content(name, resolved)
                self._textures[name] = None if content is None else Texture(decoded(content), wrap)
            except Exception as error:  # noqa: BLE001  (Pillow raises many types for damaged bytes)
                self.notes.append(f"the texture {name} cannot be read ({str(error)[:60]}): fitted without it")
            else:
                if content is None:
                    self.notes.append(f"the texture {name} is not beside the file: fitted without it")
        return self._textures[name]

    def _content(self, name: str, resolved: str) -> bytes | None:
        if self.path.suffix.lower() == ".usdz":
            with zipfile.ZipFile(self.path) as archive:
                wanted = resolved.rpartition("[")[2].rstrip("]") or name
                for entry in archive.namelist():
                    if entry == wanted or entry.endswith("/" + Path(name).name) or entry == Path(name).name:
                        return archive.read(entry)
            return None
        file = beside(self.path, name)
        if file is not None:
            self.files.append(file)
        return None if file is None else file.read_bytes()


def _openusd(*names: str) -> list[Any]:
    """Modules of usd-core, which have no types."""
    return [import_module(f"pxr.{name}") for name in names]


def _primvar(primvar: Any, time: Any) -> np.ndarray | None:
    """Values `[n, k]` with their indices resolved; None where there are none."""
    if not primvar or not primvar.HasValue():
        return None
    values = np.asarray(primvar.ComputeFlattened(time), np.float64)
    return values.reshape(len(values), -1) if len(values) else None


def _by_corner(
    primvar: Any, time: Any, corners: np.ndarray, positions: np.ndarray, polygons: np.ndarray
) -> np.ndarray | None:
    """Values `[F, 3, k]` at the corners of triangles, by the primvar's interpolation."""
    values = _primvar(primvar, time)
    if values is None:
        return None
    kind = primvar.GetInterpolation()
    if kind == "constant":
        return np.broadcast_to(values[0], (*positions.shape, values.shape[1]))
    if kind == "uniform":
        return np.repeat(values[polygons][:, None], 3, axis=1)
    if kind == "faceVarying":
        return values[positions]
    return values[corners[positions]]
