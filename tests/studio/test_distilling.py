"""A distillation as a job: what may be chosen, that it ends as a run, and that it goes on after a pause."""

import time

import pytest

from apps.cli.main import main
from apps.studio import gallery
from apps.studio.distilling import DistillJob, DistillOrder
from apps.studio.folders import Folders
from apps.studio.jobs import Queue
from apps.studio.looks import Looks
from fields.fit.run import Run
from scenes.errors import BadInput


def test_a_run_becomes_another_method(tmp_path, photograph):
    pytest.importorskip("gradio")
    from apps.studio.tabs.distil import students

    folders = Folders.at(tmp_path / "runs")
    teacher = folders.runs / "teacher"
    assert main(["fit", str(photograph), "--set", "levels=4", "table_size=1024", "--steps", "20", "--out", str(teacher)]) == 0
    looks, queue = Looks(), Queue(folders)
    try:
        text, methods, kind = looks.ask(teacher, students).result()
        assert kind == "image" and "hashgrid" in text and "siren" in methods and methods[-1] == "hashgrid" and "nerv" not in methods
        path = queue.free("teacher-densegrid")
        job = queue.add(DistillJob(path.name, path, DistillOrder(teacher, "densegrid", {}, 2.0)))
        begun = time.monotonic()
        while job.state not in ("done", "failed"):
            assert time.monotonic() - begun < 120
            time.sleep(0.05)
        assert job.state == "done", job.message
        assert set(job.pictures) == {"target", "fit", "error"} and Run.open(path).header["teacher"]["method"] == "hashgrid"
        assert {entry["name"] for entry in gallery.listed(folders, queue)} == {"teacher", "teacher-densegrid"}
        with pytest.raises(BadInput, match="under Distil"):
            gallery.repeat(folders, queue, "teacher-densegrid")
    finally:
        queue.close()
        looks.close()
