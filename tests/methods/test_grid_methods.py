"""densegrid, triplane, tensorf and kplanes: sizes, initial values, penalties, schedules, and small fits."""

import pytest
import torch
from volumes import Volume, VolumeObjective

import fields
from fields.fit.trainer import Trainer
from fields.methods.registry import make_method
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.signal import Image

ONE = Channels(("distance",), "linear")


def built(name, *shape, seed=0, channels=Volume.channels, **options):
    signal = Volume(*shape)
    method = make_method(name, {"loss": "l2", **options}).prepare(signal)
    return method, method.build(signal.domain, channels, seed), signal


def fitted(name, shape, steps=80, **options):
    method, field, signal = built(name, *shape, batch=2048, **options)
    objective = VolumeObjective(signal, "l2")
    trainer = Trainer(field, objective, method, steps=steps)
    trainer.run()
    return field, objective, trainer


# Some dB below what was measured; the mean value alone gives 9.
@pytest.mark.parametrize(
    ("name", "shape", "options", "decibels"),
    [
        ("densegrid", (24, 24, 24), {}, 26),
        ("triplane", (24, 24, 24), {"width": 32, "octaves": 4}, 22),
        ("tensorf", (24, 24, 24), {}, 26),
        ("tensorf", (24, 24, 24), {"kind": "cp"}, 24),
        ("kplanes", (24, 24, 24), {}, 26),
        ("kplanes", (20, 20, 20, 8), {}, 24),
    ],
)
def test_small_volumes_are_learned(name, shape, options, decibels):
    field, objective, _ = fitted(name, shape, **options)
    assert objective.evaluate(field)["psnr"] > decibels


def test_densegrid_fits_an_image(astronaut):
    result = fields.fit_field(
        Image.from_array(astronaut[60:124, 180:276]), "densegrid", steps=150, settings={"batch": 4096}
    )
    assert result.metrics["psnr"] > 26
    assert result.field.backend == "native-cpu"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("densegrid", {}),
        ("triplane", {"octaves": 2}),
        ("triplane", {"combine": "product"}),
        ("triplane", {"combine": "concat"}),
        ("tensorf", {}),
        ("tensorf", {"kind": "cp"}),
        ("kplanes", {}),
    ],
)
def test_second_derivatives_of_grid_fields_are_correct(name, options):
    _, field, _ = built(name, 5, 6, 7, features="3", resolution="7", width="8", **options)
    field.double()
    coords = (torch.tensor([[0.31, 0.12, 0.83], [0.57, 0.69, 0.44]], dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(field, coords)
    assert torch.autograd.gradgradcheck(field, coords)

    def slope(table):
        values = torch.func.functional_call(field, {name_of_table: table}, (coords,))
        return torch.autograd.grad(values.sum(), coords, create_graph=True)[0]

    name_of_table = next(name for name, p in field.named_parameters() if p is field.grid.table)
    assert torch.autograd.gradcheck(slope, field.grid.table.detach().clone().requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("name", ["densegrid", "triplane", "tensorf", "kplanes"])
def test_native_and_torch_build_the_same_field(name):
    _, native, _ = built(name, 12, 10, 8, backend="native")
    _, reference, _ = built(name, 12, 10, 8, backend="torch")
    coords = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(native(coords), reference(coords), rtol=1e-4, atol=1e-6)
    assert (native.backend, reference.backend) == ("native-cpu", "torch")


def test_triplane_has_the_papers_sizes_and_initial_values():
    """62,657 parameters per object: planes N(0, 0.001), nodes at the ends, sines 79 -> 64 -> 64 -> 64 -> 1."""
    method, field, _ = built("triplane", None, None, None, channels=ONE)
    assert field.num_parameters == method.parameters(3, 1) == 62_657
    assert [tuple(grid.shape) for grid in field.grid.grids] == [(32, 32, 16)] * 3
    assert field.grid.table.std().item() == pytest.approx(1e-3, rel=0.02)
    assert [tuple(layer.weight.shape) for layer in field.network.hidden] == [(64, 79), (64, 64), (64, 64)]
    assert (field.network.first_omega, field.network.hidden_omega) == (30.0, 30.0)
    coords = torch.rand(5, 3)
    features, p = field.features(coords), coords * 2 - 1
    torch.testing.assert_close(features[:, 16:19], p)
    octaves = torch.stack([torch.sin(p[:, :1] * 2.0**k) for k in range(10)])
    found = features[:, 19:49]
    assert all((found - column).abs().amin(dim=1).max() < 1e-5 for column in octaves)


def test_octaves_of_a_triplane_are_limited_by_the_samples():
    """With the paper's ten octaves, 24 samples per axis are fitted, and values between them are noise."""
    guarded, objective, _ = fitted("triplane", (24, 24, 24))
    _, _, signal = built("triplane", 24, 24, 24)
    assert make_method("triplane").prepare(signal).octaves == 4
    free, _, _ = fitted("triplane", (24, 24, 24), octaves="10")
    assert objective.evaluate(guarded)["psnr"] > objective.evaluate(free)["psnr"] + 5


def test_tensorf_has_the_papers_factors_and_basis():
    """Three planes and three lines of rank 16, 48 -> 27 without bias, and the MLP."""
    method, field, _ = built("tensorf", 30, 30, 30)
    assert field.grid.table.numel() == 3 * (30 * 30 + 30) * 16
    assert field.network[0].weight.shape == (27, 48) and field.network[0].bias is None
    _, lines, _ = built("tensorf", 30, 30, 30, kind="cp")
    assert lines.grid.table.numel() == 3 * 30 * 96 and lines.grid.outputs == 96


def test_kplanes_start_constant_in_time():
    """Planes with time start at 1, so that nothing changes along it, and the L1 penalty pulls them there."""
    _, field, _ = built("kplanes", 12, 12, 12, 6, l1="1")
    coords = torch.rand(50, 4)
    later = coords.clone()
    later[:, 3] = torch.rand(50)
    torch.testing.assert_close(field(coords), field(later))
    still = [factor for factor, grid in zip(field.grid.layout.factors, field.grid.grids) if (grid == 1).all()]
    assert {factor.axes for factor in still} == {(0, 3), (1, 3), (2, 3)} and len(still) == 9
    with torch.no_grad():
        field.grid.table.fill_(1.0)
    assert field.regularisation().item() == pytest.approx(0.5)  # the rest value of planes of space is 0


def test_penalties_equal_values_computed_by_hand():
    _, field, _ = built(
        "densegrid",
        3,
        2,
        2,
        levels="1",
        features="1",
        resolution="3",
        proportions="1,0.67,0.67",
        total_variation="2",
        l1="0.5",
    )
    with torch.no_grad():
        field.grid.table.copy_(torch.arange(12.0)[:, None])  # [z 2, y 2, x 3]: steps of 6, 3 and 1
    assert field.regularisation().item() == pytest.approx(2 * (36 + 9 + 1) + 0.5 * 5.5)
    _, plain, _ = built("densegrid", 3, 2, 2)
    assert plain.regularisation() is None


@pytest.mark.parametrize("key", ["total_variation", "l1"])
def test_penalties_change_the_fit_but_not_the_reported_loss(key):
    plain, _, _ = fitted("tensorf", (12, 12, 12), steps=30)
    held, _, trainer = fitted("tensorf", (12, 12, 12), steps=30, **{key: "0.3"})
    measure = (
        (lambda f: f.grid.total_variation())
        if key == "total_variation"
        else (lambda f: f.grid.mean_absolute(lambda axes: 0.0))
    )
    assert measure(held) < 0.7 * measure(plain)
    assert trainer.loss < 0.5  # of the batch alone; the penalty would add more


def test_levels_fade_in_from_coarse_to_fine():
    method, field, signal = built("densegrid", 16, 16, 16, coarse_to_fine="0.5")
    assert field.num_parameters == method.parameters(3, 2)
    coords = torch.rand(30, 3)
    weights = []
    for step in range(101):
        field.before_step(step, 100)
        weights.append(field.grid.gates.clone())
    gates = torch.stack(weights)
    assert (gates[:11] == torch.tensor([1.0, 0, 0, 0])).all() and (gates[51:] == 1).all()
    assert (gates.diff(dim=0) >= 0).all() and 0 < gates[30].sum() - 1 < 3
    for total in (None, 1000):  # while the number of steps is unknown
        field.before_step(5, total)
        assert field.grid.gates.tolist() == [1, 0, 0, 0]
        assert (field.features(coords)[:, 4:] == 0).all()
    assert "encoder.gates" in field.state_dict()


def test_all_levels_are_in_use_at_the_end_of_a_coarse_to_fine_fit():
    field, objective, _ = fitted("kplanes", (24, 24, 24), coarse_to_fine="0.6")
    assert (field.grid.gates == 1).all()
    assert objective.evaluate(field)["psnr"] > 24


@pytest.mark.parametrize("name", ["densegrid", "triplane", "tensorf", "kplanes"])
def test_every_parameter_is_in_one_group(name):
    method, field, _ = built(name, 12, 12, 12)
    network, grids = method.parameter_groups(field)
    assert grids["params"] == [field.grid.table] and grids["sparse"] and grids["lr"] == method.table_rate
    assert {id(p) for p in network["params"]} | {id(field.grid.table)} == {id(p) for p in field.parameters()}
    assert network["params"] and network["lr"] == method.learning_rate


def test_nodes_follow_the_signals_proportions():
    method, field, _ = built("densegrid", 40, 20, 10, levels="2", resolution="32")
    assert method.nodes() == [(16, 8, 4), (32, 16, 8)]
    assert [tuple(grid.shape[:-1]) for grid in field.grid.grids] == [(4, 8, 16), (8, 16, 32)]
    method, _, _ = built("densegrid", 40, 20, 10, levels="1", resolution="32", proportions="1,1,0.5")
    assert method.nodes() == [(32, 32, 16)]
    assert make_method("densegrid", method.model_dump()) == method


@pytest.mark.parametrize(
    ("name", "shape", "options", "says"),
    [
        (
            "triplane",
            (40, 30),
            {},
            "takes signals of 3 dimensions; this volume has 2: its three planes are the pairs of three axes",
        ),
        ("tensorf", (40, 30), {}, "it factors the volume of three axes"),
        ("tensorf", (9, 9, 9, 9), {}, "takes signals of 3 dimensions; this volume has 4"),
        (
            "kplanes",
            (40, 30),
            {},
            "of 3 or 4 dimensions; this volume has 2: two axes have one plane only, which is densegrid",
        ),
        (
            "triplane",
            (9, 9, 9),
            {"coarse_to_fine": "0.5"},
            "has one level, so there is nothing to fade in; .*`levels=4`",
        ),
        ("densegrid", (9, 9, 9), {"coarse_to_fine": "0.1"}, r"^coarse_to_fine=0.1: .*0 \(off\) or at least 0.2"),
        ("densegrid", (9, 9, 9), {"proportions": "1,0.5"}, "^proportions=1,0.5: this volume has 3 axes"),
        ("densegrid", (9, 9), {"proportions": "0.5,0.5"}, "^proportions=.*largest is 1"),
        ("densegrid", (9, 9), {"proportions": "1,wide"}, "^proportions"),
        (
            "densegrid",
            (9, 9, 9),
            {"resolution": "4000"},
            "^resolution=4000: these grids would have .* entries; at most",
        ),
    ],
)
def test_refuses_signals_and_options_that_grids_cannot_have(name, shape, options, says):
    with pytest.raises(BadInput, match=says) as caught:
        make_method(name, options).prepare(Volume(*shape))
    assert "\n" not in str(caught.value)
