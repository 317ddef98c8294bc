"""Point clouds: text of every habit, PCD, LAS, and colours of every range."""

import numpy as np
import pytest
from shape_files import sphere

import scenes
from scenes.errors import BadInput
from scenes.recognise import recognise
from scenes.shape.geometry import Cloud
from scenes.shape.read import read_shape

BALL = sphere(2)
POINTS = np.round(np.asarray(BALL.vertices) * 5, 4)
NORMALS = np.asarray(BALL.vertex_normals)
BYTES = np.rint((NORMALS * 0.5 + 0.5) * 255).astype(int)


def text(*columns: np.ndarray, separator: str = " ", header: str = "", decimal: str = ".") -> str:
    def word(value: float) -> str:
        return (f"{value:.4f}" if value != int(value) else f"{int(value)}").replace(".", decimal)

    rows = np.concatenate([np.asarray(column, float).reshape(len(POINTS), -1) for column in columns], axis=1)
    return header + "\n".join(separator.join(word(value) for value in row) for row in rows) + "\n"


CASES = {
    "spaces.xyz": (text(POINTS), None, None),
    "normals.xyz": (text(POINTS, NORMALS), NORMALS, None),
    "bytes.xyz": (text(POINTS, BYTES), None, BYTES / 255),
    "floats.xyz": (text(POINTS, BYTES / 255), None, BYTES / 255),
    "wide.xyz": (text(POINTS, BYTES * 257), None, BYTES / 255),
    "both.xyz": (text(POINTS, NORMALS, BYTES), NORMALS, BYTES / 255),
    "swapped.xyz": (text(POINTS, BYTES, NORMALS), NORMALS, BYTES / 255),
    "comma.xyz": (text(POINTS, NORMALS, separator=","), NORMALS, None),
    "comma-space.txt": (text(POINTS, BYTES, separator=", "), None, BYTES / 255),
    "semicolon.csv": (text(POINTS, BYTES, separator=";", decimal=","), None, BYTES / 255),
    "tabs.asc": (text(POINTS, separator="\t", decimal=","), None, None),
    "comments.asc": (text(POINTS, header="# made by a scanner\n// x y z\n\n"), None, None),
    "count.pts": (text(POINTS, np.arange(len(POINTS)), BYTES, header=f"{len(POINTS)}\n"), None, BYTES / 255),
    "named.csv": (text(POINTS[:, ::-1], BYTES, separator=",", header="Z,Y,X,Red,Green,Blue\n"), None, BYTES / 255),
    "cloudcompare.txt": (
        text(POINTS, BYTES, NORMALS, header=f"//X Y Z R G B Nx Ny Nz\n{len(POINTS)}\n"),
        NORMALS,
        BYTES / 255,
    ),
    "windows.xyz": ("\ufeff" + text(POINTS, BYTES).replace("\n", "\r\n").rstrip(), None, BYTES / 255),
}


@pytest.mark.parametrize("name", CASES)
def test_columns_of_text_are_told_apart(tmp_path, name: str):
    content, normals, colors = CASES[name]
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    assert recognise(tmp_path / name)[0] == "shape"
    cloud = read_shape(tmp_path / name)
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-4)
    for found, wanted in ((cloud.normals, normals), (cloud.colors, colors)):
        assert (found is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_intensity_is_grey_and_said(tmp_path):
    (tmp_path / "a.xyz").write_text(text(POINTS, np.arange(len(POINTS)) * 7))
    cloud = read_shape(tmp_path / "a.xyz")
    assert any("intensity is read as grey" in note for note in cloud.notes)
    assert cloud.colors[0].tolist() == [0, 0, 0] and cloud.colors[-1].tolist() == [1, 1, 1]


def test_damaged_lines_are_left_out_and_said(tmp_path):
    lines = text(POINTS).splitlines()
    lines[17], lines[40] = "1.0 2.0", "1.0 2.0 oops"
    (tmp_path / "a.xyz").write_text("\n".join(lines))
    cloud = read_shape(tmp_path / "a.xyz")
    assert len(cloud.points) == len(POINTS) - 2 and any("2 of" in note for note in cloud.notes)
    (tmp_path / "b.pts").write_text(f"{len(POINTS) + 50}\n" + text(POINTS))
    assert any("announces 212 points and holds 162" in note for note in read_shape(tmp_path / "b.pts").notes)
    (tmp_path / "c.xyz").write_text("no numbers here\nat all\n")
    with pytest.raises(BadInput, match="no points"):
        read_shape(tmp_path / "c.xyz")


def test_text_that_is_no_cloud_is_none(tmp_path):
    (tmp_path / "a.txt").write_text("a letter\nwith some lines\nand no numbers\nat all\n")
    assert recognise(tmp_path / "a.txt")[0] == "image"


def pcd(form: str, names: str, table: np.ndarray, sizes: str, types: str) -> bytes:
    count = len(table)
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        f"FIELDS {names}",
        f"SIZE {sizes}",
        f"TYPE {types}",
        "COUNT " + " ".join("1" for _ in names.split()),
        f"WIDTH {count}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {count}",
        f"DATA {form}",
    ]
    head = ("\n".join(header) + "\n").encode()
    if form == "ascii":
        rows = [" ".join(repr(value) for value in row.tolist()) for row in table]
        return head + ("\n".join(rows) + "\n").encode()
    if form == "binary":
        return head + table.tobytes()
    codecs = pytest.importorskip("imagecodecs")
    data = b"".join(np.ascontiguousarray(table[name]).tobytes() for name in table.dtype.names)
    packed = codecs.lzf_encode(data)
    return head + np.array([len(packed), len(data)], "<u4").tobytes() + packed


@pytest.mark.parametrize("form", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize("kind", ["F", "U"])
def test_pcd_files_with_packed_colors(tmp_path, form: str, kind: str):
    """The colour is three bytes in the bits of a number, even where that is written as a float."""
    bits = (BYTES[:, 0] << 16 | BYTES[:, 1] << 8 | BYTES[:, 2]).astype("<u4")
    columns = [*((axis, "<f8") for axis in "xyz"), *((f"normal_{axis}", "<f4") for axis in "xyz")]
    table = np.empty(len(POINTS), [*columns, ("rgb", f"<{kind.lower()}4")])
    for k, axis in enumerate("xyz"):
        table[axis], table[f"normal_{axis}"] = POINTS[:, k] + 4e6, NORMALS[:, k]
    table["rgb"] = bits.view("<f4") if kind == "F" else bits
    names = "x y z normal_x normal_y normal_z rgb"
    path = tmp_path / "a.pcd"
    path.write_bytes(pcd(form, names, table, "8 8 8 4 4 4 4", f"F F F F F F {kind}"))
    cloud = read_shape(path)
    np.testing.assert_allclose(cloud.points, POINTS + 4e6, atol=1e-8)
    np.testing.assert_allclose(cloud.normals, NORMALS, atol=1e-6)
    np.testing.assert_allclose(cloud.colors, BYTES / 255)
    if form != "ascii":
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(BadInput, match="cut short"):
            read_shape(path)


@pytest.mark.parametrize("ending", ["las", "laz"])
def test_scans_with_colors_of_8_and_16_bits(tmp_path, ending: str):
    laspy = pytest.importorskip("laspy")
    header = laspy.LasHeader(point_format=2, version="1.2")
    header.offsets, header.scales = [500_000, 4_000_000, 0], [1e-4] * 3
    points = POINTS + [500_100, 4_000_200, 30]
    for scale in (1, 257):
        las = laspy.LasData(header)
        las.x, las.y, las.z = points.T
        las.red, las.green, las.blue = (BYTES * scale).T
        las.write(tmp_path / f"a.{ending}")
        cloud = read_shape(tmp_path / f"a.{ending}")
        np.testing.assert_allclose(cloud.points, points, atol=1e-4)
        np.testing.assert_allclose(cloud.colors, BYTES / 255, atol=1e-6)
        assert any("read as bytes" in note for note in cloud.notes) == (scale == 1)
    content = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="cut short"):
        read_shape(tmp_path / f"a.{ending}")


def test_scans_name_their_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "laspy", None)
    (tmp_path / "a.laz").write_bytes(b"LASF" + bytes(300))
    with pytest.raises(BadInput, match=r"field-studio\[scans\]"):
        scenes.load(tmp_path / "a.laz")


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("uchar", BYTES, BYTES / 255),
        ("ushort", BYTES * 257, BYTES / 255),
        ("ushort", BYTES, BYTES / 255),
        ("float", BYTES / 255, BYTES / 255),
        ("double", BYTES.astype(float), BYTES / 255),
        ("int", BYTES, BYTES / 255),
    ],
)
@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_colors_of_every_type_in_ply(tmp_path, kind: str, values: np.ndarray, wanted: np.ndarray, order: str):
    dtype = {"uchar": "u1", "ushort": "u2", "float": "f4", "double": "f8", "int": "i4"}[kind]
    table = np.empty(len(POINTS), [*((axis, "f8") for axis in "xyz"), *((c, dtype) for c in ("red", "green", "blue"))])
    for k, axis in enumerate("xyz"):
        table[axis], table[("red", "green", "blue")[k]] = POINTS[:, k], values[:, k]
    header = ["ply", f"format {order} 1.0", f"element vertex {len(POINTS)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"property {kind} diffuse_{color}" for color in ("red", "green", "blue")]
    content = ("\n".join([*header, "end_header"]) + "\n").encode()
    if order == "ascii":
        content += "\n".join(" ".join(repr(value) for value in row.tolist()) for row in table).encode()
    else:
        content += table.astype(table.dtype.newbyteorder("<" if "little" in order else ">")).tobytes()
    (tmp_path / "a.ply").write_bytes(content)
    cloud = read_shape(tmp_path / "a.ply")
    assert isinstance(cloud, Cloud)
    np.testing.assert_allclose(cloud.points, POINTS)
    np.testing.assert_allclose(cloud.colors, wanted, atol=1e-6)
