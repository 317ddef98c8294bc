"""NeuRBF on posed views: its grid learns alone, then says where kernels are wanted."""

import pytest
import torch
from posed_scene import SMALL, resumed, write_scene

import scenes
from fields.fit.fit import fit_field, prepare
from fields.init.placement import fitted_candidates
from fields.methods.registry import make_method
from fields.models.neurbf import HIDDEN

OPTIONS = SMALL | {"kernels": 60, "width": 16, "color_width": 16, "color_layers": 1, "batch": 2048, "place_after": 0.1}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return scenes.load(write_scene(tmp_path_factory.mktemp("ball") / "scene"))


def test_where_a_field_has_density_and_color_that_changes_kernels_are_wanted():
    def trunk(coords):
        inside = (coords - 0.5).norm(dim=-1) < 0.3
        return torch.stack([torch.where(inside, 6.0, -9.0), (coords[:, 0] > 0.5).float(), coords[:, 1] * 0.0], dim=-1)

    found = fitted_candidates(trunk, 1.0, None, torch.device("cpu"))
    wanted = found.points[found.weights > 0.01 * found.weights.amax()]
    assert len(wanted) and ((wanted - 0.5).norm(dim=1) < 0.32).all() and ((wanted[:, 0] - 0.5).abs() < 0.05).all()
    empty = torch.zeros(64, 64, 64, dtype=torch.bool)
    empty[:, :32] = True  # y below a half
    some = fitted_candidates(trunk, 1.0, empty.numpy(), torch.device("cpu"))
    assert (some.points[some.weights > 0][:, 1] > 0.5).all()


def test_the_grid_learns_alone_for_a_tenth_of_the_steps(scene):
    trainer, _ = prepare(scene, "neurbf", steps=30, settings=OPTIONS)
    trunk, points = trainer.field.trunk, torch.rand(100, 3)
    kernels = trunk.encoder.kernels
    with torch.no_grad():
        before = trunk(points)
        kernels.features += 1.0
        assert torch.equal(trunk(points), before)  # nothing sees them
        kernels.features -= 1.0
    for _ in range(3):
        trainer.step()
    assert kernels.shapes.amax() > HIDDEN
    trainer.step()
    placed = kernels.centres.clone()
    assert kernels.shapes.amax() < 1e6
    x, y, z = (placed * 64).long().T
    assert (~torch.from_numpy(scene.empty_cells(64)))[x, y, z].float().mean() > 0.9  # (a lattice has a seventh there)
    trainer.run()
    assert torch.equal(kernels.centres, placed)


def test_kernels_are_placed_at_once_unless_asked_otherwise(scene):
    trainer, _ = prepare(
        scene, "neurbf", steps=30, settings={name: value for name, value in OPTIONS.items() if name != "place_after"}
    )
    assert trainer.field.trunk.encoder.kernels.shapes.amax() < 1e6


@pytest.mark.parametrize("cut", [1, 5])
def test_resumed_before_or_after_kernels_are_placed_is_bit_identical(scene, tmp_path, cut):
    whole = fit_field(scene, "neurbf", steps=20, settings=OPTIONS)
    again = resumed(scene, "neurbf", 20, OPTIONS, tmp_path / "part", cut)
    for name, tensor in whole.field.state_dict().items():
        assert torch.equal(tensor, again.field.state_dict()[name]), name


def test_a_fit_of_one_step_has_its_kernels_too(scene):
    assert fit_field(scene, "neurbf", steps=1, settings=OPTIONS).field.trunk.encoder.kernels.shapes.amax() < 1e6


def test_scenes_have_the_papers_kernels(scene, monkeypatch):
    def options(**given):
        method = make_method("neurbf", given).prepare(scene)
        return method.kernel_features, method.neighbours, method.normalise, method.kernel_sines

    assert options() == (32, 5, "off", False)
    assert options(kernel_sines=True, normalise="full", neighbours=3) == (32, 3, "full", True)
    monkeypatch.setattr(scene, "unbounded", True)
    assert options() == (16, 8, "detached", False)
