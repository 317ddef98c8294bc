"""Fits of a field with a surface: the mesh is where the shape is, and the run comes back to the bit."""

import numpy as np
import pytest
import torch

from fields.fit.fit import fit_field
from fields.fit.objectives.radiance import RadianceObjective
from fields.methods.registry import make_method
from fields.runs.run import load_field
from fields.surface.radiance import Radiance
from fields.surface.scene_mesh import scene_mesh
from scenes.posed.signal import open_radiance
from scenes.procedural.still_life import DUCK
from tests.fit.posed_scene import RADIUS, write_scene
from tests.fit.test_radiance_fit import resumed

SMALL = {"levels": 6, "table_size": 1 << 13, "first_levels": 2, "batch": 2048, "cells": 32}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_radiance(write_scene(tmp_path_factory.mktemp("ball") / "scene"))


@pytest.fixture(scope="module")
def fitted(scene, tmp_path_factory):
    return fit_field(scene, "neus", steps=60, settings=SMALL, out=tmp_path_factory.mktemp("neus") / "run")


def test_a_ball_has_its_surface_where_it_is(scene, fitted):
    assert fitted.metrics["psnr"] > 13
    mesh = scene_mesh(fitted.field, scene.training, resolution=64)
    error = np.linalg.norm(mesh.vertices, axis=1) - RADIUS
    assert len(mesh.vertices) > 1000
    assert np.abs(error).mean() < 0.03 and abs(error.mean()) < 0.02


def test_distances_and_densities_belong_together(fitted):
    field = fitted.field
    coords = torch.rand(4096, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        distance, (density, _) = field.signed_distance(coords), field.density(coords)
    inside, outside = distance < -0.1, distance > 0.1
    assert inside.any() and outside.any()
    assert density[inside].min() > density[outside].max()


def test_the_stored_field_is_the_fitted_one(scene, fitted):
    field = load_field(fitted.run.path)
    assert field.has_surface and float(field.sharpness) == float(fitted.field.sharpness)
    assert torch.equal(field.gates, fitted.field.gates)
    assert RadianceObjective(scene, "l2").evaluate(field) == pytest.approx(fitted.metrics, abs=1e-9)


def test_levels_that_are_not_open_yet_change_nothing(scene, fitted):
    field = load_field(fitted.run.path)
    coords = torch.rand(500, 3, generator=torch.Generator().manual_seed(1))
    field.before_step(0, 100)
    assert 0 < int((field.gates > 0).sum()) < len(field.gates)
    with torch.no_grad():
        before = field.signed_distance(coords)
        opened = field.encoder.layout.per_level[int((field.gates > 0).sum())].offset
        field.encoder.table[opened:] += 1.0
        assert torch.equal(before, field.signed_distance(coords))


def test_a_fit_from_a_run_keeps_its_shape(scene, fitted):
    again = fit_field(scene, steps=1, start=fitted.run.path)
    coords = torch.rand(2000, 3, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        moved = (again.field.signed_distance(coords) - fitted.field.signed_distance(coords)).abs()
    # The first step has few levels open, which is all that differs.
    assert again.field.surface_begun and float(moved.mean()) < 0.05


def test_resumed_is_bit_identical(scene, tmp_path):
    whole = fit_field(scene, "neus", steps=40, settings=SMALL, out=tmp_path / "whole")
    again = resumed(scene, "neus", 40, SMALL, tmp_path / "part", 25)
    for name, tensor in whole.field.state_dict().items():
        assert torch.equal(tensor, again.field.state_dict()[name]), name


def test_cells_far_behind_the_surface_are_skipped(fitted):
    scene = Radiance(fitted.field)
    share = scene.cells.float().mean()
    assert 0.01 < float(share) < 0.6


def test_images_do_not_depend_on_chunks(scene, fitted):
    from fields.render.volume import render_image

    origins, directions = (torch.rand(60, 3, generator=torch.Generator().manual_seed(s)) - 0.5 for s in (3, 4))
    directions = torch.nn.functional.normalize(-origins + 0.3 * directions, dim=-1)
    origins = 0.5 + 2 * origins
    one, many = (
        render_image(fitted.field, origins, directions, (6, 10), chunk=chunk, background=0.0) for chunk in (60, 7)
    )
    assert torch.allclose(one.color, many.color, atol=1e-5) and one.opacity.max() > 0.9


@pytest.mark.slow
def test_the_duck_is_where_the_duck_is():
    scene = open_radiance("procedural:duck")
    fit = fit_field(scene, "neus", steps=200, settings={"batch": 8192})
    mesh = scene_mesh(fit.field, scene.training, resolution=160)
    longest = float((np.array(DUCK.upper) - DUCK.lower).max())
    error = np.abs(DUCK.distance(mesh.vertices.astype(np.float32))) / longest
    assert fit.metrics["psnr"] > 24
    assert error.mean() < 0.006 and np.quantile(error, 0.9) < 0.015


def test_what_surrounds_the_cube_is_kept_behind_the_surface(tmp_path):
    scene = open_radiance(write_scene(tmp_path / "scene"), unbounded=True)
    options = {**SMALL, "background": "white", "mask": 0.0}
    fit = fit_field(scene, "neus", steps=5, settings=options, out=tmp_path / "run")
    field = load_field(tmp_path / "run")
    assert field.cascades > 1 and field.num_parameters == fit.field.num_parameters
    samples = field.march.sampler(torch.tensor([[0.5, 0.5, -1.0]]), torch.tensor([[0.0, 0.0, 1.0]]), None, 0)
    assert (samples.t_starts[1:] >= samples.t_ends[:-1] - 1e-5).all() and samples.t_ends[-1] > 100
    coords = field.to_coords(torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.5, 4.0]]))
    with torch.no_grad():
        assert field.signed_distance(coords)[0] < 0 < field.signed_distance(coords)[1]
        points = torch.rand(100, 3) * 3 - 1
        assert field.density(field.to_coords(points))[0].isfinite().all()


def test_colors_may_depend_on_the_reflected_direction(scene, tmp_path):
    fit = fit_field(scene, "neus", steps=5, settings={**SMALL, "reflection": True}, out=tmp_path / "run")
    field = load_field(tmp_path / "run")
    assert RadianceObjective(scene, "l2").evaluate(field) == pytest.approx(fit.metrics, abs=1e-9)
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(6)), dim=-1)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        feature = field.density(points)[1]
        turned = torch.cat([feature[:, :-3], -feature[:, -3:]], dim=-1)
        # Both normals of a plane reflect alike; only the cosine's sign tells them apart.
        assert not torch.equal(field.color(feature, directions), field.color(turned, directions))


def test_normals_point_outwards():
    scene = open_radiance("procedural:duck")
    field = make_method("neus", {"table_size": 1 << 14}).prepare(scene).build_field(scene.domain, scene.channels, 0)
    axis = (torch.arange(64) + 0.5) / 64 - 0.5
    field.begin_surface(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.3, 200)
    around = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(5)), dim=-1)
    normals = field.normals(0.5 + 0.3 * around)
    assert not normals.requires_grad
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(200))
    assert (normals * around).sum(-1).mean() > 0.9
