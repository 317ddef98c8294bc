"""Triangulation of polygons, and every format that has them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_files import U_OUTLINE, u_prism

import scenes
from scenes.shape.geometry import Mesh
from scenes.shape.polygons import triangulate
from scenes.shape.read import read_shape


def areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Signed areas of triangles in the plane z = 0."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


def outline_area(points: np.ndarray) -> float:
    x, y = points[:, 0], points[:, 1]
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


@given(
    radii=st.lists(st.floats(0.1, 1.0), min_size=4, max_size=24),
    turn=st.floats(0, 6.28),
    backwards=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_star_shaped_polygons_are_covered_once(radii: list[float], turn: float, backwards: bool):
    """All triangles are oriented like the outline, and their areas add up to its area: none lies outside."""
    angles = turn + np.arange(len(radii)) / len(radii) * 2 * np.pi
    flat = np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    flat = flat[::-1] if backwards else flat
    points = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)
    positions, polygons = triangulate(points, np.arange(len(flat)), np.array([len(flat)]))
    found = areas(points, positions)
    assert len(positions) == len(flat) - 2 and (polygons == 0).all()
    assert found.sum() == pytest.approx(outline_area(flat))
    assert (found * (-1 if backwards else 1) >= -1e-9).all()


def test_corners_on_a_line_and_holes_behind_a_bridge():
    square = np.array([[0, 0], [1, 0], [2, 0], [4, 0], [4, 4], [0, 4], [0, 1]], float)
    # Outside, over a bridge into the hole and around it, and back.
    holed = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]], float)
    for flat, area in ((square, 16.0), (holed, 12.0)):
        points = np.concatenate([flat, np.zeros((len(flat), 1))], axis=1)
        positions, _ = triangulate(points, np.arange(len(flat)), np.array([len(flat)]))
        found = areas(points, positions)
        assert found.sum() == pytest.approx(area) and np.abs(found).sum() == pytest.approx(area)


def test_polygons_of_several_sizes_keep_their_order():
    points = np.concatenate([U_OUTLINE, np.zeros((8, 1))], axis=1)
    corners = np.array([0, 1, 2, *range(8), 0, 1, 5, 0, 1, 4, 5])
    positions, polygons = triangulate(points, corners, np.array([3, 8, 2, 1, 4]))
    assert polygons.tolist() == [0] + [1] * 6 + [4] * 2
    assert areas(points, corners[positions])[1:7].sum() == pytest.approx(7)


def prism_text(ending: str) -> str:
    vertices, polygons = u_prism()
    rows = [" ".join(f"{value:g}" for value in vertex) for vertex in vertices]
    if ending == "obj":
        return "".join(f"v {row}\n" for row in rows) + "".join(
            "f " + " ".join(str(corner + 1) for corner in polygon) + "\n" for polygon in polygons
        )
    faces = [" ".join(map(str, [len(polygon), *polygon])) for polygon in polygons]
    if ending == "off":
        return "\n".join(["OFF # a comment with 3 numbers", f"16 {len(faces)} 0", *rows, *faces])
    header = ["ply", "format ascii 1.0", "element vertex 16", *(f"property double {axis}" for axis in "xyz")]
    header += [f"element face {len(faces)}", "property list uchar int vertex_index", "end_header"]
    return "\n".join([*header, *rows, *faces])


@pytest.mark.parametrize("ending", ["obj", "off", "ply"])
def test_the_slot_of_a_u_is_empty_in_every_format(tmp_path, ending: str):
    path = tmp_path / f"u.{ending}"
    path.write_text(prism_text(ending))
    mesh = read_shape(path)
    assert isinstance(mesh, Mesh) and len(mesh.faces) == 28
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.linalg.norm(normals, axis=1).sum() / 2 == pytest.approx(30)
    assert (corners[:, 0] * normals).sum() / 6 == pytest.approx(7)
    shape = scenes.load(path)
    axes = shape.domain.axes
    point = np.array([[(at - axis.lower) / (axis.upper - axis.lower) for at, axis in zip((1.5, 2, 0.5), axes)]])
    assert shape.values(point)[0, 0] * (axes[0].upper - axes[0].lower) == pytest.approx(0.5, abs=1e-5)


OFF_CUBE = ["0 0 0", "1 0 0", "0 1 0", "1 1 0", "0 0 1", "1 0 1", "0 1 1", "1 1 1"]
OFF_QUADS = ["4 0 2 3 1", "4 4 5 7 6", "4 0 1 5 4", "4 2 6 7 3", "4 0 4 6 2", "4 1 3 7 5"]


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("OFF 8 6 0\n" + "\n".join(OFF_CUBE + OFF_QUADS), None),
        ("8 6 12\n" + "\n".join(OFF_CUBE + OFF_QUADS), None),
        ("OFF\n8 6\n\n" + "  \r\n".join(OFF_CUBE + OFF_QUADS), None),
        ("OFF\n8 6 0\n" + " ".join(OFF_CUBE + OFF_QUADS), None),
        ("NOFF\n8 6 0\n" + "\n".join([f"{row} 0 0 1" for row in OFF_CUBE] + OFF_QUADS), None),
        ("COFF\n8 6 0\n" + "\n".join([f"{row} 51 102 153 255" for row in OFF_CUBE] + OFF_QUADS), (0.2, 0.4, 0.6)),
        ("OFF\n8 6 0\n" + "\n".join(OFF_CUBE + [f"{row} 0.2 0.4 0.6" for row in OFF_QUADS]), (0.2, 0.4, 0.6)),
        ("OFF\n8 6 0\n" + "\n".join(OFF_CUBE + [f"{row} 51 102 153" for row in OFF_QUADS]), (0.2, 0.4, 0.6)),
        ("OFF\n8 6 0\n" + "\n".join(OFF_CUBE + [f"{row} 7" for row in OFF_QUADS]), None),
    ],
    ids=["same line", "no keyword", "no edges", "one line", "normals", "coff", "faces float", "faces byte", "index"],
)
def test_dialects_of_off(tmp_path, text: str, color: tuple[float, ...] | None):
    path = tmp_path / "cube.off"
    path.write_text(text)
    shape = scenes.load(path)
    side = shape.domain.axes[0].upper - shape.domain.axes[0].lower
    assert shape.surface.closed and shape.surface.area * side**2 == pytest.approx(6)
    assert shape.has_colors == (color is not None)
    if color is not None:
        assert np.abs(shape.surface_points(50)[2] - color).max() < 1e-3
