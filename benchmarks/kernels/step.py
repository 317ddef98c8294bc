"""`step2d-15`: a whole training step of 65,536 points with the 2-D grid of table 2^15, an MLP 64 x 2, mean squared error, Adam.

`step2d-15-bf16` is the same with products of bfloat16 numbers; its peer multiplies float32 numbers.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS = 65_536


def prepare(contender: str, case: str = "step2d-15") -> Callable[[], object]:
    import torch

    from benchmarks.baselines.hash_grid import TorchStep
    from fields.ops.adam import Adam
    from fields.ops.fused_step import GridMlpStep
    from fields.ops.grid_layout import GridLayout
    from fields.ops.hash_grid import hash_grid

    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    generator = torch.Generator().manual_seed(0)
    coords, targets = torch.rand(POINTS, 2, generator=generator), torch.rand(POINTS, 3, generator=generator)
    table = torch.empty(layout.entries, 2).uniform_(-1e-4, 1e-4, generator=generator)
    sizes = (layout.outputs, 64, 64, 3)
    weights = [torch.randn(b, a, generator=generator) * (2 / a) ** 0.5 for a, b in zip(sizes, sizes[1:])]
    if contender.startswith("torch"):
        step = TorchStep(layout, table, weights, compiled=contender == "torch-compiled")
        return lambda: step(coords, targets)

    leaves = [leaf.requires_grad_() for leaf in (table, *weights)]
    optimizer = Adam([{"params": leaves[:1], "lr": 5e-2, "sparse": True}, {"params": leaves[1:], "lr": 5e-3}])
    fused = GridMlpStep(
        table,
        weights,
        layout,
        interpolation="linear",
        loss="l2",
        matmul_dtype="bfloat16" if case.endswith("bf16") else "float32",
    )

    def native() -> None:
        fused(coords, targets)
        optimizer.step()

    def with_torch_mlp() -> None:
        optimizer.zero_grad()
        values = hash_grid(coords, table, layout, backend="native")
        for weight in weights[:-1]:
            values = torch.relu(values @ weight.T)
        ((values @ weights[-1].T - targets) ** 2).mean().backward()
        optimizer.step()

    return native if contender == "native" else with_torch_mlp


CASES = [
    Case("step2d-15", ("native", "native+torch-mlp", "torch", "torch-compiled"), prepare, quick=True),
    Case("step2d-15-bf16", ("native", "native+torch-mlp"), prepare),
]
