"""The example of a plug-in that builds a radiance field: fitted, rendered, exported and distilled like our own."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

import scenes
from apps.cli.main import main
from fields.distill import distill_field
from fields.fit.conformance import check_method
from fields.fit.fit import fit_field
from fields.methods import registry
from fields.runs.run import Run, load_field
from fields.surface.radiance import Radiance
from scenes.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fit"))
from posed_scene import SMALL_GRID, write_scene  # noqa: E402

SETTINGS = {"cells": 32, "ray_step": 1 / 64, "batch": 8192}


@pytest.fixture(scope="module")
def balls():
    """The example's module, with its method registered for the tests of this file."""
    sys.path.insert(0, str(ROOT / "docs" / "examples" / "radiance_plugin"))
    import field_studio_balls

    registry.register(field_studio_balls.Balls)
    yield field_studio_balls
    del registry._registered["balls"]
    sys.path.remove(str(ROOT / "docs" / "examples" / "radiance_plugin"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes.load(write_scene(tmp_path_factory.mktemp("ball") / "scene"))


@pytest.fixture(scope="module")
def run(balls, scene, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("balls") / "run"
    fit_field(scene, "balls", steps=150, settings=SETTINGS, out=folder)
    return Run.open(folder)


def test_the_method_passes_all_checks(balls):
    wrong = [f"{result.name}: {result.detail}" for result in check_method(balls.Balls, steps=60) if not result.passed]
    assert not wrong


def test_a_fit_learns_the_scene_and_stores_its_occupied_cells(balls, scene, run):
    untrained = fit_field(scene, "balls", steps=1, settings=SETTINGS).metrics["psnr"]
    assert run.metrics()["metrics"]["psnr"] > max(15, untrained + 2)
    field = load_field(run.path)
    assert isinstance(field, balls.TwoBalls) and field.cells == 32 and field.step == 1 / 64
    assert 0.05 < field.grid.occupied_fraction < 0.6
    assert run.header["parameters"] == field.num_parameters == 14 + (32 // 4) ** 3


def test_its_options_are_those_of_the_method_and_of_scenes_without_a_color_network(balls):
    sections = {section.title: section.names for section in balls.Balls.option_sections()}
    assert list(sections) == ["options", "scene options"]
    assert sections["options"][:2] == ("learning_rate", "batch")
    assert "cells" in sections["scene options"] and "color_width" not in sections["scene options"]


def test_a_learned_background_is_added_to_the_field(balls, scene):
    fit = fit_field(scene, "balls", steps=2, settings=SETTINGS | {"background": "learned"})
    assert fit.field.background_color().shape == (3,)
    assert fit.method.count_parameters(scene.domain, scene.channels) == fit.field.num_parameters == 14 + 512 + 3


def test_refuses_a_signal_that_is_no_scene(balls, astronaut):
    from scenes.image.signal import Image as ImageSignal

    with pytest.raises(BadInput, match="method balls takes signals of the kind radiance"):
        fit_field(ImageSignal.from_array(astronaut[:16, :16]), "balls", steps=1)


@pytest.mark.parametrize("what", ["color", "depth", "normal"])
def test_it_is_rendered(run, tmp_path, what):
    assert main(["render", str(run.path), "--what", what, "--out", str(tmp_path / "view.png")]) == 0
    image = np.asarray(Image.open(tmp_path / "view.png"))
    assert image.shape == (24, 24, 3) and image.std() > 10


def test_it_is_exported_as_a_mesh(run, tmp_path):
    assert main(["export", str(run.path), str(tmp_path / "balls.glb"), "--resolution", "48"]) == 0
    mesh = trimesh.load(tmp_path / "balls.glb").to_geometry()
    # The scene is a ball of radius 1 around the origin.
    assert np.abs(mesh.bounds).max() < 1.5 and 0.6 < np.linalg.norm(mesh.vertices, axis=1).mean() < 1.4


def test_it_is_exported_as_splats_views_and_a_graph(run, tmp_path):
    arguments = ["export", str(run.path)]
    assert main([*arguments, str(tmp_path / "balls.ply"), "--as", "splat", "--points", "500"]) == 0
    assert main([*arguments, str(tmp_path / "views"), "--frames", "4", "--size", "16x16"]) == 0
    assert main([*arguments, str(tmp_path / "balls.onnx")]) == 0
    assert len(trimesh.load(tmp_path / "balls.ply").vertices) > 300
    assert (tmp_path / "views" / "transforms.json").is_file()


def test_it_teaches_a_hash_grid(run):
    student = distill_field(run, "hashgrid", steps=150, settings=SMALL_GRID)
    assert student.metrics["psnr"] > 22


def test_it_learns_from_a_hash_grid(balls, scene, tmp_path):
    fit_field(scene, "hashgrid", steps=60, settings=SMALL_GRID, out=tmp_path / "teacher")
    student = distill_field(tmp_path / "teacher", "balls", steps=60, settings=SETTINGS)
    # Two balls cannot show eight octants, but they come close to the teacher's silhouette.
    assert student.metrics["psnr"] > 10


def test_an_analytic_field_finds_its_occupied_cells(balls, scene):
    """A field that was never fitted renders the same with and without them."""
    field = balls.TwoBalls(scene.domain, scene.channels, seed=0)
    points = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0))
    assert field.grid.occupied_fraction == 1.0
    before = Radiance(field).density(points).detach()
    field.measure_occupancy()
    assert field.grid.occupied_fraction < 0.6
    found = Radiance(field).density(points).detach()
    missed = (found == 0) & (before > 0)
    assert float((before[missed] * field.step).max()) < 0.02 and torch.equal(found[~missed], before[~missed])
