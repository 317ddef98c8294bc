"""Distances of meshes from the shape that photographs of a procedural scene show."""

import numpy as np
import pytest

from fields.export.scene_assets.true_shape import chamfer, true_shape
from scenes.procedural.still_life import DUCK, cameras

pytest.importorskip("igl")


@pytest.fixture(scope="module")
def duck():
    """A mesh of the duck on 72 cells, and cameras all around it."""
    from skimage.measure import marching_cubes

    lower, upper = np.array(DUCK.lower) - 0.02, np.array(DUCK.upper) + 0.02
    cell = (upper - lower).max() / 72
    shape = np.ceil((upper - lower) / cell).astype(int) + 1
    points = lower + cell * np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    values = DUCK.distance(points.reshape(-1, 3).astype(np.float32)).reshape(shape)
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    return lower + cell * vertices, faces, [camera.resized(48, 48) for camera in cameras()[::4]]


def test_a_mesh_of_the_shape_itself_is_near_it(duck):
    assert true_shape("procedural:duck") is DUCK and true_shape("photographs") is None
    assert chamfer(*duck[:2], DUCK, duck[2]) < 0.001


def test_displaced_surfaces_and_hidden_ones_count(duck):
    vertices, faces, views = duck
    longest = np.ptp(vertices, axis=0).max()
    normals = np.zeros_like(vertices)
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    away = chamfer(vertices + 0.01 * longest * normals, faces, DUCK, views)
    assert 0.007 < away < 0.012
    # A second, smaller duck inside of it has half of the points of the mesh or less, and no effect the other way.
    middle = vertices.mean(axis=0)
    inner = middle + 0.6 * (vertices - middle)
    both = chamfer(np.concatenate([vertices, inner]), np.concatenate([faces, faces + len(vertices)]), DUCK, views)
    assert 0.003 < both < 0.2


def test_what_is_missing_counts_where_it_is_seen(duck):
    vertices, faces, views = duck
    lower = faces[vertices[faces].mean(axis=1)[:, 2] < np.median(vertices[:, 2])]
    assert chamfer(vertices, lower, DUCK, views) > 0.02
