"""Figures of methods: ranks by signal and time, and how they are shown."""

import json

import pytest

from apps.cli.main import main
from fields.methods import figures


def row(name, value, kind="image", unit="dB", metric="psnr"):
    return {"id": name, "value": value, "unit": unit, "metric": metric, "kind": kind, "steps": 10, "parameters": 99}


ROWS = [
    row("siren:kodim05:30s", 30.0),
    row("cam:kodim05:30s", 32.0),
    row("siren:kodim05:60s", 33.0),
    row("siren:armadillo:30s", 0.97, "shape", "1", "iou"),
]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"machine": "a processor, 2 threads", "figures": figures.ranked(ROWS)}))
    monkeypatch.setattr(figures, "FILE", file)
    figures._stored.cache_clear()
    yield
    figures._stored.cache_clear()


def test_figures_are_ranked_among_the_methods_of_a_signal_and_a_time(stored):
    assert [(f.signal, f.seconds, f.rank, f.of) for f in figures.figures_of("siren")] == [
        ("kodim05", 30.0, 2, 2),
        ("kodim05", 60.0, 1, 1),
        ("armadillo", 30.0, 1, 1),
    ]
    assert figures.lines("siren", "shape") == ["30 s: armadillo iou 0.970 (1 of 1)"]
    assert figures.lines("siren") == [
        "30 s: kodim05 30.0 dB (2 of 2), armadillo iou 0.970 (1 of 1)",
        "60 s: kodim05 33.0 dB (1 of 1)",
    ]
    assert figures.lines("hashgrid") == []


def test_methods_show_what_they_reached(stored, capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    assert "kodim05 32.0 dB (1 of 2)" in out and "on a processor, 2 threads" in out
    assert main(["methods", "cam", "--json"]) == 0
    (method,) = json.loads(capsys.readouterr().out)["methods"]
    assert method["figures"][0]["value"] == 32.0
