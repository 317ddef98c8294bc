"""Parts of a surface."""

import numpy as np
import trimesh

from fields.surface.topology import large_parts, parts


def test_parts_are_kept_by_their_area():
    balls = [
        trimesh.creation.icosphere(2, radius).apply_translation([4 * i, 0, 0])
        for i, radius in enumerate((1.0, 0.5, 0.02))
    ]
    joined = trimesh.util.concatenate(balls)
    for least, count in ((1.0, 1), (0.1, 2), (1e-3, 2), (1e-5, 3), (0.0, 3)):
        vertices, faces, used = large_parts(joined.vertices, joined.faces, least)
        assert parts(len(vertices), faces)[1] == count and np.array_equal(vertices, joined.vertices[used])
        assert trimesh.Trimesh(vertices, faces, process=False).is_watertight


def test_of_equal_parts_one_is_the_largest():
    two = trimesh.util.concatenate([trimesh.creation.box().apply_translation([3 * i, 0, 0]) for i in range(2)])
    assert parts(*(lambda v, f, _: (len(v), f))(*large_parts(two.vertices, two.faces)))[1] == 1
