"""Memory of large results: kept for the next one, and never handed out twice."""

import gc

import pytest
import torch

from fields.ops import memory

SHAPE = (memory.LARGE // 4 // 8, 8)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(memory, "_free", [])


def test_a_freed_block_is_used_again():
    first = memory.empty(SHAPE, torch.float32)
    place = first.data_ptr()
    del first
    gc.collect()
    assert len(memory._free) == 1
    again = memory.empty(SHAPE, torch.float32)
    assert again.data_ptr() == place and not memory._free
    assert again.shape == SHAPE and again.dtype == torch.float32 and again.is_contiguous()


def test_what_is_still_seen_is_not_used_again():
    first = memory.empty(SHAPE, torch.float32).fill_(1.0)
    view = first[10:20]
    array = first.numpy()
    del first
    gc.collect()
    other = memory.empty(SHAPE, torch.float32).fill_(2.0)
    assert (view == 1.0).all() and (array == 1.0).all() and other.data_ptr() != array.ctypes.data
    del view
    gc.collect()
    assert not memory._free
    del array
    gc.collect()
    assert len(memory._free) == 1


def test_blocks_fit_and_are_bounded(monkeypatch):
    monkeypatch.setattr(memory, "MAX_KEPT", 3 * memory.LARGE)
    small, large = memory.empty(SHAPE, torch.float32), memory.empty((2 * SHAPE[0], 8), torch.float32)
    del large
    other = memory.empty(SHAPE, torch.float32)  # not the large block: a quarter more at most
    assert len(memory._free) == 1
    del small, other
    gc.collect()
    assert sum(map(len, memory._free)) <= memory.MAX_KEPT and len(memory._free) == 2


def test_small_results_are_left_to_torch():
    tensor = memory.empty((10, 3), torch.float64)
    assert tensor.shape == (10, 3) and tensor.dtype == torch.float64
    del tensor
    assert not memory._free


def test_a_tensor_like_any_other():
    leaf = memory.empty(SHAPE, torch.float32).fill_(3.0).requires_grad_()
    (leaf * leaf).sum().backward()
    assert (leaf.grad == 6.0).all()
    with torch.no_grad():
        leaf += 1.0
    assert (leaf == 4.0).all() and leaf.clone().add_(1.0)[0, 0] == 5.0
