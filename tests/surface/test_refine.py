"""Vertices fitted to photographs: drawn meshes that were made too large or too rough come back to their shape."""

import time

import numpy as np
import pytest

from fields.render.mesh_projection import project_vertices
from fields.surface.mesh_image import mesh_edges, mesh_image, pixels_of, sample_colors
from fields.surface.refine import refine_vertices
from fields.surface.topology import vertex_normals
from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.view import View

SIZE = 64
LENS = Intrinsics(
    SIZE, SIZE, fl_x=90.0, fl_y=90.0, cx=32.0, cy=32.0, model="opencv", distortion=(-0.1, 0.02, 0.001, 0.0)
)


def painted_sphere(level=4):
    """A sphere of radius 0.5 around (0.2, 0, 0.1), with a pattern of colors."""
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(level)
    normals = np.asarray(sphere.vertices)
    colors = 0.5 + 0.4 * np.sin(np.stack([9 * normals[:, 0], 8 * normals[:, 1] + 1, 10 * normals[:, 2] + 2], 1))
    return 0.5 * normals + [0.2, 0, 0.1], np.asarray(sphere.faces, np.int64), colors.astype(np.float32)


def photographs(vertices, faces, colors, count=12, alpha=True, intrinsics=None, gap=2.2):
    """Views all around, drawn with 6 x 6 samples a pixel."""
    random, views = np.random.default_rng(0), []
    for _ in range(count):
        direction = random.normal(size=3)
        eye = np.array([0.2, 0, 0.1]) + gap * direction / np.linalg.norm(direction)
        pose = look_at(eye, np.array([0.2, 0, 0.1]))[:3]
        view = View(pose, intrinsics or Intrinsics.pinhole(SIZE, SIZE, 90.0), pixels=np.zeros((1, 1, 3), np.uint8))
        image = mesh_image(project_vertices(view, vertices), faces, mesh_edges(faces), SIZE, SIZE, samples=6)
        drawn = pixels_of(image, sample_colors(image, colors))
        if alpha:
            drawn[..., :3] /= np.maximum(drawn[..., 3:], 1e-6)
        else:
            drawn = drawn[..., :3] + 0.3 * (1 - drawn[..., 3:])
        views.append(View(pose, view.intrinsics, pixels=np.rint(255 * drawn.clip(0, 1)).astype(np.uint8)))
    return views


def rough(vertices, faces, inflate, noise):
    waves = np.random.default_rng(1).normal(size=(3, 20)) * 12
    bumps = np.cos(vertices @ waves + np.arange(20)).mean(axis=1)
    return vertices + vertex_normals(vertices, faces) * (inflate + noise * bumps / bumps.std())[:, None]


def distance(vertices):
    """Mean distance from the sphere."""
    return np.abs(np.linalg.norm(vertices - [0.2, 0, 0.1], axis=1) - 0.5).mean()


@pytest.mark.parametrize("intrinsics", [None, LENS], ids=["pinhole", "distorted"])
def test_rough_and_inflated_sphere_comes_back(intrinsics):
    vertices, faces, colors = painted_sphere()
    views = photographs(vertices, faces, colors, intrinsics=intrinsics)
    start = rough(vertices, faces, 0.006, 0.004)
    refined = refine_vertices(start, faces, views)
    assert distance(start) > 0.005
    assert distance(refined.vertices) < 0.4 * distance(start)
    assert refined.psnr_after > refined.psnr_before + 3
    assert np.abs(refined.moved).max() <= np.linalg.norm(start[faces[:, 0]] - start[faces[:, 1]], axis=1).mean() * 1.1


def test_colors_inside_of_the_mesh_alone_correct_its_shape():
    """Photographs without alpha say nothing of silhouettes."""
    vertices, faces, colors = painted_sphere()
    views = photographs(vertices, faces, colors, count=20, alpha=False)
    start = rough(vertices, faces, 0.0, 0.005)
    refined = refine_vertices(start, faces, views)
    assert distance(refined.vertices) < 0.8 * distance(start)


def test_true_mesh_stays_where_it_is():
    vertices, faces, colors = painted_sphere()
    refined = refine_vertices(vertices, faces, photographs(vertices, faces, colors), colors=colors)
    assert distance(refined.vertices) < 0.001
    assert refined.psnr_after >= refined.psnr_before


def test_vertices_that_no_photograph_shows_move_with_their_neighbours_at_most():
    vertices, faces, colors = painted_sphere(3)
    views = photographs(vertices, faces, colors, count=1)
    refined = refine_vertices(rough(vertices, faces, 0.01, 0.0), faces, views, cell=0.02)
    behind = (vertices - [0.2, 0, 0.1]) @ views[0].pose[:, 2] < -0.3
    assert np.isfinite(refined.vertices).all() and np.abs(refined.moved[behind]).max() < 0.02


def test_ends_within_the_budget_and_tells_progress():
    vertices, faces, colors = painted_sphere()
    views, told = photographs(vertices, faces, colors), []
    begin = time.monotonic()
    refined = refine_vertices(rough(vertices, faces, 0.006, 0.0), faces, views, seconds=0.7, progress=told.append)
    assert time.monotonic() - begin < 5
    assert told[-1] == 1 and all(0 <= f <= 1 for f in told)
    assert len(refined.vertices) == len(vertices)


def test_budget_of_no_time_returns_the_mesh_as_it_was():
    vertices, faces, colors = painted_sphere(2)
    refined = refine_vertices(vertices, faces, photographs(vertices, faces, colors, count=2), seconds=1e-9)
    assert np.array_equal(refined.vertices, vertices) and np.isnan(refined.psnr_after)


def test_refuses_photographs_that_do_not_show_the_mesh():
    vertices, faces, colors = painted_sphere(2)
    views = photographs(vertices, faces, colors, count=2)
    with pytest.raises(BadInput, match="no photograph shows the mesh"):
        refine_vertices(vertices + [100.0, 100.0, 100.0], faces, views)


def test_refuses_a_mesh_without_faces():
    with pytest.raises(ValueError, match="views and faces"):
        refine_vertices(np.zeros((3, 3)), np.zeros((0, 3), np.int64), [])
