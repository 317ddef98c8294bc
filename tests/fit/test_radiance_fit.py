"""Fits of posed views: the rays that are drawn, and what every method that takes scenes learns from them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from posed_scene import SMALL, SMALL_GRID, resumed, write_moving, write_scene

import scenes
from fields.encoders.directions import spherical_harmonics
from fields.fit.fit import fit_field, prepare
from fields.methods.registry import make_method
from fields.runs.run import Run, load_field
from scenes.errors import BadInput

NETWORK = {**SMALL, "width": 32, "hidden_layers": 2, "color_width": 16, "color_layers": 1, "learning_rate": 5e-3}
GRIDS = {**SMALL, "resolution": 24, "width": 16, "color_width": 16, "color_layers": 1}
METHODS = {
    "hashgrid": SMALL_GRID,
    "rbf": {name: value for name, value in SMALL_GRID.items() if name != "width"} | {"units": 16},
    "densegrid": GRIDS,
    "tensorf": GRIDS | {"features": 4},
    "triplane": GRIDS | {"octaves": 3, "features": 8},
    "kplanes": GRIDS | {"features": 8},
    "neurbf": SMALL | {"kernels": 200, "width": 16, "color_width": 16, "color_layers": 1},
    "nerf": NETWORK,
    "cam": NETWORK,
    "nstr": NETWORK | {"waves": 32},
    "siren": NETWORK,
    "finer": NETWORK,
    "wire": NETWORK,
    "frequency": NETWORK,
    "fourier": NETWORK | {"sigma": 1.0},
}

# Spherical harmonics in place of a color network: the grid of PVD, GNF-SH, and VM without any network.
HARMONICS = {
    "densegrid": SMALL
    | {"resolution": 12, "levels": 1, "features": 28, "head": "linear", "color": "harmonics", "direction_degree": 3},
    "rbf": METHODS["rbf"] | {"color": "harmonics"},
    "tensorf": METHODS["tensorf"] | {"head": "linear", "color": "harmonics", "direction_degree": 2},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("ball") / "scene")


@pytest.fixture(scope="module")
def scene(folder):
    return scenes.load(folder)


def test_the_cube_holds_the_ball_and_rays_hit_it_where_pixels_are_opaque(scene):
    assert scene.kind == "radiance" and scene.has_alpha and not scene.moving and not scene.unbounded
    assert len(scene.training) == 12 and len(scene.test) == 3
    lower, upper = (np.array([getattr(axis, name) for axis in scene.domain.axes]) for name in ("lower", "upper"))
    assert (lower < -1.2).all() and (upper > 1.2).all() and (np.ptp(upper - lower) < 1e-9)
    rays = scene.rays(3, 100, 0)
    assert np.allclose(np.linalg.norm(rays.directions, axis=1), 1, atol=1e-6)
    again = scene.rays(3, 100, 0)
    assert all(
        np.array_equal(getattr(rays, name), getattr(again, name))
        for name in ("origins", "directions", "colors", "alpha", "views")
    )
    # A ray passes through the ball exactly if its pixel is opaque.
    middle = (0.0 - lower) / (upper - lower)
    along = ((middle - rays.origins) * rays.directions).sum(1)
    off = np.linalg.norm(rays.origins + along[:, None] * rays.directions - middle, axis=1) * (upper - lower)[0]
    assert (off[rays.alpha[:, 0] == 1] < 1.05).all() and (off[rays.alpha[:, 0] == 0] > 0.95).all()


def test_every_ray_has_the_color_and_alpha_of_its_pixel(scene):
    rays = scene.rays(0, 4000, 1)
    view = scene.training[5]
    some = rays.views == 5
    origins, directions = view.rays()
    match = (rays.directions[some][:, None] @ directions.T.astype(np.float32)[None])[:, 0].argmax(1)
    pixels = view.read_image().reshape(-1, 4)[match]
    assert np.allclose(pixels[:, :3] / 255, rays.colors[some], atol=1e-6) and np.allclose(
        pixels[:, 3] / 255, rays.alpha[some][:, 0], atol=1e-6
    )


def test_views_with_alpha_show_what_is_empty(scene):
    empty = scene.empty_cells(32)
    points = np.stack(np.meshgrid(*[(np.arange(32) + 0.5) / 32] * 3, indexing="ij"), -1) * scene._side + scene._lower
    radius = np.linalg.norm(points, axis=-1)
    assert not empty[radius < 1.0].any() and empty[radius > 2.0].mean() > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_a_scene_and_counts_its_parameters(scene, method):
    fit = fit_field(
        scene, method, steps=12 if method not in ("hashgrid", "densegrid") else 120, settings=METHODS[method]
    )
    assert fit.field.num_parameters == fit.method.count_parameters(scene.domain, scene.channels)
    assert fit.metrics["psnr"] > (16 if method in ("hashgrid", "densegrid") else 6) and set(fit.metrics) == {
        "psnr",
        "ssim",
    }


@pytest.mark.parametrize(("method", "channels"), [("densegrid", 28), ("rbf", 49), ("tensorf", 13)])
def test_harmonics_need_no_color_network(scene, method, channels, tmp_path):
    fit = fit_field(scene, method, steps=2, settings=HARMONICS[method], out=tmp_path / "run")
    assert fit.field.head is None and fit.method.ray_features == channels == len(fit.field.trunk.channels)
    assert (
        fit.run.header["parameters"]
        == fit.field.num_parameters
        == fit.method.count_parameters(scene.domain, scene.channels)
    )
    coords, towards = torch.rand(20, 3), torch.nn.functional.normalize(torch.randn(20, 3), dim=-1)
    again = load_field(tmp_path / "run")
    (density, feature), (same, _) = fit.field.density(coords), again.density(coords)
    assert torch.equal(density, same)
    sides = spherical_harmonics(towards, fit.method.direction_degree)
    colors = [
        sum(feature[:, 1 + c * sides.shape[1] + k] * sides[:, k] for k in range(sides.shape[1])) for c in range(3)
    ]
    torch.testing.assert_close(again.color(feature, towards), torch.sigmoid(torch.stack(colors, dim=-1)))


def test_a_grid_without_a_network_learns_a_scene(scene):
    fit = fit_field(scene, "densegrid", steps=60, settings=HARMONICS["densegrid"] | {"table_rate": 0.2})
    assert fit.field.trunk.num_parameters == 28 * 12**3
    assert fit.metrics["psnr"] > 12
    # A node stores the values there: the node (3, 5, 7) of 12.
    node = torch.tensor([[3, 5, 7]]) / 11
    torch.testing.assert_close(
        fit.field.trunk_feature(node)[0], fit.field.trunk.grid.table.reshape(12, 12, 12, 28)[7, 5, 3]
    )


def test_the_plain_sum_of_vms_products_is_one_of_its_linear_maps(scene):
    field = prepare(scene, "tensorf", steps=1, settings=METHODS["tensorf"] | {"head": "linear"})[0].field.trunk
    assert field.num_parameters == field.grid.table.numel() + 3 * 4 * 16  # PVD's map of products, no bias
    with torch.no_grad():
        field.network.weight[0] = 1.0
    coords = torch.rand(20, 3)
    torch.testing.assert_close(field(coords)[:, 0], field.features(coords).sum(-1))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"direction_degree": 0}, "no bands at all"), ({"ray_features": 16}, "are 49; leave it out")],
)
def test_refuses_harmonics_without_bands_or_with_other_features(scene, options, message):
    with pytest.raises(BadInput, match=message):
        prepare(scene, "hashgrid", steps=1, settings={"color": "harmonics"} | options)


def test_refuses_a_method_of_whole_frames(scene):
    with pytest.raises(BadInput, match="nerv takes signals of the kind"):
        fit_field(scene, "nerv", steps=1)


def test_a_requested_size_is_met_and_one_below_the_grid_is_refused(scene):
    trainer, _ = prepare(scene, "hashgrid", steps=1, params=60_000, settings=SMALL)
    assert abs(trainer.field.num_parameters / 60_000 - 1) < 0.03
    for method, options in HARMONICS.items():
        trainer, _ = prepare(scene, method, steps=1, params=60_000, settings=options)
        assert abs(trainer.field.num_parameters / 60_000 - 1) < 0.03
    with pytest.raises(BadInput, match="hold .* already"):
        prepare(scene, "hashgrid", steps=1, params=1000)


def test_the_finest_cells_are_as_large_as_pixels(scene, monkeypatch):
    def finest() -> float:
        method = make_method("hashgrid").prepare(scene)
        return method.base_resolution * method.growth ** (method.levels - 1)

    assert finest() == pytest.approx(512)  # coarse images
    monkeypatch.setattr(scene, "pixel_size", 1 / 600)
    assert finest() == pytest.approx(600)
    monkeypatch.setattr(scene, "unbounded", True)  # where the cube has half of each axis
    assert finest() == pytest.approx(2400)


def test_the_distortion_loss_is_on_by_default_with_proposals_only(scene, monkeypatch):
    assert make_method("hashgrid").prepare(scene).distortion == 0
    monkeypatch.setattr(scene, "unbounded", True)
    assert make_method("hashgrid").prepare(scene).distortion == 0.01
    assert make_method("hashgrid", {"sampling": "cells"}).prepare(scene).distortion == 0
    assert make_method("hashgrid", {"distortion": 0.5}).prepare(scene).distortion == 0.5


def test_the_number_of_samples_per_step_stays_about_the_same(scene):
    trainer, _ = prepare(scene, "hashgrid", steps=60, settings=SMALL_GRID)
    counts = []
    rays = trainer.objective.ray_count
    adapt = rays.adapt
    rays.adapt = lambda reached, queried: (counts.append(reached), adapt(reached, queried))
    trainer.run()
    assert all(0.6 * 4096 < count < 1.6 * 4096 for count in counts[5:])
    assert trainer.objective.step_cost_varies  # because they come from more rays as space empties


@pytest.mark.parametrize(
    ("method", "options", "steps"), [("hashgrid", SMALL_GRID, 60), ("densegrid", HARMONICS["densegrid"], 10)]
)
def test_resumed_is_bit_identical(scene, tmp_path, method, options, steps):
    whole = fit_field(scene, method, steps=steps, settings=options, out=tmp_path / "whole")
    again = resumed(scene, method, steps, options, tmp_path / "part", round(steps * 0.6))
    for name, tensor in whole.field.state_dict().items():
        assert torch.equal(tensor, again.field.state_dict()[name]), name


def test_the_stored_field_alone_renders_the_scene(scene, tmp_path):
    fit = fit_field(scene, "hashgrid", steps=60, settings=SMALL_GRID, out=tmp_path / "run")
    field = load_field(tmp_path / "run")
    from fields.fit.objectives.radiance import RadianceObjective

    assert RadianceObjective(scene, "l2").evaluate(field) == pytest.approx(fit.metrics, abs=1e-9)


def test_images_do_not_depend_on_chunks(scene, monkeypatch):
    import fields.render.camera_view as camera_view
    from fields.fit.objectives.view_images import view_image

    fit = fit_field(scene, "hashgrid", steps=40, settings=SMALL_GRID)
    whole = view_image(scene, fit.field, scene.test[0])
    monkeypatch.setattr(camera_view, "CHUNK", 37)
    cut = view_image(scene, fit.field, scene.test[0])
    assert float((whole.color - cut.color).abs().max()) < 1e-6 and torch.equal(
        whole.depth.isfinite(), cut.depth.isfinite()
    )
    # Samples that hardly any light reaches change it by less than the limit.
    assert float((color_of_all_samples(fit.field, scene) - whole.color).abs().max()) < 3e-3


def color_of_all_samples(field, scene):
    from fields.render.volume import render_image

    origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in scene.test[0].rays())
    march = replace(field.march, min_transmittance=0.0)
    return render_image(field, field.to_cube(origins), directions.float(), (24, 24), march=march).color


@pytest.mark.parametrize(
    "options",
    [{"background": "white"}, {"background": "learned"}, {"exposure": True}, {"distortion": 1e-3}, {"hull": False}],
)
def test_the_scene_is_learned_with_every_scene_option(scene, options):
    fit = fit_field(scene, "hashgrid", steps=80, settings=SMALL_GRID | options)
    assert fit.metrics["psnr"] > 10.5


def test_time_as_a_fourth_axis_fits_a_moving_scene(tmp_path):
    scene = scenes.load(write_moving(tmp_path / "moving.npz"), background="black")
    assert scene.moving and scene.domain.dimensions == 4 and scene.domain.axes[3].name == "t"
    for method, options in (
        ("hashgrid", SMALL_GRID | {"motion": "axis"}),
        ("kplanes", METHODS["kplanes"] | {"motion": "axis"}),
        ("cam", NETWORK),
    ):
        fit = fit_field(scene, method, steps=80 if method == "hashgrid" else 10, settings=options | {"hull": False})
        assert fit.metrics["psnr"] > (10 if method == "hashgrid" else 4)
    assert fit.method.grid_axes == "time" and fit.method.motion == "axis"
    with pytest.raises(BadInput, match="three axes"):
        fit_field(scene, "tensorf", steps=1, settings={"motion": "axis"})


@pytest.mark.parametrize(
    ("method", "motion"), [(method, "auto") for method in METHODS] + [("kplanes", "deform"), ("cam", "deform")]
)
def test_any_method_takes_a_moving_scene(tmp_path, method, motion):
    scene = scenes.load(write_moving(tmp_path / "moving.npz"), background="black")
    fit = fit_field(scene, method, steps=2, settings=METHODS[method] | {"motion": motion}, out=tmp_path / "run")
    header = fit.run.header
    assert header["options"]["motion"] == ("axis" if motion == "auto" and method in ("kplanes", "cam") else "deform")
    assert header["parameters"] == fit.field.num_parameters == fit.method.count_parameters(scene.domain, scene.channels)
    again = Run.open(tmp_path / "run").load_field()
    coords, times = torch.rand(50, 3), torch.rand(50)
    assert torch.equal(again.density(coords, times)[0], fit.field.density(coords, times)[0])


def test_time_may_index_the_grids_of_cam_alone(tmp_path):
    """As in the authors' dynamic scenes: points are deformed to a still scene, modulated by five nodes of time."""
    scene = scenes.load(write_moving(tmp_path / "moving.npz"), background="black")
    trainer, _ = prepare(scene, "cam", steps=1, settings=NETWORK | {"motion": "deform"})
    field, method = trainer.field, trainer.method
    grid = field.trunk.network.modulation.grid
    assert (
        method.grid_axes == "time"
        and grid.layout.num_parameters == 5 * 2 * method.hidden_layers
        and method.grid_rate == method.learning_rate
    )
    points = torch.rand(50, 3)
    early, late = (torch.full((50,), time) for time in (0.1, 0.9))
    assert torch.equal(
        field.density(points, early)[0], field.density(points, late)[0]
    )  # an initial network moves nothing, and initial grids are constant
    with torch.no_grad():
        grid.table[-1] *= 1.5
    assert not torch.isclose(field.density(points, early)[0], field.density(points, late)[0]).all()


def test_the_deformation_undoes_the_motion_of_the_ball(tmp_path):
    scene = scenes.load(write_moving(tmp_path / "moving.npz", side=32, views=33), background="black")
    fit = fit_field(scene, "hashgrid", steps=150, settings=SMALL_GRID | {"hull": False})
    field = fit.field
    # The ball moves 0.4 to the right in all, so a point in it moves with it from one moment to another.
    centres = field.to_cube(torch.tensor([[0.0, 0.6, 0.0], [0.0, -0.6, 0.0], [0.0, 0.0, 0.6]], dtype=torch.float64))
    early, late = (
        field.deformation(centres + torch.tensor([0.4 * (t - 0.5) / field.side, 0.0, 0.0]), torch.full((3,), t))
        for t in (0.1, 0.9)
    )
    fixed = field.deformation(centres, torch.full((3,), 0.1)) - field.deformation(centres, torch.full((3,), 0.9))
    assert fit.metrics["psnr"] > 15
    assert (early - late).norm(dim=1).mean() < 0.6 * fixed.norm(dim=1).mean()


def test_a_scene_in_eight_bits_is_a_fourth_as_large_and_still_shown(scene, tmp_path):
    fit = fit_field(scene, "hashgrid", steps=60, settings=SMALL_GRID, bits=8, out=tmp_path / "run")
    assert (
        fit.metrics["psnr"] > 13.5
        and (tmp_path / "run" / "field.safetensors").stat().st_size < 1.2 * fit.field.num_parameters + 8 * 512 + 4000
    )


@pytest.mark.slow
def test_lego_reaches_19_db_in_120_steps(shared):
    scene = scenes.load(shared / "nerf" / "lego_200")
    fit = fit_field(scene, "hashgrid", steps=120, settings={"batch": 1 << 15})
    assert fit.metrics["psnr"] > 19
