"""Files of shapes: formats, meshes and clouds in .ply files, colours and normals."""

import numpy as np
import pytest
import trimesh
from PIL import Image
from shape_files import ply, sphere, torus

import scenes
from scenes.errors import BadInput
from scenes.recognise import recognise
from scenes.shape.colors import linear_values
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.read import read_shape
from scenes.shape.signal import open_shape


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")


@pytest.mark.parametrize("ending", ["obj", "ply", "stl", "glb", "off"])
def test_every_format_of_meshes_is_read(tmp_path, ending: str):
    path = tmp_path / f"torus.{ending}"
    torus().export(path)
    assert recognise(path)[0] == "shape"
    shape = scenes.load(path)
    original = torus()
    assert shape.surface.closed and shape.surface.watertight and shape.quantity == "signed"
    assert len(shape.surface.mesh.faces) == len(original.faces)
    sides = np.array([axis.upper - axis.lower for axis in shape.domain.axes])
    np.testing.assert_allclose(sides, 1.1 * original.extents.max(), rtol=1e-5)
    volume = trimesh.Trimesh(shape.surface.mesh.vertices * sides[0], shape.surface.mesh.faces).volume
    assert volume == pytest.approx(original.volume, rel=1e-4)


@pytest.mark.parametrize("text", [False, True])
def test_a_ply_is_a_mesh_if_it_has_faces_else_a_cloud(tmp_path, text: bool):
    mesh = sphere(2)
    path = tmp_path / "mesh.ply"
    mesh.export(path, encoding="ascii" if text else "binary")
    assert isinstance(read_shape(path), Mesh)
    path = tmp_path / "cloud.ply"
    path.write_text(ply(mesh.vertices, mesh.vertex_normals))
    cloud = read_shape(path)
    assert isinstance(cloud, Cloud)
    np.testing.assert_allclose(cloud.normals, mesh.vertex_normals, atol=1e-12)
    assert "points" in open_shape(path).describe()


def test_normals_of_a_binary_ply_are_read(tmp_path):
    normals = sphere(2).vertex_normals
    names = ["x", "y", "z", "nx", "ny", "nz"]
    header = "\n".join(
        [
            "ply",
            "format binary_little_endian 1.0",
            f"element vertex {len(normals)}",
            *(f"property float {n}" for n in names),
            "end_header",
            "",
        ]
    )
    path = tmp_path / "cloud.ply"
    path.write_bytes(header.encode() + np.concatenate([normals, normals], axis=1).astype("<f4").tobytes())
    np.testing.assert_allclose(read_shape(path).normals, normals, atol=1e-6)


def test_points_of_an_xyz_file_are_read(tmp_path):
    path = tmp_path / "cloud.xyz"
    np.savetxt(path, sphere(2).vertices)
    cloud = read_shape(path)
    assert isinstance(cloud, Cloud) and cloud.normals is None and len(cloud.points) == 162


def test_a_folder_with_one_mesh_is_that_mesh(tmp_path):
    (tmp_path / "cow").mkdir()
    sphere(2).export(tmp_path / "cow" / "cow.obj")
    for name in ("texture.png", "bumps.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / "cow" / name)
    assert recognise(tmp_path / "cow") == ("shape", "a folder with cow.obj")
    shape = scenes.load(tmp_path / "cow")
    assert len(shape.surface.mesh.faces) == 320
    assert len(scenes.reopen("shape", shape.source).surface.mesh.faces) == 320
    assert scenes.load(tmp_path / "cow", "video").domain.shape == (8, 8, 2)
    sphere(2).export(tmp_path / "cow" / "calf.stl")
    assert recognise(tmp_path / "cow") == ("video", "a folder of 2 images")
    with pytest.raises(BadInput, match="2 shapes .calf.stl, cow.obj.; name one"):
        scenes.load(tmp_path / "cow", "shape")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no mesh"):
        scenes.load(tmp_path / "empty", "shape")


def test_several_bodies_are_one_shape(tmp_path):
    path = tmp_path / "two.glb"
    far = sphere(2)
    far.apply_translation([3, 0, 0])
    trimesh.Scene([sphere(2), far]).export(path)
    shape = open_shape(path)
    assert "2 bodies are taken as one shape" in shape.notes
    assert shape.surface.closed and len(shape.surface.mesh.faces) == 2 * len(far.faces)


def color_of(points: np.ndarray) -> np.ndarray:
    return np.clip(points * 0.5 + 0.5, 0, 1)


@pytest.mark.parametrize("ending", ["ply", "obj", "glb"])
def test_colors_of_vertices_are_read(tmp_path, ending: str):
    """Colours of vertices are sRGB in PLY and OBJ, and linear in glTF, into which trimesh writes what it is given."""
    mesh = sphere(4)
    stored = color_of(mesh.vertices)
    if ending == "glb":
        stored = linear_values(stored)
    mesh.visual.vertex_colors = np.concatenate([stored * 255, np.full((len(mesh.vertices), 1), 255)], axis=1).astype(
        np.uint8
    )
    path = tmp_path / f"colored.{ending}"
    mesh.export(path)
    shape = open_shape(path)
    assert shape.channels.names == ("distance", "red", "green", "blue")
    points, _, colors = shape.surface_points(2000)
    # A linear byte is up to 0.05 in sRGB where it is dark.
    np.testing.assert_allclose(colors, color_of((points - 0.5) * 2.2), atol=0.06 if ending == "glb" else 0.03)


def test_a_texture_is_read(tmp_path):
    """The left half is red, the right half blue, along x."""
    texture = np.zeros((32, 32, 3), np.uint8)
    texture[:, :16, 0] = texture[:, 16:, 2] = 255
    mesh = sphere(4)
    uv = np.stack([mesh.vertices[:, 0] * 0.45 + 0.5, mesh.vertices[:, 1] * 0.45 + 0.5], axis=1)
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(texture))
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    path = tmp_path / "textured.glb"
    mesh.export(path)
    points, _, colors = open_shape(path).surface_points(4000)
    left, right = points[:, 0] < 0.44, points[:, 0] > 0.56
    np.testing.assert_allclose(colors[left], np.broadcast_to([1, 0, 0], (left.sum(), 3)), atol=0.02)
    np.testing.assert_allclose(colors[right], np.broadcast_to([0, 0, 1], (right.sum(), 3)), atol=0.02)


def test_a_vertex_on_a_seam_has_texture_coordinates_for_each_side(tmp_path):
    """Two triangles share an edge; one lies in the red half of the texture, the other in the blue half."""
    pixels = np.zeros((8, 32, 3), np.uint8)
    pixels[:, :16, 0] = pixels[:, 16:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    (tmp_path / "kite.mtl").write_text("newmtl kite\nmap_Kd halves.png\n")
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0.5\n"
    uv = "".join(f"vt {x} {y}\n" for x in (0.1, 0.6) for y, x in ((0.1, x), (0.1, x + 0.3), (0.9, x)))
    (tmp_path / "kite.obj").write_text(f"mtllib kite.mtl\nusemtl kite\n{corners}{uv}f 1/1 2/2 3/3\nf 4/4 3/6 2/5\n")
    surface = open_shape(tmp_path / "kite.obj").surface
    assert len(surface.mesh.vertices) == 4 and len(surface.mesh.faces) == 2
    inner = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.02, 0.49, 0.49]])
    found = {tuple(np.unique(surface.mesh.colors.at(np.full(4, face), inner), axis=0).ravel()) for face in range(2)}
    assert found == {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}
