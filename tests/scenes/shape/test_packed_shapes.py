"""Shapes in packages: zips with materials and textures, textures and layers of 3MF files, textures in KTX2 and DDS."""

import base64
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shape_files import gltf, sphere

import scenes
from scenes.errors import BadInput
from scenes.io.unpack import ZipLimits
from scenes.posed import zipped

BALL = sphere(1)
RED = (200, 30, 20)
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIAL = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"


def picture(color: tuple[int, int, int] = RED, form: str = "PNG") -> bytes:
    """A picture of 4 x 4 whose right half is blue."""
    image = Image.new("RGB", (4, 4), color)
    image.paste((0, 0, 255), (2, 0, 4, 4))
    content = io.BytesIO()
    image.save(content, form)
    return content.getvalue()


def obj(library: str) -> str:
    """A ball whose texture coordinates are all in the red half."""
    vertices = "".join(f"v {x} {y} {z}\n" for x, y, z in BALL.vertices)
    faces = "".join("f " + " ".join(f"{corner + 1}/1" for corner in face) + "\n" for face in BALL.faces)
    return f"mtllib {library}\n{vertices}vt 0.2 0.5\nusemtl skin\n{faces}"


def pack(path: Path, entries: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


MTL = "newmtl skin\nmap_Kd C:\\work\\Skin.png\n"


@pytest.mark.parametrize(
    "entries",
    [
        {"ball.obj": obj("ball.mtl"), "ball.mtl": MTL, "skin.png": picture()},
        {"model/source/ball.obj": obj("ball.mtl"), "model/source/ball.mtl": MTL, "model/textures/skin.png": picture()},
        {"__MACOSX/._ball.obj": b"x", "ball.obj": obj("b.mtl"), "mtl/b.mtl": MTL, "Textures\\Skin.PNG": picture()},
    ],
    ids=["beside", "textures in a folder of their own", "as Windows and macOS pack"],
)
def test_a_mesh_in_a_zip_is_read_with_its_materials_and_textures(tmp_path, entries):
    path = pack(tmp_path / "model.zip", entries)
    assert scenes.recognise(path) == ("shape", "a zip with ball.obj")
    shape = scenes.load(path)
    np.testing.assert_allclose(shape.surface_points(20)[2], np.tile(np.array(RED) / 255, (20, 1)), atol=1e-6)
    assert scenes.reopen("shape", shape.source).source["sha256"] == shape.source["sha256"]
    # The same folder, unpacked.
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            target = tmp_path / "unpacked" / name.replace("\\", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    assert scenes.recognise(tmp_path / "unpacked") == ("shape", "a folder with ball.obj")
    assert scenes.load(tmp_path / "unpacked").has_colors


def test_a_gltf_in_a_zip_finds_its_buffer_and_texture(tmp_path):
    points, faces = np.asarray(BALL.vertices, "<f4"), np.asarray(BALL.faces, "<u2").reshape(-1)
    entry = {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}
    gltf(
        tmp_path / "a.gltf",
        {"points": points, "faces": faces, "uv": np.tile(np.float32([[0.2, 0.5]]), (len(points), 1))},
        {
            "meshes": [{"primitives": [entry]}],
            "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
            "textures": [{"source": 0}],
            "images": [{"uri": "images/my%20skin.png"}],
        },
    )
    tree = json.loads((tmp_path / "a.gltf").read_text())
    data = base64.b64decode(tree["buffers"][0].pop("uri").partition(",")[2])
    tree["buffers"][0]["uri"] = "scene.bin"
    entries = {
        "s/scene.gltf": json.dumps(tree),
        "s/scene.bin": data,
        "s/images/my skin.png": picture(),
        "license.txt": "x",
    }
    shape = scenes.load(pack(tmp_path / "model.zip", entries))
    np.testing.assert_allclose(shape.surface_points(9)[2], np.tile(np.array(RED) / 255, (9, 1)), atol=1e-6)
    with pytest.raises(BadInput, match=r"model.zip: s/scene.gltf: .* scene.bin, which is not beside it"):
        scenes.load(pack(tmp_path / "model.zip", {name: entries[name] for name in entries if name != "s/scene.bin"}))


def test_zips_of_several_shapes_bombs_and_ways_out_are_refused(tmp_path, monkeypatch):
    two = pack(tmp_path / "two.zip", {"a.obj": obj("x"), "b.stl": "solid x"})
    assert scenes.recognise(two) == ("shape", "a zip with 2 shapes")
    with pytest.raises(BadInput, match=r"two.zip: it holds 2 shapes \(a.obj, b.stl\); name one of them"):
        scenes.load(two)
    with pytest.raises(BadInput, match="leads out of the folder"):
        scenes.load(pack(tmp_path / "out.zip", {"a.obj": obj("x"), "../b.txt": "x"}))
    monkeypatch.setattr(zipped, "ZIP_LIMITS", ZipLimits(max_files=9, max_bytes=1 << 20))
    with pytest.raises(BadInput, match="at most 9 files and 1 MB"):
        scenes.load(pack(tmp_path / "bomb.zip", {"a.obj": b"v 0 0 0\n" * (1 << 18)}))
    with pytest.raises(BadInput, match="unpack it and name what is in it"):
        scenes.load(pack(tmp_path / "other.zip", {"a.png": picture(), "notes.txt": "x"}))


def model(resources: str, triangle: str = "", attributes: str = "") -> str:
    """A ball of 3MF whose triangles have the attributes `triangle`, and its object `attributes`."""
    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in BALL.vertices)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}" {triangle}/>' for a, b, c in BALL.faces)
    return (
        f'<?xml version="1.0"?><model unit="millimeter" xmlns="{CORE}" xmlns:m="{MATERIAL}"><resources>{resources}'
        f'<object id="9" {attributes}><mesh><vertices>{vertices}</vertices><triangles>{faces}</triangles></mesh>'
        "</object>"
        '</resources><build><item objectid="9"/></build></model>'
    )


TEXTURE = (
    '<m:texture2d id="1" path="/3D/Textures/Skin.png" contenttype="image/png" tilestyleu="{u}" filter="nearest"/>'
    '<m:texture2dgroup id="2" texid="1"><m:tex2coord u="0.2" v="0.5"/><m:tex2coord u="-0.2" v="0.5"/>'
    "</m:texture2dgroup>"
)
BASES = (
    '<basematerials id="3"><base name="a" displaycolor="#102030"/><base name="b" displaycolor="#F04010FF"/>'
    "</basematerials>"
)


@pytest.mark.parametrize(
    "resources, triangle, attributes, wanted",
    [
        (TEXTURE.format(u="wrap"), 'pid="2" p1="0"', "", RED),
        (TEXTURE.format(u="wrap"), "", 'pid="2" pindex="0"', RED),
        (TEXTURE.format(u="wrap"), 'pid="2" p1="1"', "", (0, 0, 255)),  # repeats: u is 0.8
        (TEXTURE.format(u="mirror"), 'pid="2" p1="1"', "", RED),
        (TEXTURE.format(u="clamp"), 'pid="2" p1="1"', "", RED),
        (BASES, 'pid="3" p1="1"', "", (0xF0, 0x40, 0x10)),
        (
            BASES + '<m:compositematerials id="5" matid="3" matindices="0 1"><m:composite values="0.25 0.75"/>'
            "</m:compositematerials>",
            'pid="5" p1="0"',
            "",
            (0x10 * 0.25 + 0xF0 * 0.75, 0x20 * 0.25 + 0x40 * 0.75, 0x30 * 0.25 + 0x10 * 0.75),
        ),
        (
            BASES + TEXTURE.format(u="wrap") + '<m:multiproperties id="6" pids="3 2"><m:multi pindices="1 0"/>'
            "</m:multiproperties>",
            'pid="6" p1="0"',
            "",
            RED,
        ),
    ],
    ids=["texture", "of the object", "repeat", "mirror", "clamp", "base", "mixture", "layers"],
)
def test_textures_mixtures_and_layers_of_3mf_are_colors(tmp_path, resources, triangle, attributes, wanted):
    entries = {"3D/3dmodel.model": model(resources, triangle, attributes), "3D/Textures/skin.png": picture()}
    shape = scenes.load(pack(tmp_path / "a.3mf", entries))
    np.testing.assert_allclose(shape.surface_points(9)[2], np.tile(np.array(wanted) / 255, (9, 1)), atol=1e-6)
    assert any("layers" in note for note in shape.notes) == ("multiproperties" in resources)


@pytest.mark.parametrize("content, words", [(None, "is not in the file"), (b"no picture", "cannot be read")])
def test_a_texture_of_3mf_that_is_missing_or_damaged_is_said(tmp_path, content, words):
    entries = {"3D/3dmodel.model": model(TEXTURE.format(u="wrap"), 'pid="2" p1="0"')}
    shape = scenes.load(
        pack(tmp_path / "a.3mf", entries | ({} if content is None else {"3D/textures/skin.png": content}))
    )
    assert any("/3D/Textures/Skin.png " + words in note for note in shape.notes) and not shape.has_colors


def ktx2(
    form: int, texels: bytes, size: tuple[int, int], scheme: int = 0, model_number: int = 1, more: bytes = b""
) -> bytes:
    """A KTX2 file of one level; the data format descriptor says sRGB."""
    descriptor = struct.pack("<IIHH", 44, 0, 2, 40) + bytes([model_number, 1, 2, 0]) + bytes(28)
    start = 80 + 24 + len(descriptor) + len(more)
    head = struct.pack("<9I", form, 1, *size, 0, 0, 1, 1, scheme)
    index = struct.pack("<4I2Q", 104, len(descriptor), 104 + len(descriptor), len(more), 0, 0)
    return (
        b"\xabKTX 20\xbb\r\n\x1a\n"
        + head
        + index
        + struct.pack("<3Q", start, len(texels), 4096)
        + descriptor
        + more
        + texels
    )


def test_a_texture_in_ktx2_is_read_or_refused_by_name(tmp_path):
    points, faces = np.asarray(BALL.vertices, "<f4"), np.asarray(BALL.faces, "<u2").reshape(-1)
    entry = {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1, "material": 0}

    def shape_of(image: bytes, texture: dict, *more: dict) -> scenes.signal.Signal:
        uri = "data:image/ktx2;base64," + base64.b64encode(image).decode()
        gltf(
            tmp_path / "a.gltf",
            {"points": points, "faces": faces, "uv": np.tile(np.float32([[0.2, 0.5]]), (len(points), 1))},
            {
                "meshes": [{"primitives": [entry]}],
                "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
                "textures": [texture],
                "images": [{"uri": uri}, *more],
                "extensionsRequired": ["KHR_texture_basisu"],
            },
        )
        return scenes.load(tmp_path / "a.gltf")

    basisu = {"extensions": {"KHR_texture_basisu": {"source": 0}}}
    plain = ktx2(43, bytes([*RED, 255] * 4), (2, 2))
    np.testing.assert_allclose(shape_of(plain, basisu).surface_points(1)[2], [np.array(RED) / 255], atol=1e-6)
    packed = ktx2(0, bytes(16), (4, 4), scheme=1, model_number=163)
    shape = shape_of(packed, basisu)
    assert not shape.has_colors and any("Basis Universal" in note and "ktx extract" in note for note in shape.notes)
    # A plain image beside it takes its place.
    uri = "data:image/png;base64," + base64.b64encode(picture()).decode()
    shape = shape_of(packed, {**basisu, "source": 1}, {"uri": uri})
    np.testing.assert_allclose(shape.surface_points(1)[2], [np.array(RED) / 255], atol=1e-6)
    assert not any("Basis" in note for note in shape.notes)
