"""Pool of memory for large results: reused after they are freed, and never given out twice."""

import gc

import pytest
import torch

from fields.ops import buffers

SHAPE = (buffers.MIN_POOLED_BYTES // 4 // 8, 8)


@pytest.fixture(autouse=True)
def empty_pool(monkeypatch):
    monkeypatch.setattr(buffers, "_free", [])


def test_freed_block_serves_the_next_result():
    first = buffers.empty(SHAPE, torch.float32)
    address = first.data_ptr()
    del first
    gc.collect()
    assert len(buffers._free) == 1
    again = buffers.empty(SHAPE, torch.float32)
    assert again.data_ptr() == address and not buffers._free
    assert again.shape == SHAPE and again.dtype == torch.float32 and again.is_contiguous()


def test_block_with_a_living_view_is_not_reused():
    first = buffers.empty(SHAPE, torch.float32).fill_(1.0)
    view = first[10:20]
    array = first.numpy()
    del first
    gc.collect()
    other = buffers.empty(SHAPE, torch.float32).fill_(2.0)
    assert (view == 1.0).all() and (array == 1.0).all() and other.data_ptr() != array.ctypes.data
    del view
    gc.collect()
    assert not buffers._free
    del array
    gc.collect()
    assert len(buffers._free) == 1


def test_reused_blocks_fit_and_the_pool_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "MAX_FREE_BYTES", 3 * buffers.MIN_POOLED_BYTES)
    small, large = buffers.empty(SHAPE, torch.float32), buffers.empty((2 * SHAPE[0], 8), torch.float32)
    del large
    # The free block is more than a quarter too large.
    other = buffers.empty(SHAPE, torch.float32)
    assert len(buffers._free) == 1
    del small, other
    gc.collect()
    assert sum(map(len, buffers._free)) <= buffers.MAX_FREE_BYTES and len(buffers._free) == 2


def test_small_results_are_left_to_torch():
    tensor = buffers.empty((10, 3), torch.float64)
    assert tensor.shape == (10, 3) and tensor.dtype == torch.float64
    del tensor
    assert not buffers._free


def test_pooled_tensor_trains_like_any_other():
    leaf = buffers.empty(SHAPE, torch.float32).fill_(3.0).requires_grad_()
    (leaf * leaf).sum().backward()
    assert (leaf.grad == 6.0).all()
    with torch.no_grad():
        leaf += 1.0
    assert (leaf == 4.0).all() and leaf.clone().add_(1.0)[0, 0] == 5.0
