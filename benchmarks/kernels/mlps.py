"""`mlp-64`: the small MLP alone, 65,536 points through 32-64-64-3 with ReLU, with gradients of features and weights.

`mlp-64-bf16` is the same with matrix products in bfloat16, on the CPU; its peers multiply in float32. `mlp-64-half` has
products of float16 on the tensor cores of a GPU, beside tiny-cuda-nn's fused MLP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from benchmarks.kernels.case import Case

POINTS, SIZES = 65_536, (32, 64, 64, 3)
# Multiplications and additions of one forward and backward pass.
OPERATIONS = 6 * POINTS * sum(a * b for a, b in zip(SIZES, SIZES[1:]))

# Type of the factors of matrix products in each case.
DTYPES = {"mlp-64": "float32", "mlp-64-bf16": "bfloat16", "mlp-64-half": "float16"}


def prepare(contender: str, case: str = "mlp-64", device: str = "cpu") -> Callable[[], object]:
    """The contender's pass, forward and backward."""
    import torch
    from torch import Tensor

    from fields.ops.bench import mlp_inputs
    from fields.ops.mlp import MatmulDtype, mlp

    features, weights, grad = mlp_inputs(POINTS)
    features, grad, *weights = (t.to(device) for t in (features, grad, *weights))
    if contender == "tcnn":
        from benchmarks.baselines.tcnn import fused_mlp

        network = fused_mlp(SIZES)
        own = [features.requires_grad_(), network.params]
        return lambda: torch.autograd.grad(network(features).float(), own, grad)
    leaves = [t.requires_grad_() for t in (features, *weights)]

    def plain(features: Tensor, weights: list[Tensor]) -> Tensor:
        for weight in weights[:-1]:
            features = torch.relu(features @ weight.T)
        return features @ weights[-1].T

    matmul_dtype = cast(MatmulDtype, DTYPES[case])
    if contender == "native":
        forward = lambda f, w: mlp(f, w, matmul_dtype=matmul_dtype, backend="native")  # noqa: E731
    else:
        forward = torch.compile(plain) if contender == "torch-compiled" else plain
    return lambda: torch.autograd.grad(forward(features, weights), leaves, grad)


def pass_alone() -> Callable[[], object]:
    """The MLP's part of the fused step: forward and back over tiles in which activations stay."""
    from fields.ops.bench import mlp_inputs
    from fields.ops.mlp import ActivationShape, MlpKernel

    features, weights, grad = mlp_inputs(POINTS)
    kernel = MlpKernel(ActivationShape("relu"), "float32", len(weights))
    return lambda: kernel.backward(features, weights, grad, True)


CASES = [
    Case("mlp-64", ("native", "torch", "torch-compiled"), prepare, quick=True, gpu=("tcnn",)),
    Case("mlp-64-bf16", ("native", "torch", "torch-compiled"), prepare, gpu=None),
    Case("mlp-64-half", (), prepare, gpu=("native", "tcnn")),
]
