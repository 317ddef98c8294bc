"""`runs` and `open`: what is listed, removed, renamed and shown."""

import json
import os
import shutil
from pathlib import Path

import pytest

from apps.cli import terminal
from apps.cli.flags import read_request, run_path
from apps.cli.main import build_parser, main, subcommands
from fields.distill.request import DistillRequest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "runs"
NAMES = ("image-hashgrid", "image-interrupted", "audio-hashgrid", "comparison")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder `runs` in the current one, with stored runs, one of them damaged, and a folder that is no run."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    for index, name in enumerate(NAMES):
        shutil.copytree(FIXTURES / name, folder / name)
        header = next(
            folder / name / file for file in ("run.json", "comparison.json") if (folder / name / file).exists()
        )
        os.utime(header, (1_000_000 + index, 1_000_000 + index))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    os.utime(folder / "damaged" / "run.json", (0, 0))
    (folder / "notes").mkdir()
    return folder


@pytest.fixture
def listed(capsys):
    def names(*flags: str) -> list[str]:
        assert main(["runs", "--json", *flags]) == 0
        return [run["name"] for run in json.loads(capsys.readouterr().out)["runs"]]

    return names


def refused(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 2
    return capsys.readouterr().err


def test_lists_the_newest_first_or_as_asked(runs, listed):
    assert listed() == [*reversed(NAMES), "damaged"]
    assert listed("--sort", "name") == sorted([*NAMES, "damaged"])
    kinds = listed("--sort", "kind")
    assert kinds.index("audio-hashgrid") < kinds.index("image-hashgrid")
    (runs / "audio-hashgrid" / "large.bin").write_bytes(bytes(2_000_000))
    assert listed("--sort", "size")[0] == "audio-hashgrid"


def test_shows_status_and_score(runs, capsys):
    assert main(["runs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "finished" in lines["image-hashgrid"] and "psnr" in lines["image-hashgrid"]
    assert "stopped" in lines["image-interrupted"]
    assert "compare:" in lines["comparison"]
    assert "damaged" in lines["damaged"]
    assert "notes" not in lines


def test_removes_several_by_name_and_path(runs, listed, capsys):
    assert main(["runs", "remove", "damaged", "runs/comparison", "--yes"]) == 0
    capsys.readouterr()
    assert set(listed()) == {"image-hashgrid", "image-interrupted", "audio-hashgrid"}
    assert not [path for path in runs.iterdir() if path.name.startswith(".")]


def test_removes_nothing_without_a_yes_or_beside_a_wrong_name(runs, listed, capsys, monkeypatch):
    assert "--yes" in refused(capsys, "runs", "remove", "damaged")
    assert "is not a run" in refused(capsys, "runs", "remove", "damaged", "notes", "--yes")
    assert "did you mean comparison" in refused(capsys, "runs", "remove", "damaged", "comparision", "--yes")
    (runs / "link").symlink_to(runs / "damaged")
    assert "is a link" in refused(capsys, "runs", "remove", "link", "--yes")
    assert len(listed()) == 6


def test_a_run_that_is_being_fitted_stays(runs, capsys):
    run = runs / "image-interrupted"
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, "status": "running"}))
    (run / "history.jsonl").touch()
    assert "being fitted" in refused(capsys, "runs", "remove", "image-interrupted", "--yes")
    assert "being fitted" in refused(capsys, "runs", "rename", "image-interrupted", "other")
    os.utime(run / "history.jsonl", (1e9, 1e9))
    assert main(["runs", "rename", "image-interrupted", "other"]) == 0


def test_renames_and_takes_no_path_for_a_name(runs, listed, capsys):
    assert main(["runs", "rename", "image-hashgrid", "portrait"]) == 0
    capsys.readouterr()
    assert "portrait" in listed()
    for name in ("../portrait", "a/b", ".hidden", ".."):
        assert "is not a name" in refused(capsys, "runs", "rename", "portrait", name)
    assert "exists already" in refused(capsys, "runs", "rename", "portrait", "notes")


def test_open_shows_the_best_picture_and_lists_the_others(runs, capsys, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(terminal, "has_display", lambda: True)
    monkeypatch.setattr("webbrowser.open", lambda address: shown.append(address) or True)
    (runs / "comparison" / "comparison.html").write_text("page")
    (runs / "image-hashgrid" / "preview.png").write_bytes(b"x")
    assert main(["open", "image-hashgrid"]) == 0
    assert capsys.readouterr().out.split() == ["runs/image-hashgrid/preview.png"]
    assert main(["open", "runs/comparison"]) == 0
    assert [address.rpartition("/")[2] for address in shown] == ["preview.png", "comparison.html"]


def test_open_prints_where_the_files_are_without_a_display(runs, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "has_display", lambda: False)
    (runs / "image-hashgrid" / "preview.png").write_bytes(b"x")
    assert main(["open", "image-hashgrid"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == ["runs/image-hashgrid/preview.png"]
    assert "no display" in captured.err
    assert "no picture" in refused(capsys, "open", "notes")


def test_every_command_takes_the_name_of_a_run(runs, tmp_path, capsys):
    assert main(["info", "image-hashgrid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == "runs/image-hashgrid"
    parser = build_parser()
    for command in ("render", "export", "evaluate", "distill"):
        given = subcommands(parser)[command].parse_intermixed_args(
            ["image-hashgrid", *["a.png"] * (command == "export")]
        )
        run = read_request(DistillRequest, given).teacher if command == "distill" else given.run_folder
        assert run == Path("runs/image-hashgrid"), command
    # What is there by that path is meant before a run of that name, and a new folder is no name.
    (tmp_path / "image-hashgrid").mkdir()
    assert run_path("image-hashgrid") == Path("image-hashgrid")
    assert run_path("new") == Path("new") and run_path("./damaged") == Path("damaged")


def test_without_runs_no_other_name_is_proposed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "there is no run photo; none is in runs" in refused(capsys, "runs", "remove", "photo", "--yes")
