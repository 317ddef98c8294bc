"""glTF: colours, instances, poses, kinds of primitives, compression."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shape_files import gltf, sphere

import scenes
from scenes.errors import BadInput
from scenes.shape.colors import linear_values
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.read import read_shape

BALL = sphere(2)
POINTS, FACES = np.asarray(BALL.vertices, "<f4"), np.asarray(BALL.faces, "<u2").reshape(-1)
SRGB = np.array([0.75, 0.5, 0.25])
LINEAR = linear_values(SRGB)


def primitive(path: Path, arrays: dict[str, np.ndarray], attributes: dict[str, int], **more) -> None:
    """Write a ball, whose positions and indices are the first two accessors."""
    entry = {"attributes": {"POSITION": 0, **attributes}, "indices": 1, **more.pop("primitive", {})}
    meshes = [{"primitives": [entry], **more.pop("mesh", {})}]
    gltf(path, {"points": POINTS, "faces": FACES, **arrays}, {"meshes": meshes, **more})


def colors_of(path: Path) -> np.ndarray:
    shape = scenes.load(path)
    assert shape.has_colors
    return shape.surface_points(200)[2]


@pytest.mark.parametrize("dtype", ["<f4", "u1", "<u2"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colors_of_vertices_are_linear(tmp_path, dtype: str, channels: int):
    scale = 1 if dtype == "<f4" else np.iinfo(dtype).max
    stored = np.append(LINEAR, 1)[:channels] * scale
    color = np.tile(stored if dtype == "<f4" else np.rint(stored), (len(POINTS), 1)).astype(dtype)
    if dtype == "u1" and channels == 3:
        # Rows are padded to four bytes.
        color = np.concatenate([color, np.zeros((len(color), 1), "u1")], axis=1)
        more = {"accessors": {2: {"type": "VEC3"}}, "bufferViews": []}
        primitive(tmp_path / "a.gltf", {"color": color}, {"COLOR_0": 2}, **more)
        text = (tmp_path / "a.gltf").read_text()
        (tmp_path / "a.gltf").write_text(text.replace('"byteLength": 648}]', '"byteLength": 648, "byteStride": 4}]'))
    else:
        primitive(tmp_path / "a.gltf", {"color": color}, {"COLOR_0": 2})
    assert np.abs(colors_of(tmp_path / "a.gltf") - SRGB).max() < (0.02 if dtype == "u1" else 1e-4)


def test_the_factor_is_linear_and_multiplies_colors_and_texture(tmp_path):
    half = 0.5
    Image.new("RGB", (4, 4), tuple(np.rint(SRGB * 255).astype(int))).save(tmp_path / "my texture.png")
    material = {"pbrMetallicRoughness": {"baseColorFactor": [half, half, half, 1]}}
    path = tmp_path / "a.gltf"
    primitive(path, {}, {}, primitive={"material": 0}, materials=[material])
    grey = 1.055 * half ** (1 / 2.4) - 0.055
    assert np.abs(colors_of(path) - grey).max() < 1e-6
    material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0, "texCoord": 1}
    more = {"materials": [material], "textures": [{"source": 0}], "images": [{"uri": "my%20texture.png"}]}
    uv = np.random.default_rng(0).random((len(POINTS), 2)).astype("<f4")
    primitive(path, {"uv": uv}, {"TEXCOORD_1": 2}, primitive={"material": 0}, **more)
    texel = np.rint(SRGB * 255) / 255
    wanted = 1.055 * (linear_values(texel) * half) ** (1 / 2.4) - 0.055
    assert np.abs(colors_of(path) - wanted).max() < 1e-6
    (tmp_path / "my texture.png").unlink()
    shape = scenes.load(path)
    assert any("my%20texture.png is not beside" in note for note in shape.notes)


def test_a_changed_texture_beside_the_file_is_another_source(tmp_path):
    """Samples in the cache, and runs, are those of the texture that was read."""
    path = tmp_path / "a.gltf"
    more = {"textures": [{"source": 0}], "images": [{"uri": "a.png"}]}
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    uv = np.zeros((len(POINTS), 2), "<f4")
    digests = []
    for color in ((255, 0, 0), (0, 255, 0)):
        Image.new("RGB", (2, 2), color).save(tmp_path / "a.png")
        primitive(path, {"uv": uv}, {"TEXCOORD_0": 2}, primitive={"material": 0}, materials=[material], **more)
        digests.append(scenes.load(path).source["sha256"])
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("transform", "uv", "color"),
    [
        ({}, (0.1, 0.1), "red"),
        ({"offset": [0.5, 0]}, (0.1, 0.1), "lime"),
        ({"offset": [0, 0.5]}, (0.1, 0.1), "blue"),
        ({"scale": [6, 1]}, (0.1, 0.1), "lime"),
        # Counter-clockwise as seen with v downwards: u becomes minus v, which repeats at 0.9.
        ({"rotation": np.pi / 2}, (0.1, 0.3), "blue"),
        ({"rotation": np.pi / 2, "offset": [0.5, 0.5], "scale": [2, 2]}, (0.05, 0.05), "lime"),
    ],
)
def test_texture_transforms(tmp_path, transform: dict, uv: tuple[float, float], color: str):
    """The quarters of the texture are red, lime, blue and white, row by row."""
    image = Image.new("RGB", (8, 8), "white")
    for name, box in (("red", (0, 0, 4, 4)), ("lime", (4, 0, 8, 4)), ("blue", (0, 4, 4, 8))):
        image.paste(name, box)
    image.save(tmp_path / "a.png")
    info = {"index": 0, "extensions": {"KHR_texture_transform": transform}}
    path = tmp_path / "a.gltf"
    primitive(
        path,
        {"uv": np.tile(np.float32(uv), (len(POINTS), 1))},
        {"TEXCOORD_0": 2},
        primitive={"material": 0},
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": info}}],
        textures=[{"source": 0, "sampler": 0}],
        samplers=[{"magFilter": 9728}],
        images=[{"uri": "a.png"}],
        extensionsRequired=["KHR_texture_transform"],
    )
    wanted = {"red": (1, 0, 0), "lime": (0, 1, 0), "blue": (0, 0, 1)}[color]
    assert np.abs(colors_of(path) - wanted).max() < 1e-6


def test_each_body_has_its_own_material(tmp_path):
    """One texture, one factor, and no material, on three balls."""
    Image.new("RGB", (2, 2), (0, 0, 255)).save(tmp_path / "a.png")
    base = {"attributes": {"POSITION": 0, "TEXCOORD_0": 2}, "indices": 1}
    gltf(
        tmp_path / "a.gltf",
        {"points": POINTS, "faces": FACES, "uv": np.zeros((len(POINTS), 2), "<f4")},
        {
            "scenes": [{"nodes": [0, 1, 2]}],
            "nodes": [{"mesh": k, "translation": [3 * k, 0, 0]} for k in range(3)],
            "meshes": [{"primitives": [{**base, **({"material": k} if k < 2 else {})}]} for k in range(3)],
            "materials": [
                {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
                {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}},
            ],
            "textures": [{"source": 0}],
            "images": [{"uri": "a.png"}],
        },
    )
    points, _, colors = scenes.load(tmp_path / "a.gltf").surface_points(600)
    body = np.clip(points[:, 0] * 3, 0, 2.99).astype(int)
    np.testing.assert_allclose(colors, np.array([[0, 0, 1], [1, 0, 0], [1, 1, 1]])[body], atol=1e-6)


def volume(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces]
    return float((corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def test_instances_mirrors_and_other_scenes(tmp_path):
    """A mirrored node, nodes below it, and instances; the second scene is the default."""
    arrays = {"points": POINTS, "faces": FACES, "places": np.float32([[0, 0, 0], [10, 0, 0]])}
    nodes = [
        {"scale": [-1, 1, 1], "children": [1, 2]},
        {"mesh": 0, "translation": [5, 0, 0]},
        {"mesh": 0, "matrix": [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0, 20, 0, 1]},
        {"mesh": 0, "extensions": {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": 2}}}},
        {"mesh": 0},
    ]
    tree = {
        "scene": 1,
        "scenes": [{"nodes": [4]}, {"nodes": [0, 3], "name": "second"}],
        "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
    }
    gltf(tmp_path / "a.gltf", arrays, tree)
    mesh = read_shape(tmp_path / "a.gltf")
    assert len(mesh.faces) == 4 * len(BALL.faces)
    assert volume(mesh) == pytest.approx((1 + 8 + 2) * BALL.volume, rel=1e-5)
    np.testing.assert_allclose(mesh.vertices.min(axis=0), [-6, -1, -2], atol=0.05)
    np.testing.assert_allclose(mesh.vertices.max(axis=0), [11, 22, 2], atol=0.05)
    assert any("2 scenes" in note and "second" in note for note in mesh.notes) and mesh.unit == "m"


def test_morph_targets_and_skins_have_their_rest_pose(tmp_path):
    path = tmp_path / "a.gltf"
    up = np.tile(np.float32([0, 0, 4]), (len(POINTS), 1))
    targets = [{"POSITION": 2}, {"POSITION": 2}]
    primitive(path, {"up": up}, {}, primitive={"targets": targets}, mesh={"weights": [0.5, 0]})
    assert read_shape(path).vertices[:, 2].max() == pytest.approx(3, abs=1e-5)
    joints = np.zeros((len(POINTS), 4), "u1")
    joints[:, 0] = POINTS[:, 0] > 0
    weights = np.tile(np.uint8([255, 0, 0, 0]), (len(POINTS), 1))
    inverse = np.tile(np.eye(4, dtype="<f4").reshape(-1), (2, 1))
    inverse[1, 13] = -7
    primitive(
        path,
        {"joints": joints, "weights": weights, "inverse": inverse},
        {"JOINTS_0": 2, "WEIGHTS_0": 3},
        scenes=[{"nodes": [0, 1]}],
        nodes=[{"mesh": 0, "skin": 0, "translation": [100, 0, 0]}, {"children": [2]}, {"translation": [0, 7, 50]}],
        skins=[{"joints": [1, 2], "inverseBindMatrices": 4}],
    )
    found = read_shape(path).vertices
    np.testing.assert_allclose(found, POINTS + np.where(POINTS[:, :1] > 0, [0, 0, 50], 0), atol=1e-5)


def test_sparse_quantized_and_cloud_accessors(tmp_path):
    """Positions that are sparse changes of nothing, and positions in 16 bits under a node that scales them."""
    path = tmp_path / "a.gltf"
    count = len(POINTS)
    sparse = {
        "count": count,
        "indices": {"bufferView": 2, "componentType": 5123},
        "values": {"bufferView": 0},
    }
    primitive(path, {"rows": np.arange(count, dtype="<u2")}, {}, accessors={0: {"bufferView": 0, "sparse": sparse}})
    text = path.read_text().replace('{"bufferView": 0, "componentType"', '{"componentType"', 1)
    path.write_text(text)
    np.testing.assert_allclose(read_shape(path).vertices, POINTS)
    levels = np.rint((POINTS + 1) / 2 * 65535).astype("<u2")
    padded = np.concatenate([levels, np.zeros((count, 1), "<u2")], axis=1)
    node = {"mesh": 0, "scale": [2 / 65535] * 3, "translation": [-1, -1, -1]}
    change = {2: {"type": "VEC3"}}
    primitive(
        path,
        {"levels": padded},
        {"POSITION": 2},
        nodes=[node],
        accessors=change,
        extensionsRequired=["KHR_mesh_quantization"],
    )
    stride = f'"byteLength": {padded.nbytes}'
    path.write_text(path.read_text().replace(stride, stride + ', "byteStride": 8'))
    np.testing.assert_allclose(read_shape(path).vertices, POINTS, atol=2e-5)
    primitive(path, {}, {"NORMAL": 0}, primitive={"mode": 0})
    cloud = read_shape(path)
    assert isinstance(cloud, Cloud) and cloud.normals is not None
    np.testing.assert_allclose(cloud.normals, POINTS)


@pytest.mark.parametrize("mode", ["strip", "fan"])
def test_strips_and_fans(tmp_path, mode: str):
    square = np.float32([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    corners = square[[0, 1, 3, 2]] if mode == "strip" else square
    entry = {"attributes": {"POSITION": 0}, "mode": 5 if mode == "strip" else 6}
    gltf(tmp_path / "a.gltf", {"points": corners}, {"meshes": [{"primitives": [entry]}]})
    mesh = read_shape(tmp_path / "a.gltf")
    normals = np.cross(
        mesh.vertices[mesh.faces[:, 1]] - mesh.vertices[mesh.faces[:, 0]],
        mesh.vertices[mesh.faces[:, 2]] - mesh.vertices[mesh.faces[:, 0]],
    )
    np.testing.assert_allclose(normals, [[0, 0, 1], [0, 0, 1]])


def test_draco_is_read_or_the_extra_named(tmp_path, monkeypatch):
    draco = pytest.importorskip("DracoPy")
    packed = np.frombuffer(draco.encode(POINTS, faces=FACES.reshape(-1, 3).astype(np.uint32)), np.uint8)
    extension = {"KHR_draco_mesh_compression": {"bufferView": 2, "attributes": {"POSITION": 0}}}
    path = tmp_path / "a.gltf"
    primitive(
        path,
        {"packed": packed},
        {},
        primitive={"extensions": extension},
        extensionsRequired=["KHR_draco_mesh_compression"],
    )
    assert volume(read_shape(path)) == pytest.approx(BALL.volume, rel=0.01)
    monkeypatch.setitem(__import__("sys").modules, "DracoPy", None)
    with pytest.raises(BadInput, match=r"field-studio\[draco\]"):
        read_shape(path)


def test_unknown_requirements_are_refused_by_name(tmp_path):
    primitive(tmp_path / "a.gltf", {}, {}, extensionsRequired=["EXT_voxels", "KHR_materials_unlit"])
    with pytest.raises(BadInput, match="EXT_voxels, which is not read"):
        read_shape(tmp_path / "a.gltf")


@pytest.mark.parametrize("options", [{}, {"quantize": True}, {"meshopt": True}])
def test_own_glb_is_read_back(tmp_path, options: dict):
    from scenes.shape.writers.asset import Asset
    from scenes.shape.writers.glb import write_glb

    mesh = sphere(4)
    colors = np.clip(mesh.vertices * 0.5 + 0.5, 0, 1)
    asset = Asset(mesh.vertices, mesh.faces, mesh.vertex_normals, colors=colors)
    write_glb(tmp_path / "a.glb", asset, **options)
    shape = scenes.load(tmp_path / "a.glb")
    assert shape.surface.watertight and len(shape.surface.mesh.faces) == len(mesh.faces)
    points, _, found = shape.surface_points(1000)
    assert np.abs(found - np.clip((points - 0.5) * 1.1 + 0.5, 0, 1)).max() < 0.004
