"""What a part of a benchmark does to the rows that are stored already."""

import json
from argparse import Namespace

import pytest

from benchmarks import report
from benchmarks.pages import FOLDER, pages, table

STORE = Namespace(store=True, json=True)
TWO, ONE = ({"cpu": "EPYC", "threads": threads, "gpu": None} for threads in (2, 1))


def result(machine, rows, **more):
    return {"benchmark": "trial", "machine": machine, "versions": {}, "rows": rows, **more}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Stores two rows measured with two threads, and returns a function that reads the file."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    report.emit(result(TWO, [{"id": "a", "value": 1}, {"id": "b", "value": 2}]), STORE)
    return lambda: json.loads((tmp_path / "trial.json").read_text())


def test_a_row_of_another_machine_keeps_the_others(stored):
    report.emit(result(ONE, [{"id": "b", "value": 5}, {"id": "c", "value": 6}]), STORE, partial=True)
    found = stored()
    assert found["machine"] == TWO
    assert found["rows"] == [
        {"id": "a", "value": 1},
        {"id": "b", "value": 5, "machine": ONE},
        {"id": "c", "value": 6, "machine": ONE},
    ]
    assert "(EPYC, 1 threads, GPU: none)" in table(found["rows"])
    # Measured again where the others were, it is a row like them.
    report.emit(result(TWO, [{"id": "b", "value": 7}]), STORE, partial=True)
    assert stored()["rows"][1] == {"id": "b", "value": 7}
    # A row of which only a part is new says where the rest is from.
    report.emit(result(ONE, [{"id": "a", "value": 1, "more": 3, "machine": TWO}]), STORE, partial=True)
    assert stored()["rows"][0] == {"id": "a", "value": 1, "more": 3}


def test_a_part_of_another_size_is_refused_in_one_line_after_it_is_shown(stored, capsys):
    before = stored()
    with pytest.raises(SystemExit, match="trial.json holds rows of size None, not large: nothing is stored"):
        report.emit(result(TWO, [{"id": "a", "value": 9}], size="large"), STORE, partial=True)
    assert stored() == before
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rows"] == [{"id": "a", "value": 9}]


def test_the_pages_are_those_of_the_stored_results():
    for name, text in pages().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: python -m benchmarks.pages"
