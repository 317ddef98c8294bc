"""Bodies that are inside out, in parts or as a whole; shells inside of others."""

import numpy as np
import pytest
import trimesh
from shape_files import sphere

from scenes.shape.geometry import Mesh, MeshColors
from scenes.shape.orientation import oriented
from scenes.shape.signal import Shape


def joined(*parts: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    whole = trimesh.util.concatenate(parts)
    return np.asarray(whole.vertices), np.asarray(whole.faces)


def ball(radius: float, x: float, *, inward: bool = False) -> trimesh.Trimesh:
    made = sphere(2, radius)
    made.apply_translation([x, 0, 0])
    if inward:
        made.invert()
    return made


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    corners = vertices[faces]
    return float((corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


@pytest.mark.parametrize("flipped", [(False, True), (True, False), (True, True)])
def test_bodies_are_turned_one_by_one(flipped: tuple[bool, bool]):
    vertices, faces = joined(*(ball(1, 3.0 * k, inward=inward) for k, inward in enumerate(flipped)))
    shape = Shape.from_mesh(vertices, faces)
    mesh = shape.surface.mesh
    side = shape.domain.axes[0].upper - shape.domain.axes[0].lower
    assert volume(mesh.vertices, mesh.faces) * side**3 == pytest.approx(2 * sphere(2).volume)
    assert any("inside out" in note for note in shape.notes)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_a_half_flipped_body_becomes_solid(fraction: float):
    mesh = sphere(3)
    faces = np.asarray(mesh.faces).copy()
    wrong = np.random.default_rng(0).random(len(faces)) < fraction
    faces[wrong] = faces[wrong][:, ::-1]
    shape = Shape.from_mesh(mesh.vertices, faces)
    assert shape.quantity == "signed" and shape.surface.closed and shape.surface.sign_source == "pseudonormal"
    assert shape.values(np.array([[0.5, 0.5, 0.5]]))[0, 0] < -0.4
    assert any("reversed" in note for note in shape.notes)


def test_colors_follow_reversed_corners():
    mesh = sphere(2)
    faces = np.asarray(mesh.faces)[:, ::-1]
    colors = MeshColors((mesh.vertices * 0.5 + 0.5)[faces])
    found = oriented(Mesh(np.asarray(mesh.vertices), faces, colors))
    assert volume(found.vertices, found.faces) > 0
    np.testing.assert_array_equal(found.colors.corners, (mesh.vertices * 0.5 + 0.5)[found.faces])


@pytest.mark.parametrize("outer_inward", [False, True])
@pytest.mark.parametrize("inner_inward", [False, True])
def test_nested_shells_are_cavities_by_parity(outer_inward: bool, inner_inward: bool):
    parts = [ball(1, 0, inward=outer_inward), ball(0.6, 0, inward=inner_inward), ball(0.3, 0)]
    shape = Shape.from_mesh(*joined(*parts))
    probes = 0.5 + np.array([[0.8, 0, 0], [0.45, 0, 0], [0.0, 0, 0]]) / 2.2
    assert (shape.values(probes)[:, 0] < 0).tolist() == [True, False, True]
    if not outer_inward and inner_inward:
        assert shape.notes == ()
    elif not inner_inward:
        assert any("nested=solid" in note for note in shape.notes)


def test_nested_shells_can_be_filled():
    vertices, faces = joined(ball(1, 0), ball(0.6, 0))
    source = {"path": "array", "sha256": "", "options": {}}
    filled = Shape(Mesh(vertices, faces), source, nested="solid")
    assert filled.values(np.array([[0.5, 0.5, 0.5]]))[0, 0] < 0
    assert Shape(Mesh(vertices, faces), source).values(np.array([[0.5, 0.5, 0.5]]))[0, 0] > 0


def test_overlapping_bodies_are_one():
    shape = Shape.from_mesh(*joined(ball(1, 0), ball(1, 0.5)))
    assert shape.notes == ()
    middle = (0.25 - shape.domain.axes[0].lower) / (shape.domain.axes[0].upper - shape.domain.axes[0].lower)
    assert shape.surface.inside(np.array([[middle, 0.5, 0.5]])).all()


def test_bodies_that_share_an_edge_are_solid():
    """Four faces meet at the edge that two cubes have in common."""
    cubes = [trimesh.creation.box(bounds=[[k, k, 0], [k + 1, k + 1, 1]]) for k in (0, 1)]
    cubes[1].invert()
    vertices, faces = joined(*cubes)
    shape = Shape.from_mesh(vertices, faces)
    side = shape.domain.axes[0].upper - shape.domain.axes[0].lower
    mesh = shape.surface.mesh
    assert volume(mesh.vertices, mesh.faces) * side**3 == pytest.approx(2)


def test_a_body_with_every_face_doubled_is_solid():
    mesh = sphere(2)
    faces = np.concatenate([mesh.faces, np.asarray(mesh.faces)[:, ::-1]])[np.random.default_rng(0).permutation(640)]
    shape = Shape.from_mesh(mesh.vertices, faces)
    assert shape.surface.watertight and shape.values(np.array([[0.5, 0.5, 0.5]]))[0, 0] < -0.4


def test_a_strip_without_an_inside_is_left_alone():
    """A Moebius strip cannot be oriented."""
    steps = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across = np.array([-0.3, 0.3])
    radius = 1 + across[None] * np.cos(steps / 2)[:, None]
    height = across[None] * np.sin(steps / 2)[:, None]
    vertices = np.stack([radius * np.cos(steps)[:, None], radius * np.sin(steps)[:, None], height], axis=-1)
    index = np.arange(80).reshape(40, 2)
    after = np.concatenate([index[1:], index[:1, ::-1]])
    faces = np.concatenate(
        [np.stack([index[:, 0], after[:, 0], after[:, 1]], 1), np.stack([index[:, 0], after[:, 1], index[:, 1]], 1)]
    )
    assert Shape.from_mesh(vertices.reshape(-1, 3), faces).quantity == "unsigned"
