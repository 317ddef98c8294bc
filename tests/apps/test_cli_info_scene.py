"""`fit-a-scene info` of photographs with their cameras."""

import json

import pytest

from apps.cli.main import main
from scenes.procedural import still_life


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(still_life, "SIDE", 16)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_scene(tmp_path, capsys):
    assert main(["info", "procedural:duck", "--plot", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["train"], report["test"], report["sizes"], report["lenses"]) == (40, 8, [[16, 16]], ["pinhole"])
    assert report["box"]["bounded"] and report["distances"][0] > 3 and report["plot"] == "duck-cameras.png"
    assert (tmp_path / "duck-cameras.png").stat().st_size > 10_000
    assert main(["info", "procedural:duck", "--plot", "mine.png"]) == 0
    assert (tmp_path / "mine.png").is_file() and "drawn in" in capsys.readouterr().out


def test_what_is_neither(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "nowhere", "procedural:goose"):
        assert main(["info", source]) == 2
        assert capsys.readouterr().err.count("\n") == 1
