"""`step2d-15`: a whole training step of 65,536 points: the 2-D grid with 2^15 entries, an MLP 64 x 2, l2 loss, Adam.

`step2d-15-bf16` is the same with matrix products in bfloat16; its peer multiplies in float32.
`step2d-15-half` has products of float16 on the tensor cores of a GPU, beside tiny-cuda-nn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from benchmarks.kernels.case import Case

POINTS = 65_536
# Type of the factors of matrix products in each case.
DTYPES = {"step2d-15": "float32", "step2d-15-bf16": "bfloat16", "step2d-15-half": "float16"}


def prepare(contender: str, case: str = "step2d-15", device: str = "cpu") -> Callable[[], object]:
    """The contender's training step: the loss, all gradients, and the update."""
    import torch

    from benchmarks.baselines.hash_grid import TorchStep
    from fields.ops.adam import Adam
    from fields.ops.bench import step_inputs
    from fields.ops.fused_step import GridMlpStep
    from fields.ops.grid_mlp import grid_mlp
    from fields.ops.hash_grid import hash_grid
    from fields.ops.mlp import MatmulDtype

    layout, coords, targets, table, weights = step_inputs(POINTS)
    coords, targets, table, *weights = (t.to(device) for t in (coords, targets, table, *weights))
    if contender.startswith("torch"):
        step = TorchStep(layout, table, weights, compiled=contender == "torch-compiled")
        return lambda: step(coords, targets)

    leaves = [leaf.requires_grad_() for leaf in (table, *weights)]
    optimizer = Adam([{"params": leaves[:1], "lr": 5e-2, "sparse": True}, {"params": leaves[1:], "lr": 5e-3}])
    matmul_dtype = cast(MatmulDtype, DTYPES[case])
    fused = GridMlpStep(table, weights, layout, matmul_dtype=matmul_dtype) if device == "cpu" else None

    def native() -> None:
        if fused is not None:
            fused(coords, targets)
        else:
            # On a GPU one kernel takes grid and MLP, and autograd the loss.
            optimizer.zero_grad()
            values = grid_mlp(coords, table, weights, layout, matmul_dtype=matmul_dtype, backend="native")
            ((values - targets) ** 2).mean().backward()
        optimizer.step()

    if contender == "tcnn":
        from benchmarks.baselines.tcnn import training_step

        return training_step(layout, coords, targets)

    def with_torch_mlp() -> None:
        optimizer.zero_grad()
        values = hash_grid(coords, table, layout, backend="native")
        for weight in weights[:-1]:
            values = torch.relu(values @ weight.T)
        ((values @ weights[-1].T - targets) ** 2).mean().backward()
        optimizer.step()

    return native if contender == "native" else with_torch_mlp


CASES = [
    Case("step2d-15", ("native", "native+torch-mlp", "torch", "torch-compiled"), prepare, quick=True, gpu=("tcnn",)),
    Case("step2d-15-bf16", ("native", "native+torch-mlp"), prepare, gpu=None),
    Case("step2d-15-half", (), prepare, gpu=("native", "native+torch-mlp", "tcnn")),
]
