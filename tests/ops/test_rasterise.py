"""Rasterisation: properties of the reference, and the native kernel against it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ops_helpers import available_isas, instruction_set

from fields.ops.rasterise import rasterise


def random_mesh(vertices, faces, height, width, seed, kind="smooth"):
    random = torch.Generator().manual_seed(seed)
    positions = torch.rand(vertices, 3, generator=random)
    positions[:, 0] = (1.4 * positions[:, 0] - 0.2) * width
    positions[:, 1] = (1.4 * positions[:, 1] - 0.2) * height
    positions[:, 2] = 4 * positions[:, 2] - 0.4
    if kind == "lattice":  # corners and edges at centres of pixels, and triangles at the same depth
        positions[:, :2] = (2 * positions[:, :2]).round() / 2
        positions[:, 2] = positions[:, 2].round().clamp_min(1)
    return positions, torch.randint(0, vertices, (faces, 3), generator=random)


def cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def covering(positions, face, x, y):
    """Whether a triangle has the point inside, by orientations in double precision."""
    a, b, c = positions[face, :2].astype(np.float64)
    areas = [cross(q - p, (x, y) - p) for p, q in ((a, b), (b, c), (c, a))]
    return cross(b - a, c - a) != 0 and (all(s >= 0 for s in areas) or all(s <= 0 for s in areas))


def test_weights_and_depth_reproduce_the_ray_through_a_pixel():
    """Corners weighted by the perspective-correct weights lie on the ray through the pixel, at the depth."""
    focal, size = 40.0, 32
    points = torch.tensor([[-0.4, -0.5, 1.0], [0.9, -0.6, 2.0], [0.1, 0.8, 3.0]])
    positions = torch.stack(
        [focal * points[:, 0] / points[:, 2] + size / 2, focal * points[:, 1] / points[:, 2] + size / 2, points[:, 2]],
        1,
    )
    raster = rasterise(positions, torch.tensor([[0, 1, 2]]), size, size)
    y, x = (raster.triangles >= 0).nonzero(as_tuple=True)
    weights = torch.cat([raster.weights, 1 - raster.weights.sum(-1, keepdim=True)], -1)[y, x]
    seen = weights @ points
    assert len(y) > 100
    assert torch.allclose(seen[:, 2], raster.depth[y, x], rtol=1e-5)
    assert torch.allclose(focal * seen[:, 0] / seen[:, 2] + size / 2, x + 0.5, atol=1e-2)
    assert torch.allclose(focal * seen[:, 1] / seen[:, 2] + size / 2, y + 0.5, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 9999), kind=st.sampled_from(["smooth", "lattice"]))
def test_pixel_shows_the_nearest_triangle_that_covers_it(seed, kind):
    positions, faces = random_mesh(9, 6, 7, 9, seed, kind)
    raster = rasterise(positions, faces, 7, 9)
    exact = positions.numpy().copy()
    exact[:, :2] = np.floor(exact[:, :2] * 4096 + 0.5) / 4096
    for y in range(7):
        for x in range(9):
            found = int(raster.triangles[y, x])
            usable = [f for f in faces.tolist() if (exact[f, 2] > 1e-6).all() and covering(exact, f, x + 0.5, y + 0.5)]
            if found >= 0:
                assert faces[found].tolist() in usable
            elif kind == "smooth":  # on a lattice, pixels on edges may belong to a neighbour that is not there
                assert not usable
    seen = raster.triangles >= 0
    assert (raster.weights[seen] >= 0).all() and (raster.weights[seen].sum(-1) <= 1 + 1e-6).all()
    assert (raster.weights[~seen] == 0).all() and raster.depth[~seen].isinf().all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), lattice=st.booleans(), columns=st.integers(1, 7), rows=st.integers(1, 7))
def test_pixels_of_a_plane_cut_into_triangles_are_covered_once(seed, lattice, columns, rows):
    """Each pixel of a triangulated rectangle lies in one triangle, whether or not edges pass through its centre."""
    random = torch.Generator().manual_seed(seed)
    width, height = 4 * columns, 4 * rows
    y, x = torch.meshgrid(torch.arange(rows + 1.0), torch.arange(columns + 1.0), indexing="ij")
    grid = 4 * torch.stack([x, y, torch.zeros_like(x)], -1)
    inner = grid[1:-1, 1:-1]
    moves = 1.4 * torch.rand(inner.shape, generator=random) - 0.7
    inner += (2 * moves).round() / 2 if lattice else moves
    grid[..., 2] = 1
    index = torch.arange((rows + 1) * (columns + 1)).view(rows + 1, columns + 1)
    a, b, c, d = (t.reshape(-1) for t in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = torch.cat([torch.stack([a, b, c], 1), torch.stack([a, c, d], 1)])
    count = torch.zeros(height, width, dtype=torch.int64)
    for face in faces:
        count += rasterise(grid.view(-1, 3), face[None], height, width).triangles >= 0
    assert (count == 1).all()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999))
def test_order_of_faces_and_corners_does_not_change_the_image(seed):
    positions, _ = random_mesh(120, 0, 12, 16, seed)
    faces = torch.randperm(120, generator=torch.Generator().manual_seed(seed)).view(40, 3)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    turned = faces[order].roll(seed % 3, 1)
    first, second = rasterise(positions, faces, 12, 16), rasterise(positions, turned, 12, 16)
    assert torch.equal(first.triangles, torch.where(second.triangles >= 0, order[second.triangles.long()], -1).int())
    assert torch.allclose(first.depth, second.depth, rtol=1e-6)


@pytest.mark.parametrize("isa", available_isas())
@settings(max_examples=40, deadline=None)
@given(
    faces=st.integers(0, 300),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    kind=st.sampled_from(["smooth", "lattice"]),
    seed=st.integers(0, 9999),
)
def test_native_kernel_equals_reference_to_the_last_bit(isa, faces, height, width, kind, seed):
    positions, faces = random_mesh(60, faces, height, width, seed, kind)
    with instruction_set(isa):
        native = rasterise(positions, faces, height, width, backend="native")
    for ours, reference in zip(native, rasterise(positions, faces, height, width, backend="torch")):
        assert torch.equal(ours, reference)


def test_number_of_threads_does_not_change_the_image():
    positions, faces = random_mesh(400, 1000, 200, 90, 0)
    before = torch.get_num_threads()
    rasters = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        rasters.append(rasterise(positions, faces, 200, 90, backend="native"))
    torch.set_num_threads(before)
    for raster in rasters[1:]:
        assert all(torch.equal(a, b) for a, b in zip(rasters[0], raster))


def test_lower_index_is_seen_of_equal_triangles():
    positions = torch.tensor([[0.0, 0, 1], [8, 0, 1], [0, 8, 1]])
    faces = torch.tensor([[0, 1, 2], [1, 2, 0], [2, 1, 0]])
    assert set(rasterise(positions, faces, 8, 8).triangles.unique().tolist()) == {-1, 0}


@pytest.mark.parametrize("bad", [(0.0, 0.0, 1e-7), (0.0, 0.0, -1.0), (float("nan"), 0.0, 1.0), (1e6, 0.0, 1.0)])
def test_leaves_out_faces_with_a_corner_that_cannot_be_drawn(bad):
    positions = torch.tensor([bad, (8, 0, 1), (0, 8, 1), (0, 0, 2.0)])
    raster = rasterise(positions, torch.tensor([[0, 1, 2], [3, 1, 2]]), 8, 8)
    assert set(raster.triangles.unique().tolist()) == {-1, 1}


def test_mesh_without_faces_gives_an_empty_image():
    raster = rasterise(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), 4, 5)
    assert raster.triangles.shape == (4, 5) and (raster.triangles == -1).all() and raster.depth.isinf().all()


@pytest.mark.parametrize(
    "positions, faces, size, message",
    [
        (torch.zeros(3, 2), torch.zeros(1, 3, dtype=torch.int64), (4, 4), "positions must be"),
        (torch.zeros(3, 3), torch.zeros(1, 4, dtype=torch.int64), (4, 4), "faces must be"),
        (torch.zeros(3, 3), torch.zeros(1, 3), (4, 4), "faces must be"),
        (torch.zeros(3, 3), torch.full((1, 3), 3), (4, 4), "vertices 0 to 2"),
        (torch.zeros(3, 3), torch.full((1, 3), -1), (4, 4), "vertices 0 to 2"),
        (torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.int64), (0, 4), "pixels a side"),
    ],
)
def test_refuses_impossible_arguments(positions, faces, size, message):
    with pytest.raises(ValueError, match=message):
        rasterise(positions, faces, *size)
