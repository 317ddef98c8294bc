"""Extracted meshes are closed, welded and on the surface, for all divisions into blocks and slabs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import marching_cubes

from fields.surface import extract as module
from fields.surface.extract import Extraction, ShiftedFunction, extract
from fields.surface.implicit import MIN_SHAPE_COMPONENT
from fields.surface.lattice import make_lattice
from fields.surface.marching_cubes_table import marching_cubes_table
from fields.surface.surface_mesh import surface_mesh, surface_triangles
from fields.surface.topology import component_labels
from scenes.errors import BadInput
from tests.surface.analytic_implicits import RADIUS, ball, implicit, noise, torus

WHOLE = (0.0,) * 3, (1.0,) * 3


def checked_closed(mesh) -> trimesh.Trimesh:
    """The mesh in trimesh, after asserting that every edge has two faces with consistent orientation."""
    found = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert found.is_watertight and found.is_winding_consistent
    assert len(trimesh.Trimesh(mesh.vertices, mesh.faces).vertices) == len(mesh.vertices), "not welded"
    return found


def test_the_table_has_the_triangles_of_all_cases():
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
    mesh = extract(implicit(ball, type_), make_lattice(*WHOLE, resolution))
    found = checked_closed(mesh)
    assert found.euler_number == 2
    assert np.abs(np.linalg.norm(mesh.vertices - 0.5, axis=1) - RADIUS).max() < 2e-6
    assert found.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=6 / resolution**2)
    assert resolution < 60 or mesh.evaluations < 0.55 * (resolution + 1) ** 3


@pytest.mark.parametrize("slab", [1, 1 << 30])
def test_the_thickness_of_slabs_does_not_change_the_mesh(monkeypatch, slab: int):
    whole = extract(implicit(torus), make_lattice(*WHOLE, 50))
    monkeypatch.setattr(module, "SLAB_BYTES", slab)
    parts = extract(implicit(torus), make_lattice(*WHOLE, 50))
    checked_closed(parts)
    one, other = ({mesh.vertices[face].tobytes() for face in mesh.faces} for mesh in (whole, parts))
    assert one == other, "only the order of the vertices differs"


def test_a_surface_equals_that_of_scikit_image_on_a_dense_lattice():
    n = 48
    mesh = extract(implicit(torus, "values"), make_lattice(*WHOLE, n))
    axis = torch.arange(n + 1) / n
    values = torus(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)).reshape(
        n + 1, n + 1, n + 1
    )
    vertices, faces, _, _ = marching_cubes(values.numpy(), 0.0)
    dense = trimesh.Trimesh(vertices / n, faces, process=False)
    found = checked_closed(mesh)
    assert found.euler_number == dense.euler_number == 0 and len(mesh.vertices) == len(vertices)
    assert found.area == pytest.approx(dense.area, rel=2e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), resolution=st.integers(9, 40), x=st.floats(0.3, 1.0), y=st.floats(0.3, 1.0))
def test_what_leaves_the_box_is_closed_there(seed: int, resolution: int, x: float, y: float):
    extents = (x, 1.0, y)
    mesh = extract(implicit(noise(seed), "values", extents), make_lattice((0.0,) * 3, extents, resolution))
    found = checked_closed(mesh)
    slack = 2e-3 / resolution
    assert (
        (found.bounds[0] >= -slack).all() and (found.bounds[1] <= np.array(extents) + slack).all() and found.volume > 0
    )


@pytest.mark.parametrize("slab", [1, 1 << 30])
def test_a_surface_is_followed_where_the_distances_are_wrong(monkeypatch, slab: int):
    """Away from the right end, the values are 60 times the distance."""

    def overstated(points):
        value = ball(points)
        return torch.where(points[:, 0] > 0.75, value, value * 60)

    monkeypatch.setattr(module, "SLAB_BYTES", slab)
    mesh = extract(implicit(overstated), make_lattice(*WHOLE, 48))
    assert checked_closed(mesh).volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)


def test_nan_counts_as_outside():
    mesh = extract(implicit(lambda p: torch.where(p[:, 0] < 0.4, torch.nan, ball(p))), make_lattice(*WHOLE, 40))
    assert checked_closed(mesh).bounds[0, 0] > 0.35


def test_indices_of_edges_may_exceed_32_bits():
    """In a lattice of 4096 cells the last edges have indices of 2 * 10^11."""
    cells = make_lattice(*WHOLE, 4096)
    assert int(np.prod(cells.nodes)) * 3 > 1 << 37
    tiny = implicit(lambda p: (p - torch.tensor([0.995, 0.995, 0.995])).norm(dim=-1) - 0.002)
    active = np.zeros(cells.blocks, bool)
    middle = int(0.995 * 4096) // 4
    active[middle - 4 :, middle - 4 :, middle - 4 :] = True
    found = Extraction(ShiftedFunction(tiny), cells, active).run()
    assert np.abs(np.linalg.norm(found.vertices - 0.995, axis=1) - 0.002).max() < 1e-5
    checked_closed(found)


@pytest.mark.parametrize("resolution", [1, 7, 4097, 100_000])
def test_refuses_a_resolution_out_of_range(resolution: int):
    with pytest.raises(BadInput, match="from 8 to 4096"):
        make_lattice(*WHOLE, resolution)


def test_a_function_above_zero_everywhere_has_no_faces():
    assert len(extract(implicit(lambda p: p[:, 0] + 1), make_lattice(*WHOLE, 32)).faces) == 0


def test_a_function_without_a_zero_gives_no_triangles():
    found = surface_triangles(implicit(lambda points: points[:, 0] + 1), 32)
    assert found.crossed == 0 and len(found.vertices) == len(found.faces) == 0


@pytest.mark.parametrize("type_", ["distance", "values"])
def test_metrics_are_scored_on_the_triangles_that_exports_write(type_: str):
    scored, written = surface_triangles(implicit(torus, type_), 40), surface_mesh(implicit(torus, type_), 40)
    assert np.array_equal(scored.vertices, written.vertices) and np.array_equal(scored.faces, written.faces)
    assert torus(torch.from_numpy(written.vertices)).abs().max() < 1e-4


def test_specks_of_a_shape_are_removed_and_noticeable_parts_stay():
    def balls(points):
        specks = [(points - torch.tensor(at)).norm(dim=-1) - 0.004 for at in ((0.1, 0.1, 0.1), (0.9, 0.2, 0.8))]
        eye = (points - torch.tensor([0.9, 0.9, 0.9])).norm(dim=-1) - 0.02
        return torch.stack([ball(points), eye, *specks]).amin(dim=0)

    found = implicit(balls)
    every = surface_mesh(found, 256)
    mesh = surface_mesh(replace(found, min_component=MIN_SHAPE_COMPONENT), 256)
    assert component_labels(len(every.vertices), every.faces).max() == 3 and not every.notes
    assert component_labels(len(mesh.vertices), mesh.faces).max() == 1
    assert mesh.notes == ["Removed 2 small components (0.03% of the area; `keep_components` keeps them)"]
