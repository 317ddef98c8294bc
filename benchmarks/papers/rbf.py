"""Gaussian units against an MLP as decoders of small dense grids, and as methods at equal parameters (Bouzidi et al.
2025).

The paper: fewer than 64 units do what an MLP of three layers does, faster. Here the same grids (8 to 48 cells) begin
either with N(0, 1), as in the authors' code, or with a tenth of that, and feed each decoder; then `rbf` and `hashgrid`
are fitted as they are, with as many parameters. `rbf-profile` puts other radial functions in the Gaussian's place.
`rbf-cost` is the time of 64 units and of an MLP of three layers, forward and back (their count of operations: 78 %;
ours 68 %), and `rbf-shape` both methods on a torus and a box: the mean error of distances within 0.02 of the surface.
"""

from __future__ import annotations

import time
from typing import get_args

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import psnr_of, summary
from benchmarks.papers.images import named
from benchmarks.papers.shapes import near_surface_error, solids

# side, steps, seeds; images, parameters and steps of the methods, whose images are twice as large
SETTINGS = {
    "quick": (64, 200, 1, ("astronaut",), 20_000, 200),
    "small": (128, 600, 2, ("astronaut", "coffee", "dense"), 40_000, 400),
    "paper": (512, 15_000, 3, ("astronaut", "coffee", "dense"), 300_000, 15_000),
}
GRIDS = ((8, 4), (12, 4), (16, 4), (24, 2), (32, 2), (48, 2))  # nodes, channels
# parameters and steps of the shape
SHAPE = {"quick": (12_000, 40), "small": (40_000, 500), "paper": (3_500_000, 2600)}
CLAIMS = (
    Claim(
        "16 units do what an MLP of 2 x 64 does with nine times the parameters (grids of N(0, 1) and units as in their "
        "code)",
        "rbf-grids of N(0, 1):rbf 16, authors' start",
        "rbf-grids of N(0, 1):mlp 2 x 64",
        least=-0.5,
    ),
    Claim(
        "16 units do more than a linear map",
        "rbf-grids of N(0, 1):rbf 16, authors' start",
        "rbf-grids of N(0, 1):linear",
        least=1.0,
    ),
    Claim(
        "64 units are no worse than an MLP of as many parameters",
        "rbf-grids of N(0, 1):rbf 64, authors' start",
        "rbf-grids of N(0, 1):mlp 1 x 115",
    ),
    Claim("the same where grids begin near 0", "rbf-grids of N(0, 0.1):rbf 64", "rbf-grids of N(0, 0.1):mlp 1 x 115"),
    Claim(
        "the method is no worse than a hash grid with an MLP, photograph",
        "rbf-astronaut:rbf",
        "rbf-astronaut:hashgrid",
        least=-0.5,
    ),
    *(
        Claim(
            f"of the radial functions the Gaussian is the one to take: against {name.replace('_', ' ')}",
            "rbf-profile:gaussian",
            f"rbf-profile:{name}",
            least=-0.2,
        )
        for name in ("inverse_multiquadric", "wendland", "cubic", "thin_plate")
    ),
    Claim("units cost 78 % of an MLP's operations: they take less time", "rbf-cost", bound=1.0, field="ratio"),
    Claim(
        "shapes: comparable quality, sooner",
        "rbf-shape:rbf",
        "rbf-shape:hashgrid",
        better="lower",
        factor=True,
        least=0.8,
    ),
)
DECODERS = (
    "linear",
    "mlp 1 x 115",
    "mlp 2 x 64",
    "rbf 16",
    "rbf 16, authors' start",
    "rbf 64",
    "rbf 64, authors' start",
)


def decoders(size: str) -> list[dict]:
    side, steps, seeds, *_ = SETTINGS[size]
    rows = []
    for start in (1.0, 0.1):
        found = {name: [_decoded(side, steps, name, start, seed) for seed in range(seeds)] for name in DECODERS}
        rival = sum(psnr for psnr, _ in found["mlp 2 x 64"]) / seeds
        for name, pairs in found.items():
            values = [psnr for psnr, _ in pairs]
            row = summary(
                f"rbf-grids of N(0, {start:g}):{name}", values, parameters=pairs[0][1], steps=steps, side=side
            )
            if name.startswith("rbf"):
                row |= {
                    "against": "mlp 2 x 64",
                    "against_value": round(rival, 2),
                    "ratio": round(sum(values) / seeds / rival, 3),
                }
            rows.append(row)
    return rows


def methods(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, _, seeds, names, parameters, method_steps = SETTINGS[size]
    rows = []
    for name in names:
        image = named(name, 2 * side)
        against = None
        for method in ("hashgrid", "rbf"):
            recipe = make_method(method, {"batch": 8192}).prepare(image).sized(2, len(image.channels), parameters)
            found = [psnr_of(image, recipe, steps=method_steps, seed=seed) for seed in range(seeds)]
            psnr, count = sum(each for each, _ in found) / seeds, found[0][1]
            more = (
                {}
                if against is None
                else {"against": "hashgrid", "against_value": round(against, 2), "ratio": round(psnr / against, 3)}
            )
            rows.append(
                summary(
                    f"rbf-{name}:{method}",
                    [each for each, _ in found],
                    parameters=count,
                    steps=method_steps,
                    side=2 * side,
                    **more,
                )
            )
            against = psnr
    return rows


def profiles(size: str) -> list[dict]:
    from fields.methods.rbf import Rbf
    from fields.methods.registry import make_method

    side, _, seeds, names, parameters, method_steps = SETTINGS[size]
    image = named(names[0], 2 * side)
    rows = []
    for profile in get_args(Rbf.model_fields["profile"].annotation):
        recipe = (
            make_method("rbf", {"batch": 8192, "profile": profile})
            .prepare(image)
            .sized(2, len(image.channels), parameters)
        )
        values = [psnr_of(image, recipe, steps=method_steps, seed=seed)[0] for seed in range(seeds)]
        rows.append(summary(f"rbf-profile:{profile}", values, steps=method_steps, side=2 * side))
    return rows


def shape(size: str) -> list[dict]:
    shape_numbers, shape_steps = SHAPE[size]
    rows = []
    for method in ("hashgrid", "rbf"):
        found = [
            near_surface_error(solids(), method, {"batch": 16384}, shape_numbers, shape_steps, seed)
            for seed in range(SETTINGS[size][2])
        ]
        rows.append(
            summary(
                f"rbf-shape:{method}",
                [near.error for near in found],
                parameters=found[0].parameters,
                steps=shape_steps,
                seconds=round(sum(near.seconds for near in found) / len(found), 1),
            )
            | {"unit": "unit cubes"}
        )
    return rows


def cost(size: str) -> list[dict]:
    """Medians of forward and backward passes of 65,536 points of 32 features, taken in turns, beside the
    multiplications and additions of either.
    """
    import torch

    from fields.networks.gaussian_rbf import GaussianRbf
    from fields.networks.mlp import MLP

    generator = torch.Generator().manual_seed(0)
    networks = {
        "units": GaussianRbf(32, 64, 3, spread=0.3, linear=False, backend="auto", generator=generator),
        "mlp": MLP(32, 64, 2, 3, bias=True, generator=generator),
    }
    x = 0.1 * torch.randn(1 << 16, 32, generator=generator)
    taken: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range((5 if size == "quick" else 25) + 2):
        for name, network in networks.items():
            features = x.clone().requires_grad_()
            begun = time.perf_counter()
            network(features).square().mean().backward()
            if turn > 1:
                taken[name].append(time.perf_counter() - begun)
    units, mlp = (1000 * sorted(times)[len(times) // 2] for times in taken.values())
    return [
        {
            "id": "rbf-cost",
            "value": round(units, 2),
            "unit": "ms",
            "against": "mlp 2 x 64",
            "against_value": round(mlp, 2),
            "ratio": round(mlp / units, 2),
            "operations": 2 * 64 * 32 + 64 * 3,
            "its_operations": 32 * 64 + 64 * 64 + 64 * 3,
        }
    ]


def _decoded(side: int, steps: int, decoder: str, start: float, seed: int) -> tuple[float, int]:
    """PSNR of whole batches of the image of dense detail, and the decoder's parameters."""
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
    grids = nn.ModuleList(
        FactorGrid(
            FactorLayout(2, channels, (((Factor((0, 1), (nodes, nodes)),),),)),
            "auto",
            lambda grid, axes: grid.normal_(0, start, generator=generator),
        )
        for nodes, channels in GRIDS
    )
    inputs = sum(channels for _, channels in GRIDS)
    kind, _, width = decoder.partition(" ")
    if kind == "linear":
        network = nn.Linear(inputs, 3)
    elif kind == "mlp":
        layers, _, units = width.partition(" x ")
        network = MLP(inputs, int(units), int(layers), 3, bias=True, generator=generator)
    else:
        units, _, authors = width.partition(",")
        network = GaussianRbf(
            inputs,
            int(units),
            3,
            spread=1e-4 if authors else start,
            linear=False,
            backend="auto",
            generator=generator,
        )
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


PARTS = {"decoders": decoders, "methods": methods, "profiles": profiles, "cost": cost, "shape": shape}
