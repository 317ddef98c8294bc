"""Problems of `fit-a-scene bench`: native call and reference compute the same, and rows have the documented keys."""

import pytest
import torch
from ops_helpers import assert_close

from fields.ops import backends, bench
from fields.ops.bench import PROBLEMS, Problem

SMALL = 96


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.id)
def test_native_call_and_reference_compute_the_same(problem):
    native, reference = (problem.prepare(backend, SMALL)() for backend in ("native", "torch"))
    assert len(native) == len(reference) > 0
    for ours, theirs in zip(native, reference):
        if ours.dtype == torch.int32:
            assert torch.equal(ours, theirs)
        else:
            # The arguments of NeuRBF's sines reach thousands, of which float32 keeps three decimals.
            assert_close(ours, theirs, 1e-2 if problem.id == "neurbf-gather" else 1e-4, problem.id)


def test_row_compares_median_times():
    counts = {"native": 0, "torch": 0}

    def prepare(backend, points):
        def call():
            counts[backend] += 1
            return [torch.zeros(points)]

        return call

    (row,) = bench.measure([Problem("zeros", 3, prepare)], repeats=4)
    assert set(row) == {"id", "value", "unit", "against", "against_value", "ratio"}
    assert (row["id"], row["unit"], row["against"]) == ("zeros", "ms", "torch")
    assert counts == {"native": 5, "torch": 5}


def test_absent_library_gives_rows_with_a_note(monkeypatch):
    monkeypatch.setattr(backends, "why_not_native", lambda device: "not built")
    rows = bench.measure()
    assert [row["id"] for row in rows] == [problem.id for problem in PROBLEMS]
    assert all(row["value"] is None and row["note"] == "not built" for row in rows)
