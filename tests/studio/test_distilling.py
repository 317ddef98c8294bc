"""A distillation as a job: what may be chosen, that it ends as a run, goes on after a restart, and is repeated."""

import time

import pytest

from apps.cli.main import main
from apps.studio import gallery
from apps.studio.distilling import DATA, DistillJob, DistillOrder
from apps.studio.folders import Folders
from apps.studio.jobs import Queue
from apps.studio.view_renderer import Looks
from fields.distill.stages import Stages
from fields.runs.run import Run
from scenes.errors import BadInput


def test_a_run_becomes_another_method(tmp_path, photograph):
    pytest.importorskip("gradio")
    from apps.studio.tabs.distill import students

    folders = Folders.at(tmp_path / "runs")
    teacher = folders.runs / "teacher"
    assert (
        main(["fit", str(photograph), "--set", "levels=4", "table_size=1024", "--steps", "20", "--out", str(teacher)])
        == 0
    )
    looks, queue = Looks(), Queue(folders)
    try:
        text, methods, kind = looks.ask(teacher, students).result()
        assert (
            kind == "image"
            and "hashgrid" in text
            and "siren" in methods
            and methods[-1] == "hashgrid"
            and "nerv" not in methods
        )
        path = queue.free("teacher-densegrid")
        job = queue.add(DistillJob(path.name, path, DistillOrder(teacher, "densegrid", {}, 2.0)))
        begun = time.monotonic()
        while job.state not in ("done", "failed"):
            assert time.monotonic() - begun < 120
            time.sleep(0.05)
        assert job.state == "done", job.message
        assert (
            set(job.pictures) == {"target", "fit", "error"} and Run.open(path).header["teacher"]["method"] == "hashgrid"
        )
        assert {entry["name"] for entry in gallery.listed(folders, queue)} == {"teacher", "teacher-densegrid"}
    finally:
        queue.close()
        looks.close()


def until(condition):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 120
        time.sleep(0.02)


def test_a_distillation_is_repeated_and_goes_on_after_a_restart_with_its_data(tmp_path, photograph):
    folders = Folders.at(tmp_path / "runs")
    teacher = folders.runs / "teacher"
    assert (
        main(["fit", str(photograph), "--set", "levels=4", "table_size=1024", "--steps", "20", "--out", str(teacher)])
        == 0
    )
    order = DistillOrder(
        teacher,
        "densegrid",
        {"learning_rate": 0.02},
        None,
        2000,
        3,
        400,
        16,
        Stages(feature_share=0.25),
        data=str(photograph),
    )
    queue = Queue(folders)
    try:
        job = queue.add(DistillJob("student", folders.runs / "student", order))
        until(lambda: job.step > 0 or job.state == "failed")
    finally:
        queue.close()
    assert Run.open(folders.runs / "student").header["status"] == "stopped", job.message
    queue = Queue(folders)
    try:
        resumed = gallery.resume(folders, queue, "student")
        until(lambda: resumed.state in ("done", "failed"))
        repeated = gallery.repeat(folders, queue, "student")
        until(lambda: repeated.state in ("done", "failed"))
        for done in (resumed, repeated):
            assert done.state == "done" and "on the data: psnr" in done.message, done.message
        first, second = (Run.open(done.path).header for done in (resumed, repeated))
        same = ("teacher", "method", "options", "steps", "seconds", "seed", "bits", "stages", "share_heads", DATA)
        assert [first[name] for name in same] == [second[name] for name in same] and repeated.path.name == "student-2"
        assert resumed.metrics == repeated.metrics
        gallery.rename(folders, queue, "teacher", "elsewhere")
        with pytest.raises(BadInput, match="no such run folder"):
            gallery.repeat(folders, queue, "student")
        assert not (folders.runs / "student-3").exists() and len(queue.jobs) == 2
    finally:
        queue.close()
