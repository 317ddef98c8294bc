"""Shapes as other programs write them: public reports rebuilt small, one parameter each (see tests/reported)."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shape_files import gltf

import scenes
from scenes.errors import BadInput
from scenes.shape.colors import linear_values
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.read import read_shape

# A corner of a cube: volume 1 / 6, faces outward.
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
VERTICES = "".join(f"v {x:g} {y:g} {z:g}\n" for x, y, z in POINTS)
F = "".join(f"f {a} {b} {c}\n" for a, b, c in FACES + 1)
F_WITH_UV = "".join(f"f {a}/1 {b}/1 {c}/1\n" for a, b, c in FACES + 1)
RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def volume(mesh: Mesh | Cloud) -> float:
    assert isinstance(mesh, Mesh)
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def colors_of(path: Path) -> np.ndarray:
    """The colours at points of the surface, each once."""
    shape = scenes.load(path)
    assert shape.has_colors
    return np.unique(np.round(shape.surface_points(200)[2], 3), axis=0)


def has_color(path: Path, *wanted) -> None:
    np.testing.assert_allclose(colors_of(path), np.unique(np.array(wanted), axis=0), atol=2e-3)


# Wavefront OBJ: the text, and the colours that it has.
SECOND = (
    VERTICES.replace("v 0 0 0", "v 5 0 0")
    .replace("v 1 0 0", "v 6 0 0")
    .replace("v 0 1", "v 5 1")
    .replace("v 0 0 1", "v 5 0 1")
)
OBJ = {
    "three.js 19254": (
        VERTICES + F + "".join(f"{line} 0 1 0\n" for line in SECOND.splitlines()) + F.replace("f 1 3 2", "f 5 7 6")
        .replace("f 1 2 4", "f 5 6 8").replace("f 2 3 4", "f 6 7 8").replace("f 1 4 3", "f 5 8 7"),
        [(1, 1, 1), GREEN],
    ),
    "loaders.gl 2568": ("".join(f"{line} 1 0 0\n" for line in VERTICES.splitlines()) + F, [RED]),
    "trimesh 350": ("mtllib plain.mtl\n" + VERTICES + "usemtl red\n" + F, [RED]),
    "vengi 203": ("mtllib Peaches Castle.mtl\n" + VERTICES + "usemtl red\n" + F, [RED]),
    "f3d 1973": ("mtllib shared.mtl\n" + VERTICES + "usemtl red\n" + F, [RED]),
    "Open3D 2654": ("mtllib blank.mtl\n" + VERTICES + "vt 0.5 0.5\nusemtl red\n" + F_WITH_UV, [RED]),
    "ObjToSchematic 18": ("mtllib gone.mtl\n" + VERTICES + "usemtl red\n" + F, None),
    "tinyobjloader 143": ("mtllib plain.mtl\nusemtl red\n" + VERTICES + "g a\ns off\n" + F, [RED]),
    "three.js 14032": ("".join(f"{line} 255 0 0\n" for line in VERTICES.splitlines()) + F, [RED]),
}  # fmt: skip


@pytest.mark.parametrize("report", OBJ)
def test_obj(tmp_path, report):
    text, wanted = OBJ[report]
    for name in ("plain", "Peaches Castle", "shared"):
        (tmp_path / f"{name}.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 0 0 1\n")  # of the same name as the OBJ file, which names another
    (tmp_path / "blank.mtl").write_text("newmtl red\nmap_Kd red.png \n")
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "red.png")
    (tmp_path / "a.obj").write_text(text)
    count = 2 if "v 5" in text else 1
    assert volume(read_shape(tmp_path / "a.obj")) == pytest.approx(count / 6)
    if wanted is None:
        assert not scenes.load(tmp_path / "a.obj").has_colors
        assert any("gone.mtl" in note for note in scenes.load(tmp_path / "a.obj").notes)
    else:
        has_color(tmp_path / "a.obj", *wanted)


# PLY: lines of the header after "element vertex 4" with x y z, and what follows the vertices' coordinates.
XYZ = "property float x\nproperty float y\nproperty float z\n"
LIST = "property list uchar int vertex_indices\n"
BYTE_COLORS = "".join(f"property uchar {c}\n" for c in ("red", "green", "blue", "alpha"))
ROWS = [f"{x:g} {y:g} {z:g}" for x, y, z in POINTS]
CORNERS = [f"3 {a} {b} {c}" for a, b, c in FACES]


def ply(
    vertex: str = "", face: str = LIST, *, rows=ROWS, corners=CORNERS, top: str = "", more: str = "", end: str = "\n"
) -> str:
    head = f"ply\nformat ascii 1.0\n{top}element vertex 4\n{XYZ}{vertex}{more}element face 4\n{face}end_header\n"
    return head + "\n".join([*rows, *corners]) + end


PLY = {
    "assimp 819": (ply(top="comment\n"), None),
    "CloudCompare 1448": (ply(top="comment\ncomment \nobj_info\n"), None),
    "MeshIO.jl 65": (
        ply(face=LIST + BYTE_COLORS,
            corners=[f"{row} 255 0 0 255" for row in CORNERS]),
        RED,
    ),
    "instant-meshes 133": (
        ply("".join(f"property uchar {c}\n" for c in ("red", "green", "blue")), LIST.replace("indices", "index"),
            rows=[f"{row} 255 0 0" for row in ROWS], top="comment : MagicaCSG @ Ephtracy\n"),
        RED,
    ),
    "Pcx 17": (
        ply("".join(f"property float n{c}\n" for c in "xyz") + BYTE_COLORS,
            rows=[f"{row} 0 0 1 255 0 0 255" for row in ROWS]),
        RED,
    ),
    "Pcx 28": (
        ply(BYTE_COLORS.replace("uchar", "float").replace("alpha", "Alpha"), rows=[f"{row} 1 0 0 1" for row in ROWS]),
        RED,
    ),
    "pcl 3487": (
        ply(more="element camera 1\nproperty float view_px\nproperty int viewportx\n", rows=[*ROWS, "0.5 640"], end=""),
        None,
    ),
    "pcl 1256": (ply().replace("\n", "\r\n"), None),
    "three.js 15099": (ply(end="\r\n").replace("end_header\n", "end_header\r\n").replace("ply\n", "ply\r\n"), None),
}  # fmt: skip


@pytest.mark.parametrize("report", PLY)
def test_ply(tmp_path, report):
    text, wanted = PLY[report]
    (tmp_path / "a.ply").write_bytes(text.encode())
    assert volume(read_shape(tmp_path / "a.ply")) == pytest.approx(1 / 6)
    if wanted is not None:
        has_color(tmp_path / "a.ply", wanted)


def test_binary_ply_with_a_header_of_windows(tmp_path):
    """OpenCTM 6: what follows `end_header` and a carriage return is data, whose first byte may be a line feed."""
    points = (POINTS + 0.1).astype("<f4")
    points[0, 0] = np.frombuffer(b"\x0a\x00\x00\x00", "<f4")[0]
    head = ply().partition("end_header\n")[0].replace("ascii", "binary_little_endian") + "end_header\n"
    faces = np.zeros(4, [("n", "u1"), ("i", "<i4", 3)])
    faces["n"], faces["i"] = 3, FACES
    (tmp_path / "a.ply").write_bytes(head.replace("\n", "\r\n").encode() + points.tobytes() + faces.tobytes())
    np.testing.assert_allclose(read_shape(tmp_path / "a.ply").points, points)


# STL, text and binary.
def facets(number: str = "{:g}", indent: str = "  ", **change: str) -> str:
    text = ""
    for face in FACES:
        rows = "".join(f"{indent}vertex " + " ".join(map(number.format, POINTS[corner])) + "\n" for corner in face)
        text += f"facet normal 0 0 0\n{indent}outer loop\n{rows}{indent}endloop\nendfacet\n"
    return "solid a\n" + text + change.get("end", "endsolid a\n")


def binary(header: bytes = b"", attribute: int = 0, count: int = 4, more: bytes = b"") -> bytes:
    body = b"".join(
        np.concatenate([np.zeros((1, 3)), POINTS[face]]).astype("<f4").tobytes() + struct.pack("<H", attribute)
        for face in FACES
    )
    return header.ljust(80, b"\0") + struct.pack("<I", count) + body + more


STL = {
    "CADMesh 2": facets("{:.6e}").encode(),
    "PyFR 583": facets(end="endsolid a b c\n").encode(),
    "PyFR 583 (binary)": binary(b"solid binary export from a tool"),
    "simplnx 1696": binary(b"COLOR=\x80\x80\x80\xff", attribute=0x8421),
    "trimesh 438": binary(attribute=0xFFFF),
    "openscad 258": binary(b"solid \nfacet normal"),
    "assimp 4909": binary(b"solid x", more=b"\0" * 13),
    "ldparteditor 960": facets(indent="\t\t").replace(" a\n", "\n").encode(),
    "PrusaSlicer 2813": facets("{:.8f}").replace("0.00000000", "-0.00000000").upper().encode(),
    "numpy-stl 156 (Windows)": facets().replace("\n", "\r\n").encode(),
}


@pytest.mark.parametrize("report", STL)
def test_stl(tmp_path, report):
    (tmp_path / "a.stl").write_bytes(STL[report])
    assert volume(read_shape(tmp_path / "a.stl")) == pytest.approx(1 / 6)
    assert scenes.load(tmp_path / "a.stl").surface.closed


@pytest.mark.parametrize(
    "report, content",
    [
        ("robots 2661", facets(end="").rpartition("endfacet\n")[0].rpartition("vertex")[0].encode()),
        ("numpy-stl 36", facets().replace("vertex 1 0 0\n", "", 1).encode()),
        ("simplnx 1696 (cut off)", binary()[:-60]),
    ],
)
def test_stl_that_lacks_something_is_refused_or_said(tmp_path, report, content):
    (tmp_path / "a.stl").write_bytes(content)
    with pytest.raises(BadInput, match="a.stl: "):
        scenes.load(tmp_path / "a.stl")


# glTF: changes to a file of one mesh.
P, INDICES = POINTS.astype("<f4"), FACES.astype("<u2").reshape(-1)


def write_gltf(path: Path, arrays=None, tree=None, **primitive) -> None:
    entry = {"attributes": {"POSITION": 0}, "indices": 1, **primitive}
    gltf(path, {"points": P, "faces": INDICES, **(arrays or {})}, {"meshes": [{"primitives": [entry]}], **(tree or {})})


def test_gltf_transforms(tmp_path):
    """assimp 885, glTF-Rhino 3, dspbr-pt 9 and viewer 4109: matrices of nodes are column by column; T R S; chains."""
    path = tmp_path / "a.gltf"
    turn = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # a quarter about z
    matrix = [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 10, 20, 30, 1]
    nodes = [
        {"matrix": matrix, "children": [1]},
        {"mesh": 0, "translation": [1, 0, 0], "rotation": turn, "scale": [1, 2, 3]},
    ]
    write_gltf(path, tree={"nodes": nodes})
    mesh = read_shape(path)
    local = POINTS * [1, 2, 3] @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(mesh.points, (local + [1, 0, 0]) * 2 + [10, 20, 30], atol=1e-5)
    assert volume(mesh) == pytest.approx(8 * 6 / 6, rel=1e-5)


def test_gltf_matrices_that_skew_or_are_nearly_zero(tmp_path):
    """glTFast 116: a matrix that is no T R S is applied as it is."""
    write_gltf(
        tmp_path / "a.gltf", tree={"nodes": [{"mesh": 0, "matrix": [1, 0, 0, 0, 0.5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}]}
    )
    np.testing.assert_allclose(read_shape(tmp_path / "a.gltf").points[2], [0.5, 1, 0], atol=1e-6)


def test_gltf_morph_targets_of_one_primitive(tmp_path):
    """glTF-Blender-IO 1642, three-gltf-viewer 56: a target of the second primitive only, interleaved with others."""
    move = np.zeros((4, 3), "<f4")
    move[3, 2] = 1
    meshes = [{"weights": [0.5], "primitives": [
        {"attributes": {"POSITION": 0}, "indices": 1},
        {"attributes": {"POSITION": 0}, "indices": 1, "targets": [{"POSITION": 2}]},
    ]}]  # fmt: skip
    gltf(tmp_path / "a.gltf", {"points": P, "faces": INDICES, "move": move}, {"meshes": meshes})
    assert read_shape(tmp_path / "a.gltf").points[:, 2].max() == pytest.approx(1.5)


@pytest.mark.parametrize("dtype", ["u1", "<u2"])
def test_gltf_normalized_colors(tmp_path, dtype):
    """godot 44744, gltf-insight 9."""
    top = np.iinfo(dtype).max
    write_gltf(
        tmp_path / "a.gltf",
        {"color": np.tile(np.array([top, 0, 0, top], dtype), (4, 1))},
        attributes={"POSITION": 0, "COLOR_0": 2},
    )
    has_color(tmp_path / "a.gltf", RED)


def test_gltf_texture_transforms(tmp_path):
    """glTF-Blender-IO 657: an offset leads to the other half of the texture."""
    Image.fromarray(np.array([[(255, 0, 0)] * 2 + [(0, 255, 0)] * 2], np.uint8).repeat(4, 0)).save(tmp_path / "t.png")
    info = {"index": 0, "extensions": {"KHR_texture_transform": {"offset": [0.5, 0]}}}
    tree = {
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": info}}],
        "textures": [{"source": 0}],
        "images": [{"uri": "t.png"}],
    }
    uv = np.tile(np.float32([[0.25, 0.5]]), (4, 1))
    write_gltf(tmp_path / "a.gltf", {"uv": uv}, tree, attributes={"POSITION": 0, "TEXCOORD_0": 2}, material=0)
    has_color(tmp_path / "a.gltf", GREEN)


def test_gltf_without_indices_and_with_interleaved_vertices(tmp_path):
    """three-gltf-viewer 56: positions and colours of one buffer view, 24 bytes apart."""
    rows = np.concatenate([P[INDICES], np.tile(np.float32(linear_values(np.array(RED))), (12, 1))], axis=1)
    accessors = {0: {"count": 12, "type": "VEC3"}}
    entry = {"attributes": {"POSITION": 0, "COLOR_0": 1}}
    both = {"rows": rows.reshape(-1, 2)}
    gltf(tmp_path / "a.gltf", both, {"meshes": [{"primitives": [entry]}], "accessors": accessors})
    import json

    tree = json.loads((tmp_path / "a.gltf").read_text())
    tree["bufferViews"][0]["byteStride"] = 24
    tree["accessors"].append({**tree["accessors"][0], "byteOffset": 12})
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    has_color(tmp_path / "a.gltf", RED)


# Lists of points: the text, and columns that have to be found.
ROW = [f"{i}.25 {i * i}.5 {-i}.75" for i in range(8)]
CLOUDS = {
    "Open3D 913 (.pts)": (".pts", "\n".join(f"{row} -1{i:02}.5 255 0 0" for i, row in enumerate(ROW)), RED),
    "Open3D 913 (with a count)": (".pts", "8\n" + "\n".join(f"{row} {i} 255 0 0" for i, row in enumerate(ROW)), RED),
    "pyntcloud 305": (".pts", "x y z\n" + "\n".join(ROW), None),
    "py3dtiles 54": (".xyz", "\n".join(f"{row} 255 0 0" for row in ROW), RED),
    "PotreeConverter 474": (".xyzrgb", "\n".join(f"{row} 1.0 0.0 0.0" for row in ROW), RED),
    "trimesh 557": (".xyz", "# of CloudCompare\n" + "\n".join(f"{row} 0 0 1" for row in ROW), None),
    "covise 83": (".txt", "\n".join(f"{row} 255 0 0" for row in ROW), RED),
    "blendersushi 100": (".asc", "\r\n".join(f"{row.replace(' ', chr(9))}\t255\t0\t0" for row in ROW), RED),
    "meshlab 481": (
        ".csv",
        "X;Y;Z;R;G;B\n" + "\n".join(f"{row.replace(' ', ';').replace('.', ',')};255;0;0" for row in ROW),
        RED,
    ),
}


@pytest.mark.parametrize("report", CLOUDS)
def test_clouds(tmp_path, report):
    ending, text, wanted = CLOUDS[report]
    (tmp_path / f"a{ending}").write_bytes(text.encode() + b"\n")
    assert scenes.recognise(tmp_path / f"a{ending}")[0] == "shape"
    cloud = read_shape(tmp_path / f"a{ending}")
    assert isinstance(cloud, Cloud)
    np.testing.assert_allclose(cloud.points, [list(map(float, row.split())) for row in ROW])
    assert (cloud.normals is not None) == (report == "trimesh 557")
    if wanted is None:
        assert cloud.colors is None
    else:
        np.testing.assert_allclose(cloud.colors, np.tile(wanted, (8, 1)))


def test_pcd_of_the_viewer(tmp_path):
    """UnityPointCloudViewer 31: colours as floats in text, which are whole numbers and not tiny."""
    head = "# .PCD v.7 - Point Cloud Data file format\nVERSION .7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\n"
    head += "COUNT 1 1 1 1\nWIDTH 4\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 4\nDATA ascii\n"
    (tmp_path / "a.pcd").write_text(head + "".join(f"{row} 4.2108e+06\n" for row in ROWS))
    cloud = read_shape(tmp_path / "a.pcd")
    assert len(cloud.points) == 4 and np.isfinite(cloud.colors).all() and cloud.colors.max() > 0.2


# COLLADA: the asset and the nodes around one mesh.
DAE = (
    '<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>{asset}</asset>'
    '<library_geometries><geometry id="g"><mesh><source id="p"><float_array id="a" count="12">{points}</float_array>'
    '<technique_common><accessor source="#a" count="4" stride="3"/></technique_common></source><vertices id="v">'
    '<input semantic="POSITION" source="#p"/></vertices><triangles count="4"><input semantic="VERTEX" source="#v" '
    'offset="0"/><p>{faces}</p></triangles></mesh></geometry></library_geometries><library_visual_scenes>'
    '<visual_scene id="w">{nodes}</visual_scene></library_visual_scenes>'
    '<scene><instance_visual_scene url="#w"/></scene></COLLADA>'
)
MESH = '<instance_geometry url="#g"/>'
METRE, INCH = '<unit name="meter" meter="1"/>', '<unit name="inch" meter="0.0254"/>'
DAES = {
    "o3de 11021": (METRE, f"<node>{MESH}</node>", "m", 1 / 6, ""),
    "o3de 16640": (INCH, f"<node>{MESH}</node>", "in", 1 / 6, ""),
    "trimesh 1083": (
        METRE,
        f"<node><matrix>0.001 0 0 0 0 0 -0.001 0 0 0.001 0 0 0 0 0 1</matrix>{MESH}</node>",
        "m",
        1e-9 / 6,
        "",
    ),
    "LevelEditor 20": ("<up_axis>Z_UP</up_axis>", f"<node>{MESH}</node>", None, 1 / 6, "Z axis points up"),
    "NeosPublic 581": (
        "",
        f"<node><scale>-1 1 1</scale><node><rotate>0 0 1 90</rotate>{MESH}</node></node>",
        None,
        1 / 6,
        "",
    ),
    "assimp 1306": (
        "",
        f"<node><translate>1 0 0</translate><node><scale>2 2 2</scale>{MESH}</node></node>",
        None,
        8 / 6,
        "",
    ),
}


@pytest.mark.parametrize("report", DAES)
def test_collada(tmp_path, report):
    asset, nodes, unit, wanted, words = DAES[report]
    points, faces = " ".join(f"{x:g}" for x in POINTS.reshape(-1)), " ".join(map(str, FACES.reshape(-1)))
    (tmp_path / "a.dae").write_text(DAE.format(asset=asset, points=points, faces=faces, nodes=nodes))
    mesh = read_shape(tmp_path / "a.dae")
    assert volume(mesh) == pytest.approx(wanted, rel=1e-6) and (unit is None or mesh.unit == unit)
    assert any(words in note for note in mesh.notes) or not words
