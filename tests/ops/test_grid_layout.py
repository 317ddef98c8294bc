"""The layout alone: sizes that the field has published, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

from fields.ops.grid_layout import DENSE, HASHED, WRAPPED, GridLayout


@pytest.mark.parametrize(
    "layout, parameters",
    [
        # Sizes that users of tiny-cuda-nn report for these settings (its issues 338, 468 and instant-ngp's issue 527).
        (GridLayout(3, 16, 2, 16, 128 ** (1 / 15), 1 << 19), 12_196_240),
        (GridLayout(3, 16, 2, 16, 1.3195079107728942, 1 << 19), 11_445_040),
        (GridLayout(2, 8, 8, 2, 2.0, kind="dense"), 699_072),
        (GridLayout(2, 1, 8, 1, 2.0, kind="dense"), 64),
        (GridLayout(2, 2, 2, 16, 1.4), 1_584),
    ],
)
def test_sizes_are_tiny_cuda_nns(layout, parameters):
    assert layout.parameters == parameters


def test_doubling_resolutions_are_exact():
    layout = GridLayout(2, 10, 2, 16, 2.0, 1 << 14)
    assert [level.resolution for level in layout.per_level] == [16 * 2**n for n in range(10)]
    assert [level.scale for level in layout.per_level] == [16.0 * 2**n - 1 for n in range(10)]


def test_levels_follow_each_other_and_are_capped():
    layout = GridLayout(3, 8, 4, 4, 1.7, 1 << 10)
    offset = 0
    for level in layout.per_level:
        assert level.offset == offset
        assert level.size == min(-(-(level.resolution**3) // 8) * 8, 1 << 10)
        assert level.hashed == (level.resolution**3 > level.size)
        offset += level.size
    assert layout.entries == offset
    assert layout.parameters == 4 * offset
    assert layout.outputs == 32


def test_scales_are_float32():
    for level in GridLayout(2, 16, 2, 16, 1.38).per_level:
        assert float(np.float32(level.scale)) == level.scale


@pytest.mark.parametrize("kind, addressing", [("hash", HASHED), ("dense", DENSE), ("tiled", WRAPPED)])
def test_records(kind, addressing):
    layout = GridLayout(2, 3, 2, 4, 2.0, 16, kind)
    assert list(layout.records["addressing"]) == [DENSE, addressing, addressing]
    assert list(layout.records["size"]) == [level.size for level in layout.per_level]
    assert list(layout.records["offset"]) == [level.offset for level in layout.per_level]


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"dimensions": 0}, "1 to 4 dimensions"),
        ({"dimensions": 5}, "1 to 4 dimensions"),
        ({"levels": 0}, "levels"),
        ({"features": 3}, "1, 2, 4 or 8"),
        ({"base_resolution": 0}, "base resolution"),
        ({"growth": 0.5}, "growth"),
        ({"growth": float("nan")}, "growth"),
        ({"table_size": 1000}, "power of two"),
        ({"kind": "octree"}, "hash, dense or tiled"),
        ({"dimensions": 3, "kind": "dense"}, "entries"),
        ({"levels": 64}, "grid points an axis"),
    ],
)
def test_what_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        GridLayout(**{"dimensions": 2, **wrong})


def test_needs_no_torch():
    code = "import sys, fields.ops.grid_layout; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
