"""Volumes and radiance fields as meshes and splats, against the formulas that define them."""

import numpy as np
import pytest
import torch
import trimesh

from fields.export.base import Progress, Source
from fields.export.formats import export
from fields.export.request import ExportRequest
from fields.models.field import RadianceField
from fields.render.volume import render_view
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from fields.surface.splats import harmonic_basis
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput
from scenes.posed.pose import orbit
from tests.export.analytic_fields import Beads, Blob, render_splats


class RecordedProgress(Progress):
    def __init__(self) -> None:
        self.messages, self.fractions = [], []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def fraction(self, done: float) -> None:
        self.fractions.append(done)


def test_a_volume_is_meshed_around_the_level_that_splits_its_histogram(tmp_path, capfd):
    progress = RecordedProgress()
    report = export(Source(None, Blob(), "volume"), tmp_path / "a.ply", ExportRequest(resolution=60), progress=progress)
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    assert 400 < report["level"] < 600 and any(f"surface {report['level']:.4g}" in text for text in progress.messages)
    assert progress.fractions == sorted(progress.fractions) and progress.fractions[-1] == 1.0
    assert capfd.readouterr() == ("", ""), "the library prints nothing"
    assert mesh.is_watertight and np.allclose(mesh.bounds.mean(axis=0), [12, 12, 11], atol=1e-3)
    radius = 0.8 - np.log((report["level"] - 100) / 800 / (1 - (report["level"] - 100) / 800)) / 20
    assert np.abs(np.linalg.norm(mesh.vertices - [12, 12, 11], axis=1) - radius).max() < 1e-3
    assert report["distance_to_field_cells"] < 0.05 and "distance_to_source" not in report


def test_a_surface_at_a_low_level_is_cut_flat_at_the_border(tmp_path):
    export(Source(None, Blob(), "volume"), tmp_path / "a.stl", ExportRequest(resolution=40, level=100.5))
    mesh = trimesh.load_mesh(tmp_path / "a.stl")
    mesh.merge_vertices()
    assert mesh.is_watertight and np.allclose(mesh.bounds[:, 2], [10, 12], atol=1e-3)
    with pytest.raises(BadInput, match="no surface at the level 950 here: the field's values go from 100 to 900"):
        export(Source(None, Blob(), "volume"), tmp_path / "b.stl", ExportRequest(resolution=40, level=950.0))


def test_a_mesh_of_a_radiance_field_has_the_mean_colors_over_all_directions(tmp_path):
    field = Beads()
    report = export(Source(None, field, "radiance"), tmp_path / "a.ply", ExportRequest(resolution=96, level=300.0))
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    at = torch.from_numpy((mesh.vertices + 1) / 2).float()
    away = field.distance(at).abs()
    assert mesh.is_watertight and report["parts"] == 2 and away.max() < 1e-3 and away.mean() < 5e-5
    mean = np.mean(
        [
            field.color(at, torch.tensor(d).float().expand_as(at)).numpy()
            for d in trimesh.creation.icosphere(2).vertices
        ],
        axis=0,
    )
    assert np.abs(mesh.visual.vertex_colors[:, :3] / 255 - mean).mean() < 0.01
    suggested = export(Source(None, field, "radiance"), tmp_path / "b.glb", ExportRequest(resolution=48))
    assert 1 < suggested["level"] < 599 and suggested["parts"] == 2
    export(
        Source(None, field, "radiance"),
        tmp_path / "c.glb",
        ExportRequest(resolution=48, texture_size=128, triangles=800, largest=True),
    )
    one = trimesh.load_mesh(tmp_path / "c.glb")
    assert one.bounds[1, 0] < 0.4 and one.visual.material.baseColorTexture.size == (128, 128)


def test_the_basis_of_spherical_harmonics_is_orthonormal():
    directions = trimesh.creation.icosphere(4).vertices
    functions = harmonic_basis(np.array(directions))
    assert np.allclose(4 * np.pi * functions.T @ functions / len(directions), np.eye(16), atol=0.03)


def test_splats_look_like_the_field_from_two_sides(tmp_path):
    """24 dB or more in the whole image, 20 dB inside the silhouette; the highlight moves with the camera."""
    field = Beads()
    export(Source(None, field, "radiance"), tmp_path / "a.ply", ExportRequest(points=4000), "splat")
    raw = trimesh.load(tmp_path / "a.ply").metadata["_ply_raw"]["vertex"]["data"]
    names = [
        "x",
        "y",
        "z",
        "nx",
        "ny",
        "nz",
        *(f"f_dc_{k}" for k in range(3)),
        *(f"f_rest_{k}" for k in range(45)),
        "opacity",
        *(f"scale_{k}" for k in range(3)),
        *(f"rot_{k}" for k in range(4)),
    ]
    assert list(raw.dtype.names) == names, "the names and the order of the format"
    columns = {name: raw[name].reshape(-1) for name in names}
    assert np.allclose(np.linalg.norm([columns[f"rot_{k}"] for k in range(4)], axis=0), 1, atol=1e-5)
    grid = OccupancyGrid(32, lower=(-1.0,) * 3, upper=(1.0,) * 3)
    for azimuth in (20, 200):
        camera = orbit(azimuth, 15, 3.0, (96, 96), target=(0.0, 0.0, 0.0))
        own = render_view(field, camera, grid=grid, march=MarchSettings(step=0.004, max_samples=2048)).color.numpy()
        found = render_splats(columns, camera)
        assert -10 * np.log10(((found - own) ** 2).mean()) > 24
        inside = (own < 0.99).any(axis=2)
        assert -10 * np.log10(((found - own)[inside] ** 2).mean()) > 20


class Still(RadianceField):
    """The procedural duck as a radiance field: dense inside, with the colors that the procedural scene gives it."""

    def __init__(self) -> None:
        from scenes.procedural.still_life import DUCK

        axes = tuple(Axis(name, -1.12, 1.12, "") for name in "xyz")
        super().__init__(Domain(axes), Channels(("red", "green", "blue"), "srgb"))
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.duck = DUCK
        self.measure_occupancy()

    def density(self, coords, time=None, directions=None):
        distance = torch.from_numpy(self.duck.distance((coords * 2.24 - 1.12).numpy())) / 2.24
        return 800 * torch.sigmoid(-400 * distance) + 0 * self.anchor, coords

    def color(self, feature, directions):
        points = (feature * 2.24 - 1.12).numpy()
        steps = np.eye(3, dtype=np.float32) * np.float32(4e-3)
        normals = np.stack(
            [self.duck.distance(points + step) - self.duck.distance(points - step) for step in steps], axis=1
        )
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        return torch.from_numpy(self.duck.color(points, normals, directions.numpy(), np.ones(len(points), np.float32)))


@pytest.mark.slow
def test_splats_look_like_the_procedural_duck(tmp_path):
    """24 dB or more against the render of the field, in the whole image."""
    field = Still()
    report = export(Source(None, field, "radiance"), tmp_path / "a.ply", ExportRequest(points=20000), "splat")
    assert report["splats"] == pytest.approx(20000, rel=0.1)
    raw = trimesh.load(tmp_path / "a.ply").metadata["_ply_raw"]["vertex"]["data"]
    camera = orbit(40, 25, 3.6, (128, 128), target=(0.0, 0.0, 0.25), up="z")
    grid = OccupancyGrid(32, lower=(-1.12,) * 3, upper=(1.12,) * 3)
    own = render_view(field, camera, grid=grid, march=MarchSettings(step=0.004, max_samples=2048)).color.numpy()
    found = render_splats({name: raw[name].reshape(-1) for name in raw.dtype.names}, camera)
    quality = -10 * np.log10(((found - own) ** 2).mean())
    print(f"{quality:.2f} dB")
    assert quality > 24
