"""Layout of multiresolution grids: published sizes, levels, records for the native code, and refused values."""

import subprocess
import sys

import numpy as np
import pytest

from fields.ops.grid_layout import DENSE, HASHED, WRAPPED, GridLayout


@pytest.mark.parametrize(
    "layout, parameters",
    [
        # Sizes that users of tiny-cuda-nn report for these settings (its issues 338, 468 and instant-ngp's issue 527).
        (
            GridLayout(3, levels=16, features=2, base_resolution=16, growth=128 ** (1 / 15), table_size=1 << 19),
            12_196_240,
        ),
        (
            GridLayout(3, levels=16, features=2, base_resolution=16, growth=1.3195079107728942, table_size=1 << 19),
            11_445_040,
        ),
        (GridLayout(2, levels=8, features=8, base_resolution=2, growth=2.0, kind="dense"), 699_072),
        (GridLayout(2, levels=1, features=8, base_resolution=1, growth=2.0, kind="dense"), 64),
        (GridLayout(2, levels=2, features=2, base_resolution=16, growth=1.4), 1_584),
    ],
)
def test_number_of_parameters_is_that_of_tiny_cuda_nn(layout, parameters):
    assert layout.num_parameters == parameters


def test_resolutions_that_double_are_exact():
    layout = GridLayout(2, levels=10, features=2, base_resolution=16, growth=2.0, table_size=1 << 14)
    assert [level.resolution for level in layout.per_level] == [16 * 2**n for n in range(10)]
    assert [level.scale for level in layout.per_level] == [16.0 * 2**n - 1 for n in range(10)]


def test_levels_are_contiguous_and_limited_to_the_table_size():
    layout = GridLayout(3, levels=8, features=4, base_resolution=4, growth=1.7, table_size=1 << 10)
    offset = 0
    for level in layout.per_level:
        assert level.offset == offset
        assert level.size == min(-(-(level.resolution**3) // 8) * 8, 1 << 10)
        assert level.hashed == (level.resolution**3 > level.size)
        offset += level.size
    assert layout.entries == offset
    assert layout.num_parameters == 4 * offset
    assert layout.outputs == 32


def test_scales_are_representable_in_float32():
    for level in GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38).per_level:
        assert float(np.float32(level.scale)) == level.scale


@pytest.mark.parametrize("kind, addressing", [("hash", HASHED), ("dense", DENSE), ("tiled", WRAPPED)])
def test_records_match_the_levels(kind, addressing):
    layout = GridLayout(2, levels=3, features=2, base_resolution=4, growth=2.0, table_size=16, kind=kind)
    assert list(layout.records["addressing"]) == [DENSE, addressing, addressing]
    assert list(layout.records["size"]) == [level.size for level in layout.per_level]
    assert list(layout.records["offset"]) == [level.offset for level in layout.per_level]


@pytest.mark.parametrize(
    "change, message",
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
        ({"levels": 64}, "grid points per axis"),
    ],
)
def test_refuses_impossible_layouts(change, message):
    with pytest.raises(ValueError, match=message):
        GridLayout(**{"dimensions": 2, **change})


def test_module_imports_without_torch():
    code = "import sys, fields.ops.grid_layout; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
