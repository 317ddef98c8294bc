"""Terms of the loss that make a density field opaque."""

import numpy as np
import pytest
import torch

from fields.fit import fit as fitting
from fields.fit.objectives.density_terms import entropy, orientation, sparsity
from fields.methods.registry import make_method
from scenes.posed.signal import open_radiance
from tests.fit.posed_scene import write_scene


def test_entropy_is_a_bit_for_half_a_weight_and_none_for_all_or_nothing():
    assert float(entropy(torch.tensor([0.5, 0.5, 0.5]))) == pytest.approx(3.0)
    assert float(entropy(torch.tensor([0.0, 1.0]))) < 1e-3


def test_entropy_draws_weights_to_the_nearer_end():
    weights = torch.tensor([0.2, 0.8], requires_grad=True)
    entropy(weights).backward()
    assert weights.grad is not None and weights.grad[0] > 0 > weights.grad[1]


def ball(points):
    """Density that falls outwards from the middle of the cube."""
    return 40.0 * torch.exp(-8.0 * (points - 0.5).square().sum(dim=-1))


def test_sparsity_is_the_opacity_of_random_places():
    half = sparsity(
        lambda points: torch.full((len(points),), 4.0), 0.25, cascades=1, seed=0, device=torch.device("cpu")
    )
    assert float(half) == pytest.approx(1 - np.exp(-1.0), rel=1e-6)
    # In three cubes, each twice as large as the one before, most places are far outside of the ball.
    inner, outer = (float(sparsity(ball, 0.02, cascades=n, seed=0, device=torch.device("cpu"))) for n in (1, 3))
    assert outer < 0.1 * inner


def test_orientation_counts_what_faces_away_alone():
    side = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    points, weights = 0.5 + 0.3 * side, torch.full((500,), 0.5)
    towards, away = (
        float(orientation(ball, points, sign * side, weights, length=1e-2, seed=0)) for sign in (-1.0, 1.0)
    )
    assert towards == 0.0 and away == pytest.approx(0.5, rel=1e-3)
    assert float(orientation(ball, points[:0], side[:0], weights[:0], length=1e-2, seed=0)) == 0.0


@pytest.mark.parametrize("name", ["entropy", "sparsity", "orientation"])
def test_terms_are_off_unless_they_are_asked_for_and_change_a_fit(name, tmp_path):
    assert getattr(make_method("hashgrid", {}), name) == 0.0
    scene = open_radiance(write_scene(tmp_path / "ball", side=12))
    losses = []
    for weight in (0.0, 1.0):
        options = {"table_size": 1 << 12, "levels": 4, "batch": 1 << 10, name: weight}
        # Three steps, since the entropy has no weight in the first.
        trainer, _ = fitting.prepare(scene, "hashgrid", settings=options, steps=3)
        trainer.run()
        losses.append(float(trainer.loss))
    assert losses[1] > losses[0] and np.isfinite(losses).all()
