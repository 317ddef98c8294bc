"""Texels from photographs: how well they agree, seams, exposures, what is not seen, and the time it takes."""

import time

import numpy as np
import pytest

from fields.surface.texturing.atlas import bilinear_taps, interpolated, make_atlas, seam_pairs
from fields.surface.texturing.collect import collect_pixels
from fields.surface.texturing.footprints import MeshInViews
from fields.surface.texturing.mesh_psnr import mesh_psnr
from fields.surface.texturing.photo_texture import photo_texture, pixels_psnr
from fields.surface.texturing.rows import texel_taps, weighted_mean
from fields.surface.texturing.vertex_colors import photo_vertex_colors
from scenes.errors import BadInput
from tests.surface.texturing.painted_cube import cube, photographs, waves

SIZE = 128
GAINS = np.exp(np.random.default_rng(5).uniform(np.log(0.8), np.log(1.25), 16))


def seam_steps(texture: np.ndarray, level: int) -> np.ndarray:
    """Largest difference of a channel, of 255, between both sides of seams in a mip level of a texture."""
    vertices, faces, uv = cube()
    image = texture.astype(np.float64)
    for _ in range(level):
        image = image.reshape(len(image) // 2, 2, len(image) // 2, 2, 3).mean(axis=(1, 3))
    seams = seam_pairs(vertices, faces, uv, SIZE)
    sides = []
    for k in range(2):
        taps, weights = bilinear_taps(seams[:, k], len(image))
        sides.append((image.reshape(-1, 3)[taps] * weights[..., None]).sum(axis=1))
    return np.abs(sides[0] - sides[1]).max(axis=1)


@pytest.fixture(scope="module")
def painted():
    return photo_texture(*cube(), photographs(waves), SIZE)


def test_texture_agrees_with_photographs_and_with_new_views(painted):
    assert painted.texture.shape == (SIZE, SIZE, 3) and painted.texture.dtype == np.uint8
    assert painted.seen > 0.999 and painted.psnr > 44
    new = photographs(waves, 7)
    assert mesh_psnr(*cube(), painted.texture, new) > 38, "silhouettes are drawn with 9 samples a pixel"


def test_texels_have_the_colors_of_their_points(painted):
    vertices, faces, uv = cube()
    atlas = make_atlas(vertices, faces, uv, SIZE)
    inside = atlas.faces >= 0
    points = interpolated(vertices, faces, atlas.faces[inside], atlas.weights[inside])
    error = painted.texture.reshape(-1, 3)[atlas.texels[inside]] / 255 - waves(points)
    assert np.sqrt((error**2).mean()) < 2 / 255


def test_solved_texels_are_better_than_the_weighted_mean_by_a_decibel(painted):
    vertices, faces, uv = cube()
    atlas = make_atlas(vertices, faces, uv, SIZE)
    mesh = MeshInViews.of(vertices, faces, uv, SIZE)
    rows = collect_pixels(mesh, photographs(waves), texel_taps(atlas, faces, uv), atlas.num_texels).rows
    assert painted.psnr > pixels_psnr(rows, weighted_mean(rows)[0]) + 1


def test_photographs_of_a_mirror_are_told(painted):
    assert not painted.notes
    mirror = [photographs(lambda points, k=k: waves(points + 2.0 * k), 8, 24)[k] for k in range(8)]
    found = photo_texture(*cube(), mirror, SIZE)
    assert found.psnr < 17 and any("a mirror has none" in note for note in found.notes)


def test_equal_exposures_are_left_alone(painted):
    assert (painted.gains == 1).all()


def test_no_seam_shows_in_smooth_colors():
    """Colors that change by up to 1/255 a texel. At mip level 2 look-ups reach the middle between charts."""
    found = photo_texture(*cube(), photographs(lambda points: waves(0.06 * points)), SIZE)
    for level, most in enumerate((2, 2, 4)):
        assert seam_steps(found.texture, level).max() <= most


def test_no_seam_shows_in_a_checker_of_one_texel():
    """Squares that are as small as texels, of 120 and 136 of 255, continue across charts at mip levels 0 to 2."""
    square = 1.25 * 3 / SIZE

    def checker(points):
        even = np.floor(points / square + 1e-3).astype(int).sum(axis=1) % 2
        return np.repeat(np.where(even, 120, 136)[:, None] / 255, 3, axis=1)

    found = photo_texture(*cube(), photographs(checker, 24, 128), SIZE)
    assert found.texture[20:50, 20:50].std() > 1.5, "the checker is there"
    for level in range(3):
        assert np.quantile(seam_steps(found.texture, level), 0.95) <= 2


def test_exposures_are_levelled_and_leave_no_seams():
    found = photo_texture(*cube(), photographs(waves, gains=GAINS), SIZE)
    wanted = GAINS / np.exp(np.log(GAINS).mean())
    assert np.abs(np.log(found.gains) - np.log(wanted)[:, None]).max() < 0.015
    assert found.psnr > 36 and seam_steps(found.texture, 0).max() <= 3


def test_one_dark_photograph_leaves_no_seams():
    gains = np.ones(16)
    gains[3] = 0.8
    found = photo_texture(*cube(), photographs(waves, gains=gains), SIZE)
    assert np.abs(np.log(found.gains[3]).mean() - np.log(0.8) * 15 / 16) < 0.015
    assert seam_steps(found.texture, 0).max() <= 3


def test_what_no_photograph_sees_has_the_color_of_the_field():
    vertices, faces, uv = cube()
    asked = []

    def field(points):
        asked.append(points)
        return np.tile([1.0, 0.0, 0.0], (len(points), 1))

    found = photo_texture(vertices, faces, uv, photographs(waves, above=True), SIZE, fallback=field)
    atlas = make_atlas(vertices, faces, uv, SIZE)
    below = atlas.faces >= 0
    below[below] = (vertices[faces[atlas.faces[below]]][..., 2] == -0.5).all(axis=1)
    texels = found.texture.reshape(-1, 3)[atlas.texels[below]]
    assert found.seen == pytest.approx(5 / 6, abs=0.02)
    assert np.abs(np.median(texels, axis=0) - [255, 0, 0]).max() <= 1
    assert (np.concatenate(asked)[:, 2] < 0.5).all()


def test_black_object_on_black_is_told_by_alpha():
    """Pixels around the object are as black as it is, and yet nothing of them gets into the texture."""

    def dark(points):
        return 0.02 + 0.02 * waves(points)

    views = photographs(dark)
    for view in views:
        view.pixels[view.pixels[..., 3] == 0] = 0
    found = photo_texture(*cube(), views, SIZE)
    assert found.seen > 0.999 and found.psnr > 44
    atlas = make_atlas(*cube(), SIZE)
    assert found.texture.reshape(-1, 3)[atlas.texels].min() >= 4


def test_ends_within_its_time_and_says_what_it_left_out():
    views = photographs(waves, 16, 128) * 10
    began = time.monotonic()
    found = photo_texture(*cube(), views, 256, seconds=0.6)
    assert time.monotonic() - began < 3
    assert found.texture.shape[0] == 256 and any("160 photographs" in note for note in found.notes)
    assert found.psnr > 30


def test_texture_is_smaller_where_photographs_have_no_detail():
    found = photo_texture(*cube(), photographs(waves, 4, 32), 1024)
    assert found.texture.shape[0] < 1024 and "1024 x 1024" in found.notes[0]


def test_progress_rises_to_one():
    fractions = []
    photo_texture(*cube(), photographs(waves, 6), SIZE, progress=fractions.append)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0 and len(fractions) > 40


def test_refuses_cameras_that_do_not_see_the_mesh():
    vertices, faces, uv = cube()
    with pytest.raises(BadInput, match="no photograph shows the mesh"):
        photo_texture(vertices + 100.0, faces, uv, photographs(waves, 4), SIZE)


def test_vertex_colors_of_colors_that_are_linear_on_triangles():
    def ramp(points):
        return 0.5 + points * [0.5, 0.4, -0.6]

    vertices, faces, _ = cube()
    found = photo_vertex_colors(vertices, faces, photographs(ramp))
    assert found.seen == 1 and np.abs(found.colors - ramp(vertices)).max() < 8 / 255, "edges are smoothed"
    assert np.median(np.abs(found.colors - ramp(vertices))) < 1 / 255
    assert mesh_psnr(vertices, faces, None, found.colors, photographs(ramp, 5)) > 38


def test_vertex_colors_of_what_is_not_seen_come_from_the_field_or_the_surroundings():
    vertices, faces, _ = cube()
    views = photographs(waves, above=True)
    below = (vertices[:, 2] == -0.5) & (np.abs(vertices[:, :2]) < 0.45).all(axis=1)
    found = photo_vertex_colors(vertices, faces, views, fallback=lambda points: np.ones((len(points), 3)))
    assert found.colors[below].min() > 0.98
    alone = photo_vertex_colors(vertices, faces, views).colors
    assert np.isfinite(alone).all() and alone[below].min() > 0.05 and alone[below].max() < 0.95
