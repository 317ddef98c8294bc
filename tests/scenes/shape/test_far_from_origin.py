"""Shapes on survey grids: exports say where they are, with less than a millimetre of error."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import KDTree
from shape_files import sphere

from fields.export.asset_files import offset_notes, write_asset
from scenes.shape.read import read_shape
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.offset import far_offset

BALL = sphere(3)


@pytest.mark.parametrize("offset", [(531_234.567, 4_182_345.678, 123.456), (-98_765.432, 1e7, 0.0), (0.0, 0.0, 0.0)])
@pytest.mark.parametrize("size", [30.0, 2000.0])
@pytest.mark.parametrize("ending", ["glb", "obj", "ply", "stl", "3mf", "usdz"])
def test_vertices_are_within_a_millimetre(tmp_path: Path, ending: str, size: float, offset: tuple[float, ...]):
    if ending == "usdz":
        pytest.importorskip("pxr")
    vertices = BALL.vertices * size + np.array(offset)
    path = tmp_path / f"a.{ending}"
    write_asset(path, Asset(vertices, BALL.faces, BALL.vertex_normals))
    found = KDTree(read_shape(path).points).query(vertices)[0]
    assert found.max() < 1e-3
    far = any(offset)
    noted = offset_notes(path, vertices)
    assert bool(noted) == (far and ending in ("glb", "stl", "usdz")), noted


def test_other_programs_find_the_offset_of_a_glb(tmp_path: Path):
    """trimesh multiplies node transforms in float64."""
    import trimesh

    vertices = BALL.vertices * 30 + [531_234.567, 4_182_345.678, 123.456]
    write_asset(tmp_path / "a.glb", Asset(vertices, BALL.faces, BALL.vertex_normals))
    scene = trimesh.load_scene(tmp_path / "a.glb")
    np.testing.assert_allclose(scene.bounds, [vertices.min(axis=0), vertices.max(axis=0)], atol=1e-3)


def test_shapes_near_the_origin_have_no_offset():
    for scale in (1e-9, 1.0, 1e4, 1e12):
        assert far_offset(BALL.vertices * scale) is None
    assert far_offset(BALL.vertices * 1e-3 + [0.01, 0, 0]) is None
    assert far_offset(BALL.vertices * 1e-3 + [1000, 0, 0]) is not None


def test_splats_say_their_offset(tmp_path: Path):
    from fields.export.splats import _far
    from scenes.shape.writers.ply import vertex_columns, write_ply

    points = BALL.vertices * 30 + [531_234.567, 4_182_345.678, 123.456]
    offset, comments, notes = _far(tmp_path / "a.ply", points)
    columns = {name: column.astype("<f4") for name, column in vertex_columns(points - offset, None, None).items()}
    write_ply(tmp_path / "a.ply", columns, comments=comments)
    np.testing.assert_allclose(read_shape(tmp_path / "a.ply").points, points, atol=1e-3)
    assert "531235,4182346,123" in notes[0]


def test_values_at_a_position_far_from_the_origin():
    """`field.at` subtracts the domain's corner in float64."""
    import torch

    from fields.models.field import PointField
    from scenes.domain import Axis, Channels, Domain

    class Identity(PointField):
        def __init__(self, domain: Domain, channels: Channels) -> None:
            super().__init__(domain, channels)
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, coords: torch.Tensor) -> torch.Tensor:
            return coords[..., :1]

    domain = Domain(tuple(Axis(name, 4_182_345.0, 4_182_346.0, "m") for name in "xyz"))
    field = Identity(domain, Channels(("distance",), "signed_distance"))
    assert field.at(4_182_345.3, 4_182_345.5, 4_182_345.5).item() == pytest.approx(0.3, abs=1e-6)
