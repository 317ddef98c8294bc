"""Penalties on a hash grid, and its coarse-to-fine schedule."""

import pytest
import torch

from fields.fit.fit import fit_field, prepare
from fields.methods.registry import make_method
from fields.ops.hash_grid import point_entries
from fields.runs.run import load_field
from scenes.errors import BadInput
from scenes.image.signal import Image

SMALL = {"levels": 6, "table_size": 1024, "growth": 1.4, "width": 16, "batch": 1024}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def built(image, **options):
    return make_method("hashgrid", SMALL | options).prepare(image).build(image.domain, image.channels, 0)


def test_levels_of_a_hash_grid_fade_in_from_coarse_to_fine(image, tmp_path):
    field = built(image, coarse_to_fine=0.5)
    field.before_step(0, None)
    assert field.encoder.gates.tolist() == pytest.approx([1, 0, 0, 0, 0, 0])
    x = torch.rand(20, 2)
    assert bool((field.features(x)[:, 2:] == 0).all()) and bool((field.features(x)[:, :2] != 0).any())
    field.before_step(30, 100)
    weights = field.encoder.gates.tolist()
    assert weights == sorted(weights, reverse=True) and 0 < weights[3] < 1
    field.before_step(50, 100)
    assert field.encoder.gates.tolist() == [1.0] * 6
    fit = fit_field(image, "hashgrid", steps=150, settings=SMALL | {"coarse_to_fine": 0.5}, out=tmp_path / "run")
    assert (
        fit.metrics["psnr"] > 20
        and fit.field.num_parameters == fit.method.parameters(2, 3) == built(image).num_parameters + 6
    )
    again = load_field(tmp_path / "run")
    with torch.no_grad():
        assert torch.equal(again(x), fit.field(x))


def test_a_schedule_that_has_ended_changes_nothing_and_penalties_rule_out_the_fused_step(image):
    plain, scheduled = built(image), built(image, coarse_to_fine=0.5)
    x = torch.rand(50, 2)
    torch.testing.assert_close(scheduled(x), plain(x))
    assert plain.regularisation() is None and built(image, l1=1.0).fused_step("l2") is None


def test_total_variation_is_that_of_neighbouring_points(image):
    """For a level that is stored row by row, and rises by 1 and 3 per point along its axes."""
    field = built(image, levels=1, base_resolution=16, growth=2.0, total_variation=2.0)
    level = field.encoder.layout.per_level[0]
    assert not level.hashed
    steps = torch.arange(level.resolution)
    points = torch.cartesian_prod(steps, steps)
    with torch.no_grad():
        field.encoder.table[point_entries(points, field.encoder.layout, level)] = (
            (points[:, :1] + 3 * points[:, 1:]).float().expand(-1, 2)
        )
        assert float(field.encoder.total_variation(0)) == pytest.approx(10.0)
        assert float(field.regularisation()) == pytest.approx(20.0)
    with torch.no_grad():
        field.encoder.table.fill_(0.7)
    assert float(field.regularisation().detach()) == 0.0
    assert float(built(image, l1=3.0).regularisation().detach()) == pytest.approx(
        3 * float(built(image).encoder.table.detach().abs().mean()), rel=1e-5
    )


@pytest.mark.parametrize("options", [{"total_variation": 0.1}, {"l1": 0.1}])
def test_a_large_penalty_gives_smaller_or_smoother_tables(image, options):
    trainer, _ = prepare(image, "hashgrid", steps=60, settings=SMALL | options)
    plain, _ = prepare(image, "hashgrid", steps=60, settings=SMALL | {"fused": "off"})
    for each in (trainer, plain):
        each.run()
    with torch.no_grad():
        measure = (
            (lambda t: t.field.encoder.total_variation(7))
            if "total_variation" in options
            else (lambda t: t.field.encoder.table.abs().mean())
        )
        assert float(measure(trainer)) < 0.8 * float(measure(plain))


def test_refuses_schedules_and_penalties_that_contradict_other_options(image):
    with pytest.raises(BadInput, match="one level"):
        make_method("hashgrid", {"levels": 1, "coarse_to_fine": 0.5}).prepare(image)
    with pytest.raises(BadInput, match="autograd"):
        make_method("hashgrid", {"l1": 0.1, "matmul_dtype": "bfloat16"})
    with pytest.raises(BadInput, match="at least 0.2"):
        make_method("hashgrid", {"coarse_to_fine": 0.1})
