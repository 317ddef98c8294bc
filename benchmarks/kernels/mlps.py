"""`mlp-64`: the small MLP alone, 65,536 points through 32-64-64-3 with ReLU, forward and backward to features and weights."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels.case import Case

POINTS, SIZES = 65_536, (32, 64, 64, 3)
# Multiplications and additions of a pass there and back.
OPERATIONS = 6 * POINTS * sum(a * b for a, b in zip(SIZES, SIZES[1:]))


def inputs():
    """Features, matrices, and the gradient of the values."""
    import torch

    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(b, a, generator=generator) * (2 / a) ** 0.5 for a, b in zip(SIZES, SIZES[1:])]
    return (
        torch.rand(POINTS, SIZES[0], generator=generator),
        weights,
        torch.randn(POINTS, SIZES[-1], generator=generator),
    )


def prepare(contender: str, case: str = "mlp-64") -> Callable[[], object]:
    import torch

    from fields.ops.mlp import mlp

    features, weights, grad = inputs()
    leaves = [t.requires_grad_() for t in (features, *weights)]

    def plain(features, weights):
        for weight in weights[:-1]:
            features = torch.relu(features @ weight.T)
        return features @ weights[-1].T

    matmul_dtype = "bfloat16" if case == "mlp-64-bf16" else "float32"
    forward = {
        "native": lambda f, w: mlp(f, w, matmul_dtype=matmul_dtype, backend="native"),
        "torch": plain,
        "torch-compiled": torch.compile(plain) if contender == "torch-compiled" else None,
    }[contender]
    return lambda: torch.autograd.grad(forward(features, weights), leaves, grad)


def pass_alone() -> Callable[[], object]:
    """What the fused step does with the MLP: forward and back over tiles, in which activations stay."""
    from fields.ops.mlp import MlpKernel

    features, weights, grad = inputs()
    kernel = MlpKernel("relu", 30.0, "float32", len(weights))
    return lambda: kernel.backward(features, weights, grad, True)


CASES = [
    Case("mlp-64", ("native", "torch", "torch-compiled"), prepare, quick=True),
    Case("mlp-64-bf16", ("native", "torch", "torch-compiled"), prepare),
]
