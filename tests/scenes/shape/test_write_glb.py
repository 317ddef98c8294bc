"""GLB files hold what was given, for another reader, and the Khronos validator has nothing to say of them."""

import json
import struct

import numpy as np
import pygltflib
import pytest
import trimesh
from gltf_reading import read_parts, shown_colors
from hypothesis import given, settings
from hypothesis import strategies as st
from validators import assert_valid_gltf, gltf_report

from scenes.shape.writers.asset import Asset
from scenes.shape.writers.glb import write_glb
from scenes.shape.writers.quantize import quantize_directions, quantize_positions

BALL = trimesh.creation.icosphere(3)
# Far from the origin, longer than wide, and with a size of its own in each direction.
VERTICES = BALL.vertices * [1, 2, 0.5] + [5, 0, -3]
RANDOM = np.random.default_rng(0)
UV = RANDOM.random((len(VERTICES), 2))
UV[:4] = [[0, 0], [1, 1], [0, 1], [1, 0]]
TEXTURE = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
SMOOTH = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[:, None], 64, axis=1)[..., None].repeat(3, axis=2)
NORMAL_MAP = np.full((32, 32, 3), [128, 128, 255], np.uint8)
TANGENTS = RANDOM.standard_normal((len(VERTICES), 4))
TANGENTS[0, :3] = 0

LOOKS = {
    "plain": {},
    "colors": {"colors": RANDOM.random(VERTICES.shape)},
    "texture": {"uv": UV, "texture": TEXTURE},
    "unlit": {"uv": UV, "texture": TEXTURE, "unlit": True},
    "normal map": {"uv": UV, "texture": TEXTURE, "normal_map": NORMAL_MAP, "tangents": TANGENTS},
    "normal map alone": {"uv": UV, "normal_map": NORMAL_MAP, "tangents": TANGENTS},
}


def ball(**looks) -> Asset:
    return Asset(VERTICES, BALL.faces, BALL.vertex_normals, **looks)


@pytest.mark.parametrize("quantize", [False, True])
@pytest.mark.parametrize("looks", LOOKS)
def test_the_validator_finds_nothing(tmp_path, looks: str, quantize: bool):
    write_glb(tmp_path / "a.glb", ball(**LOOKS[looks]), quantize=quantize)
    report = assert_valid_gltf(tmp_path / "a.glb")
    assert report["info"]["totalTriangleCount"] == len(BALL.faces)
    assert ("KHR_mesh_quantization" in report["info"].get("extensionsUsed", [])) == quantize


@pytest.mark.parametrize("texture_format", ["jpeg", "webp"])
@pytest.mark.parametrize("quantize", [False, True])
def test_the_validator_finds_nothing_with_lossy_textures(tmp_path, texture_format: str, quantize: bool):
    path = tmp_path / "a.glb"
    asset = ball(uv=UV, texture=SMOOTH, normal_map=NORMAL_MAP, tangents=TANGENTS)
    write_glb(path, asset, quantize=quantize, texture_format=texture_format)
    report = assert_valid_gltf(path)
    mimes = {entry["mimeType"] for entry in report["info"]["resources"] if "image" in entry}
    # A normal map in JPEG would have bumps along the edges of its blocks.
    assert mimes == ({"image/jpeg", "image/png"} if texture_format == "jpeg" else {"image/webp"})
    (part,) = read_parts(path)
    assert np.abs(part.images["base"].astype(int) - SMOOTH).max() <= 4
    np.testing.assert_array_equal(part.images["normal"], NORMAL_MAP)


def test_the_validator_can_fail(tmp_path):
    path = tmp_path / "a.glb"
    write_glb(path, ball())
    content = path.read_bytes()
    length = struct.unpack("<I", content[12:16])[0]
    tree = json.loads(content[20 : 20 + length])
    tree["accessors"][0]["max"][0] += 1
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + length :]
    path.write_bytes(
        struct.pack("<4sII", b"glTF", 2, 20 + len(text) + len(rest))
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + rest
    )
    codes = {message["code"] for message in gltf_report(path)["issues"]["messages"]}
    assert "ACCESSOR_MAX_MISMATCH" in codes


@pytest.mark.parametrize("quantize", [False, True])
def test_another_reader_finds_the_same_mesh(tmp_path, quantize: bool):
    write_glb(tmp_path / "a.glb", ball(**LOOKS["normal map"]), quantize=quantize)
    (part,) = read_parts(tmp_path / "a.glb")
    np.testing.assert_array_equal(part.faces, BALL.faces)
    quantum = 4 / 65535 if quantize else 1e-6
    assert np.abs(part.attributes["POSITION"] - VERTICES).max() <= quantum / 2 * (1 + 1e-9)
    normals = part.attributes["NORMAL"]
    across = np.linalg.norm(np.cross(normals, BALL.vertex_normals), axis=1)
    angles = np.degrees(np.arctan2(across, (normals * BALL.vertex_normals).sum(axis=1)))
    assert angles.max() < (0.9 if quantize else 0.05)
    uv = np.stack([UV[:, 0], 1 - UV[:, 1]], axis=1)
    assert np.abs(part.attributes["TEXCOORD_0"] - uv).max() <= 0.5 / 65535 * 1.001
    np.testing.assert_array_equal(part.images["base"], TEXTURE)
    tangents = part.attributes["TANGENT"]
    np.testing.assert_array_equal(tangents[:, 3], np.where(TANGENTS[:, 3] < 0, -1, 1))
    unit = TANGENTS[1:, :3] / np.linalg.norm(TANGENTS[1:, :3], axis=1, keepdims=True)
    assert (tangents[1:, :3] * unit).sum(axis=1).min() > 0.99
    np.testing.assert_allclose(np.linalg.norm(tangents[:, :3], axis=1), 1, atol=0.007)
    loaded = trimesh.load_mesh(tmp_path / "a.glb", process=False)
    assert loaded.is_volume or len(loaded.faces) == len(BALL.faces)
    np.testing.assert_allclose(loaded.bounds, trimesh.Trimesh(VERTICES, BALL.faces).bounds, atol=quantum)


def test_every_color_of_8_bits_comes_back(tmp_path):
    """Colors are linear in the file, with 16 bits; those outside of [0, 1] are clipped."""
    levels = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 128)], axis=1)
    colors = levels / 255
    colors[0, 0], colors[255, 0] = -0.1, 1.2
    vertices = RANDOM.random((256, 3))
    faces = np.arange(255).reshape(-1, 3)
    write_glb(tmp_path / "a.glb", Asset(vertices, faces, np.ones((256, 3)), colors=colors))
    (part,) = read_parts(tmp_path / "a.glb")
    found = part.attributes["COLOR_0"]
    np.testing.assert_array_equal(np.rint(shown_colors(found[:, :3]) * 255), levels)
    assert found[128, 0] == pytest.approx(0.2158605, abs=1e-5), "linear, not sRGB"
    assert (found[:, 3] == 1).all()


def test_the_material_is_matt_and_unlit_on_request(tmp_path):
    write_glb(tmp_path / "a.glb", ball(**LOOKS["unlit"], units="metres", extras={"source_from_file": [[1, 0]]}))
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    material = file.materials[0]
    assert material.doubleSided and material.extensions == {"KHR_materials_unlit": {}}
    assert (material.pbrMetallicRoughness.metallicFactor, material.pbrMetallicRoughness.roughnessFactor) == (0, 1)
    assert file.extensionsUsed == ["KHR_materials_unlit"] and not file.extensionsRequired
    assert file.asset.extras == {"units": "metres", "source_from_file": [[1, 0]]}


def test_texture_coordinates_outside_of_the_image_stay_exact(tmp_path):
    uv = UV * 3 - 1
    write_glb(tmp_path / "a.glb", ball(uv=uv, texture=TEXTURE), quantize=True)
    (part,) = read_parts(tmp_path / "a.glb")
    np.testing.assert_allclose(part.attributes["TEXCOORD_0"][:, 0], uv[:, 0], atol=1e-6)
    assert_valid_gltf(tmp_path / "a.glb")


def test_large_meshes_have_indices_of_four_bytes(tmp_path):
    """65,535 is reserved as an index of two bytes."""
    for count in (65535, 65536):
        vertices = RANDOM.random((count, 3))
        faces = np.arange(count)[: count // 3 * 3].reshape(-1, 3)[::-1]
        write_glb(tmp_path / "a.glb", Asset(vertices, faces, np.ones((count, 3))))
        (part,) = read_parts(tmp_path / "a.glb")
        np.testing.assert_array_equal(part.faces, faces)


def test_a_flat_and_a_single_point_mesh_are_valid(tmp_path):
    flat = Asset(np.array([[0, 0, 7.0], [1, 0, 7], [0, 1, 7]]), np.array([[0, 1, 2]]), np.zeros((3, 3)))
    write_glb(tmp_path / "a.glb", flat, quantize=True)
    assert_valid_gltf(tmp_path / "a.glb")
    levels, scale, offset = quantize_positions(np.full((3, 3), 2.5))
    assert scale > 0 and (levels * scale + offset == 2.5).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_quantized_directions_have_unit_length(seed: int):
    directions = np.random.default_rng(seed).standard_normal((20000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    decoded = quantize_directions(directions) / 127
    assert np.abs(np.linalg.norm(decoded, axis=1) - 1).max() < 0.00674
    assert np.abs(decoded - directions).max() <= 1 / 127


def oriented(faces: np.ndarray) -> list[tuple[int, ...]]:
    """Triangles, each beginning at its least corner without a change of orientation, in a fixed order."""
    return sorted(min((a, b, c), (b, c, a), (c, a, b)) for a, b, c in faces.tolist())


@pytest.mark.parametrize("looks", LOOKS)
def test_compressed_files_decode_to_the_same_mesh(tmp_path, looks: str):
    """By the decoder of the format's author; the validator does not know the extension, and says so."""
    infos = ("UNSUPPORTED_EXTENSION", "UNUSED_OBJECT")
    asset = ball(**LOOKS[looks])
    write_glb(tmp_path / "a.glb", asset, meshopt=True)
    report = assert_valid_gltf(tmp_path / "a.glb", infos)
    assert set(report["info"]["extensionsUsed"]) >= {"EXT_meshopt_compression", "KHR_mesh_quantization"}
    write_glb(tmp_path / "b.glb", asset, quantize=True)
    assert (tmp_path / "a.glb").stat().st_size < (tmp_path / "b.glb").stat().st_size
    (small,), (plain,) = read_parts(tmp_path / "a.glb"), read_parts(tmp_path / "b.glb")
    # Positions are different from each other, so they tell which vertex is which.
    old = np.lexsort(plain.attributes["POSITION"].T)
    new = np.lexsort(small.attributes["POSITION"].T)
    index = np.empty(len(old), np.int64)
    index[new] = old
    assert oriented(index[small.faces]) == oriented(plain.faces)
    assert small.attributes.keys() == plain.attributes.keys()
    for name, values in plain.attributes.items():
        np.testing.assert_array_equal(small.attributes[name], values[index], err_msg=name)


def test_refuses_arrays_that_do_not_fit():
    with pytest.raises(ValueError, match="at least one triangle"):
        Asset(VERTICES, np.zeros((0, 3), int), BALL.vertex_normals)
    with pytest.raises(ValueError, match="finite"):
        Asset(np.where(VERTICES > 5.9, np.nan, VERTICES), BALL.faces, BALL.vertex_normals)
    with pytest.raises(ValueError, match="colors have a row for each"):
        ball(colors=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="texture coordinates"):
        ball(texture=TEXTURE)


def test_a_normal_map_needs_tangents(tmp_path):
    with pytest.raises(ValueError, match="needs tangents"):
        write_glb(tmp_path / "a.glb", ball(uv=UV, normal_map=NORMAL_MAP))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_files_of_100_000_triangles_are_small_enough_to_send(tmp_path):
    """At most 12 MB with a texture of 2048 x 2048, 6 MB without; see docs/assets/surfaces.md."""
    from benchmarks.asset_sizes import sizes

    megabytes = {name: size / 1e6 for name, (size, _) in sizes(tmp_path).items()}
    print(megabytes)
    without = [name for name in megabytes if name.startswith(("geometry", "colors", "3MF"))]
    assert all(megabytes[name] <= 6 for name in without)
    with_texture = [name for name in megabytes if name.startswith(("PNG", "JPEG", "WebP", "USDZ"))]
    assert len(with_texture) == 6 and all(megabytes[name] <= 12 for name in with_texture)
    assert megabytes["geometry, quantized"] < 0.75 * megabytes["geometry"]
    assert megabytes["geometry, meshopt"] < 0.3 * megabytes["geometry"]
