"""What no camera sees, small components, holes, planes and simplification of meshes."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.surface.base_plane import base_plane, up_of
from fields.surface.cleanup import keep_faces, keep_large_components, keep_seen_components
from fields.surface.clip import clip
from fields.surface.holes import boundary_loops, close_holes, patch_of_loop
from fields.surface.repair import repair
from fields.surface.simplify import simplify, simplify_within
from fields.surface.topology import edge_manifold, signed_volume, vertex_normals, watertight
from fields.surface.visibility import grown, seen_faces
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at


def arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    return np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64)


def ball(level: int = 3, radius: float = 1.0, at=(0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(level, radius).apply_translation(at)


def cameras(count: int = 12, lowest: float = -1.0) -> list[Camera]:
    """Cameras all around the origin at a distance of 6, none below the height `lowest` of the unit sphere."""
    found = []
    for index in range(count):
        z = lowest + (1 - lowest) * (index + 0.5) / count
        angle = 2.4 * index
        direction = np.array([np.cos(angle) * (1 - z * z) ** 0.5, np.sin(angle) * (1 - z * z) ** 0.5, z])
        up = "x" if abs(z) > 0.9 else "z"
        found.append(Camera(look_at(6 * direction, np.zeros(3), up), Intrinsics.pinhole(80, 60, 70.0)))
    return found


def test_a_shell_inside_is_removed_and_a_separate_part_stays():
    both = trimesh.util.concatenate([ball(), ball(radius=0.6), ball(2, radius=0.3, at=(1.6, 0, 0))])
    vertices, faces = arrays(both)
    seen = seen_faces(vertices, faces, cameras(40), cell=0.1)
    for cleaned in (keep_faces(vertices, faces, seen), keep_seen_components(vertices, faces, seen)):
        radius = np.linalg.norm(cleaned.vertices, axis=1)
        assert not ((radius > 0.5) & (radius < 0.7)).any(), "the shell inside"
        assert (cleaned.vertices[:, 0] > 1.5).any(), "the separate part"
        assert watertight(cleaned.faces) and signed_volume(cleaned.vertices, cleaned.faces) > 0
        assert np.array_equal(cleaned.vertices, vertices[cleaned.used])
    assert keep_seen_components(vertices, faces, seen).removed == 1
    assert cleaned.fraction == pytest.approx(0.36 / 1.45, abs=0.02)


def test_the_face_with_the_last_index_is_not_kept_because_of_the_background():
    """The background is -1 in an image of face indices."""
    vertices, faces = arrays(trimesh.util.concatenate([ball(), ball(1, radius=0.3)]))
    assert not seen_faces(vertices, faces, cameras(), cell=0.1, rings=0)[-80:].any()


def test_nothing_is_seen_without_cameras_and_rings_grow_from_what_is():
    vertices, faces = arrays(ball())
    assert not seen_faces(vertices, faces, [], cell=0.1).any()
    one = np.arange(len(faces)) == 7
    sizes = [np.count_nonzero(grown(faces, one, rings)) for rings in range(4)]
    assert sizes[0] == 1 and sizes == sorted(set(sizes)) and 10 <= sizes[1] <= 16


def test_the_underside_is_removed_where_all_cameras_are_above():
    vertices, faces = arrays(ball(4))
    seen = seen_faces(vertices, faces, cameras(20, lowest=0.6), cell=0.05)
    kept = keep_faces(vertices, faces, seen)
    assert -0.9 < kept.vertices[:, 2].min() < -0.6 and 0.05 < kept.fraction < 0.2
    assert keep_seen_components(vertices, faces, seen).removed == 0


def test_small_components_go_and_noticeable_ones_stay():
    vertices, faces = arrays(
        trimesh.util.concatenate(
            [ball(), ball(2, 0.1, at=(3, 0, 0)), ball(1, 0.01, at=(4, 0, 0)), ball(1, 0.02, at=(5, 0, 0))]
        )
    )
    cleaned = keep_large_components(vertices, faces)
    assert cleaned.removed == 2 and cleaned.fraction == pytest.approx(5e-4, rel=0.3)
    assert cleaned.vertices[:, 0].max() < 3.2 and (cleaned.vertices[:, 0] > 2.8).any()
    # Only the area that cameras see counts.
    unseen = keep_large_components(vertices, faces, seen=np.arange(len(faces)) >= 1280)
    assert unseen.vertices[:, 0].min() > 2.8
    assert keep_large_components(vertices, faces[:0]).removed == 0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 40), rings=st.integers(0, 3))
def test_holes_of_any_form_are_closed(seed: int, count: int, rings: int):
    vertices, faces = arrays(ball(3))
    lost = np.isin(np.arange(len(faces)), np.random.default_rng(seed).choice(len(faces), count, replace=False))
    kept = ~grown(faces, lost, rings)
    if kept.sum() < 100:
        return
    closed = close_holes(vertices, faces[kept])
    assert watertight(closed.faces) and signed_volume(closed.vertices, closed.faces) > 0
    assert np.array_equal(closed.vertices[: len(vertices)], vertices)
    assert closed.small + closed.large == len(boundary_loops(faces[kept])) > 0 and 0 < closed.fraction < 0.9


def test_a_small_hole_is_closed_round_and_a_large_one_flat():
    vertices, faces = arrays(ball(4))
    top = vertices[faces].mean(axis=1)[:, 2] > 0.95
    small = close_holes(vertices, faces[~top])
    added = np.linalg.norm(small.vertices[len(vertices) :], axis=1)
    assert (small.small, small.large) == (1, 0) and added.min() > 0.99 and added.max() < 1.01
    cut = clip(*arrays(ball(5)), np.array([0.0, 0.0, -0.4]), np.array([0.0, 0.0, 1.0]))
    flat = close_holes(*cut)
    assert (flat.small, flat.large) == (0, 1)
    assert np.abs(flat.vertices[len(cut[0]) :, 2] + 0.4).max() < 1e-9
    assert watertight(flat.faces) and signed_volume(flat.vertices, flat.faces) == pytest.approx(
        np.pi / 3 * 1.4**2 * 1.6, rel=5e-3
    )


@settings(deadline=None, max_examples=40)
@given(count=st.integers(3, 200))
def test_a_patch_of_any_loop_has_that_loop_as_its_rim(count: int):
    patch, added = patch_of_loop(np.arange(count), count)
    assert edge_manifold(patch) and patch.max() == count + added - 1 and added < max(2, 1.2 * count)
    assert [len(loop) for loop in boundary_loops(patch)] == [count]
    assert len(np.unique(patch)) == count + added and len(patch) == count + 2 * added - 2


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_a_cut_mesh_is_what_lies_on_the_side_of_the_normal(seed: int):
    generator = np.random.default_rng(seed)
    normal, point = generator.normal(size=3), 0.3 * generator.normal(size=3)
    vertices, faces = arrays(ball(3))
    if seed % 3 == 0:
        # Through vertices.
        point, normal = np.zeros(3), np.eye(3)[seed % 2]
    part, kept = clip(vertices, faces, point, normal, closed=False)
    height = (part - point) @ normal / np.linalg.norm(normal)
    assert len(kept) == 0 or height.min() > -1e-7
    assert edge_manifold(kept)
    sides = [clip(vertices, faces, point, side, closed=True) for side in (normal, -normal)]
    assert all(watertight(f) for _, f in sides if len(f))
    assert sum(signed_volume(v, f) for v, f in sides if len(f)) == pytest.approx(signed_volume(vertices, faces))


def test_the_plane_under_an_object_is_found_and_only_where_there_is_one():
    turned = trimesh.transformations.rotation_matrix(0.12, [1, 0.5, 0])
    table = trimesh.creation.cylinder(2.0, 0.1, sections=80).subdivide_to_size(0.1).apply_translation([0, 0, -1.05])
    scene = trimesh.util.concatenate([table, ball(4)]).apply_transform(turned)
    found = base_plane(*arrays(scene), np.array([0.0, 0.0, 1.0]), 0.05)
    assert found is not None and found.normal @ turned[:3, 2] > 0.9999
    assert abs((found.point - turned[:3, 2] * -1.0) @ found.normal) < 0.01 and found.fraction > 0.2
    assert base_plane(*arrays(ball(4)), np.array([0.0, 0.0, 1.0]), 0.05) is None
    above = trimesh.util.concatenate([ball(4), table.copy().apply_translation([0, 0, 2.1])])
    assert base_plane(*arrays(above), np.array([0.0, 0.0, 1.0]), 0.05) is None, "a lid is no base"
    assert up_of(cameras(20, lowest=0.2))[2] > 0.95


@pytest.mark.parametrize("count", [100_000, 10_000, 1000])
def test_a_simplified_torus_keeps_its_hole(count: int):
    vertices, faces = arrays(trimesh.creation.torus(1, 0.4, major_sections=400, minor_sections=150))
    simple, left = simplify(vertices + [100.0, 0, 0], faces, count)
    assert len(left) <= count and watertight(left) and signed_volume(simple, left) > 0
    assert len(simple) - len(left) * 3 // 2 + len(left) == 0, "its Euler number"
    away = np.hypot(np.hypot(simple[:, 0] - 100, simple[:, 1]) - 1, simple[:, 2]) - 0.4
    assert np.abs(away).max() < {100_000: 5e-4, 10_000: 2e-3, 1000: 2e-2}[count]
    centres = simple[left].mean(axis=1) - [100.0, 0, 0]
    a, b, c = (simple[left[:, k]] for k in range(3))
    ring = centres * [1, 1, 0] / np.linalg.norm(centres[:, :2], axis=1, keepdims=True)
    assert (((centres - ring) * np.cross(b - a, c - a)).sum(axis=1) > 0).all(), "no face is turned over"


def test_flat_faces_need_few_triangles_and_curved_ones_keep_theirs():
    box = trimesh.creation.box((1.0, 0.6, 0.4))
    for _ in range(4):
        box = box.subdivide()
    vertices, faces = arrays(box)
    simple, left = simplify_within(vertices, faces, 100_000, 3e-5)
    assert len(faces) == 3072 and len(left) < 100 and watertight(left)
    assert signed_volume(simple, left) == pytest.approx(0.24, rel=1e-3)
    vertices, faces = arrays(ball(4))
    same, kept = simplify_within(vertices, faces, 100_000, 1e-4)
    assert same is vertices and kept is faces
    _, fewer = simplify_within(vertices, faces, 2000, 1e-4)
    assert 1000 < len(fewer) <= 2000
    # A coarser one is allowed where more may be lost.
    _, coarse = simplify_within(vertices, faces, 2000, 3e-2)
    assert len(coarse) <= 500


def test_a_simplified_open_mesh_is_manifold():
    generator = np.random.default_rng(0)
    vertices, faces = arrays(ball(5))
    vertices = vertices + generator.normal(scale=0.01, size=vertices.shape)
    holes = grown(faces, generator.random(len(faces)) < 0.004, 1)
    for count in (6000, 1500):
        simple, left = simplify(vertices, faces[~holes], count)
        assert count * 0.9 < len(left) <= count and edge_manifold(left) and np.isfinite(simple).all()
    same = simplify(vertices, faces, len(faces))
    assert same[0] is vertices and same[1] is faces


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_repaired_meshes_are_manifold_and_have_no_new_holes(seed: int):
    generator = np.random.default_rng(seed)
    vertices, faces = arrays(ball(2))
    broken = faces.copy()
    rows = generator.choice(len(faces), 4, replace=False)
    broken = np.concatenate([broken, broken[rows[:1]], broken[rows[1:2], ::-1]])
    broken[rows[2]] = broken[rows[2]][[0, 0, 1]]
    broken = np.concatenate([broken, [[*broken[rows[3], :2], int(generator.integers(len(vertices)))]]])
    fixed, left = repair(vertices, broken)
    assert watertight(left) and edge_manifold(left) and signed_volume(fixed, left) > 3
    assert repair(vertices, faces)[1] is faces


def test_normals_of_vertices_point_outwards():
    vertices, faces = arrays(ball(3))
    assert (vertex_normals(vertices, faces) * vertices).sum(axis=1).min() > 0.999
    assert np.array_equal(vertex_normals(vertices[:2], faces[:0]), [[0, 0, 1], [0, 0, 1]])
