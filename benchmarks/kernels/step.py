"""`step2d-15`: a whole training step of 65,536 points: the 2-D grid with 2^15 entries, an MLP 64 x 2, l2 loss, Adam.

`step2d-15-bf16` is the same with matrix products in bfloat16; its peer multiplies in float32.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS = 65_536


def prepare(contender: str, case: str = "step2d-15") -> Callable[[], object]:
    """The contender's training step: the loss, all gradients, and the update."""
    import torch

    from benchmarks.baselines.hash_grid import TorchStep
    from fields.ops.adam import Adam
    from fields.ops.bench import step_inputs
    from fields.ops.fused_step import GridMlpStep
    from fields.ops.hash_grid import hash_grid

    layout, coords, targets, table, weights = step_inputs(POINTS)
    if contender.startswith("torch"):
        step = TorchStep(layout, table, weights, compiled=contender == "torch-compiled")
        return lambda: step(coords, targets)

    leaves = [leaf.requires_grad_() for leaf in (table, *weights)]
    optimizer = Adam([{"params": leaves[:1], "lr": 5e-2, "sparse": True}, {"params": leaves[1:], "lr": 5e-3}])
    fused = GridMlpStep(table, weights, layout, matmul_dtype="bfloat16" if case.endswith("bf16") else "float32")

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
