"""Proposal sampling: where samples go, and what the envelope loss demands."""

import pytest
import torch

from fields.ops.composite import compositing_weights
from fields.ops.packed import from_edges
from fields.sampling.contraction import contract
from fields.sampling.proposal import envelope_loss, propose


def rays(count=50):
    random = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=random), dim=1)
    return (
        torch.zeros(count, 3),
        directions,
        {"near": torch.full((count,), 0.1), "far": torch.full((count,), torch.inf)},
    )


def shell(points):
    """Density of a wall at distance 2 and of a far one at 40."""
    away = points.norm(dim=-1)
    return 30.0 * torch.exp(-((away - 2) / 0.3).square()) + 0.5 * ((away - 40).abs() < 3)


def test_samples_gather_where_the_weight_is():
    origins, directions, ends = rays()
    found = propose([shell, shell], origins, directions, **ends, counts=[64, 48, 32])
    assert found.edges.shape == (50, 33) and bool((found.edges.diff(dim=1) >= 0).all())
    midpoints = (found.edges[:, 1:] + found.edges[:, :-1]) / 2
    assert float(((midpoints - 1.7).abs() < 0.3).float().mean()) > 0.75
    assert [tuple(w.shape) for _, w in found.rounds] == [(50, 64), (50, 48)]
    # With anneal 0 they are spread evenly.
    spread = propose([shell], origins, directions, **ends, counts=[64, 32], anneal=0.0).edges
    assert float((((spread[:, 1:] + spread[:, :-1]) / 2 - 1.7).abs() < 0.3).float().mean()) < 0.3


def test_seeds_move_samples_and_chunks_do_not():
    origins, directions, ends = rays()

    def edges(rows, **options):
        parts = {name: tensor[rows] for name, tensor in ends.items()}
        return propose([shell], origins[rows], directions[rows], **parts, counts=[32, 16], **options).edges

    whole = edges(slice(None), seed=5)
    parts = torch.cat([edges(slice(i, i + 10), seed=5, first_ray=i) for i in range(0, 50, 10)])
    torch.testing.assert_close(whole, parts, rtol=0, atol=0)
    assert not torch.equal(whole, edges(slice(None), seed=6))
    assert bool((whole.diff(dim=1) >= 0).all())


def histogram(seed, count, rays=6):
    random = torch.Generator().manual_seed(seed)
    edges = torch.rand(rays, count + 1, generator=random, dtype=torch.float64).sort(dim=1).values
    edges[:, 0], edges[:, -1] = 0.0, 1.0
    return edges, torch.rand(rays, count, generator=random, dtype=torch.float64) / count


def test_the_envelope_loss_matches_its_definition():
    edges, weights = histogram(0, 9)
    theirs, proposal = histogram(1, 5)
    expected = torch.zeros(6, dtype=torch.float64)
    for ray in range(6):
        for i in range(9):
            allowed = sum(
                proposal[ray, j]
                for j in range(5)
                if theirs[ray, j] < edges[ray, i + 1] and theirs[ray, j + 1] > edges[ray, i]
            )
            expected[ray] += max(0.0, weights[ray, i] - allowed) ** 2 / (weights[ray, i] + 1e-7)
    torch.testing.assert_close(envelope_loss(edges, weights, theirs, proposal), expected)


def test_a_histogram_is_bounded_by_itself_and_by_a_coarser_one():
    edges, weights = histogram(2, 12)
    assert float(envelope_loss(edges, weights, edges, weights).max()) < 1e-20
    coarse = weights.reshape(6, 4, 3).sum(2)
    assert float(envelope_loss(edges, weights, edges[:, ::3], coarse).max()) < 1e-20
    assert float(envelope_loss(edges, weights, edges[:, ::3], 0 * coarse).min()) > 0


def test_only_the_proposal_gets_gradients():
    edges, weights = histogram(3, 7)
    theirs, proposal = histogram(4, 4)
    assert torch.autograd.gradcheck(
        lambda w: envelope_loss(edges, weights, theirs, w), (0.3 * proposal).requires_grad_()
    )
    weights.requires_grad_()
    with pytest.raises(RuntimeError):
        torch.autograd.grad(envelope_loss(edges, weights, theirs, proposal).sum(), weights)


def test_a_proposal_learns_where_the_wall_is_from_the_loss_alone():
    torch.manual_seed(0)
    origins, directions, ends = rays(256)
    lattice = torch.nn.Parameter(torch.full((1, 1, 24, 24, 24), -2.0))
    optimiser = torch.optim.Adam([lattice], lr=0.1)

    def guess(points):
        where = (contract(points / 4 + 0.5) * 2 - 1).flip(-1)
        return (
            torch.nn.functional.softplus(
                torch.nn.functional.grid_sample(lattice, where[None, None, None], align_corners=False)
            ).reshape(-1)
            * 3
        )

    losses = []
    for step in range(60):
        found = propose([guess], origins, directions, **ends, counts=[48, 32], seed=step, anneal=min(1.0, step / 20))
        weights = compositing_weights(shell(found.samples.positions(origins, directions)), found.samples).reshape(
            256, 32
        )
        loss = envelope_loss(found.edges, weights, *found.rounds[0]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * max(losses[:10])
    edges = propose([guess], origins, directions, **ends, counts=[48, 32]).edges
    weights = compositing_weights(shell(from_edges(edges).positions(origins, directions)), from_edges(edges)).reshape(
        256, 32
    )
    assert float(weights.sum(1).mean()) > 0.9


@pytest.mark.parametrize(
    "options, message", [({"counts": [8]}, "rounds of proposals"), ({"counts": [8, 4], "anneal": 2.0}, "anneal is")]
)
def test_refuses_counts_anneal_and_edges_that_do_not_fit(options, message):
    origins, directions, ends = rays()
    with pytest.raises(ValueError, match=message):
        propose([shell], origins, directions, **ends, **options)
    with pytest.raises(ValueError, match="edges are"):
        envelope_loss(torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(2, 3))
