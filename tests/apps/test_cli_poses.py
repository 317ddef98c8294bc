"""`fit-a-scene poses` with known cameras."""

import json

import pytest

from apps.cli.main import main
from scenes.posed.read import open_posed
from scenes.procedural import still_life


@pytest.fixture
def small(monkeypatch, tmp_path):
    monkeypatch.setattr(still_life, "SIDE", 16)
    monkeypatch.setenv("FIELD_STUDIO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_the_procedural_scene_is_written_as_a_folder(small, tmp_path, capsys):
    assert main(["poses", "procedural:duck", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["views"] == 48 and report["test"] == 8 and report["out"] == "duck-posed"
    assert (tmp_path / report["drawing"]).stat().st_size > 10_000
    folder, named = open_posed(tmp_path / "duck-posed"), open_posed("procedural:duck")
    assert folder.box == named.box
    assert all((a.read_image() == b.read_image()).all() for a, b in zip(folder.views, named.views))
    assert main(["poses", "procedural:duck"]) == 2
    assert "not empty" in capsys.readouterr().err


def test_sources_that_do_not_exist_are_refused(small, tmp_path, capsys):
    for source, message in [("procedural:goose", "there is duck"), ("nothing", "no such file")]:
        assert main(["poses", source, "--out", "somewhere"]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "somewhere").exists()
