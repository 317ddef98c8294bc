"""Tangent frames and normal maps, against surfaces whose frames are known."""

import numpy as np
import pytest

from fields.surface.charts import unwrap
from fields.surface.normal_map import bake_normal_map, normals_of_mesh
from fields.surface.tangent_space import in_tangent_space, interpolated, tangents_of
from fields.surface.texel_raster import rasterize
from tests.surface.meshes import sphere

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
SQUARE_FACES = np.array([[0, 1, 2], [0, 2, 3]])
UP = np.tile([0.0, 0, 1], (4, 1))


def test_tangents_point_along_u_and_tell_mirrored_charts():
    """On a square seen from +z with u along x, the tangent is x and the bitangent y; mirrored, the sign changes."""
    uv = SQUARE[:, :2]
    assert np.allclose(tangents_of(SQUARE, SQUARE_FACES, uv, UP), [1, 0, 0, 1])
    assert np.allclose(tangents_of(SQUARE, SQUARE_FACES, uv * [-1, 1], UP), [-1, 0, 0, -1])
    assert np.allclose(tangents_of(SQUARE, SQUARE_FACES, uv * [1, -1], UP), [1, 0, 0, -1])
    assert np.allclose(tangents_of(SQUARE, SQUARE_FACES, uv[:, ::-1], UP), [0, 1, 0, -1])


def test_two_charts_have_signs_of_their_own():
    vertices = np.concatenate([SQUARE, SQUARE + [2, 0, 0]])
    faces = np.concatenate([SQUARE_FACES, SQUARE_FACES + 4])
    uv = np.concatenate([SQUARE[:, :2], SQUARE[:, :2] * [-1, 1]])
    found = tangents_of(vertices, faces, uv, np.tile([0.0, 0, 1], (8, 1)))
    assert np.allclose(found[:4], [1, 0, 0, 1]) and np.allclose(found[4:], [-1, 0, 0, -1])


def test_a_face_without_area_in_the_texture_does_not_disturb():
    vertices = np.concatenate([SQUARE, [[0.5, 0.5, 0]]])
    faces = np.concatenate([SQUARE_FACES, [[0, 2, 4]]])
    uv = vertices[:, :2]
    assert np.allclose(tangents_of(vertices, faces, uv, np.tile([0.0, 0, 1], (5, 1)))[:4], [1, 0, 0, 1])


def test_faces_count_by_their_angle_at_the_vertex():
    """Two faces meet in vertex 0 with angles of 90 and 45 degrees, and directions of u that are 90 degrees apart."""
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    # u grows along x in the first face; in the second, along y, with v along -x.
    uv = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    a, b, c = vertices[faces[1]]
    p, q = uv[faces[1][1]] - uv[faces[1][0]], uv[faces[1][2]] - uv[faces[1][0]]
    second = ((b - a) * q[1] - (c - a) * p[1]) / (p[0] * q[1] - p[1] * q[0])
    second /= np.linalg.norm(second)
    wanted = np.pi / 2 * np.array([1.0, 0, 0]) + np.pi / 4 * second
    found = tangents_of(vertices, faces, uv, UP)[0, :3]
    assert np.allclose(found, wanted / np.linalg.norm(wanted))


def test_tangents_of_a_sphere_go_east():
    """With longitude as u, tangents are those of the circles of latitude, perpendicular to the normals."""
    u, v = (part.ravel() for part in np.meshgrid(np.linspace(0, 1, 65), np.linspace(0.2, 0.8, 33), indexing="ij"))
    longitude, latitude = 2 * np.pi * u, np.pi * (v - 0.5)
    points = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    index = np.arange(65 * 33).reshape(65, 33)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    faces = np.concatenate([np.column_stack([a, b, c]), np.column_stack([a, c, d])])
    found = tangents_of(points, faces, np.column_stack([u, v]), points)
    east = np.column_stack([-np.sin(longitude), np.cos(longitude), np.zeros_like(u)])
    assert (found[:, 3] == 1).all() and np.abs((found[:, :3] * points).sum(axis=1)).max() < 1e-9
    assert (found[:, :3] * east).sum(axis=1).min() > np.cos(np.radians(4))
    interior = np.isclose(np.abs(u - 0.5), 0.5) == 0
    assert (found[interior, :3] * east[interior]).sum(axis=1).min() > np.cos(np.radians(3))


@pytest.mark.parametrize("mirrored", [False, True])
def test_normals_in_tangent_space_are_what_a_renderer_turns_back(mirrored):
    """Frames that are neither orthogonal nor of unit length, as interpolation leaves them."""
    generator = np.random.default_rng(0)
    normals = np.array([[0.0, 0, 1], [0.3, 0, 1], [0, 0.4, 1]])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    corners, uv = np.array([[0, 1, 2]]), np.array([[0.0, 0], [1, 0], [0.2, 1]]) * ([-1, 1] if mirrored else [1, 1])
    tangents = tangents_of(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), corners, uv, normals)
    assert (tangents[:, 3] == (-1 if mirrored else 1)).all()
    weights = generator.dirichlet([1, 1, 1], 200)
    corners = np.repeat(corners, 200, axis=0)
    wanted = generator.normal(size=(200, 3)) * 0.3 + [0, 0, 1]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    stored = in_tangent_space(wanted, normals, tangents, corners, weights)
    normal, tangent = interpolated(weights, normals, corners), interpolated(weights, tangents[:, :3], corners)
    bitangent = np.cross(normal, tangent) * tangents[corners[:, 0], 3:]
    shown = stored[:, :1] * tangent + stored[:, 1:2] * bitangent + stored[:, 2:] * normal
    assert np.allclose(shown / np.linalg.norm(shown, axis=1, keepdims=True), wanted)


@pytest.fixture(scope="module")
def bumpy():
    """A coarse sphere with the normals of a fine one with waves: mesh, charts, exact normals, normal map."""
    coarse, faces = sphere(2)

    def exact(points: np.ndarray) -> np.ndarray:
        unit = points / np.linalg.norm(points, axis=1, keepdims=True)
        tilted = unit + 0.3 * np.sin(6 * unit[:, [1, 2, 0]])
        return tilted / np.linalg.norm(tilted, axis=1, keepdims=True)

    charts = unwrap(coarse, faces, 512)
    vertices = coarse[charts.source]
    fine = sphere(6)[0]
    made = bake_normal_map(vertices, charts.faces, charts.uv, vertices, 512, normals_of_mesh(fine, exact(fine)))
    return vertices, charts, exact, made


def test_a_normal_map_shows_the_normals_of_the_full_mesh(bumpy):
    vertices, charts, exact, made = bumpy
    texels, triangle, weights = rasterize(charts.uv, charts.faces, 512)
    corners = charts.faces[triangle]
    normal, tangent = interpolated(weights, vertices, corners), interpolated(weights, made.tangents[:, :3], corners)
    bitangent = np.cross(normal, tangent) * made.tangents[corners[:, 0], 3:]
    stored = made.texture.reshape(-1, 3)[texels] / 255 * 2 - 1
    shown = stored[:, :1] * tangent + stored[:, 1:2] * bitangent + stored[:, 2:] * normal
    shown /= np.linalg.norm(shown, axis=1, keepdims=True)
    wanted = exact(normal)
    angle = np.degrees(np.arccos(np.clip((shown * wanted).sum(axis=1), -1, 1)))
    assert np.percentile(angle, 99) < 3 and made.angle > 5 and made.worthwhile


def test_a_mesh_that_lost_nothing_needs_no_normal_map():
    vertices, faces = sphere(3)
    charts = unwrap(vertices, faces, 128)
    split = vertices[charts.source]
    made = bake_normal_map(split, charts.faces, charts.uv, split, 128, normals_of_mesh(vertices, vertices))
    assert made.angle < 3 and not made.worthwhile
    assert np.abs(made.texture.astype(int) - (128, 128, 255)).max() < 25


def test_the_other_side_of_a_thin_wall_does_not_count():
    top, bottom = SQUARE + [0, 0, 0.05], SQUARE.copy()
    at = normals_of_mesh(np.concatenate([top, bottom]), np.concatenate([UP, -UP]))
    assert np.allclose(at(SQUARE + [0, 0, 0.02], UP), UP)
    assert np.allclose(at(SQUARE + [0, 0, 0.02], np.tile([1.0, 0, 0], (4, 1))), 0), "no vertex faces this way"
