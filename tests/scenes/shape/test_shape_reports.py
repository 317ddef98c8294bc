"""Public reports about files of shapes, rebuilt small. `tests/reported/README.md` has the addresses."""

from pathlib import Path

import numpy as np
import pytest
from shape_files import U_OUTLINE, gltf, sphere

import scenes
from scenes.errors import BadInput
from scenes.shape.geometry import Cloud, Mesh
from scenes.shape.read import read_shape

TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
TETRAHEDRON_FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def volume(mesh: Mesh | Cloud) -> float:
    assert isinstance(mesh, Mesh)
    corners = mesh.vertices[mesh.faces]
    return float((corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def area(mesh: Mesh | Cloud) -> float:
    assert isinstance(mesh, Mesh)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_a_wall_with_a_notch_has_the_area_of_its_polygon(tmp_path: Path):
    """A concave polygon of an OBJ that stands upright, with texture coordinates of its own."""
    rows = "".join(f"v {x} 0 {z}\nvt {x / 3} {z / 3}\n" for x, z in U_OUTLINE)
    (tmp_path / "wall.obj").write_text(rows + "f " + " ".join(f"{k}/{k}" for k in range(1, 9)))
    assert area(read_shape(tmp_path / "wall.obj")) == pytest.approx(7)


def test_negative_indices_count_from_the_vertices_so_far(tmp_path: Path):
    """Blocks of vertices and faces follow each other; statements go on in the next line; no newline at the end."""
    blocks = []
    for shift in (0.0, 5.0):
        blocks += [f"o part{shift:g}", *(f"v {x + shift} {y} {z}" for x, y, z in TETRAHEDRON)]
        blocks += ["f " + " \\\n".join(str(corner - 4) for corner in face) for face in TETRAHEDRON_FACES]
    (tmp_path / "two.obj").write_text("\n".join(blocks))
    mesh = read_shape(tmp_path / "two.obj")
    assert volume(mesh) == pytest.approx(2 / 6) and mesh.points[:, 0].max() == 6


def test_survey_coordinates_of_a_mesh_keep_their_digits(tmp_path: Path):
    """A triangle mesh on a grid of 400,000 by 800,000: text is read as float64."""
    far = TETRAHEDRON * 0.25 + [400_000.123, 800_000.456, 0]
    rows = "".join(f"v {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in far)
    (tmp_path / "far.obj").write_text(rows + "".join(f"f {a} {b} {c}\n" for a, b, c in TETRAHEDRON_FACES + 1))
    mesh = read_shape(tmp_path / "far.obj")
    np.testing.assert_allclose(mesh.points, far, atol=1e-4)
    shape = scenes.load(tmp_path / "far.obj")
    side = shape.domain.axes[0].upper - shape.domain.axes[0].lower
    corner = np.array([axis.lower for axis in shape.domain.axes])
    found = shape.surface.mesh.vertices * side + corner
    np.testing.assert_allclose(np.sort(found, axis=0), np.sort(far, axis=0), atol=1e-4)
    assert shape.surface.closed and side == pytest.approx(0.25 * 1.1, rel=1e-6)


def test_points_with_many_digits_are_written_with_them(tmp_path: Path):
    """Colours and coordinates of a cloud whose neighbours differ in the ninth digit only."""
    from scenes.shape.writers.ply import vertex_columns, write_ply

    points = np.stack([4_512_345 + np.arange(200) * 0.001, np.arange(200) % 7, np.arange(200) % 11], axis=1)
    write_ply(tmp_path / "a.ply", vertex_columns(points, None, None))
    assert len(np.unique(read_shape(tmp_path / "a.ply").points[:, 0])) == 200


def test_binary_stl_that_begins_with_solid(tmp_path: Path):
    mesh = sphere(2)
    mesh.export(tmp_path / "a.stl")
    content = b"solid base".ljust(80) + (tmp_path / "a.stl").read_bytes()[80:]
    # Some programs add a few bytes at the end.
    for more in (b"", b"\0" * 7):
        (tmp_path / "a.stl").write_bytes(content + more)
        assert len(read_shape(tmp_path / "a.stl").faces) == len(mesh.faces)
    (tmp_path / "a.stl").write_bytes(content[:-100])
    with pytest.raises(BadInput, match="cut short"):
        read_shape(tmp_path / "a.stl")


def test_text_stl_with_a_space_before_solid(tmp_path: Path):
    """Several solids, and keywords in capitals."""
    solids = []
    for name, shift in (("first part", 0), ("second", 5)):
        facets = [
            "facet normal 0 0 0\nouter loop\n"
            + "".join("vertex {} {} {}\n".format(*(TETRAHEDRON[corner] + [shift, 0, 0])) for corner in face)
            + "endloop\nendfacet\n"
            for face in TETRAHEDRON_FACES
        ]
        solids.append(f" solid {name}\n" + "".join(facets) + f" endsolid {name}\n")
    (tmp_path / "a.stl").write_text("".join(solids))
    assert volume(read_shape(tmp_path / "a.stl")) == pytest.approx(2 / 6)


def test_pcd_colors_as_tiny_floats(tmp_path: Path):
    """The bits of a colour, written as the number that they are as a float."""
    header = "VERSION .7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH 2\nHEIGHT 1\n"
    header += "POINTS 2\nDATA ascii\n"
    (tmp_path / "a.pcd").write_text(header + "0 1 2 1.648931e-38\n0.5 1 2 2.3418052e-38\n")
    bits = np.array([1.648931e-38, 2.3418052e-38], np.float32).view(np.uint32)
    wanted = np.stack([bits >> 16 & 255, bits >> 8 & 255, bits & 255], axis=1) / 255
    found = read_shape(tmp_path / "a.pcd").colors
    np.testing.assert_allclose(found, wanted)
    assert found.max() > 0.5


def test_units_of_3mf_and_moved_components(tmp_path: Path):
    """Inches stay inches, of vertices and of translations; the item is moved, and its component turned."""
    import zipfile

    vertices = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in TETRAHEDRON)
    triangles = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in TETRAHEDRON_FACES)
    model = (
        '<?xml version="1.0"?><model unit="inch" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">'
        f'<resources><object id="1"><mesh><vertices>{vertices}</vertices><triangles>{triangles}</triangles></mesh>'
        '</object><object id="2"><components><component objectid="1" transform="0 1 0 -1 0 0 0 0 1 0 0 5"/>'
        "</components></object>"
        '</resources><build><item objectid="2" transform="1 0 0 0 1 0 0 0 1 2 0 0"/></build></model>'
    )
    with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
        archive.writestr("3D/3dmodel.model", model)
    shape = scenes.load(tmp_path / "a.3mf")
    mesh = read_shape(tmp_path / "a.3mf")
    assert mesh.unit == "in" and {axis.unit for axis in shape.domain.axes} == {"in"}
    np.testing.assert_allclose(mesh.points.min(axis=0), [1, 0, 5], atol=1e-12)
    np.testing.assert_allclose(mesh.points.max(axis=0), [2, 1, 6], atol=1e-12)
    assert volume(mesh) == pytest.approx(1 / 6)


def test_ply_with_triangle_strips(tmp_path: Path):
    """One list of indices, in which -1 ends a strip."""
    strip = np.array([0, 2, 1, 3, 0, -1, 0, 3, 2, -1], "<i4")
    header = "ply\nformat binary_little_endian 1.0\nelement vertex 4\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    body = TETRAHEDRON.astype("<f4").tobytes() + np.int32(len(strip)).tobytes() + strip.tobytes()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    mesh = read_shape(tmp_path / "a.ply")
    assert isinstance(mesh, Mesh) and len(mesh.faces) == 4
    assert scenes.load(tmp_path / "a.ply").surface.closed


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("length", ["uchar", "ushort", "uint", "int8"])
def test_ply_lists_of_other_types_with_more_properties(tmp_path: Path, order: str, length: str):
    """Polygons of several sizes, with a list and a number after them, and an element that nothing reads before."""
    vertices = np.concatenate([TETRAHEDRON, [[0.5, 0.5, 0.5]]])
    polygons = [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 4, 3]]
    header = f"ply\nformat {order} 1.0\ncomment made by hand\nobj_info none\nelement camera 2\nproperty short k\n"
    header += "element vertex 5\n" + "".join(f"property float64 {axis}\n" for axis in "xyz")
    header += f"element face 4\nproperty list {length} uint32 vertex_index\nproperty list uint8 float32 weights\n"
    header += "property uint8 flags\nend_header\n"
    if order == "ascii":
        rows = ["1", "2", *(" ".join(map(repr, row.tolist())) for row in vertices)]
        rows += [" ".join(map(str, [len(p), *p, 2, 0.5, 0.25, 7])) for p in polygons]
        body = "\n".join(rows).encode()
    else:
        sign = "<" if "little" in order else ">"
        kind = {"uchar": "u1", "ushort": "u2", "uint": "u4", "int8": "i1"}[length]
        body = np.array([1, 2], sign + "i2").tobytes() + vertices.astype(sign + "f8").tobytes()
        for polygon in polygons:
            body += np.array([len(polygon)], sign + kind).tobytes() + np.array(polygon, sign + "u4").tobytes()
            body += b"\2" + np.array([0.5, 0.25], sign + "f4").tobytes() + b"\7"
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    mesh = read_shape(tmp_path / "a.ply")
    assert isinstance(mesh, Mesh) and mesh.faces[:3].tolist() == polygons[:3]
    assert len(mesh.faces) == 5 and set(mesh.faces[3:].ravel()) == {1, 2, 3, 4}
    np.testing.assert_allclose(mesh.vertices, vertices)


def test_mirrored_instances_stay_the_right_side_out(tmp_path: Path):
    """One mesh in two nodes, of which one has a negative scale."""
    tree = {
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0}, {"mesh": 0, "scale": [-1, -1, -1], "translation": [-5, 0, 0]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
    }
    arrays = {"points": TETRAHEDRON.astype("<f4"), "faces": TETRAHEDRON_FACES.astype("u1").reshape(-1)}
    gltf(tmp_path / "a.gltf", arrays, tree)
    assert volume(read_shape(tmp_path / "a.gltf")) == pytest.approx(2 / 6)


def test_collada_says_its_unit_and_what_is_up(tmp_path: Path):
    """Float64, a concave polygon, a node that moves and scales, a diffuse colour."""
    outline = " ".join(f"{x + 500_000.25} {y} 0" for x, y in U_OUTLINE)
    (tmp_path / "a.dae").write_text(
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">'
        '<asset><unit name="inch" meter="0.0254"/><up_axis>Z_UP</up_axis></asset>'
        '<library_effects><effect id="e"><profile_COMMON><technique sid="t"><lambert><diffuse>'
        "<color>0.75 0.5 0.25 1</color></diffuse></lambert></technique></profile_COMMON></effect></library_effects>"
        '<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>'
        '<library_geometries><geometry id="g"><mesh><source id="p"><float_array id="a" count="24">'
        f'{outline}</float_array><technique_common><accessor source="#a" count="8" stride="3"/></technique_common>'
        "</source>"
        '<vertices id="v"><input semantic="POSITION" source="#p"/></vertices><polylist material="s" count="1">'
        '<input semantic="VERTEX" source="#v" offset="0"/><vcount>8</vcount><p>0 1 2 3 4 5 6 7</p></polylist>'
        '</mesh></geometry></library_geometries><library_visual_scenes><visual_scene id="w"><node>'
        '<translate>0 10 0</translate><rotate>0 0 1 90</rotate><instance_geometry url="#g"><bind_material>'
        '<technique_common><instance_material symbol="s" target="#m"/></technique_common></bind_material>'
        "</instance_geometry></node></visual_scene></library_visual_scenes>"
        '<scene><instance_visual_scene url="#w"/></scene></COLLADA>'
    )
    mesh = read_shape(tmp_path / "a.dae")
    assert area(mesh) == pytest.approx(7) and mesh.unit == "in"
    np.testing.assert_allclose(mesh.points.min(axis=0), [-3, 500_010.25, 0], atol=1e-9)
    assert any("Z axis points up" in note for note in mesh.notes)
    np.testing.assert_allclose(mesh.colors.corners, np.broadcast_to([0.75, 0.5, 0.25], mesh.colors.corners.shape))


@pytest.mark.parametrize(
    ("kd", "wanted"), [("0.8 0.8 0.8", (1, 0, 0)), ("0 0 0", (1, 0, 0)), ("1 1 1", (1, 0, 0)), ("0.5 1 1", (0.5, 0, 0))]
)
def test_kd_beside_a_texture(tmp_path: Path, kd: str, wanted: tuple[float, ...]):
    """Blender writes a grey there that means nothing; a colour is a tint. Windows' names, and spaces in them."""
    from PIL import Image

    (tmp_path / "Textures").mkdir()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "Textures" / "My Wood.PNG")
    (tmp_path / "my things.mtl").write_text(f"newmtl wood\r\nKd {kd}\r\nmap_Kd -s 2 2 1 textures\\my wood.png\r\n")
    rows = "".join(f"v {x} {y} {z}\n" for x, y, z in TETRAHEDRON)
    faces = "".join(f"f {a}/1 {b}/1 {c}/1\n" for a, b, c in TETRAHEDRON_FACES + 1)
    (tmp_path / "a.obj").write_text(f"mtllib my things.mtl\n{rows}vt 0.5 0.5\nusemtl wood\n{faces}")
    shape = scenes.load(tmp_path / "a.obj")
    assert np.abs(shape.surface_points(20)[2] - wanted).max() < 1e-6
    assert any("Kd" in note for note in shape.notes) == (kd != "1 1 1")


@pytest.mark.parametrize("ending", ["fbx", "wrl", "x", "step", "e57"])
def test_formats_that_nothing_reads_are_refused_by_name(tmp_path: Path, ending: str):
    (tmp_path / f"a.{ending}").write_bytes(b"anything")
    assert scenes.recognise(tmp_path / f"a.{ending}")[0] == "shape"
    with pytest.raises(BadInput, match="are not read; convert it to GLB"):
        scenes.load(tmp_path / f"a.{ending}")


def test_files_beside_are_found_and_none_elsewhere(tmp_path: Path):
    """Names of other systems and cases lead to a file below the folder, and never out of it."""
    from scenes.shape.readers.images import beside

    folder = tmp_path / "here"
    (folder / "tex").mkdir(parents=True)
    own, secret = folder / "tex" / "A b.PNG", tmp_path / "secret.png"
    for file in (own, secret):
        file.write_bytes(b"x")
    shape = folder / "a.obj"
    for name in (
        "tex/A b.PNG",
        "tex\\a B.png",
        "C:\\Users\\me\\tex\\a b.png",
        "/home/me/Tex/A b.PNG",
        '"./tex/A b.PNG"',
    ):
        assert beside(shape, name) == own
    for name in ("../secret.png", str(secret), "tex/../../secret.png", "..", "", "/"):
        assert beside(shape, name) is None


def test_usd_layers_outside_of_the_folder_are_refused(tmp_path: Path):
    pytest.importorskip("pxr")
    (tmp_path / "here").mkdir()
    (tmp_path / "ball.usda").write_text('#usda 1.0\ndef Mesh "m" {\n}\n')
    (tmp_path / "here" / "a.usda").write_text('#usda 1.0\ndef "x" (references = @../ball.usda@</m>) {\n}\n')
    with pytest.raises(BadInput, match="layers outside of its folder"):
        read_shape(tmp_path / "here" / "a.usda")


def test_own_usdz_and_3mf_are_read_back(tmp_path: Path):
    """Textures and colours of vertices, as the exports write them."""
    from fields.export.asset_files import write_asset
    from scenes.shape.writers.asset import Asset

    mesh = sphere(3)
    colors = np.clip(mesh.vertices * 0.5 + 0.5, 0, 1)
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4, 0] = texture[:, 4:, 2] = 255
    uv = np.stack([mesh.vertices[:, 0] * 0.45 + 0.5, mesh.vertices[:, 1] * 0.45 + 0.5], axis=1)
    endings = ["3mf"] + ["usdz"] * (__import__("importlib.util").util.find_spec("pxr") is not None)
    for ending in endings:
        path = tmp_path / f"a.{ending}"
        write_asset(path, Asset(mesh.vertices, mesh.faces, mesh.vertex_normals, colors=colors))
        points, _, found = scenes.load(path).surface_points(300)
        assert np.abs(found - np.clip((points - 0.5) * 1.1 + 0.5, 0, 1)).max() < 0.006
        if ending == "usdz":
            write_asset(path, Asset(mesh.vertices, mesh.faces, mesh.vertex_normals, uv=uv, texture=texture))
            points, _, found = scenes.load(path).surface_points(300)
            left, right = points[:, 0] < 0.4, points[:, 0] > 0.6
            assert (found[left] == [1, 0, 0]).all() and (found[right] == [0, 0, 1]).all()
