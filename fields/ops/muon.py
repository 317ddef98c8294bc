"""Muon (Jordan et al. 2024): updates of matrices in which all directions count alike.

A network's gradients have few large singular values, and what they rarely point to, such as the fine detail of an
image, is learned late. McGinnis et al. 2025, "Optimizing Rank for High-Fidelity Implicit Neural Representations",
measure it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fields.ops.mlp import why_not_matmul_dtype

# Iterations, and the coefficients of the odd polynomial a x + b x^3 + c x^5 that each applies to the singular values:
# the authors', which come near 1 (0.7 to 1.2) soon rather than converge to it.
ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315
# Added to the norm of a gradient, which may be 0.
TINY = 1e-12


def muon(weight: Tensor, gradient: Tensor, *, mean: Tensor, lr: float, decay: float) -> None:
    """Update a matrix `[rows, columns]` and the mean of its gradients in place.

    Elements change by about `lr`, so that rates are like Adam's. The gradient is looked ahead as by Nesterov.
    """
    mean.lerp_(gradient, 1 - decay)
    direction = orthogonalized(torch.lerp(gradient, mean, decay))
    weight.add_(direction.to(weight.dtype), alpha=-lr * math.sqrt(max(weight.shape)))


def orthogonalized(matrix: Tensor) -> Tensor:
    """The matrix `[rows, columns]` with all singular values near 1, by Newton and Schulz's iteration.

    In bfloat16 where the processor multiplies so, which is enough.
    """
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = wide / (wide.norm() + TINY)
    if x.dtype == torch.float32 and why_not_matmul_dtype("bfloat16", x.device.type) is None:
        x = x.bfloat16()
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide is matrix else x.T
