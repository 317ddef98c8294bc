"""Fits with proposal sampling: a ball in front of an infinitely distant sky."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from posed_scene import SMALL_GRID, resumed, write_scene

from fields.fit.fit import fit_field, prepare
from fields.fit.objectives.radiance import RadianceObjective
from fields.runs.run import load_field
from scenes.posed.read import open_posed
from scenes.posed.signal import RadianceScene

OPTIONS = SMALL_GRID | {"sampling": "proposal", "batch": 16384}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    posed = open_posed(write_scene(tmp_path_factory.mktemp("ball") / "scene"))
    views = []
    for view in posed.views:
        pixels = view.read_image()
        side = len(pixels)
        sky = 0.5 + 0.4 * np.sin(3 * view.rays()[1] + [0, 1, 2])
        alpha = pixels[..., 3:] / 255
        views.append(
            replace(
                view,
                image=None,
                pixels=np.uint8(pixels[..., :3] * alpha + 255 * sky.reshape(side, side, 3) * (1 - alpha)),
            )
        )
    return RadianceScene(replace(posed, views=tuple(views)), {"path": "ball before a sky", "sha256": ""})


def test_a_fit_with_proposals_learns_the_sky_and_the_ball(scene):
    assert scene.unbounded
    trainer, _ = prepare(scene, "hashgrid", steps=150, settings=OPTIONS)
    losses = []
    while not trainer.done:
        trainer.step()
        losses.append(float(trainer.loss))
    assert np.mean(losses[-10:]) < 0.35 * np.mean(losses[:5])
    metrics = RadianceObjective.evaluate(trainer.objective, trainer.field)
    # A dozen views say little about a whole sky; with occupied cells, as many steps make fog of it.
    cells = fit_field(scene, "hashgrid", steps=150, settings=OPTIONS | {"sampling": "cells"}).metrics
    assert metrics["psnr"] > cells["psnr"] + 0.5 and metrics["ssim"] > cells["ssim"]
    field = trainer.field
    # The proposals hold most of the weight, so samples go to where the ball is.
    origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in scene.test[0].rays())
    with torch.no_grad():
        proposed = field.propose(field.to_cube(origins), directions.float(), seed=None)
    weight = proposed.rounds[0][1].sum(1)
    assert float(weight.median()) > 0.5 and bool(proposed.edges.isfinite().all())


def test_the_proposal_field_counts_towards_the_parameters(scene):

    trainer, _ = prepare(scene, "hashgrid", steps=2, settings=OPTIONS)
    assert trainer.method.count_parameters(trainer.field.domain, scene.channels) == trainer.field.num_parameters
    plain, _ = prepare(scene, "hashgrid", steps=2, settings=OPTIONS | {"sampling": "cells"})
    assert plain.field.num_parameters < trainer.field.num_parameters


def test_resumed_is_bit_identical(scene, tmp_path):
    whole = fit_field(scene, "hashgrid", steps=40, settings=OPTIONS, out=tmp_path / "whole")
    again = resumed(scene, "hashgrid", 40, OPTIONS, tmp_path / "part", 23)
    for name, tensor in whole.field.state_dict().items():
        assert torch.equal(tensor, again.field.state_dict()[name]), name
    # The stored field alone renders the scene.
    assert RadianceObjective(scene, "l2").evaluate(load_field(tmp_path / "whole")) == pytest.approx(
        whole.metrics, abs=1e-9
    )


def test_images_do_not_depend_on_chunks(scene, monkeypatch):
    import fields.render.camera_view as camera_view
    from fields.fit.objectives.view_images import view_image

    fit = fit_field(scene, "hashgrid", steps=20, settings=OPTIONS)
    whole = view_image(scene, fit.field, scene.test[0])
    monkeypatch.setattr(camera_view, "CHUNK", 100)
    parts = view_image(scene, fit.field, scene.test[0])
    torch.testing.assert_close(parts.color, whole.color, rtol=0, atol=1e-6)


def test_the_distortion_loss_is_finite_on_rays_to_infinity(scene):
    fit = fit_field(scene, "hashgrid", steps=30, settings=OPTIONS | {"distortion": 0.01})
    assert all(tensor.isfinite().all() for tensor in fit.field.parameters()) and fit.metrics["psnr"] > 8


def test_a_grid_contains_points_in_occupied_cells_and_beyond_its_cascades():
    from fields.sampling.occupancy import OccupancyGrid

    grid = OccupancyGrid(8, 2)
    grid.words = torch.zeros_like(grid.words)
    assert grid.contains(torch.tensor([[0.5, 0.5, 0.5], [1.3, 0.5, 0.5], [9.0, 0.5, 0.5]])).tolist() == [
        False,
        False,
        True,
    ]
    from fields.ops.march import pack_cells

    cells = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    cells[0, 7, 0, 3] = cells[1, 7, 4, 4] = True
    grid.words = pack_cells(cells)
    points = torch.tensor([[0.95, 0.05, 0.45], [0.95, 0.05, 0.55], [1.4, 0.6, 0.6], [0.9, 0.6, 0.6]])
    assert grid.contains(points).tolist() == [True, False, True, False]


def test_removing_floaters_restricts_proposed_samples(scene):
    from fields.render.floaters import remove_floaters_of

    field = fit_field(scene, "hashgrid", steps=20, settings=OPTIONS).field
    origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in scene.test[0].rays())
    origins, directions = field.to_cube(origins), directions.float()
    whole = field.march.sampler(origins, directions, None, 0)
    assert len(whole) == len(origins) * 48
    remove_floaters_of(field, scene.training[:2])
    some = field.march.sampler(origins, directions, None, 0)
    assert 0 < len(some) < len(whole)
    # The remaining samples are in the images of the two cameras, or beyond all cells.
    from scenes.posed.projection import project

    points = some.positions(origins, directions).double().numpy()
    inside = np.abs(points - 0.5).max(axis=1) < 0.5 * 2 ** (field.cascades - 1) * 0.9
    lower = np.array([axis.lower for axis in scene.domain.axes])
    cell = field.side / field.cells * 2 ** (field.cascades - 1)
    for view in scene.training[:2]:
        x, y, depth = project(view, lower + points[inside] * field.side)
        slack = view.intrinsics.fl_x * cell / np.maximum(depth, cell)
        assert (
            (x > -slack) & (x < view.intrinsics.width + slack) & (y > -slack) & (y < view.intrinsics.height + slack)
        )[depth > 2 * cell].all()
