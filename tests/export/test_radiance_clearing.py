"""Rendering inside a box and without floaters: what is removed, and what stays."""

import json

import numpy as np
import pytest
import torch

from apps.cli.main import main
from fields.models.field import RadianceField
from fields.render.volume import render_rays
from fields.sampling.march_settings import MarchSettings
from fields.sampling.occupancy import OccupancyGrid
from scenes.domain import Channels, Domain
from scenes.procedural import still_life


class Fog(RadianceField):
    """Density 8 everywhere, colored by position."""

    def __init__(self):
        super().__init__(Domain(()), Channels(("red", "green", "blue"), "radiance"))

    def density(self, coords, time=None, directions=None):
        return torch.full_like(coords[..., 0], 8.0), coords

    def color(self, feature, directions):
        return feature


def test_a_box_limits_the_fog_more_exactly_than_cells_could():
    grid = OccupancyGrid(8)
    y, x = torch.meshgrid(torch.linspace(0.05, 0.95, 12), torch.linspace(0.05, 0.95, 12), indexing="ij")
    origins = torch.stack([x.flatten(), y.flatten(), torch.full((144,), 2.0)], dim=1)
    directions = torch.tensor([0.0, 0.0, -1.0]).expand(144, 3).contiguous()
    box = ((0.2, 0.3, 0.41), (0.8, 0.7, 0.63))
    march = MarchSettings(step=1 / 256, box=box, min_transmittance=0.0)
    found = render_rays(Fog(), origins, directions, grid=grid, march=march)
    inside = (x.flatten() > 0.2) & (x.flatten() < 0.8) & (y.flatten() > 0.3) & (y.flatten() < 0.7)
    expected = 1 - np.exp(-8.0 * 0.22)
    assert (found.opacity[inside] - expected).abs().max() < 8 / 256 and not found.opacity[~inside].any()
    whole = render_rays(Fog(), origins, directions, grid=grid, march=MarchSettings(step=1 / 256))
    assert (whole.opacity > 0.99).all()


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clearing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(still_life, "SIDE", 24)
        patch.setenv("FIELD_STUDIO_CACHE", str(folder / "cache"))
        assert (
            main(
                [
                    "fit",
                    "procedural:duck",
                    "--steps",
                    "40",
                    "--out",
                    str(folder / "run"),
                    "--set",
                    "table_size=4096",
                    "levels=6",
                    "batch=16384",
                    "cells=32",
                ]
            )
            == 0
        )
    return folder / "run"


def picture(path):
    from PIL import Image

    return np.asarray(Image.open(path)).astype(float) / 255


def test_the_command_renders_without_floaters_and_inside_a_box(fitted, tmp_path, capsys):
    def render(name, *more):
        assert main(["render", str(fitted), "--out", str(tmp_path / name), *more]) == 0
        return picture(tmp_path / name)

    whole, clean = render("whole.png"), render("clean.png", "--clean")
    half = render("half.png", "--box=-2,-2,0.5,2,2,2")
    empty = render("empty.png", "--box=5,5,5,6,6,6")
    assert np.abs(whole - clean).mean() < 0.02
    assert np.abs(whole - half).mean() > 0.02 and (empty == 1.0).all()
    assert main(["render", str(fitted), "--box", "1,2,3"]) == 2
    assert "a lower and an upper corner" in capsys.readouterr().err
    assert main(["info", str(fitted), "--plot", str(tmp_path / "cameras.png"), "--json"]) == 0
    assert (
        json.loads(capsys.readouterr().out.splitlines()[-1])["plot"] == str(tmp_path / "cameras.png")
        and (tmp_path / "cameras.png").is_file()
    )


def test_cells_in_an_empty_corner_are_removed_from_a_field(fitted):
    from fields.render.floaters import remove_floaters_of
    from fields.runs.run import load_field
    from scenes.posed.camera_file import read_cameras

    field = load_field(fitted)
    cells = field.grid.occupancy.cells().clone()
    assert remove_floaters_of(field, read_cameras(fitted / "cameras.json")) < 0.5
    kept = field.grid.occupancy.cells().clone()
    assert bool((kept <= cells).all()) and bool(kept.any())
    # One cell, with nothing around it.
    free = torch.nn.functional.max_pool3d(cells.float()[:, None], 5, 1, 2)[:, 0] == 0
    single = free.nonzero()[len(free.nonzero()) // 2]
    kept[tuple(single)] = True
    field.set_occupied(kept)
    remove_floaters_of(field, read_cameras(fitted / "cameras.json"))
    assert not bool(field.grid.occupancy.cells()[tuple(single)])


def test_a_mesh_has_no_small_components(fitted, tmp_path, monkeypatch):
    """A run is saved with eight more occupied cells, which have density, in an empty corner."""
    import shutil

    import trimesh

    from fields.export import surfaces
    from fields.methods.registry import make_method
    from fields.runs.run import Run, save_field

    run = Run.open(shutil.copytree(fitted, tmp_path / "run"))
    field = run.load_field()
    cells = field.grid.occupancy.cells().clone()
    free = torch.nn.functional.max_pool3d(cells.float()[:, None], 7, 1, 3)[0, 0] == 0
    centres = (torch.stack(torch.meshgrid(*[torch.arange(32.0)] * 3, indexing="ij"), dim=-1) + 0.5) / 32
    with torch.no_grad():
        density = field.density(centres.reshape(-1, 3))[0].reshape(32, 32, 32)
    inner = torch.zeros_like(free)
    inner[3:-4, 3:-4, 3:-4] = True
    index = torch.where(free & inner, density, 0.0).flatten().argmax()
    x, y, z = (int(i) for i in torch.unravel_index(index, density.shape))
    cells[0, x : x + 2, y : y + 2, z : z + 2] = True
    field.set_occupied(cells)
    save_field(run.weights, field, make_method(run.header["method"], run.header["options"]))
    corner, side = np.array([axis.lower for axis in field.domain.axes[:3]]), field.side
    component = corner + (np.array([x, y, z]) + 1) / 32 * side

    def near(name):
        assert (
            main(
                [
                    "export",
                    str(run.path),
                    str(tmp_path / name),
                    "--resolution",
                    "64",
                    "--level",
                    str(float(density[x, y, z]) / 4),
                ]
            )
            == 0
        )
        away = np.abs(trimesh.load(tmp_path / name).vertices - component).max(axis=1)
        return int((away < 1.5 / 32 * side).sum()), len(away)

    removed, kept = near("clean.ply")
    assert not removed and kept > 100
    monkeypatch.setattr(surfaces, "remove_floaters", lambda source, progress: None)
    assert near("whole.ply")[0] > 8


def test_a_remark_names_cameras_in_solid_matter(fitted):
    """One camera is moved into the box of a field whose cells are all occupied."""
    from dataclasses import replace

    from fields.fit.objectives.view_scores import camera_remarks
    from fields.runs.run import load_field
    from scenes.posed.read import open_posed
    from scenes.posed.signal import RadianceScene

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(still_life, "SIDE", 24)
        patch.setenv("FIELD_STUDIO_CACHE", str(fitted.parent / "cache"))
        views = open_posed("procedural:duck")
    pose = views.views[3].pose.copy()
    pose[:, 3] = (0.0, 0.0, 0.4)
    moved = replace(views, views=(*views.views[:3], replace(views.views[3], pose=pose), *views.views[4:]))
    signal = RadianceScene(moved, {"path": "moved"})
    assert "1 of 48 cameras stand inside the box of the scene (train/003)" in signal.notes[-1]
    field = load_field(fitted)
    assert field.cascades == 1
    field.occupied.fill_(-1)
    with torch.no_grad():
        assert camera_remarks(signal, field) == [] or "train/003" in camera_remarks(signal, field)[0]
        field.density = lambda points, time=None, directions=None: (torch.full_like(points[..., 0], 1e4), points)
        assert "1 of 40 cameras stand in solid matter (train/003)" in camera_remarks(signal, field)[0]
