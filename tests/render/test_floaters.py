"""Floaters in an occupancy grid: what is removed, and what stays."""

import numpy as np
import pytest

from fields.render.floaters import cameras_in_matter, cell_centres, crop, remove_small_components, visible_cells
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at

LOWER, UPPER, N = (-1.0, -2.0, -1.0), (1.0, 2.0, 3.0), 32
INTRINSICS = Intrinsics.pinhole(40, 30, 60.0)


def test_cell_centres_agree_with_the_occupancy_grid():
    import torch

    from fields.sampling.occupancy import OccupancyGrid

    grid = OccupancyGrid(8, 2, lower=LOWER, upper=UPPER)
    asked = []
    grid.update(lambda points: asked.append(points) or torch.zeros(len(points)), 0.1)
    points = torch.cat(asked).numpy().reshape(2, 8, 8, 8, 3)
    for cascade in range(2):
        indices = np.argwhere(np.ones((8, 8, 8), bool))
        centres = cell_centres(indices, 8, LOWER, UPPER, cascade=cascade).reshape(8, 8, 8, 3)
        half = (np.array(UPPER) - LOWER) * 2**cascade / 8 / 2
        assert (np.abs(points[cascade] - centres) <= half + 1e-5).all()


def test_a_crop_keeps_the_cells_that_overlap_the_box():
    cells = np.ones((2, N, N, N), bool)
    kept = crop(cells, LOWER, UPPER, box_lower=(-0.5, -1.0, 0.0), box_upper=(0.5, 1.0, 1.0))
    for cascade in range(2):
        centres = cell_centres(np.argwhere(cells[cascade]), N, LOWER, UPPER, cascade=cascade).reshape(N, N, N, 3)
        half = (np.array(UPPER) - LOWER) * 2**cascade / N / 2
        inside = ((centres + half > (-0.5, -1.0, 0.0)) & (centres - half < (0.5, 1.0, 1.0))).all(axis=-1)
        assert (kept[cascade] == inside).all() and inside.any() and not inside.all()
    assert cells.all()
    with pytest.raises(ValueError, match="lower to an upper"):
        crop(cells, LOWER, UPPER, box_lower=(0, 0, 0), box_upper=(1, 0, 1))


def test_small_components_are_removed_and_the_largest_stays():
    cells = np.zeros((1, N, N, N), bool)
    cells[0, 8:20, 8:20, 8:20] = True
    cells[0, 20, 20, 20] = True  # touches at a corner
    cells[0, 28:30, 3, 3] = True  # a small component
    cells[0, 0, 0, 0] = True  # another, at the border
    kept = remove_small_components(cells)
    assert kept.sum() == 12**3 + 1 and kept[0, 20, 20, 20]
    assert (remove_small_components(cells, 0.0) == cells).all()
    assert not remove_small_components(np.zeros_like(cells)).any()
    # With several cascades, a component at the border continues in the next one.
    two = np.concatenate([cells, cells])
    assert remove_small_components(two)[0, 0, 0, 0] and not remove_small_components(two)[0, 28, 3, 3]


def test_cells_in_no_image_are_removed():
    views = [Camera(look_at((4.0, y, 1.0), (0, 0, 1.0)), INTRINSICS, name=str(i)) for i, y in enumerate((-0.5, 0.5))]
    cells = np.ones((1, N, N, N), bool)
    kept = visible_cells(cells, LOWER, UPPER, views)[0]
    centres = cell_centres(np.argwhere(cells[0]), N, LOWER, UPPER).reshape(N, N, N, 3)
    assert kept[np.abs(centres - (0, 0, 1)).max(axis=-1) < 0.3].all()
    assert not kept[np.abs(centres[..., 2] - 1) > 1.6].any() and 0.1 < kept.mean() < 0.7
    both = visible_cells(cells, LOWER, UPPER, views, min_views=2)[0]
    assert (both <= kept).all() and both.sum() < kept.sum()
    assert not visible_cells(
        cells, LOWER, UPPER, [Camera(look_at((4.0, 0, 1.0), (9.0, 0, 1.0)), INTRINSICS, name="away")]
    ).any()


def test_cameras_in_occupied_cells_are_found_in_the_finest_cascade():
    cells = np.zeros((2, N, N, N), bool)
    cells[0, :4] = True
    cells[1, :, :, -1] = True
    views = [
        Camera(look_at(position, (0.1, 0, 1.0)), INTRINSICS, name=name)
        for name, position in (
            ("in", (-0.95, 0.0, 1.0)),
            ("free", (0.5, 0.0, 1.5)),
            ("outer", (0.3, 0.2, 4.95)),
            ("beyond", (50.0, 0, 0)),
        )
    ]
    assert [view.name for view in cameras_in_matter(cells, LOWER, UPPER, views)] == ["in", "outer"]


def test_refuses_cells_of_another_shape_and_fractions_above_one():
    with pytest.raises(ValueError, match="cells are"):
        remove_small_components(np.zeros((4, 4, 4), bool))
    with pytest.raises(ValueError, match="min_fraction is between"):
        remove_small_components(np.zeros((1, 4, 4, 4), bool), 2.0)
