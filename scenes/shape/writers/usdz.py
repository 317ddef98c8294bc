"""USDZ, the format of Quick Look on phones: a USD stage and its textures in one package.

ARKit's rules: an uncompressed zip whose files begin at multiples of 64 bytes, the stage first, Y up, a stated number of
metres for each unit, a default prim, and materials of UsdPreviewSurface. Written by OpenUSD's own library.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write
from scenes.shape.colors import linear_values
from scenes.shape.writers.asset import Asset, TextureFormat, image_bytes, unit_normals
from scenes.shape.writers.glb import MATT, PALE
from scenes.shape.writers.offset import split_offset

# Largest texture that phones show, in pixels along a side.
MAX_TEXTURE = 2048
INSTALL_HINT = "pip install 'field-studio[usd]'"


def check_usd_installed() -> None:
    """Check that OpenUSD's library is there, before long work. Raises BadInput, which names what to install."""
    if find_spec("pxr") is None:
        raise BadInput(f".usdz files need the package usd-core; install it with: {INSTALL_HINT}")


def _openusd() -> Any:
    """OpenUSD's modules. They have no types, so neither has this."""
    names = ("Gf", "Kind", "Sdf", "Tf", "Usd", "UsdGeom", "UsdShade", "UsdUtils", "Vt")
    return SimpleNamespace(**{name: import_module(f"pxr.{name}") for name in names})


def write_usdz(path: Path, asset: Asset, *, texture_format: TextureFormat = "png") -> None:
    """Write one mesh with a matt material that is visible from both sides.

    One unit is one metre, whatever `asset.units` says. There is no unlit material in USDZ. Vertex colors are linear and
    need a viewer that reads primvars; those on phones may show them grey. Extras are JSON in the layer's
    `customLayerData`, as `fieldStudio`.

    Raises BadInput where usd-core is not installed, the file cannot be written, a texture is larger than `MAX_TEXTURE`,
    or its format is not one of the standard's ("png", "jpeg").
    """
    check_usd_installed()
    if texture_format == "webp":
        raise BadInput("`texture_format=webp`: USDZ has PNG and JPEG textures only")
    for image in (asset.texture, asset.normal_map):
        if image is not None and max(image.shape[:2]) > MAX_TEXTURE:
            raise BadInput(
                f"`texture={max(image.shape[:2])}`: textures of .usdz files have at most {MAX_TEXTURE} pixels along a "
                "side, as phones show no larger ones"
            )
    with tempfile.TemporaryDirectory(prefix="field-studio-") as folder:
        stage = _write_stage(Path(folder), asset, texture_format)
        package = Path(folder) / "package.usdz"
        if not _openusd().UsdUtils.CreateNewARKitUsdzPackage(str(stage), str(package)):
            raise RuntimeError("OpenUSD could not make a package of the stage")
        with atomic_write(path) as temporary:
            shutil.copyfile(package, temporary)


def _write_stage(folder: Path, asset: Asset, texture_format: TextureFormat) -> Path:
    """Write the stage and its textures into a folder. Returns the stage's file."""
    usd = _openusd()
    geometry, arrays = usd.UsdGeom, usd.Vt
    file = folder / "mesh.usdc"
    stage = usd.Usd.Stage.CreateNew(str(file))
    geometry.SetStageUpAxis(stage, geometry.Tokens.y)
    geometry.SetStageMetersPerUnit(stage, 1.0)
    root = geometry.Xform.Define(stage, f"/{usd.Tf.MakeValidIdentifier(asset.name)}")
    stage.SetDefaultPrim(root.GetPrim())
    usd.Usd.ModelAPI(root).SetKind(usd.Kind.Tokens.component)
    extras = {"units": asset.units, **asset.extras}
    stage.GetRootLayer().customLayerData = {"creator": "Field Studio", "fieldStudio": json.dumps(extras)}
    mesh = geometry.Mesh.Define(stage, root.GetPath().AppendChild("Mesh"))
    local, offset = split_offset(asset.vertices)
    if offset.any():
        mesh.AddTranslateOp(geometry.XformOp.PrecisionDouble).Set(usd.Gf.Vec3d(*offset.tolist()))
    points = np.ascontiguousarray(local, np.float32)
    mesh.CreatePointsAttr(arrays.Vec3fArray.FromNumpy(points))
    mesh.CreateExtentAttr(arrays.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    mesh.CreateFaceVertexCountsAttr(arrays.IntArray.FromNumpy(np.full(len(asset.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(arrays.IntArray.FromNumpy(np.ascontiguousarray(asset.faces, np.int32).reshape(-1)))
    mesh.CreateNormalsAttr(arrays.Vec3fArray.FromNumpy(unit_normals(asset.normals)))
    mesh.SetNormalsInterpolation(geometry.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(geometry.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    primvars = geometry.PrimvarsAPI(mesh)
    if asset.uv is not None:
        st = primvars.CreatePrimvar("st", usd.Sdf.ValueTypeNames.TexCoord2fArray, geometry.Tokens.vertex)
        st.Set(arrays.Vec2fArray.FromNumpy(np.ascontiguousarray(asset.uv, np.float32)))
    if asset.texture is None and asset.colors is not None:
        colors = np.ascontiguousarray(linear_values(asset.colors), np.float32)
        mesh.CreateDisplayColorPrimvar(geometry.Tokens.vertex).Set(arrays.Vec3fArray.FromNumpy(colors))
    material = _add_material(stage, root.GetPath().AppendChild("Material"), folder, asset, texture_format)
    usd.UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
    stage.GetRootLayer().Save()
    return file


def _add_material(stage: Any, path: Any, folder: Path, asset: Asset, texture_format: TextureFormat) -> Any:
    """Define a UsdPreviewSurface material, and write its textures into the folder."""
    usd = _openusd()
    types = usd.Sdf.ValueTypeNames
    material = usd.UsdShade.Material.Define(stage, path)

    def shader(name: str, identifier: str) -> Any:
        made = usd.UsdShade.Shader.Define(stage, path.AppendChild(name))
        made.CreateIdAttr(identifier)
        return made

    surface = shader("Surface", "UsdPreviewSurface")
    surface.CreateInput("metallic", types.Float).Set(MATT["metallicFactor"])
    surface.CreateInput("roughness", types.Float).Set(MATT["roughnessFactor"])
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    diffuse = surface.CreateInput("diffuseColor", types.Color3f)

    def texture(name: str, image: np.ndarray, color_space: str, *, lossless: bool = False) -> Any:
        content, mime = image_bytes(image, texture_format, lossless=lossless)
        file = f"{name}.{'jpg' if mime == 'image/jpeg' else 'png'}"
        (folder / file).write_bytes(content)
        made = shader(name, "UsdUVTexture")
        made.CreateInput("file", types.Asset).Set(usd.Sdf.AssetPath(f"./{file}"))
        made.CreateInput("sourceColorSpace", types.Token).Set(color_space)
        made.CreateInput("wrapS", types.Token).Set("clamp")
        made.CreateInput("wrapT", types.Token).Set("clamp")
        made.CreateInput("st", types.Float2).ConnectToSource(coordinates.ConnectableAPI(), "result")
        made.CreateOutput("rgb", types.Float3)
        return made

    if asset.texture is not None or asset.normal_map is not None:
        coordinates = shader("Coordinates", "UsdPrimvarReader_float2")
        coordinates.CreateInput("varname", types.String).Set("st")
        coordinates.CreateOutput("result", types.Float2)
    if asset.texture is not None:
        diffuse.ConnectToSource(texture("BaseColor", asset.texture, "sRGB").ConnectableAPI(), "rgb")
    elif asset.colors is not None:
        reader = shader("VertexColors", "UsdPrimvarReader_float3")
        reader.CreateInput("varname", types.String).Set("displayColor")
        reader.CreateOutput("result", types.Float3)
        diffuse.ConnectToSource(reader.ConnectableAPI(), "result")
    else:
        diffuse.Set(usd.Gf.Vec3f(*PALE[:3]))
    if asset.normal_map is not None:
        normals = texture("Normals", asset.normal_map, "raw", lossless=True)
        # Eight bits from 0 to 1 stand for -1 to 1.
        normals.CreateInput("scale", types.Float4).Set(usd.Gf.Vec4f(2, 2, 2, 1))
        normals.CreateInput("bias", types.Float4).Set(usd.Gf.Vec4f(-1, -1, -1, 0))
        surface.CreateInput("normal", types.Normal3f).ConnectToSource(normals.ConnectableAPI(), "rgb")
    return material
