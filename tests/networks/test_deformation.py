"""The deformation network of moving scenes."""

import torch

from fields.networks.deformation import Deformation


def test_an_untrained_deformation_moves_nothing_and_learns_a_motion():
    torch.manual_seed(0)
    deformation = Deformation(
        position_octaves=4, time_octaves=3, width=32, hidden_layers=2, generator=torch.Generator().manual_seed(0)
    )
    coords, time = torch.rand(200, 3), torch.rand(200)
    assert torch.equal(deformation(coords, time), coords)
    optimizer = torch.optim.Adam(deformation.parameters(), lr=5e-3)
    # A scene that swings along x, its upper half only.
    wanted = coords + torch.stack([0.1 * torch.sin(3.0 * time) * (coords[:, 2] > 0.5), 0 * time, 0 * time], dim=1)
    wanted = wanted.clamp(0, 1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (deformation(coords, time) - wanted).square().mean()
        loss.backward()
        optimizer.step()
    assert all(parameter.grad.abs().sum() > 0 for parameter in deformation.parameters())
    assert loss < 0.1 * (coords - wanted).square().mean()


def test_points_stay_in_the_cube_and_one_time_serves_all_points():
    deformation = Deformation(
        position_octaves=4, time_octaves=3, width=16, hidden_layers=2, generator=torch.Generator().manual_seed(0)
    )
    torch.nn.init.normal_(deformation.network.output.weight)
    coords = torch.rand(50, 3)
    moved = deformation(coords, torch.tensor(0.3))
    assert moved.shape == (50, 3) and (moved >= 0).all() and (moved <= 1).all()
    assert torch.equal(moved, deformation(coords, torch.full((50,), 0.3)))
