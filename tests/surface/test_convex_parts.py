"""Convex parts of a mesh, found in a process of its own that can be given up."""

import numpy as np
import pytest
import trimesh

from fields.surface import convex_parts as module
from fields.surface.convex_parts import convex_parts
from scenes.errors import BadInput
from scenes.shape.writers.glb import write_collision_glb

BALL = trimesh.creation.icosphere(2)


def test_a_mesh_that_takes_too_long_becomes_its_hull(monkeypatch):
    pytest.importorskip("coacd")
    two = trimesh.util.concatenate([BALL, BALL.copy().apply_translation([4, 0, 0])])
    found = convex_parts(two.vertices, two.faces, seconds=0.0)
    assert len(found.parts) == 1 and "convex hull" in found.notes[0]
    hull = trimesh.Trimesh(*found.parts[0])
    assert hull.is_convex and hull.volume > 2 * BALL.volume


def test_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"field-studio\[collision\]"):
        convex_parts(BALL.vertices, BALL.faces)


@pytest.mark.slow
def test_an_l_becomes_two_boxes(tmp_path):
    """Seams of charts, at which every triangle has corners of its own, do no harm."""
    pytest.importorskip("coacd")
    from gltf_reading import read_parts
    from validators import assert_valid_gltf

    outline = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]
    shape = trimesh.creation.extrude_triangulation(
        np.array(outline, float), np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]), height=1.0
    )
    corners = shape.vertices[shape.faces].reshape(-1, 3)
    seen = []
    found = convex_parts(corners, np.arange(len(corners)).reshape(-1, 3), progress=seen.append)
    meshes = [trimesh.Trimesh(vertices, faces) for vertices, faces in found.parts]
    assert 2 <= len(meshes) <= 4 and all(mesh.is_convex for mesh in meshes)
    assert sum(mesh.volume for mesh in meshes) == pytest.approx(5.0, rel=0.1)
    assert seen[-1] == 1 and seen == sorted(seen)
    write_collision_glb(tmp_path / "a.glb", found.parts, name="l", units="metres")
    assert_valid_gltf(tmp_path / "a.glb")
    assert len(read_parts(tmp_path / "a.glb")) == len(meshes)
