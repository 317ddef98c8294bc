"""Meshes of unsigned distances, which have no inside, and of occupancies."""

import numpy as np
import pytest
import torch
import trimesh

from fields.export.base import Source
from fields.export.formats import export
from fields.export.request import ExportRequest
from fields.models.field import PointField
from scenes.domain import Axis, Channels, Domain


class AnalyticField(PointField):
    """A field whose only channel is a function of coords, over the cube from -2 to 2."""

    def __init__(self, function, space: str) -> None:
        super().__init__(Domain(tuple(Axis(name, -2.0, 2.0, "") for name in "xyz")), Channels(("distance",), space))
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.function = function

    def forward(self, coords):
        return self.function(coords)[:, None] + 0 * self.anchor


def bowl(points):
    """Unsigned distance to the lower half of a sphere of radius 0.3; like fitted distances, it never becomes zero."""
    away = points - 0.5
    flat = away[:, [0, 2]].norm(dim=-1)
    rim = torch.stack([flat - 0.3, away[:, 1]], dim=-1).norm(dim=-1)
    return torch.where(away[:, 1] < 0, (away.norm(dim=-1) - 0.3).abs(), rim).square().add(1e-6).sqrt()


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr("fields.surface.quality.SAMPLES", 5000)


def test_both_sides_of_an_unsigned_surface_are_meshed_and_closed(tmp_path):
    field = AnalyticField(bowl, "unsigned_distance")
    report = export(Source(None, field, "shape"), tmp_path / "a.glb", ExportRequest(resolution=64))
    mesh = trimesh.load_mesh(tmp_path / "a.glb")
    assert report["watertight"] and any("both its sides" in note for note in report["notes"])
    away = bowl(torch.from_numpy(np.asarray(mesh.vertices) / 4 + 0.5)).numpy()
    assert np.median(away) < 1.4e-3 and np.quantile(away, 0.95) < 0.3 / 64, "a twentieth of a cell off, to each side"
    assert mesh.area == pytest.approx(2 * 2 * np.pi * 1.2**2, rel=0.05)
    outwards = (
        mesh.face_normals * (mesh.triangles_center / np.linalg.norm(mesh.triangles_center, axis=1, keepdims=True))
    ).sum(axis=1)
    assert 0.4 < (outwards > 0).mean() < 0.6, "as many triangles face inwards as outwards"
    assert report["distance_to_field_cells"] < 0.2 and report["normal_error"] < 10


def test_a_level_of_an_unsigned_distance_is_a_closed_shell_around_the_surface(tmp_path):
    report = export(
        Source(None, AnalyticField(bowl, "unsigned_distance"), "shape"),
        tmp_path / "a.ply",
        ExportRequest(resolution=64, level=0.05),
    )
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    assert (
        mesh.is_watertight
        and np.abs(bowl(torch.from_numpy(np.asarray(mesh.vertices) / 4 + 0.5)).numpy() - 0.05).max() < 2e-4
    )
    assert report["distance_to_field_cells"] < 0.05


@pytest.mark.parametrize("sharpness", [30.0, 400.0])
def test_occupancies_are_meshed_at_one_half_or_at_the_given_level(tmp_path, sharpness: float):
    def inside(points):
        return torch.sigmoid(-sharpness * ((points - 0.5).norm(dim=-1) - 0.3))

    source = Source(None, AnalyticField(inside, "occupancy"), "shape")
    report = export(source, tmp_path / "a.stl", ExportRequest(resolution=50))
    mesh = trimesh.load_mesh(tmp_path / "a.stl")
    mesh.merge_vertices()
    assert mesh.is_watertight and np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1.2).max() < 4e-3
    assert report["level"] == 0.5
    export(source, tmp_path / "b.stl", ExportRequest(resolution=50, level=0.9))
    smaller = trimesh.load_mesh(tmp_path / "b.stl")
    assert np.linalg.norm(smaller.vertices, axis=1).mean() == pytest.approx(4 * (0.3 - np.log(9) / sharpness), abs=0.01)
