"""Posed views whose density depends on the direction, and the groups of all methods' numbers."""

import pytest
import torch
from posed_scene import write_scene
from test_radiance_fit import METHODS, NETWORK

import scenes
from fields.fit.fit import prepare


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes.load(write_scene(tmp_path_factory.mktemp("ball") / "scene"))


def test_density_that_depends_on_the_direction_counts_with_the_most_of_16_sides(scene):
    """What is dense from one side only stays occupied; a mesh has the mean."""
    from fields.fit.objectives.radiance import GRID_STEPS, LOOKS, SIDES
    from fields.surface.implicit import sphere
    from fields.surface.radiance import Radiance

    trainer, _ = prepare(scene, "cam", steps=1, settings=NETWORK)
    field, sides = trainer.field, torch.from_numpy(sphere(SIDES)).float()

    def one_sided(coords, time=None, directions=None):
        seen = directions @ sides[6]
        return torch.where(seen > 0.99, 5.0, 0.1).expand(len(coords)), None

    field.density = one_sided
    points = torch.rand(9, 3)
    looks = [trainer.objective._density_for_grid(field, GRID_STEPS * look)(points) for look in range(LOOKS)]
    assert [float(look.max()) for look in looks] == pytest.approx(
        [5.0 if look == 6 % LOOKS else 0.1 for look in range(LOOKS)]
    )
    assert Radiance(field).bare_density(points).tolist() == pytest.approx([(5.0 + 15 * 0.1) / 16] * 9)


@pytest.mark.slow
def test_the_authors_norm_of_a_ray_serves_with_a_fixed_number_of_samples(scene):
    from benchmarks.papers.rays import scored

    options = {"width": 32, "hidden_layers": 2, "color_layers": 1, "learning_rate": 5e-3, "cells": 16, "hull": False}
    scores = {
        mixed: scored(scene, options, mixed, steps=120, rays=256, samples=24, views=2, seed=0)[0]
        for mixed in (False, True)
    }
    assert min(scores.values()) > 13


@pytest.mark.parametrize("method", METHODS)
def test_every_number_is_in_one_group(scene, method):
    from fields.methods.radiance import field_groups

    trainer, _ = prepare(
        scene, method, steps=1, settings=METHODS[method] | {"background": "learned", "sampling": "proposal"}
    )
    groups = field_groups(trainer.method, trainer.field)
    listed = [id(p) for group in groups for p in group["params"]]
    assert all(group["params"] for group in groups) and len(listed) == len(set(listed))
    assert set(listed) == {id(p) for p in trainer.field.parameters() if p.requires_grad}
