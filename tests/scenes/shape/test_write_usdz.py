"""USDZ files obey ARKit's rules, pass OpenUSD's validators, and hold what was given."""

import json
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from validators import usd_errors

from scenes.errors import BadInput
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.usdz import write_usdz

pytest.importorskip("pxr")

BALL = trimesh.creation.icosphere(2)
VERTICES = BALL.vertices * [1, 2, 0.5] + [5, 0, -3]
RANDOM = np.random.default_rng(0)
UV = RANDOM.random((len(VERTICES), 2))
TEXTURE = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
NORMAL_MAP = np.full((32, 32, 3), [128, 128, 255], np.uint8)
TANGENTS = np.tile([1.0, 0, 0, 1], (len(VERTICES), 1))
LOOKS = {
    "plain": {},
    "colors": {"colors": RANDOM.random(VERTICES.shape)},
    "texture": {"uv": UV, "texture": TEXTURE},
    "normal map": {"uv": UV, "texture": TEXTURE, "normal_map": NORMAL_MAP, "tangents": TANGENTS},
}


def ball(**looks) -> Asset:
    return Asset(VERTICES, BALL.faces, BALL.vertex_normals, name="a ball-1", **looks)


@pytest.mark.parametrize("texture_format", ["png", "jpeg"])
@pytest.mark.parametrize("looks", LOOKS)
def test_the_validators_find_nothing(tmp_path, looks: str, texture_format: str, capfd):
    write_usdz(tmp_path / "a.usdz", ball(**LOOKS[looks]), texture_format=texture_format)
    assert usd_errors(tmp_path / "a.usdz") == []
    assert "Warning" not in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.usdz"]


def test_the_validators_can_fail(tmp_path):
    from pxr import Usd, UsdGeom

    stage = Usd.Stage.CreateNew(str(tmp_path / "a.usda"))
    UsdGeom.Mesh.Define(stage, "/Mesh")
    stage.Save()
    names = {name for name, _ in usd_errors(tmp_path / "a.usda")}
    assert {"MissingMetersPerUnitMetadata", "MissingDefaultPrim"} & names, names


@pytest.mark.parametrize("looks", LOOKS)
def test_packages_are_stored_and_aligned_with_the_stage_first(tmp_path, looks: str):
    write_usdz(tmp_path / "a.usdz", ball(**LOOKS[looks]))
    content = (tmp_path / "a.usdz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.usdz") as package:
        entries = package.infolist()
    assert entries[0].filename.endswith(".usdc")
    for entry in entries:
        header = content[entry.header_offset : entry.header_offset + 30]
        name_length, extra_length = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        assert entry.compress_type == zipfile.ZIP_STORED and entry.flag_bits & 1 == 0
        assert (entry.header_offset + 30 + name_length + extra_length) % 64 == 0


def test_another_program_reads_the_same_mesh(tmp_path):
    from pxr import Usd, UsdGeom, UsdShade

    write_usdz(tmp_path / "a.usdz", ball(**LOOKS["normal map"], units="metres", extras={"scale_known": True}))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetRootLayer().HasDefaultPrim() and stage.GetDefaultPrim().GetName() == "a_ball_1"
    data = json.loads(stage.GetRootLayer().customLayerData["fieldStudio"])
    assert data == {"units": "metres", "scale_known": True}
    mesh = UsdGeom.Mesh(next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)))
    np.testing.assert_array_equal(np.array(mesh.GetPointsAttr().Get()), VERTICES.astype(np.float32))
    np.testing.assert_array_equal(np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3), BALL.faces)
    assert set(mesh.GetFaceVertexCountsAttr().Get()) == {3}
    assert mesh.GetSubdivisionSchemeAttr().Get() == "none" and mesh.GetDoubleSidedAttr().Get()
    st = UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get()
    np.testing.assert_allclose(np.array(st), UV, atol=1e-6)
    material, _ = UsdShade.MaterialBindingAPI(mesh.GetPrim()).ComputeBoundMaterial()
    surface, _, _ = material.ComputeSurfaceSource()
    assert surface.GetInput("metallic").Get() == 0 and surface.GetInput("roughness").Get() == 1
    with zipfile.ZipFile(tmp_path / "a.usdz") as package:
        for name, wanted in (("BaseColor.png", TEXTURE), ("Normals.png", NORMAL_MAP)):
            with Image.open(BytesIO(package.read(name))) as image:
                np.testing.assert_array_equal(np.asarray(image), wanted)


def test_vertex_colors_are_linear(tmp_path):
    from pxr import Usd, UsdGeom

    colors = np.tile([0.5, 0.04, 1.0], (len(VERTICES), 1))
    write_usdz(tmp_path / "a.usdz", ball(colors=colors))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    mesh = UsdGeom.Mesh(next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)))
    np.testing.assert_allclose(np.array(mesh.GetDisplayColorAttr().Get())[0], [0.214041, 0.003096, 1], atol=1e-5)


def test_refuses_what_phones_do_not_show(tmp_path):
    big = np.zeros((8, 2049, 3), np.uint8)
    with pytest.raises(BadInput, match="`texture=2049`.*at most 2048"):
        write_usdz(tmp_path / "a.usdz", ball(uv=UV, texture=big))
    with pytest.raises(BadInput, match="PNG and JPEG"):
        write_usdz(tmp_path / "a.usdz", ball(uv=UV, texture=TEXTURE), texture_format="webp")
    with pytest.raises(BadInput, match="folder does not exist"):
        write_usdz(tmp_path / "no" / "a.usdz", ball())
    assert not list(tmp_path.iterdir())


def test_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    monkeypatch.setattr("scenes.shape.writers.usdz.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"field-studio\[usd\]"):
        write_usdz(Path(tmp_path / "a.usdz"), ball())
