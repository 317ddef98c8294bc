"""What is cleared of a fitted scene, and what stays."""

import numpy as np
import pytest

from fields.render.floaters import blocked, cell_centres, cropped, seen, remove_small_components
from scenes.posed.path import looking_at
from scenes.posed.view import Intrinsics, View

LOWER, UPPER, N = (-1.0, -2.0, -1.0), (1.0, 2.0, 3.0), 32
LENS = Intrinsics(40, 30, 60.0, 60.0, 20.0, 15.0)


def test_cells_are_where_the_grid_has_them():
    import torch

    from fields.sampling.occupancy import OccupancyGrid

    grid = OccupancyGrid(8, 2, LOWER, UPPER)
    asked = []
    grid.update(lambda points: asked.append(points) or torch.zeros(len(points)), 0.1)
    points = torch.cat(asked).numpy().reshape(2, 8, 8, 8, 3)
    for level in range(2):
        where = np.argwhere(np.ones((8, 8, 8), bool))
        middle = cell_centres(where, 8, LOWER, UPPER, level).reshape(8, 8, 8, 3)
        half = (np.array(UPPER) - LOWER) * 2**level / 8 / 2
        assert (np.abs(points[level] - middle) <= half + 1e-5).all()


def test_cropped():
    cells = np.ones((2, N, N, N), bool)
    kept = cropped(cells, LOWER, UPPER, (-0.5, -1.0, 0.0), (0.5, 1.0, 1.0))
    for level in range(2):
        middle = cell_centres(np.argwhere(cells[level]), N, LOWER, UPPER, level).reshape(N, N, N, 3)
        half = (np.array(UPPER) - LOWER) * 2**level / N / 2
        inside = ((middle + half > (-0.5, -1.0, 0.0)) & (middle - half < (0.5, 1.0, 1.0))).all(axis=-1)
        assert (kept[level] == inside).all() and inside.any() and not inside.all()
    assert cells.all()
    with pytest.raises(ValueError, match="lower to an upper"):
        cropped(cells, LOWER, UPPER, (0, 0, 0), (1, 0, 1))


def test_specks_go_and_the_scene_stays():
    cells = np.zeros((1, N, N, N), bool)
    cells[0, 8:20, 8:20, 8:20] = True
    cells[0, 20, 20, 20] = True  # touches at a corner
    cells[0, 28:30, 3, 3] = True  # a speck
    cells[0, 0, 0, 0] = True  # another, at the rim
    kept = remove_small_components(cells)
    assert kept.sum() == 12**3 + 1 and kept[0, 20, 20, 20]
    assert (remove_small_components(cells, 0.0) == cells).all()
    assert not remove_small_components(np.zeros_like(cells)).any()
    # In a scene of several levels what is at the rim goes on outside.
    two = np.concatenate([cells, cells])
    assert remove_small_components(two)[0, 0, 0, 0] and not remove_small_components(two)[0, 28, 3, 3]


def test_what_no_camera_had_in_its_picture_goes():
    views = [
        View(str(i), None, looking_at((4.0, y, 1.0), (0, 0, 1.0)), LENS, "train") for i, y in enumerate((-0.5, 0.5))
    ]
    cells = np.ones((1, N, N, N), bool)
    kept = seen(cells, LOWER, UPPER, views)[0]
    middle = cell_centres(np.argwhere(cells[0]), N, LOWER, UPPER).reshape(N, N, N, 3)
    assert kept[np.abs(middle - (0, 0, 1)).max(axis=-1) < 0.3].all()
    assert not kept[np.abs(middle[..., 2] - 1) > 1.6].any() and 0.1 < kept.mean() < 0.7
    both = seen(cells, LOWER, UPPER, views, least=2)[0]
    assert (both <= kept).all() and both.sum() < kept.sum()
    assert not seen(
        cells, LOWER, UPPER, [View("away", None, looking_at((4.0, 0, 1.0), (9.0, 0, 1.0)), LENS, "train")]
    ).any()


def test_cameras_in_matter():
    cells = np.zeros((2, N, N, N), bool)
    cells[0, :4] = True
    cells[1, :, :, -1] = True
    views = [
        View(name, None, looking_at(place, (0.1, 0, 1.0)), LENS, "train")
        for name, place in (
            ("in", (-0.95, 0.0, 1.0)),
            ("free", (0.5, 0.0, 1.5)),
            ("outer", (0.3, 0.2, 4.95)),
            ("beyond", (50.0, 0, 0)),
        )
    ]
    assert [view.name for view in blocked(cells, LOWER, UPPER, views)] == ["in", "outer"]


def test_what_are_no_cells():
    with pytest.raises(ValueError, match="cells are"):
        remove_small_components(np.zeros((4, 4, 4), bool))
    with pytest.raises(ValueError, match="share between"):
        remove_small_components(np.zeros((1, 4, 4, 4), bool), 2.0)
