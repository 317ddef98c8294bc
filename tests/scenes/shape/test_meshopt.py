"""Streams of EXT_meshopt_compression come back exactly from the decoder of the format's author."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest
import trimesh
from gltf_reading import DECODE, ROOT

from scenes.shape.writers.meshopt import encode_attributes, encode_triangles

RANDOM = np.random.default_rng(0)


def decoded(jobs: list[tuple[bytes, int, int, str]]) -> list[bytes]:
    """What streams of a number of elements, a stride and a mode decode to."""
    if shutil.which("node") is None:
        pytest.skip("the decoder needs node")
    entries = [
        {"data": base64.b64encode(stream).decode(), "count": count, "byteStride": stride, "mode": mode}
        for stream, count, stride, mode in jobs
    ]
    done = subprocess.run(
        ["node", "-e", DECODE], cwd=ROOT, input=json.dumps(entries), capture_output=True, text=True, check=True
    )
    return [base64.b64decode(text) for text in json.loads(done.stdout)]


def oriented(faces: np.ndarray) -> list[tuple[int, ...]]:
    return sorted(min((a, b, c), (b, c, a), (c, a, b)) for a, b, c in faces.tolist())


def test_triangles_of_any_mesh_come_back():
    sphere = np.asarray(trimesh.creation.icosphere(4).faces)
    count = sphere.max() + 1
    meshes = {
        "sphere": (sphere, count),
        "shuffled": (sphere[RANDOM.permutation(len(sphere))], count),
        "with an edge of many triangles and with degenerate ones": (RANDOM.integers(0, 60, (500, 3)), 60),
        "loose triangles": (np.arange(300).reshape(-1, 3), 300),
        "twice the same": (np.concatenate([sphere[:100], sphere[:100]]), count),
        "one triangle, unused vertices": (np.array([[7, 2, 5]]), 9),
        "many vertices": (RANDOM.integers(0, 200_000, (200, 3)), 200_000),
        "strip backwards": ((np.arange(200)[:, None] + [0, 1, 2])[::-1], 202),
    }
    streams = {name: encode_triangles(faces, number) for name, (faces, number) in meshes.items()}
    found = decoded([(streams[name][0], meshes[name][0].size, 4, "TRIANGLES") for name in meshes])
    for (name, (faces, number)), content in zip(meshes.items(), found):
        order = streams[name][1]
        assert sorted(order.tolist()) == list(range(number)), name
        corners = order[np.frombuffer(content, np.uint32).reshape(-1, 3)]
        assert oriented(corners) == oriented(faces), name
    assert len(streams["shuffled"][0]) < 1.6 * len(sphere)


def test_rows_of_any_width_come_back():
    jobs, wanted = [], []
    for stride in (4, 8, 12, 16, 36, 256):
        for count in (1, 15, 16, 17, 255, 256, 257, 1000):
            rows = np.cumsum(RANDOM.integers(-3, 4, (count, stride)), axis=0).astype(np.uint8)
            rows[::7] = RANDOM.integers(0, 256, rows[::7].shape)
            rows[:, 0] = 5
            jobs.append((encode_attributes(rows), count, stride, "ATTRIBUTES"))
            wanted.append(rows.tobytes())
    assert decoded(jobs) == wanted


def test_smooth_rows_are_small_and_odd_widths_are_refused():
    rows = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 8, axis=1)
    assert len(encode_attributes(rows)) < rows.size / 3
    with pytest.raises(ValueError, match="multiple of 4"):
        encode_attributes(np.zeros((4, 6), np.uint8))
