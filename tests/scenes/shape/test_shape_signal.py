"""Distances, insides, samples and colours of shapes, against spheres and boxes whose values are known."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_files import ply, sphere, torus

import scenes
from scenes.errors import BadInput
from scenes.shape import cache
from scenes.shape.signal import Shape, open_shape


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")


RADIUS = 0.5 / 1.1  # of a ball that fills its box, in unit cubes


def box_distance(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Signed distance `[n]` to a box around the middle of the unit cube."""
    q = np.abs(points - 0.5) - half
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


@given(st.tuples(*[st.floats(0.1, 5)] * 3), st.integers(0, 9), st.sampled_from(["signed", "unsigned", "occupancy"]))
@settings(max_examples=25, deadline=None)
def test_values_of_boxes_are_exact(extents, seed: int, quantity: str):
    box = trimesh.creation.box(extents=extents)
    shape = Shape.from_mesh(box.vertices, box.faces, quantity)
    points = np.random.default_rng(seed).random((200, 3))
    true = box_distance(points, np.array(extents) / max(extents) / 2.2)
    points, true = points[np.abs(true) > 1e-6], true[np.abs(true) > 1e-6]
    wanted = {"signed": true, "unsigned": np.abs(true), "occupancy": (true < 0).astype(float)}[quantity]
    np.testing.assert_allclose(shape.values(points)[:, 0], wanted, atol=1e-6)
    assert np.array_equal(shape.surface.inside(points), true < 0)


def test_a_mesh_that_is_inside_out_is_flipped():
    mesh = torus()
    right, wrong = Shape.from_mesh(mesh.vertices, mesh.faces), Shape.from_mesh(mesh.vertices, mesh.faces[:, ::-1])
    points = np.random.default_rng(0).random((500, 3))
    np.testing.assert_allclose(right.values(points), wrong.values(points), atol=1e-7)


def test_overlapping_bodies_are_one_shape():
    """Ray parity would make a hole of the part that is in both."""
    a, b = trimesh.creation.box(), trimesh.creation.box()
    b.apply_translation([0.5, 0, 0])
    shape = Shape.from_mesh(np.concatenate([a.vertices, b.vertices]), np.concatenate([a.faces, b.faces + 8]))
    assert shape.surface.closed and shape.surface.sign_source == "winding number"
    middle = np.array([[0.5, 0.5, 0.5]])
    assert shape.values(middle)[0, 0] < 0 and shape.surface.inside(middle)[0]


def test_a_missing_triangle_does_not_open_a_mesh():
    """The defect is noted, and the inside is still clear."""
    mesh = sphere(4)
    shape = Shape.from_mesh(mesh.vertices, mesh.faces[1:])
    assert not shape.surface.watertight and shape.surface.closed and shape.quantity == "signed"
    assert any("not watertight" in note for note in shape.notes)
    points = np.random.default_rng(0).random((1000, 3))
    true = np.linalg.norm(points - 0.5, axis=1) - RADIUS
    clear = np.abs(true) > 0.02
    assert np.array_equal(shape.values(points)[clear, 0] < 0, true[clear] < 0)


def test_samples_are_near_the_surface_with_true_distances():
    mesh = sphere(4)
    shape = Shape.from_mesh(mesh.vertices, mesh.faces, samples=20000)
    batches = [shape.batch(step, 1000, 3) for step in range(-(-len(shape._pool[0]) // 1000))]
    coords, values, weights = (np.concatenate(parts) for parts in zip(*batches))
    assert coords.dtype == values.dtype == weights.dtype == np.float32
    assert len(np.unique(coords, axis=0)) == len(coords) == len(shape._pool[0]) > 19000
    assert coords.min() >= 0 and coords.max() <= 1
    np.testing.assert_allclose(values[:, 0], np.linalg.norm(coords - 0.5, axis=1) - RADIUS, atol=2e-3)  # of facets
    assert 0.3 < (np.abs(values) < 0.005).mean() < 0.7 and (np.abs(values) > 0.1).mean() > 0.05
    np.testing.assert_allclose(weights, 0.01 / (np.abs(values[:, 0]) + 0.01), rtol=1e-5)
    again = shape.batch(5, 1000, 3)
    assert all(np.array_equal(a, b) for a, b in zip(again, batches[5]))
    assert not np.array_equal(shape.batch(5, 1000, 4)[0], again[0])


def test_points_of_metrics_are_not_trained_on():
    mesh = sphere(3)
    shape = Shape.from_mesh(mesh.vertices, mesh.faces, samples=20000)
    trained = {tuple(row) for row in shape._pool[0]}
    points = shape.volume_points(5000)
    assert not trained & {tuple(row) for row in points.astype(np.float32)}
    lower, upper = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(upper - lower, np.full(3, 1.05 / 1.1), rtol=5e-3)
    points, normals, colors = shape.surface_points(5000)
    assert colors is None
    np.testing.assert_allclose(np.linalg.norm(points - 0.5, axis=1), RADIUS, atol=5e-3)
    assert ((normals * (points - 0.5)).sum(axis=1) > 0.9 * RADIUS).all()


def test_scale_and_offset_are_recorded():
    mesh = sphere(2)
    mesh.apply_scale(7)
    mesh.apply_translation([100, -20, 3])
    shape = Shape.from_mesh(mesh.vertices, mesh.faces)
    lower, upper = (np.array([getattr(axis, name) for axis in shape.domain.axes]) for name in ("lower", "upper"))
    np.testing.assert_allclose(
        lower + shape.surface.mesh.vertices * (upper - lower), np.unique(mesh.vertices, axis=0), atol=1e-9
    )


def test_the_number_of_samples_follows_the_first_budget():
    mesh = sphere(2)
    shape = Shape.from_mesh(mesh.vertices, mesh.faces)
    shape.set_budget(seconds=10.0, steps=None, batch=1 << 15)
    assert shape.source["options"]["samples"] == 10 << 16
    shape.set_budget(seconds=60.0, steps=None, batch=1 << 15)
    assert shape.source["options"]["samples"] == 10 << 16


def test_a_reopened_shape_has_the_same_samples(tmp_path):
    path = tmp_path / "ball.ply"
    sphere(2).export(path)
    shape = open_shape(path, quantity="unsigned", samples=3000)
    again = scenes.reopen("shape", shape.source)
    assert again.quantity == "unsigned" and all(
        np.array_equal(a, b) for a, b in zip(shape.batch(1, 512, 0), again.batch(1, 512, 0))
    )
    torus().export(path)
    with pytest.raises(BadInput, match="changed"):
        scenes.reopen("shape", shape.source)


def test_the_cache_gives_the_same_samples_without_drawing_them(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    mesh = sphere(2)
    first = Shape.from_mesh(mesh.vertices, mesh.faces, samples=3000)
    drawn = first._pool
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1
    second = Shape.from_mesh(mesh.vertices, mesh.faces, samples=3000)
    monkeypatch.setattr(Shape, "_draw", lambda *_: pytest.fail("the cache was not used"))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, second._pool))
    monkeypatch.undo()
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    next((tmp_path / "cache").glob("*.npz")).write_bytes(b"damaged")
    third = Shape.from_mesh(mesh.vertices, mesh.faces, samples=3000)
    assert all(np.array_equal(a, b) for a, b in zip(drawn, third._pool))


def test_a_cache_that_cannot_be_written_is_ignored(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "file" / "cache"))
    assert cache.cached({"a": 1}, lambda: {"x": np.arange(3)})["x"].tolist() == [0, 1, 2]


def test_the_oldest_files_of_a_full_cache_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "MAX_BYTES", 20_000)
    for number in range(6):
        cache.cached({"a": number}, lambda: {"x": np.zeros(1000)})
    assert 1 <= len(list(tmp_path.glob("*.npz"))) <= 2


def test_distances_to_a_cloud_with_normals_are_near_those_to_its_surface(tmp_path):
    mesh = sphere(4)
    path = tmp_path / "cloud.ply"
    path.write_text(ply(mesh.vertices, mesh.vertices))
    shape = open_shape(path)
    assert shape.quantity == "signed"
    points = np.random.default_rng(0).random((3000, 3))
    true = np.linalg.norm(points - 0.5, axis=1) - RADIUS
    np.testing.assert_allclose(shape.values(points)[:, 0], true, atol=4e-3)
    near = np.random.default_rng(1).standard_normal((2000, 3))
    points = 0.5 + near / np.linalg.norm(near, axis=1, keepdims=True) * (
        RADIUS + np.random.default_rng(2).normal(0, 0.005, (2000, 1))
    )
    true = np.linalg.norm(points - 0.5, axis=1) - RADIUS
    np.testing.assert_allclose(shape.values(points)[:, 0], true, atol=1.5e-3)


def test_normals_of_a_cloud_that_point_inwards_are_flipped(tmp_path):
    mesh = sphere(4)
    path = tmp_path / "cloud.ply"
    path.write_text(ply(mesh.vertices, -mesh.vertices))
    shape = open_shape(path)
    assert shape.quantity == "signed" and shape.values(np.array([[0.5, 0.5, 0.5]]))[0, 0] < -0.4


def test_a_flat_cloud_has_no_inside(tmp_path):
    points = np.random.default_rng(0).random((2000, 3)) * [1, 1, 0]
    path = tmp_path / "sheet.ply"
    path.write_text(ply(points, np.broadcast_to([0, 0, 1.0], points.shape)))
    assert open_shape(path).quantity == "unsigned"


def test_points_without_normals_get_them_from_their_neighbours(tmp_path):
    mesh = sphere(4)
    path = tmp_path / "cloud.ply"
    path.write_text(ply(mesh.vertices))
    shape = open_shape(path)
    assert any("estimated" in note for note in shape.notes) and shape.quantity == "signed"
    outward = (shape.surface.points - 0.5) / RADIUS
    assert ((shape.surface.point_normals * outward).sum(axis=1) > 0.98).all()


def test_parts_of_a_cloud_are_oriented_one_by_one(tmp_path):
    """Neighbours do not lead from one ball to the other."""
    ball = sphere(3).vertices
    path = tmp_path / "two.ply"
    path.write_text(ply(np.concatenate([ball, 0.5 * ball + [4, 0, 0]])))
    shape = open_shape(path)
    side = shape.domain.axes[0].upper - shape.domain.axes[0].lower
    lower = np.array([axis.lower for axis in shape.domain.axes])
    centres = (np.array([[0, 0, 0], [4.0, 0, 0], [2.2, 0, 0]]) - lower) / side
    assert shape.surface.inside(centres).tolist() == [True, True, False]
    np.testing.assert_allclose(shape.values(centres)[:, 0] * side, [-1, -0.5, 1.2], atol=0.05)


def test_missing_normals_are_taken_from_the_neighbours(tmp_path):
    mesh = sphere(4)
    normals = mesh.vertex_normals.copy()
    normals[::3] = np.nan
    normals[1] = 0
    path = tmp_path / "cloud.ply"
    path.write_text(ply(mesh.vertices, -normals))
    shape = open_shape(path)
    assert any("normals are zero or not finite" in note for note in shape.notes)
    assert ((shape.surface.point_normals * (shape.surface.points - 0.5) / RADIUS).sum(axis=1) > 0.95).all()
    path.write_text(ply(np.outer(np.arange(40.0), [1, 2, 3])))
    with pytest.raises(BadInput, match="line"):
        open_shape(path)


def test_large_clouds_are_thinned_evenly(tmp_path):
    """A ball of which one half has nine times the points of the other."""
    generator = np.random.default_rng(0)
    points = generator.standard_normal((20_000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points[(points[:, 0] > 0) | (generator.random(len(points)) < 1 / 9)]
    path = tmp_path / "cloud.ply"
    path.write_text(ply(points, points))
    shape = open_shape(path, max_points=1000)
    kept = shape.surface.points
    assert 500 <= len(kept) <= 1000 and any("thinned" in note and "max_points" in note for note in shape.notes)
    assert 0.35 < (kept[:, 0] > 0.5).mean() < 0.65
    assert shape.source["options"]["max_points"] == 1000


def test_points_of_large_clouds_follow_the_budget(tmp_path, monkeypatch):
    """A fit of few seconds uses fewer points, and opens the shape with the same ones whatever the budget then is."""
    from fields.fit.request import FitRequest

    monkeypatch.setattr("scenes.shape.signal.FEWEST_POINTS", 100)
    monkeypatch.setattr("scenes.shape.signal.POINTS_PER_SECOND", 100)
    points = np.random.default_rng(0).standard_normal((4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    path = tmp_path / "cloud.ply"
    path.write_text(ply(points, points))
    counts = {}
    for budget in (
        {"seconds": 0.1},
        {"seconds": 5},
        {"seconds": 60},
        {"steps": 10},
        {"seconds": 5, "max_points": 2000},
    ):
        shape = FitRequest(source=str(path), **budget).load()
        counts[str(budget)] = len(shape.surface.points)
        again = scenes.reopen("shape", shape.source)
        assert np.array_equal(again.surface.points, shape.surface.points)
    few, some, *all_, asked = counts.values()
    assert 50 <= few <= 100 and 250 <= some <= 500 and all_ == [4000, 4000] and 1000 <= asked <= 2000


def test_signs_away_from_a_cloud_are_those_of_its_winding_numbers(tmp_path):
    """With a hole in the cloud, through which inside and outside are connected, and without."""
    points = sphere(4).vertices
    for name, part in (("whole", points), ("holed", points[points[:, 2] < 0.8])):
        path = tmp_path / f"{name}.ply"
        path.write_text(ply(part, part))
        surface = open_shape(path, quantity="signed").surface
        probes = np.random.default_rng(0).random((1500, 3))
        distance, _, _ = surface.distance(probes, signed=True)
        far = np.abs(distance) > 0.1
        assert np.array_equal(distance[far] < 0, surface._winding(probes[far]) > 0.5)
        assert np.array_equal(surface.inside(probes), distance < 0)


@pytest.mark.parametrize("kind", ["mesh", "cloud"])
def test_a_preview_shows_the_shape(tmp_path, kind: str):
    mesh = sphere(4)
    path = tmp_path / "ball.ply"
    path.write_text(ply(mesh.vertices, mesh.vertices)) if kind == "cloud" else mesh.export(path)
    image = open_shape(path).preview(100)
    assert image.shape == (100, 100, 3) and image.dtype == np.uint8
    assert (image[0] == 255).all() and (image[40:60, 40:60] < 240).any() and image[50, 50].min() > 60
