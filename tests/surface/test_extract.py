"""Marching cubes where there is a surface: closed, welded, on the surface, whatever the blocks and slabs."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import marching_cubes

from fields.surface import extract as module
from fields.surface.extract import extract
from fields.surface.lattice import lattice
from fields.surface.marching_cubes_table import marching_cubes_table
from fields.surface.surface_mesh import surface_mesh, surface_triangles
from scenes.errors import BadInput
from tests.surface.implicits import RADIUS, ball, implicit, noise, torus

WHOLE = (0.0,) * 3, (1.0,) * 3


def closed(mesh) -> trimesh.Trimesh:
    """Every edge has two faces that are oriented alike, judged by trimesh and from the numbers alone."""
    found = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert found.is_watertight and found.is_winding_consistent
    assert len(trimesh.Trimesh(mesh.vertices, mesh.faces).vertices) == len(mesh.vertices), "not welded"
    return found


def test_the_table_of_cases_is_whole():
    table = marching_cubes_table()
    assert (
        table.count[0] == table.count[255] == 0
        and table.count.max() == 5
        and len(table.axis) == table.count.sum() == 820
    )
    assert (np.take_along_axis(table.offset, table.axis[..., None], -1) == 0).all(), "an edge begins at its lower node"


@pytest.mark.parametrize("type_", ["distance", "values"])
@pytest.mark.parametrize("resolution", [31, 64, 101])
def test_a_ball_that_no_block_divides_is_closed_and_on_the_ball(type_: str, resolution: int):
    mesh = extract(implicit(ball, type_), lattice(*WHOLE, resolution))
    found = closed(mesh)
    assert found.euler_number == 2
    assert np.abs(np.linalg.norm(mesh.vertices - 0.5, axis=1) - RADIUS).max() < 2e-6
    assert found.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=6 / resolution**2)
    assert resolution < 60 or mesh.evaluations < 0.55 * (resolution + 1) ** 3


@pytest.mark.parametrize("slab", [1, 1 << 30])
def test_slabs_make_no_difference(monkeypatch, slab: int):
    whole = extract(implicit(torus), lattice(*WHOLE, 50))
    monkeypatch.setattr(module, "SLAB_BYTES", slab)
    parts = extract(implicit(torus), lattice(*WHOLE, 50))
    closed(parts)
    one, other = ({mesh.vertices[face].tobytes() for face in mesh.faces} for mesh in (whole, parts))
    assert one == other, "the vertices are numbered otherwise, and that is all"


def test_the_same_surface_as_a_dense_lattice_with_another_program():
    n = 48
    mesh = extract(implicit(torus, "values"), lattice(*WHOLE, n))
    axis = torch.arange(n + 1) / n
    values = torus(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)).reshape(
        n + 1, n + 1, n + 1
    )
    vertices, faces, _, _ = marching_cubes(values.numpy(), 0.0)
    dense = trimesh.Trimesh(vertices / n, faces, process=False)
    found = closed(mesh)
    assert found.euler_number == dense.euler_number == 0 and len(mesh.vertices) == len(vertices)
    assert found.area == pytest.approx(dense.area, rel=2e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), resolution=st.integers(9, 40), x=st.floats(0.3, 1.0), y=st.floats(0.3, 1.0))
def test_what_leaves_the_box_is_closed_there(seed: int, resolution: int, x: float, y: float):
    extents = (x, 1.0, y)
    mesh = extract(implicit(noise(seed), "values", extents), lattice((0.0,) * 3, extents, resolution))
    found = closed(mesh)
    slack = 2e-3 / resolution
    assert (
        (found.bounds[0] >= -slack).all() and (found.bounds[1] <= np.array(extents) + slack).all() and found.volume > 0
    )


@pytest.mark.parametrize("slab", [1, 1 << 30])
def test_a_surface_is_followed_where_the_distances_are_wrong(monkeypatch, slab: int):
    """Far from the top, values that promise no surface for a long way."""

    def lying(points):
        value = ball(points)
        return torch.where(points[:, 0] > 0.75, value, value * 60)

    monkeypatch.setattr(module, "SLAB_BYTES", slab)
    mesh = extract(implicit(lying), lattice(*WHOLE, 48))
    assert closed(mesh).volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)


def test_numbers_that_are_none_count_as_outside():
    mesh = extract(implicit(lambda p: torch.where(p[:, 0] < 0.4, torch.nan, ball(p))), lattice(*WHOLE, 40))
    assert closed(mesh).bounds[0, 0] > 0.35


def test_edges_are_numbered_beyond_32_bits():
    """A millimetre of a lattice of 4096 cells: the numbers of its last edges are 2 * 10^11."""
    cells = lattice(*WHOLE, 4096)
    assert int(np.prod(cells.nodes)) * 3 > 1 << 37
    tiny = implicit(lambda p: (p - torch.tensor([0.995, 0.995, 0.995])).norm(dim=-1) - 0.002)
    found = _near_only(tiny, cells)
    assert np.abs(np.linalg.norm(found.vertices - 0.995, axis=1) - 0.002).max() < 1e-5
    closed(found)


def _near_only(tiny, cells):
    """`extract` where the first look is skipped."""
    extraction = module._Extraction.__new__(module._Extraction)
    extraction.implicit, extraction.lattice, extraction.shift, extraction.progress = (
        tiny,
        cells,
        np.float32(0),
        lambda share: None,
    )
    extraction.nodes, extraction.evaluations = cells.nodes, 0
    extraction.active = np.zeros(cells.blocks, bool)
    middle = int(0.995 * 4096) // 4
    extraction.active[middle - 4 :, middle - 4 :, middle - 4 :] = True
    return extraction.run()


@pytest.mark.parametrize("resolution", [1, 7, 4097, 100_000])
def test_resolutions_out_of_range(resolution: int):
    with pytest.raises(BadInput, match="from 8 to 4096"):
        lattice(*WHOLE, resolution)


def test_nothing_is_nothing():
    assert len(extract(implicit(lambda p: p[:, 0] + 1), lattice(*WHOLE, 32)).faces) == 0


def test_a_function_without_a_zero_gives_no_triangles():
    found = surface_triangles(implicit(lambda points: points[:, 0] + 1), 32)
    assert found.crossed == 0 and len(found.vertices) == len(found.faces) == 0


@pytest.mark.parametrize("type_", ["distance", "values"])
def test_metrics_are_scored_on_the_triangles_that_exports_write(type_: str):
    scored, written = surface_triangles(implicit(torus, type_), 40), surface_mesh(implicit(torus, type_), 40)
    assert np.array_equal(scored.vertices, written.vertices) and np.array_equal(scored.faces, written.faces)
