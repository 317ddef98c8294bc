"""Broken shapes: a refusal of one line, or a note and a repaired shape."""

import numpy as np
import pytest
import trimesh
from shape_files import open_box, ply, sphere

from scenes.errors import BadInput
from scenes.shape.signal import Shape, open_shape


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")


def check_refused(path, match: str) -> None:
    with pytest.raises(BadInput, match=match) as caught:
        open_shape(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("ending", ["obj", "ply", "stl", "glb", "off", "xyz"])
def test_empty_files_are_refused(tmp_path, ending: str):
    path = tmp_path / f"empty.{ending}"
    path.write_bytes(b"")
    check_refused(path, "empty")


@pytest.mark.parametrize("ending", ["obj", "ply", "stl", "glb", "off"])
@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.9])
def test_truncated_files_are_refused_or_give_an_open_shape(tmp_path, ending: str, fraction: float):
    path = tmp_path / f"cut.{ending}"
    sphere(3).export(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    try:
        shape = open_shape(path)
    except BadInput as error:
        assert "\n" not in str(error) and "cut" in str(error)
    else:  # an OBJ does not say how many lines it should have
        assert ending == "obj" and fraction == 0.9
        assert not shape.surface.closed and any("open" in note for note in shape.notes)


@pytest.mark.parametrize("ending", ["obj", "off"])
def test_a_mesh_without_faces_is_refused(tmp_path, ending: str):
    path = tmp_path / f"bare.{ending}"
    text = "".join(f"v {i} {i * i} 1\n" for i in range(20)) if ending == "obj" else "OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n"
    path.write_text(text)
    check_refused(path, "no faces|3 usable, different points has no surface")


def test_a_face_with_a_missing_vertex_is_refused(tmp_path):
    path = tmp_path / "wrong.off"
    path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n")
    check_refused(path, "vertex|face|cannot be read")


def test_other_endings_are_refused(tmp_path):
    path = tmp_path / "shape.docx"
    path.write_bytes(b"hello")
    check_refused(path, "not read as shapes")


def test_degenerate_and_duplicate_triangles_are_left_out():
    mesh = sphere(2)
    extra = np.concatenate([mesh.faces, mesh.faces[:7], mesh.faces[:5][:, [1, 2, 0]], [[3, 3, 9], [4, 4, 4]]])
    shape = Shape.from_mesh(mesh.vertices, extra)
    assert len(shape.surface.mesh.faces) == len(mesh.faces)
    assert shape.surface.closed and shape.surface.watertight
    assert any("2 degenerate" in note for note in shape.notes) and any("12 duplicate" in note for note in shape.notes)
    line = Shape.from_mesh(
        np.concatenate([mesh.vertices, [[0, 0, 0], [1, 1, 1], [2, 2, 2]]]),
        np.concatenate([mesh.faces, [[162, 163, 164]]]),
    )
    assert len(line.surface.mesh.faces) == len(mesh.faces)


def test_meshes_of_degenerate_triangles_are_refused():
    with pytest.raises(BadInput, match="without area"):
        Shape.from_mesh(np.outer(np.arange(6), [1, 2, 3]), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(BadInput, match="without area"):
        Shape.from_mesh(np.ones((3, 3)), [[0, 1, 2]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_vertices_that_are_not_finite_are_left_out(bad: float):
    mesh = sphere(3)
    vertices = mesh.vertices.copy()
    vertices[17, 1] = bad
    shape = Shape.from_mesh(vertices, mesh.faces)
    assert any("left out" in note for note in shape.notes)
    assert np.isfinite(shape.surface.mesh.vertices).all() and len(shape.surface.mesh.vertices) == len(vertices) - 1
    with pytest.raises(BadInput, match="no face has three usable vertices"):
        Shape.from_mesh(np.full((3, 3), bad), [[0, 1, 2]])


def test_a_flat_mesh_is_fitted_as_unsigned():
    shape = Shape.from_mesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], samples=5000)
    assert shape.quantity == "unsigned" and any("open" in note for note in shape.notes)
    coords, values, _ = shape.batch(0, 4096, 0)
    inside = ((coords[:, :2] > 0.05) & (coords[:, :2] < 0.95)).all(axis=1)
    np.testing.assert_allclose(values[inside, 0], np.abs(coords[inside, 2] - 0.5), atol=1e-6)


def test_a_closed_mesh_without_volume_has_no_inside():
    box = trimesh.creation.box(extents=[1, 1, 1])
    shape = Shape.from_mesh(box.vertices * [1, 1, 0], box.faces)
    assert shape.quantity == "unsigned"


@pytest.mark.parametrize(("size", "offset"), [(1e8, 0.0), (1.0, 1e8), (1e-8, 0.0), (1e8, 1e8)])
def test_large_and_small_coordinates_give_the_same_distances(size: float, offset: float):
    """Float64 resolves 1e-8 units at 1e8 units from the origin: distances in the unit cube are right to that."""
    mesh = sphere(3)
    shape = Shape.from_mesh(mesh.vertices * size + offset, mesh.faces, samples=4000)
    near = Shape.from_mesh(mesh.vertices, mesh.faces, samples=4000)
    assert shape.quantity == "signed" and shape.domain.axes[0].upper - shape.domain.axes[0].lower == pytest.approx(
        2.2 * size, rel=1e-6
    )
    points = np.random.default_rng(0).random((500, 3))
    np.testing.assert_allclose(shape.values(points), near.values(points), atol=1e-6)


def test_a_shape_that_float32_collapses_is_refused(tmp_path):
    """An STL stores float32: at 1e8 its steps are 8 units, so nothing is left of a ball of one unit."""
    path = tmp_path / "far.stl"
    mesh = sphere(2, radius=0.4)
    mesh.apply_translation([1e8, 1e8, 1e8])
    mesh.export(path)
    check_refused(path, "without area")


@pytest.mark.parametrize("count", [1, 3])
def test_clouds_of_too_few_points_are_refused(tmp_path, count: int):
    path = tmp_path / "few.ply"
    path.write_text(ply(np.random.default_rng(0).random((count, 3))))
    check_refused(path, "no surface; at least 10")


def test_one_point_many_times_is_refused(tmp_path):
    path = tmp_path / "same.ply"
    path.write_text(ply(np.ones((50, 3))))
    check_refused(path, "1 usable, different point has no surface")


def test_points_that_are_not_finite_are_left_out(tmp_path):
    mesh = sphere(3)
    points, normals = mesh.vertices.copy(), mesh.vertex_normals
    points[5] = np.nan
    path = tmp_path / "holes.ply"
    path.write_text(ply(points, normals))
    shape = open_shape(path)
    assert len(shape.surface.points) == len(points) - 1 and any("not finite" in note for note in shape.notes)


def test_an_open_mesh_is_noted_and_can_be_fitted_as_signed():
    box = open_box()
    shape = Shape.from_mesh(box.vertices, box.faces)
    assert shape.quantity == "unsigned" and "4 open edges" in shape.notes[-1]
    signed = Shape.from_mesh(box.vertices, box.faces, "signed")
    assert signed.quantity == "signed" and any("open" in note for note in signed.notes)
    assert signed.values(np.array([[0.5, 0.5, 0.2]]))[0, 0] < 0 < signed.values(np.array([[0.02, 0.5, 0.5]]))[0, 0]
