import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.encoders.factor_grid import FactorGrid
from fields.encoders.footprint import cells_across, expand_footprint, fading_weights
from fields.encoders.frequency import Fourier, Frequency
from fields.encoders.hash_grid import HashGrid
from fields.encoders.tri_plane import TriPlane
from fields.ops.factor_layout import dense_grids, tri_plane
from fields.ops.grid_layout import GridLayout


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def hash_grid(dimensions=2, levels=4):
    layout = GridLayout(dimensions, levels=levels, features=2, base_resolution=4, growth=2.0, table_size=1 << 8)
    grid = HashGrid(layout, "linear", "torch", random())
    torch.nn.init.normal_(grid.table, generator=random(1))
    return grid.double()


def dense_grid(levels=((3, 3), (9, 5), (33, 17))):
    grid = FactorGrid(dense_grids(2, levels), "torch", lambda part, axes: part.normal_(generator=random(2)), levels=3)
    return grid.double()


def waves(name):
    return (Frequency(2, 5) if name == "octaves" else Fourier(2, 16, 8.0, random())).double()


@pytest.mark.parametrize("name", ["octaves", "fourier"])
@settings(max_examples=15, deadline=None)
@given(x=st.floats(0, 1), y=st.floats(0, 1), width=st.floats(1e-6, 1), height=st.floats(1e-6, 1))
def test_waves_have_their_mean_over_the_box(name, x, y, width, height):
    encoder, count = waves(name), 150
    middles = (torch.arange(count, dtype=torch.float64) + 0.5) / count - 0.5
    points = torch.cartesian_prod(x + width * middles, y + height * middles)
    found = encoder(torch.tensor([[x, y]]).double(), torch.tensor([[width, height]]).double())[0]
    # The midpoint rule with 150 points a side is off by less than 0.01 for the highest of these waves.
    assert torch.allclose(found, encoder(points).mean(0), atol=1e-2)


@pytest.mark.parametrize("make", [hash_grid, dense_grid, lambda: waves("octaves"), lambda: waves("fourier")])
def test_a_point_is_a_region_of_no_size(make):
    encoder, coords = make(), torch.rand(50, 2, generator=random(3)).double()
    assert torch.equal(encoder(coords, torch.zeros_like(coords)), encoder(coords))


def test_levels_fade_as_their_cells_become_smaller_than_the_region():
    grid, coords = hash_grid(), torch.rand(20, 2, generator=random(4)).double()
    points = grid(coords).unflatten(-1, (4, 2))
    shares = grid(coords, torch.full_like(coords, 1 / 8)).unflatten(-1, (4, 2)) / points
    cells = torch.tensor([level.scale / 8 for level in grid.layout.per_level]).double()
    expected = torch.erf(math.sqrt(1.5) / cells)  # the formula of the paper, with s^2 = f^2 / 12
    assert torch.allclose(shares, expected[:, None].expand(4, 2))
    assert expected[0] > 0.99 and expected[-1] < 0.5


def test_the_coarsest_of_dense_grids_stays():
    grid, coords = dense_grid(), torch.rand(20, 2, generator=random(5)).double()
    points, means = grid(coords), grid(coords, torch.full_like(coords, 100.0))
    assert torch.equal(means[:, :2], points[:, :2])
    assert (means[:, 2:] / points[:, 2:]).abs().max() < 1e-2


def test_a_grid_of_one_level_does_not_fade_and_neither_does_what_has_it():
    grid = FactorGrid(tri_plane(4, (8, 8, 8)), "torch", lambda part, axes: part.normal_(generator=random(6)))
    coords = torch.rand(9, 3, generator=random(7))
    assert torch.equal(grid(coords, torch.ones_like(coords)), grid(coords))
    assert not grid.fades and not TriPlane(grid, 2).fades and hash_grid().fades


def test_unequal_sides_count_by_their_root_mean_square():
    cells = torch.tensor([[10.0, 10.0], [20.0, 0.0]])
    found = cells_across(torch.tensor([[0.3, 0.4]]), cells)
    assert found[0].tolist() == pytest.approx([math.sqrt((9 + 16) / 2), 6.0])
    assert fading_weights(torch.zeros(1)).item() == 1.0


def test_footprints_are_numbers_rows_or_columns():
    coords = torch.zeros(3, 5, 2)
    assert expand_footprint(0.5, coords).shape == coords.shape
    rows = torch.rand(3, 5)
    assert torch.equal(expand_footprint(rows, coords), rows[..., None].expand(3, 5, 2))
    assert torch.equal(
        expand_footprint(torch.rand(3, 5, 2, generator=random()), coords), torch.rand(3, 5, 2, generator=random())
    )
    for wrong in (torch.rand(2), torch.rand(5, 2), torch.rand(3), -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="footprint"):
            expand_footprint(wrong, coords)


@pytest.mark.parametrize("make", [hash_grid, dense_grid, lambda: waves("octaves"), lambda: waves("fourier")])
def test_gradients_in_coords_and_footprint(make):
    encoder = make()
    for parameter in encoder.parameters():
        parameter.requires_grad_(False)
    coords = (torch.rand(4, 2, generator=random(8)).double() * 0.9 + 0.03).requires_grad_()
    sizes = (torch.rand(4, 2, generator=random(9)).double() * 0.2 + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(encoder, (coords, sizes))
    # At no size the weights are constant, not undefined.
    nothing = torch.zeros_like(sizes).requires_grad_()
    encoder(coords, nothing).sum().backward()
    assert nothing.grad is not None and nothing.grad.isfinite().all()
