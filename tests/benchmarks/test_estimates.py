"""Estimates of the CUDA kernels: the page has today's table, and measured rows are held against it."""

import pytest

from benchmarks.kernels import estimates
from benchmarks.kernels.measure import CASES


def test_page_has_the_table_that_the_command_prints():
    page = estimates.PAGE.read_text(encoding="utf-8")
    assert estimates.page_with_table(page) == page, "run: python -m benchmarks.kernels.estimates --write"


def test_estimates_are_of_cases_that_are_measured_on_a_gpu():
    measured = {case.id for case in CASES if case.contenders_on("cuda")}
    assert {work.id for work in estimates.all_work()} <= measured


def test_limits_follow_from_bytes_and_operations():
    h200, rtx = estimates.GPUS
    copy = estimates.Work("copy", memory=4.8e9)
    assert copy.limit(h200) == (pytest.approx(1e-3), "memory")
    product = estimates.Work("product", memory=1.0, operations=82.6e9)
    assert product.limit(rtx) == (pytest.approx(1e-3), "arithmetic")
    # A pair of floats is added by one operation or by two.
    sums = estimates.Work("sums", memory=0.0, added=1e9, pairs=True)
    assert sums.times(rtx)["cache"] * rtx.cache == pytest.approx(2 * sums.times(h200)["cache"] * h200.cache)
    assert estimates.Work("nothing", memory=1.0).limit(h200)[1] == "launches"


def test_measured_rows_are_held_against_the_limits():
    work = estimates.all_work()[0]
    seconds, _ = work.limit(estimates.GPUS[0])
    rows = [{"id": work.id, "value": 4e3 * seconds, "unit": "ms"}, {"id": "other", "value": 1.0, "unit": "ms"}]
    (line,) = estimates.held(rows, "NVIDIA H200")
    assert line.startswith(work.id) and line.endswith("25%")
    assert "no limits of NVIDIA T4" in estimates.held(rows, "NVIDIA T4")[0]
