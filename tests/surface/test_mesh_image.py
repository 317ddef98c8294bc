"""Images of colored meshes: their derivatives against differences of finely supersampled images."""

import numpy as np
import pytest

from fields.surface.mesh_image import (
    face_derivatives,
    mesh_edges,
    mesh_image,
    pixels_of,
    sample_colors,
    silhouette_derivatives,
    to_samples,
)

SIZE = 80
# Samples per pixel and axis of the reference.
FINE = 16


def triangle_scene():
    """A large triangle at a slant, with a smaller one behind it that it hides in part."""
    positions = np.array(
        [[6.3, 5.2, 2.0], [33.1, 9.7, 3.0], [12.4, 34.6, 2.5], [20.2, 14.3, 6.0], [36.7, 16.1, 6.5], [27.9, 35.3, 7.0]],
        np.float32,
    ) * np.array([2, 2, 1], np.float32)
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    colors = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.3], [0.1, 0.6], [0.7, 0.2], [0.4, 0.9]], np.float32)
    return positions, faces, colors


def upstream():
    """A smooth gradient of a loss by the image, `[SIZE, SIZE, 3]`."""
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    return np.stack([np.sin(3 * x + y), np.cos(2 * y - x), 0.5 + x * y], axis=-1).astype(np.float32)


def supersampled(positions, faces, colors):
    """The image from FINE x FINE samples per pixel without any blending."""
    image = mesh_image(positions, faces, mesh_edges(faces), SIZE, SIZE, samples=FINE)
    return sample_colors(image, colors).reshape(SIZE, FINE, SIZE, FINE, -1).mean(axis=(1, 3), dtype=np.float64)


def difference(positions, faces, colors, velocity, step):
    high, low = (supersampled(positions + s * velocity, faces, colors) for s in (step, -step))
    return float(((high - low) / (2 * step) * upstream()).sum())


def derivative(positions, faces, colors, velocity, samples=2):
    """The derivative of the loss by a movement of all vertices, from faces and from silhouettes."""
    image = mesh_image(positions, faces, mesh_edges(faces), SIZE, SIZE, samples=samples)
    values, gradient = sample_colors(image, colors), to_samples(image, upstream())
    inner = face_derivatives(image, values, colors, velocity)
    outer = silhouette_derivatives(image, values, velocity)
    return (
        float((inner.sum(axis=1) * gradient[image.covered, :-1]).sum()),
        float((outer.sum(axis=1) * gradient[image.crossings.blended]).sum()),
    )


@pytest.mark.parametrize("moved", [(0, 1, 2), (0,), (2,)])
@pytest.mark.parametrize("direction", [(1, 0, 0), (0.6, -0.8, 0), (0, 0, 0.3)])
def test_derivative_matches_supersampled_image_within_5_percent(direction, moved):
    positions, faces, colors = triangle_scene()
    velocity = np.zeros_like(positions)
    velocity[list(moved)] = direction
    expected = difference(positions, faces, colors, velocity, 0.5)
    inner, outer = derivative(positions, faces, colors, velocity)
    assert inner + outer == pytest.approx(expected, abs=0.05 * (abs(inner) + abs(outer)) + 0.02)


@pytest.mark.parametrize("moved", [(0, 1, 2), (1,)])
@pytest.mark.parametrize("direction", [(1, 0, 0), (0, 1, 0)])
def test_silhouettes_of_shifted_triangle_match_supersampled_image_within_5_percent(direction, moved):
    """Of a triangle of one color the silhouettes alone change the image."""
    positions, faces, colors = triangle_scene()
    velocity = np.zeros_like(positions)
    velocity[list(moved)] = direction
    expected = difference(positions, faces, colors[:1].repeat(6, axis=0), velocity, 0.5)
    assert sum(derivative(positions, faces, colors[:1].repeat(6, axis=0), velocity)) == pytest.approx(
        expected, rel=0.05
    )


def test_derivative_of_partly_hidden_triangle_counts_its_visible_edges_alone():
    positions, faces, colors = triangle_scene()
    velocity = np.zeros_like(positions)
    velocity[3:, 0] = 1
    expected = difference(positions, faces, colors, velocity, 0.5)
    assert sum(derivative(positions, faces, colors, velocity)) == pytest.approx(expected, rel=0.05)


def test_hidden_edges_get_no_derivative():
    positions, faces, colors = triangle_scene()
    positions[3:] = [[22.0, 24.0, 6.0], [40.0, 26.0, 6.0], [26.0, 44.0, 6.0]]
    crossings = mesh_image(positions, faces, mesh_edges(faces), SIZE, SIZE).crossings
    assert len(crossings.ends) > 50 and crossings.ends.max() < 3
    positions[3:, 2] = 1.0
    assert mesh_image(positions, faces, mesh_edges(faces), SIZE, SIZE).crossings.ends.max() == 5


def test_silhouettes_of_a_sphere_with_faces_below_a_pixel_make_its_area_grow():
    """Inflating a sphere enlarges its image by its circumference, although no face is as large as a pixel."""
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(5)
    radius = 14.0
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    normals = (sphere.vertices @ (turn * np.linalg.det(turn))).astype(np.float32)
    positions = normals * [radius, radius, 1] + np.array([20.1, 19.8, 50], np.float32)
    image = mesh_image(positions.astype(np.float32), sphere.faces, mesh_edges(sphere.faces), SIZE, SIZE)
    values = sample_colors(image, np.ones((len(normals), 1), np.float32))
    velocity = normals * np.array([1, 1, 0], np.float32)
    growth = silhouette_derivatives(image, values, velocity)[..., -1].sum()
    assert growth == pytest.approx(2 * np.pi * radius, rel=0.03)
    assert pixels_of(image, values)[..., -1].sum() == pytest.approx(np.pi * radius**2, rel=0.01)


def test_blended_silhouettes_are_close_to_the_supersampled_image():
    positions, faces, colors = triangle_scene()
    exact = supersampled(positions, faces, colors)
    image = mesh_image(positions, faces, mesh_edges(faces), SIZE, SIZE)
    values = sample_colors(image, colors)
    errors = [np.abs(v - exact).mean() for v in (pixels_of(image, values), values.reshape(SIZE, SIZE, -1))]
    assert errors[0] < 0.35 * errors[1]


def test_edges_know_their_faces_and_border():
    faces = np.array([[0, 1, 2], [2, 1, 3]])
    edges = mesh_edges(faces)
    found = {tuple(e): tuple(f) for e, f in zip(edges.ends.tolist(), edges.faces.tolist())}
    assert found == {(0, 1): (0, -1), (0, 2): (0, -1), (1, 2): (0, 1), (1, 3): (1, -1), (2, 3): (1, -1)}
    assert edges.opposite[edges.ends.tolist().index([1, 2])] == 0
