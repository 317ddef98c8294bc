"""Manners of long work: progress from the first second, the time left, and an end at once that leaves nothing."""

import argparse
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from apps.cli import work_progress
from apps.cli.interrupt import stop_on_signals
from apps.cli.main import main
from apps.cli.work_progress import WorkProgress

QUICK = ["--steps", "3", "--set", "batch=512", "table_size=256", "levels=2"]


@pytest.fixture(autouse=True)
def heeded():
    """Ctrl-C counts, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Lines that come twenty times as often."""
    monkeypatch.setattr(work_progress, "FIRST_LINE_SECONDS", 0.05)
    monkeypatch.setattr(work_progress, "LINE_SECONDS", 0.05)


def lines_of(capsys, what: str) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"{what}: ")]


def test_lines_tell_the_stage_and_the_time_left(capsys):
    with WorkProgress("export", argparse.Namespace()) as shown:
        time.sleep(0.12)
        shown.begin("scoring", 100.0)
        time.sleep(0.12)
        shown.begin("writing")
        time.sleep(0.06)
        shown.fraction(0.5)
        time.sleep(0.12)
        shown.fraction(1.0)
        time.sleep(0.12)
    lines = lines_of(capsys, "export")
    assert lines[0] == "export: loading, 0 s"
    assert any("scoring, 0%, 100 s left" in line for line in lines)
    assert any("writing, 50%, 0 s left" in line for line in lines)
    assert lines[-1] == "export: writing, finishing"
    assert not [thread for thread in threading.enumerate() if thread is shown._thread]


def test_nothing_is_printed_after_the_end(capsys):
    with WorkProgress("export", argparse.Namespace()) as shown:
        shown.stop()
    time.sleep(0.12)
    assert capsys.readouterr().err == ""


@pytest.fixture
def run(tmp_path, photograph, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", str(photograph), *QUICK]) == 0
    capsys.readouterr()
    return "runs/photo"


def slowed(monkeypatch, place: str, calls: list[float], *, interrupt: bool) -> None:
    """Makes a function slow, and notes when it is called; `interrupt`: and sends Ctrl-C from within it."""
    module, _, name = place.rpartition(".")
    target = __import__(module, fromlist=[name])
    function = getattr(target, name)

    def slow(*arguments, **options):
        calls.append(time.perf_counter())
        time.sleep(0.2)
        if interrupt:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments, **options)

    monkeypatch.setattr(target, name, slow)


# Commands, and a function in the middle of their work.
WORK = {
    "export": (["export", "runs/photo", "a.npz"], "fields.export.weights.write"),
    "render": (["render", "runs/photo", "--out", "a.png"], "fields.export.outputs.image.write_image"),
    "evaluate": (["evaluate", "runs/photo"], "fields.fit.fit.objective_for"),
    "poses": (["poses", "procedural:duck", "--out", "duck"], "scenes.posed.write._write_view"),
    "distill": (["distill", "runs/photo", "--into", "siren", "--steps", "2"], "fields.distill.distill.make_method"),
    "compare": (
        ["compare", "photo.png", "--methods", "hashgrid,siren", "--steps", "1"],
        "fields.compare.comparison._checked_size",
    ),
}


@pytest.mark.parametrize("command", WORK)
def test_ctrl_c_ends_with_one_line_and_leaves_nothing(run, monkeypatch, capsys, command):
    arguments, place = WORK[command]
    before = {path: path.stat().st_mtime_ns for path in Path(".").rglob("*") if path.is_file()}
    calls: list[float] = []
    slowed(monkeypatch, place, calls, interrupt=True)
    assert main(arguments) == 130
    (called,) = calls
    assert time.perf_counter() - called < 10
    captured = capsys.readouterr()
    assert captured.out == ""
    said = [line for line in captured.err.splitlines() if not line.startswith(f"{command}: ")]
    assert said == ["interrupted"]
    assert {path: path.stat().st_mtime_ns for path in Path(".").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("command", ["export", "render", "evaluate", "poses"])
def test_progress_is_shown_while_it_works(run, monkeypatch, capsys, command):
    arguments, place = WORK[command]
    slowed(monkeypatch, place, [], interrupt=False)
    if command == "poses":
        arguments = ["poses", "procedural:duck", "--out", "other"]
        monkeypatch.setattr("scenes.posed.write._write_view", lambda *_: time.sleep(0.02) or {"file_path": "x"})
    assert main(arguments) == 0
    lines = lines_of(capsys, command)
    assert lines and (command != "poses" or any("s left" in line for line in lines))


def test_a_second_ctrl_c_ends_at_once():
    stopped: list[bool] = []

    class Work:
        def stop(self) -> None:
            stopped.append(True)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_signals(Work()):
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped == [True]
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_a_comparison_says_what_it_will_take(run, capsys):
    assert main(["compare", "photo.png", "--methods", "hashgrid,siren", "--seconds", "1", "--seeds", "1"]) == 0
    err = capsys.readouterr().err
    assert "2 fits: 1 s each, 2 s in all" in err and "[2 of 2]" in err
