"""Densities that depend on the direction of view, and the parameter groups of all methods on scenes."""

import pytest
import torch
from posed_scene import write_scene
from test_radiance_fit import METHODS, NETWORK

import scenes
from fields.fit.fit import prepare


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes.load(write_scene(tmp_path_factory.mktemp("ball") / "scene"))


def test_a_cell_that_is_dense_from_one_direction_is_occupied_and_a_mesh_has_the_mean(scene):
    from fields.fit.objectives.occupancy_updates import DIRECTION_STRIDE, NUM_DIRECTIONS, UPDATE_STEPS
    from fields.surface.implicit import fibonacci_sphere
    from fields.surface.radiance import Radiance

    trainer, _ = prepare(scene, "cam", steps=1, settings=NETWORK)
    field, sides = trainer.field, torch.from_numpy(fibonacci_sphere(NUM_DIRECTIONS)).float()

    def one_sided(coords, time=None, directions=None):
        seen = directions @ sides[6]
        return torch.where(seen > 0.99, 5.0, 0.1).expand(len(coords)), None

    field.density = one_sided
    points = torch.rand(9, 3)
    updates = range(DIRECTION_STRIDE)
    occupancy = trainer.objective.occupancy
    found = [occupancy.density_function(field, UPDATE_STEPS * update)(points) for update in updates]
    assert [float(densities.max()) for densities in found] == pytest.approx(
        [5.0 if update == 6 % DIRECTION_STRIDE else 0.1 for update in updates]
    )
    assert Radiance(field).unmasked_density(points).tolist() == pytest.approx([(5.0 + 15 * 0.1) / 16] * 9)


@pytest.mark.slow
def test_the_authors_norm_over_a_ray_works_with_a_fixed_number_of_samples(scene):
    from benchmarks.papers.rays import scored

    options = {"width": 32, "hidden_layers": 2, "color_layers": 1, "learning_rate": 5e-3, "cells": 16, "hull": False}
    scores = {
        mixed: scored(scene, options, mixed, steps=120, rays=256, samples=24, views=2, seed=0)[0]
        for mixed in (False, True)
    }
    assert min(scores.values()) > 13


@pytest.mark.parametrize("method", METHODS)
def test_every_trained_parameter_is_in_one_group(scene, method):

    trainer, _ = prepare(
        scene, method, steps=1, settings=METHODS[method] | {"background": "learned", "sampling": "proposal"}
    )
    groups = trainer.method.field_groups(trainer.field)
    listed = [id(p) for group in groups for p in group["params"]]
    assert all(group["params"] for group in groups) and len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in trainer.field.parameters() if p.requires_grad}
