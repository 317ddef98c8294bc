"""Connected components of meshes, and whether meshes are watertight."""

import numpy as np
import trimesh

from fields.surface.topology import component_labels, large_components, watertight


def test_components_are_kept_by_their_area():
    balls = [
        trimesh.creation.icosphere(2, radius).apply_translation([4 * i, 0, 0])
        for i, radius in enumerate((1.0, 0.5, 0.02))
    ]
    joined = trimesh.util.concatenate(balls)
    for least, count in ((1.0, 1), (0.1, 2), (1e-3, 2), (1e-5, 3), (0.0, 3)):
        vertices, faces, used = large_components(joined.vertices, joined.faces, least)
        assert component_labels(len(vertices), faces).max() + 1 == count and np.array_equal(
            vertices, joined.vertices[used]
        )
        assert trimesh.Trimesh(vertices, faces, process=False).is_watertight


def test_of_components_of_one_size_one_is_kept():
    two = trimesh.util.concatenate([trimesh.creation.box().apply_translation([3 * i, 0, 0]) for i in range(2)])
    vertices, faces, _ = large_components(two.vertices, two.faces)
    assert len(vertices) == 8 and component_labels(len(vertices), faces).max() == 0


def test_a_hole_a_flipped_face_and_no_faces_are_not_watertight():
    faces = np.array(trimesh.creation.icosphere(2).faces)
    flipped = np.concatenate([faces[:1, ::-1], faces[1:]])
    assert watertight(faces) and not watertight(faces[1:]) and not watertight(flipped) and not watertight(faces[:0])
