"""Gaussian units against an MLP as decoders of small dense grids, and as methods at equal numbers (Bouzidi et al. 2025).

The paper: fewer than 64 units do what an MLP of three layers does, faster. Here the same grids (8 to 48 cells) begin either with N(0, 1), as in
the authors' code, or with a tenth of that, and feed each decoder; then `rbf` and `hashgrid` are fitted as they are, with as many numbers.
"""

from __future__ import annotations

from benchmarks.papers.fits import psnr_of, summary
from benchmarks.papers.pictures import named

# side, steps, seeds; pictures, numbers and steps of the methods
SETTINGS = {"quick": (64, 200, 1, ("astronaut",), 20_000, 200), "small": (96, 300, 2, ("astronaut", "coffee", "dense"), 40_000, 400),
            "paper": (512, 15_000, 3, ("astronaut", "coffee", "dense"), 300_000, 15_000)}
GRIDS = ((8, 4), (12, 4), (16, 4), (24, 2), (32, 2), (48, 2))  # nodes, channels
DECODERS = ("linear", "mlp 1 x 115", "mlp 2 x 64", "rbf 16", "rbf 64", "rbf 64, authors' start")


def measure(size: str) -> list[dict]:
    side, steps, seeds, names, numbers, method_steps = SETTINGS[size]
    rows = []
    for start in (1.0, 0.1):
        found = {name: [_decoded(side, steps, name, start, seed) for seed in range(seeds)] for name in DECODERS}
        rival = sum(psnr for psnr, _ in found["mlp 2 x 64"]) / seeds
        for name, pairs in found.items():
            values = [psnr for psnr, _ in pairs]
            row = summary(f"rbf-grids of N(0, {start:g}):{name}", values, numbers=pairs[0][1], steps=steps, side=side)
            if name.startswith("rbf"):
                row |= {"against": "mlp 2 x 64", "against_value": round(rival, 2), "ratio": round(sum(values) / seeds / rival, 3)}
            rows.append(row)
    from fields.methods.registry import make_method

    for name in names:
        image = named(name, 2 * side)
        against = None
        for method in ("hashgrid", "rbf"):
            recipe = make_method(method, {"batch": 8192}).prepare(image).sized(2, len(image.channels), numbers)
            psnr, count = psnr_of(image, recipe, steps=method_steps, seed=0)
            more = {} if against is None else {"against": "hashgrid", "against_value": round(against, 2), "ratio": round(psnr / against, 3)}
            rows.append(summary(f"rbf-{name}:{method}", [psnr], numbers=count, steps=method_steps, side=2 * side, **more))
            against = psnr
    return rows


def _decoded(side: int, steps: int, decoder: str, start: float, seed: int) -> tuple[float, int]:
    """PSNR of whole batches of the picture of dense detail, and the decoder's numbers."""
    import math

    import torch
    from torch import nn

    from fields.encoders.factor_grid import FactorGrid
    from fields.networks.gaussian_rbf import GaussianRbf
    from fields.networks.mlp import MLP
    from fields.ops.factor_layout import Factor, FactorLayout

    generator = torch.Generator().manual_seed(seed)
    target = torch.from_numpy(named("dense", side).values()).reshape(-1, 3)
    axis = (torch.arange(side) + 0.5) / side
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], dim=-1).reshape(-1, 2)
    grids = nn.ModuleList(FactorGrid(FactorLayout(2, channels, (((Factor((0, 1), (nodes, nodes)),),),)), "auto",
                                     lambda grid, axes: grid.normal_(0, start, generator=generator)) for nodes, channels in GRIDS)
    inputs = sum(channels for _, channels in GRIDS)
    kind, _, width = decoder.partition(" ")
    if kind == "linear":
        network = nn.Linear(inputs, 3)
    elif kind == "mlp":
        layers, _, units = width.partition(" x ")
        network = MLP(inputs, int(units), int(layers), 3, bias=True, generator=generator)
    else:
        units, _, authors = width.partition(",")
        network = GaussianRbf(inputs, int(units), 3, 1e-4 if authors else start, False, "auto", generator)
        if authors:
            nn.init.zeros_(network.log_widths)
    optimizer = torch.optim.Adam([*grids.parameters(), *network.parameters()], 1e-2)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / steps))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (network(torch.cat([grid(coords) for grid in grids], dim=-1)) - target).abs().mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        values = network(torch.cat([grid(coords) for grid in grids], dim=-1)).clamp(0, 1)
    return -10 * math.log10(float((values - target).square().mean())), sum(p.numel() for p in network.parameters())
