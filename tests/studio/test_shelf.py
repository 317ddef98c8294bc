"""The shelf of exports: each file belongs to one run, is listed after a restart, and can be cancelled and deleted."""

import json
import threading
import time
from dataclasses import dataclass, field

import pytest

from apps.studio.exporting import ExportChoice
from apps.studio.shelf import ACTIVE, EXPORTS, Shelf
from fields.runs.run import Run
from scenes.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Named(ExportChoice):
    """Writes the run's name, once it may go on; reports its progress before and after."""

    go_on: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def write(self, run, out, scale, cells, progress):
        progress.fraction(0.5)
        self.begun.set()
        assert self.go_on.wait(60)
        progress.fraction(0.9)
        out.write_text(run.path.name)


@pytest.fixture
def shelf():
    made = Shelf()
    yield made
    made.close()


def run_called(folder, name):
    return Run.create(folder / name, {"kind": "image", "method": "hashgrid"}).path


def ended(export):
    begun = time.monotonic()
    while export.state in ACTIVE:
        assert time.monotonic() - begun < 60
        time.sleep(0.005)
    return export


def wait_until_idle(shelf, path):
    """Until the records are written, too."""
    begun = time.monotonic()
    while shelf.is_busy(path):
        assert time.monotonic() - begun < 60, "the run stays busy"
        time.sleep(0.005)


def text_of(shelf, path, export):
    return shelf.file(path, export.id).read_text()


def test_each_export_is_filed_under_its_own_run(shelf, tmp_path):
    first, second = run_called(tmp_path, "a"), run_called(tmp_path, "b")
    choice = Named(label="name (.txt)", ending=".txt")
    made = shelf.start(first, choice, 1.0, 32), shelf.start(second, choice, 2.0, 64)
    assert choice.begun.wait(60)
    (shown,) = shelf.entries(first)
    assert shown["state"] == "working" and shown["fraction"] == 0.5 and shown["remaining"] >= 0
    assert shelf.entries(second)[0]["state"] == "waiting" and shelf.is_busy(first) and shelf.is_busy(second)
    choice.go_on.set()
    assert [ended(export).state for export in made] == ["done", "done"]
    assert text_of(shelf, first, made[0]) == "a" and text_of(shelf, second, made[1]) == "b"
    with pytest.raises(BadInput, match="no such export of this run"):
        shelf.file(second, made[0].id)
    wait_until_idle(shelf, second)
    # The record is written a moment after the state changes.
    begun = time.monotonic()
    while shelf.is_busy(second):
        assert time.monotonic() - begun < 60
        time.sleep(0.005)
    again = Shelf()
    try:
        (kept,) = again.entries(second)
        assert (kept["label"], kept["scale"], kept["cells"], kept["bytes"]) == ("name (.txt)", 2.0, 64, 1)
    finally:
        again.close()


def test_a_cancelled_export_leaves_no_file_and_a_deleted_one_nothing(shelf, tmp_path):
    path = run_called(tmp_path, "a")
    choice = Named(label="name (.txt)", ending=".txt")
    working, waiting = shelf.start(path, choice, 1.0, 32), shelf.start(path, choice, 1.0, 32)
    assert choice.begun.wait(60)
    for export in (working, waiting):
        shelf.cancel(path, export.id)
    choice.go_on.set()
    while shelf.is_busy(path):
        time.sleep(0.005)
    assert [entry["state"] for entry in shelf.entries(path)] == ["cancelled", "cancelled"]
    assert not list(path.rglob("*.txt"))
    with pytest.raises(BadInput, match="make it again"):
        shelf.file(path, working.id)
    for export in (working, waiting):
        shelf.delete(path, export.id)
    assert shelf.entries(path) == [] and not list((path / EXPORTS).iterdir())


def test_an_export_that_a_restart_interrupted_says_so(shelf, tmp_path):
    path = run_called(tmp_path, "a")
    choice = Named(label="name (.txt)", ending=".txt")
    shelf.start(path, choice, 1.0, 32)
    assert choice.begun.wait(60)
    again = Shelf()
    try:
        (entry,) = again.entries(path)
        assert entry["state"] == "failed" and "make it again" in entry["message"]
    finally:
        again.close()
        choice.go_on.set()


def test_a_failed_export_says_why(shelf, tmp_path):
    class Wrong(Named):
        def write(self, run, out, scale, cells, progress):
            raise BadInput(f"{run.path}: has no surface")

    path = run_called(tmp_path, "a")
    export = ended(shelf.start(path, Wrong(label="mesh", ending=".glb"), 1.0, 32))
    assert (export.state, export.message) == ("failed", "a: has no surface")


def test_the_record_of_an_export_does_not_lead_out_of_its_folder(shelf, tmp_path):
    path = run_called(tmp_path, "a")
    (tmp_path / "secret.txt").write_text("secret")
    folder = path / EXPORTS / "0123456789ab"
    folder.mkdir(parents=True)
    record = {"label": "x", "scale": 1.0, "cells": 32, "state": "done"}
    for file in ("../../../secret.txt", str(tmp_path / "secret.txt"), "", ".."):
        (folder / "export.json").write_text(json.dumps({**record, "id": folder.name, "file": file}))
        with pytest.raises(BadInput, match="has no file"):
            shelf.file(path, folder.name)


@pytest.mark.parametrize("export_id", ["..", "../../x", "", "zzzzzzzzzzzz"])
def test_ids_do_not_lead_out_of_the_run(shelf, tmp_path, export_id):
    path = run_called(tmp_path, "a")
    with pytest.raises(BadInput):
        shelf.file(path, export_id)
    with pytest.raises(BadInput):
        shelf.delete(path, export_id)


def test_a_run_is_not_busy_for_ever_where_the_record_cannot_be_written(shelf, tmp_path, monkeypatch):
    """The disk is full, or the run was moved, when the export ends."""
    path, choice = run_called(tmp_path, "run"), Named(label="name (.txt)", ending=".txt")
    shelf.start(path, choice, 1.0, 32)
    assert choice.begun.wait(60)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("apps.studio.shelf.write_json", full)
    choice.go_on.set()
    wait_until_idle(shelf, path)
