"""When the occupancy grid of a fit is measured again."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fields.fit.objectives.occupancy_updates import OccupancyUpdates
from fields.models.field import RadianceField
from scenes.domain import Axis, Channels, Domain

CELLS = 16
SCENE = SimpleNamespace(
    training_times=np.zeros(1, np.float32), plain_color=None, fit_seconds=None, empty_cells=lambda resolution: None
)


class Counting(RadianceField):
    """Density 1 everywhere; counts the points at which it was asked for."""

    def __init__(self, directional=False):
        axes = tuple(Axis(name, 0.0, 1.0, "", 8) for name in "xyz")
        super().__init__(Domain(axes), Channels(("red", "green", "blue"), "srgb"), cells=CELLS)
        self.directional_density = directional
        self.points = 0

    def density(self, coords, time=None, directions=None):
        self.points += len(coords)
        return torch.ones(len(coords)), coords


def updated_steps(field, updates, queries, steps):
    """The steps at which the grid is measured, each of which queries so many samples."""
    found = []
    for step in steps:
        before = field.points
        updates.update(field, step, seed=0)
        updates.count(queries)
        if field.points > before:
            found.append(step)
    return found


@pytest.fixture
def begun():
    field, updates = Counting(), OccupancyUpdates(SCENE)
    updates.begin(field, hull=False)
    return field, updates


def test_updates_come_every_16_steps_where_steps_have_many_samples(begun):
    assert updated_steps(*begun, 10_000, range(100)) == [16, 32, 48, 64, 80, 96]


def test_updates_wait_until_steps_have_queried_as_many_samples(begun):
    # The first four updates measure all 4,096 cells, later ones a quarter of them.
    assert updated_steps(*begun, 100, range(1, 280)) == [48, 96, 144, 192, 208, 224, 240, 256, 272]


def test_each_direction_of_a_directional_density_counts():
    field, updates = Counting(directional=True), OccupancyUpdates(SCENE)
    updates.begin(field, hull=False)
    assert updated_steps(field, updates, 100, range(1, 180)) == [96]


def test_a_restored_fit_updates_at_the_same_steps(begun):
    field, updates = begun
    assert updated_steps(field, updates, 100, range(1, 41)) == []
    other = OccupancyUpdates(SCENE)
    other.restore(updates.state())
    other.begin(field, hull=False)
    assert updated_steps(field, other, 100, range(41, 60)) == [48]
