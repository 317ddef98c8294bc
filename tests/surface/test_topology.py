"""Connected components of meshes, and whether meshes are watertight."""

import numpy as np
import pytest
import trimesh

from fields.surface.topology import component_labels, large_components, watertight


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    """The meshes side by side as one mesh."""
    mesh = trimesh.util.concatenate([part.apply_translation([4 * i, 0, 0]) for i, part in enumerate(meshes)])
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def test_components_are_kept_by_their_area():
    balls = joined(*(trimesh.creation.icosphere(2, radius) for radius in (1.0, 0.5, 0.02)))
    for min_area, count in ((1.0, 1), (0.1, 2), (1e-3, 2), (1e-5, 3), (0.0, 3)):
        kept = large_components(balls.vertices, balls.faces, min_area)
        assert component_labels(len(kept.vertices), kept.faces).max() + 1 == count
        assert np.array_equal(kept.vertices, balls.vertices[kept.used])
        assert trimesh.Trimesh(kept.vertices, kept.faces, process=False).is_watertight
        assert kept.num_removed == 3 - count
        assert kept.removed_fraction == pytest.approx({1: 0.2004, 2: 0.0004 / 1.2504, 3: 0.0}[count], rel=1e-2)


def test_of_components_of_one_size_one_is_kept():
    two = joined(trimesh.creation.box(), trimesh.creation.box())
    kept = large_components(two.vertices, two.faces)
    assert len(kept.vertices) == 8 and component_labels(len(kept.vertices), kept.faces).max() == 0


def test_a_hole_a_flipped_face_and_no_faces_are_not_watertight():
    faces = np.array(trimesh.creation.icosphere(2).faces)
    flipped = np.concatenate([faces[:1, ::-1], faces[1:]])
    assert watertight(faces) and not watertight(faces[1:]) and not watertight(flipped) and not watertight(faces[:0])
