"""The equations of texels and their solution, against dense algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from fields.surface.texturing import solve
from fields.surface.texturing.atlas import bilinear_taps, make_atlas, texel_positions
from fields.surface.texturing.collect import collect_pixels
from fields.surface.texturing.footprints import MeshInViews, view_footprints
from fields.surface.texturing.gains import level_exposures, part_gains
from fields.surface.texturing.photo_texture import texel_regularisation
from fields.surface.texturing.rows import PixelRows, texel_taps
from tests.surface.texturing.painted_cube import cube, photographs, waves


def random_rows(seed: int, pixels: int = 60, unknowns: int = 12) -> PixelRows:
    random = np.random.default_rng(seed)
    dense = random.random((pixels, unknowns)) * (random.random((pixels, unknowns)) < 0.3) + 1e-3
    dense /= dense.sum(axis=1, keepdims=True)
    return PixelRows(
        csr_matrix(dense.astype(np.float32)),
        random.random((pixels, 3)).astype(np.float32),
        random.uniform(0.2, 1, pixels).astype(np.float32),
        random.integers(0, 4, pixels).astype(np.int32),
    )


def chain(unknowns: int) -> csr_matrix:
    neighbours = np.stack([np.arange(unknowns) - 1, np.arange(1, unknowns + 1)], axis=1)
    neighbours[-1, 1] = -1
    return solve.grid_laplacian(neighbours.astype(np.int32))


@given(seed=st.integers(0, 1000), tied=st.booleans())
@settings(max_examples=20, deadline=None)
def test_solution_is_that_of_dense_least_squares(seed, tied):
    """Without outliers Huber's weights are 1, and the colors solve the normal equations."""
    rows, prior = random_rows(seed), np.full((12, 3), 0.5, np.float32)
    ties = csr_matrix(np.eye(1, 12, 2, dtype=np.float32) - np.eye(1, 12, 7, dtype=np.float32)) if tied else None
    known = solve.Regularisation(chain(12), ties, np.ones(12, np.float32))
    found = solve.solve_colors([rows], prior, known).colors
    dense = rows.matrix.toarray().astype(float)
    weight = dense.T @ rows.trust
    typical = np.median(weight)
    residual = dense @ prior - rows.colors
    matrix = dense.T @ (rows.trust[:, None] * dense) + solve.SMOOTH_WEIGHT * typical * known.laplacian.toarray()
    matrix += np.eye(12) * solve.MAX_PRIOR_WEIGHT * typical
    if ties is not None:
        matrix += solve.SEAM_WEIGHT * typical * (ties.T @ ties).toarray()
    wanted = np.linalg.solve(
        matrix, dense.T @ (rows.trust[:, None] * rows.colors) + solve.MAX_PRIOR_WEIGHT * typical * prior
    )
    assert residual.std() > 0.1, "random colors are far from any texture, so the prior has its largest weight"
    assert found == pytest.approx(wanted, abs=2e-4)


def test_outliers_count_less():
    rows = random_rows(3, pixels=400)
    rows.colors[:] = rows.predicted(np.full((12, 3), 0.4, np.float32))
    rows.colors[::20] = 1.0
    known = solve.Regularisation(chain(12), None, np.ones(12, np.float32))
    found = solve.solve_colors([rows], np.full((12, 3), 0.4, np.float32), known).colors
    assert np.abs(found - 0.4).max() < 0.02, "their mean would be off by 0.03"


def test_steps_stop_at_the_deadline():
    rows, prior = random_rows(1), np.full((12, 3), 0.5, np.float32)
    known = solve.Regularisation(chain(12), None, np.ones(12, np.float32))
    found = solve.solve_colors([rows], prior, known, deadline=0.0)
    assert found.steps == 0 and np.array_equal(found.colors, prior)


@given(seed=st.integers(0, 1000), size=st.sampled_from([8, 33, 128]))
@settings(max_examples=20, deadline=None)
def test_bilinear_look_ups_reproduce_planes(seed, size):
    uv = np.random.default_rng(seed).uniform(1 / size, 1 - 1 / size, (50, 2))
    taps, weights = bilinear_taps(uv, size)
    row, column = np.divmod(taps, size)
    position = texel_positions(uv, size)
    assert weights.sum(axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    assert (weights * column).sum(axis=1) == pytest.approx(position[:, 0], abs=size * 1e-5)
    assert (weights * row).sum(axis=1) == pytest.approx(position[:, 1], abs=size * 1e-5)


def test_every_texel_that_is_looked_up_is_numbered():
    vertices, faces, uv = cube()
    atlas = make_atlas(vertices, faces, uv, 96)
    random = np.random.default_rng(0)
    weights = random.dirichlet(np.ones(3), 20_000)
    points = np.einsum("nk,nkc->nc", weights, uv[faces[random.integers(0, len(faces), 20_000)]])
    assert (np.take(atlas.number, bilinear_taps(points, 96)[0]) >= 0).all()
    assert len(np.unique(atlas.charts)) == 6


def test_seams_join_the_same_points_of_the_cube():
    vertices, faces, uv = cube()
    atlas = make_atlas(vertices, faces, uv, 128)
    assert len(atlas.seams) >= 12 * 35, "12 edges of about 40 texels"
    ties = texel_regularisation(atlas, np.ones(atlas.num_texels, bool)).ties
    assert ties is not None
    constant = ties @ np.ones(atlas.num_texels, np.float32)
    assert np.abs(constant).max() < 1e-5


def test_pixels_beside_edges_and_seen_from_the_side_count_less():
    vertices, faces, uv = cube()
    view = photographs(waves, 1, 64, above=True)[0]
    found = view_footprints(MeshInViews.of(vertices, faces, uv, 128), view)
    assert len(found.trust) > 500 and 0 < found.trust.min() < 0.2 * found.trust.max()
    assert found.triangles.min() >= 0 and found.weights.min() >= -1e-5


def test_transparent_and_mixed_pixels_are_left_out():
    vertices, faces, uv = cube()
    view = photographs(waves, 1)[0]
    mesh = MeshInViews.of(vertices, faces, uv, 128)
    whole = len(view_footprints(mesh, view).trust)
    view.pixels[:32, :, 3] = 128
    assert 0.2 * whole < len(view_footprints(mesh, view).trust) < 0.8 * whole


def test_averaged_pixels_show_the_same_colors():
    vertices, faces, uv = cube()
    mesh = MeshInViews.of(vertices, faces, uv, 128)
    atlas = make_atlas(vertices, faces, uv, 128)
    taps = texel_taps(atlas, faces, uv)
    full, half = (
        collect_pixels(mesh, photographs(waves, 2, 128), taps, atlas.num_texels, reduction=reduction).rows[0]
        for reduction in (1, 2)
    )
    assert len(half) == pytest.approx(len(full) / 4, rel=0.1)
    assert half.colors.mean(axis=0) == pytest.approx(full.colors.mean(axis=0), abs=0.01)


def rows_of_parts(colors: np.ndarray) -> PixelRows:
    """One pixel of each part in each view, of colors `[V, P, 3]`; unknowns are the parts' colors."""
    num_views, num_parts = colors.shape[:2]
    count = num_views * num_parts
    parts = np.tile(np.arange(num_parts, dtype=np.int32), num_views)
    return PixelRows(
        csr_matrix((np.ones(count, np.float32), parts, np.arange(count + 1)), shape=(count, num_parts)),
        colors.reshape(-1, 3).astype(np.float32),
        np.ones(count, np.float32),
        np.repeat(np.arange(num_views, dtype=np.int32), num_parts),
    )


@given(seed=st.integers(0, 1000), own=st.floats(0.03, 0.15))
@settings(max_examples=15, deadline=None)
def test_reflections_are_no_exposures(seed, own):
    """Parts differ between views by their reflections, and views as a whole by two fifths of that, as measured."""
    random = np.random.default_rng(seed)
    colors = random.uniform(0.25, 0.5, (1, 60, 3)) * np.exp(own * random.normal(size=(40, 60, 1)))
    seeming = np.exp(0.4 * own * normalized(random.normal(size=40)))[:, None, None]
    rows = rows_of_parts(colors * seeming)
    before = rows.colors.copy()
    assert (level_exposures([rows], np.arange(60), 40) == 1).all()
    np.testing.assert_array_equal(rows.colors, before)


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_exposures_are_seen_through_reflections(seed):
    random = np.random.default_rng(seed)
    gains = 0.15 * normalized(random.normal(size=30))
    colors = random.uniform(0.25, 0.4, (1, 80, 3)) * np.exp(0.05 * random.normal(size=(30, 80, 1)))
    found = np.log(level_exposures([rows_of_parts(colors * np.exp(gains)[:, None, None])], np.arange(80), 30))
    assert np.abs(found.mean(axis=1) - gains).max() < 0.04


def normalized(values: np.ndarray) -> np.ndarray:
    """Values `[N]` of mean 0 and deviation 1."""
    return (values - values.mean()) / values.std()


@given(seed=st.integers(0, 1000), spread=st.floats(0.0, 0.3))
@settings(max_examples=15, deadline=None)
def test_gains_of_parts_are_found_exactly(seed, spread):
    """Pixels of one color a part, multiplied by a gain a view."""
    random = np.random.default_rng(seed)
    gains = np.exp(random.uniform(-spread, spread, (6, 3)))
    found = part_gains([rows_of_parts(random.uniform(0.2, 0.6, (40, 3)) * gains[:, None])], np.arange(40), 6)
    wanted = np.log(gains) - np.log(gains).mean(axis=0)
    # A small weight holds the gains at 0.
    assert found == pytest.approx(wanted, abs=2e-3)
