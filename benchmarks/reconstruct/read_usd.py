"""Read a USD file by OpenUSD's own library (usd-core): its triangles, and the base color of a UsdPreviewSurface."""

from __future__ import annotations

import io
import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.reconstruct.raycast import Model


def _usd() -> Any:
    """OpenUSD's modules, which have no types."""
    return SimpleNamespace(**{name: import_module(f"pxr.{name}") for name in ("Ar", "Usd", "UsdGeom", "UsdShade")})


def read_usd(path: Path) -> list[Model]:
    """The meshes of a stage, in metres. Raises ValueError where it is not upright as phones want it (Y up)."""
    usd = _usd()
    stage = usd.Usd.Stage.Open(str(path))
    if usd.UsdGeom.GetStageUpAxis(stage) != usd.UsdGeom.Tokens.y:
        raise ValueError(f"{path}: its up axis is not Y")
    metres = usd.UsdGeom.GetStageMetersPerUnit(stage)
    places = usd.UsdGeom.XformCache()
    return [
        _model(usd, prim, np.array(places.GetLocalToWorldTransform(prim), np.float64), metres)
        for prim in stage.Traverse()
        if prim.IsA(usd.UsdGeom.Mesh)
    ]


def layer_extras(path: Path) -> dict:
    """What the stage's layer holds for the program that wrote it, from JSON texts of its `customLayerData`."""
    stage = _usd().Usd.Stage.Open(str(path))
    found = {}
    for name, value in stage.GetRootLayer().customLayerData.items():
        try:
            found[name] = json.loads(value)
        except (TypeError, ValueError):
            continue
    return found


def _model(usd: Any, prim: Any, to_world: np.ndarray, metres: float) -> Model:
    mesh = usd.UsdGeom.Mesh(prim)
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get())
    if (counts != 3).any():
        raise ValueError(f"{prim.GetPath()}: has faces that are not triangles")
    faces = np.array(mesh.GetFaceVertexIndicesAttr().Get(), np.int64).reshape(-1, 3)
    if mesh.GetOrientationAttr().Get() == usd.UsdGeom.Tokens.leftHanded:
        faces = faces[:, ::-1]
    points = np.array(mesh.GetPointsAttr().Get(), np.float64)
    normals = mesh.GetNormalsAttr().Get()
    if normals is not None and mesh.GetNormalsInterpolation() == usd.UsdGeom.Tokens.vertex:
        # Matrices of USD multiply rows; a mirrored or sheared one is not in question here.
        normals = np.array(normals, np.float64) @ np.linalg.inv(to_world[:3, :3]).T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    else:
        normals = None
    uv, texture, colors = _look(usd, prim)
    return Model(
        vertices=(points @ to_world[:3, :3] + to_world[3, :3]) * metres,
        faces=faces,
        normals=normals,
        uv=uv,
        texture=texture,
        colors=colors,
    )


def _look(usd: Any, prim: Any) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Texture coordinates with the origin at the top, the base color's image, and linear colors of vertices."""
    material, _ = usd.UsdShade.MaterialBindingAPI(prim).ComputeBoundMaterial()
    surface = material.ComputeSurfaceSource()[0]
    diffuse = surface.GetInput("diffuseColor")
    source = diffuse.GetConnectedSource()
    primvars = usd.UsdGeom.PrimvarsAPI(prim)
    if source is not None:
        image = usd.UsdShade.Shader(source[0].GetPrim())
        if image.GetIdAttr().Get() == "UsdUVTexture":
            if image.GetInput("sourceColorSpace").Get() not in ("sRGB", "auto"):
                raise ValueError(f"{prim.GetPath()}: the base color's image is not marked as sRGB")
            reader = usd.UsdShade.Shader(image.GetInput("st").GetConnectedSource()[0].GetPrim())
            st = np.array(primvars.GetPrimvar(reader.GetInput("varname").Get()).ComputeFlattened(), np.float64)
            return np.stack([st[:, 0], 1 - st[:, 1]], axis=1), _image(usd, image.GetInput("file").Get()), None
    display = primvars.GetPrimvar("displayColor")
    return None, None, np.array(display.ComputeFlattened(), np.float64) if display.HasValue() else None


def _image(usd: Any, asset: Any) -> np.ndarray:
    from PIL import Image

    opened = usd.Ar.GetResolver().OpenAsset(usd.Ar.ResolvedPath(asset.resolvedPath))
    return np.asarray(Image.open(io.BytesIO(bytes(opened.GetBuffer()))).convert("RGB"))
