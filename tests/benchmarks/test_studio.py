"""The commands that measure the studio, at their smallest."""

import pytest

from benchmarks import memory, studio


@pytest.mark.slow
def test_what_a_fit_takes_is_near_what_is_said_of_it():
    row = memory.row("image:siren")
    assert row["unit"] == "MB" and row["value"] > 1 and row["against_value"] > 1 and 0.4 < row["ratio"] < 2.5


@pytest.mark.slow
def test_what_looking_costs(monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setattr(studio, "TURN_SECONDS", 1.0)
    row = studio.row("image:hashgrid", 1)
    assert row["value"] > 0 and row["against_value"] > 0 and row["ratio"] > 0.4


def test_what_is_measured_is_made_of_formulas_or_comes_with_scikit_image():
    from apps.studio import examples

    for source in [case[0] for case in (*memory.CASES.values(), *studio.CASES.values())]:
        assert source in examples.MADE or source.startswith(("skimage:", "procedural:"))
    assert set(memory.QUICK) <= set(memory.CASES)
