"""Benchmarks of the studio and of the memory estimate, at their smallest."""

import pytest

from benchmarks import memory, studio


@pytest.mark.slow
def test_memory_of_a_fit_is_near_the_estimate():
    row = memory.row("image:siren")
    assert row["unit"] == "MB" and row["value"] > 1 and row["against_value"] > 1 and 0.4 < row["ratio"] < 2.5


@pytest.mark.slow
def test_fit_keeps_its_speed_while_a_page_watches(monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setattr(studio, "TURN_SECONDS", 1.0)
    row = studio.row("image:hashgrid", 1)
    assert row["value"] > 0 and row["against_value"] > 0 and row["ratio"] > 0.4


def test_measured_signals_are_procedural_or_come_with_scikit_image():
    from apps.studio import examples

    for source in [case[0] for case in (*memory.CASES.values(), *studio.CASES.values())]:
        assert source in {example.title for example in examples.EXAMPLES} or source.startswith(
            ("skimage:", "procedural:")
        )
    assert set(memory.QUICK) <= set(memory.CASES)
