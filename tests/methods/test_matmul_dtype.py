"""Reduced precision is for the first part of the training: its end, and queries, have float32."""

import pytest
import torch

from fields.methods.registry import make_method
from fields.ops.mlp import why_not_matmul_dtype
from scenes.image.signal import Image

pytestmark = pytest.mark.skipif(
    why_not_matmul_dtype("bfloat16") is not None, reason=why_not_matmul_dtype("bfloat16") or ""
)


def field(matmul_dtype: str):
    torch.manual_seed(0)
    signal = Image.from_array(torch.rand(32, 32, 3).numpy(), "srgb")
    method = make_method("hashgrid", {"matmul_dtype": matmul_dtype, "levels": 4, "table_size": 1 << 10}).prepare(signal)
    return method.build(signal.domain, signal.channels, seed=0)


def test_the_end_of_the_training_and_queries_have_float32():
    rounded, exact = field("bfloat16"), field("float32")
    coords, targets = torch.rand(4096, 2), torch.rand(4096, 3)
    step, reference = rounded.fused_step("l2"), exact.fused_step("l2")
    for index, same in ((0, False), (59, False), (60, True), (99, True)):
        rounded.before_step(index, 100)
        loss = step(coords, targets)
        reference(coords, targets)
        assert torch.equal(rounded.encoder.table.grad, exact.encoder.table.grad) == same, index
        assert torch.equal(rounded(coords), exact(coords)) == same
        with torch.no_grad():
            assert torch.equal(rounded(coords), exact(coords))
        assert loss.isfinite()
    rounded.before_step(5000, None)  # while the number of steps is unknown
    assert not rounded._ending
