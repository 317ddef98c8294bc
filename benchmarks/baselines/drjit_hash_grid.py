"""Dr.Jit's hash grid (LLVM backend) as a peer of `benchmarks.kernels.grids`, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def build(
    dimensions: int, table_size: int, points: int, num_threads: int
) -> tuple[Callable[[], None], Callable[[], None]]:
    """`(forward, forward_backward)`: functions that do the work and wait for it."""
    import drjit as dr
    import numpy as np
    from drjit.llvm.ad import ArrayXf, Float32
    from drjit.nn import HashGridEncoding

    dr.set_thread_count(num_threads)
    grid: Any = HashGridEncoding(
        Float32,
        dimensions,
        n_levels=16,
        n_features_per_level=2,
        hashmap_size=table_size,
        base_resolution=16,
        per_level_scale=1.38,
        init_scale=1.0,
    )
    generator = np.random.default_rng(0)
    coords = ArrayXf(generator.random((dimensions, points), dtype=np.float32))
    upstream = ArrayXf(generator.standard_normal((32, points), dtype=np.float32))
    dr.eval(coords, upstream)

    def forward() -> None:
        dr.eval(ArrayXf(list(grid(coords))))
        dr.sync_thread()

    def forward_backward() -> None:
        dr.enable_grad(grid.data)
        dr.clear_grad(grid.data)
        features = ArrayXf(list(grid(coords)))
        dr.backward(dr.sum(dr.sum(features * upstream)))
        dr.eval(dr.grad(grid.data))
        dr.sync_thread()

    return forward, forward_backward
