"""A distillation as a job: it ends as a run, is resumed after a restart, and is repeated."""

import pytest
from studio_jobs import ended, until

from apps.cli.main import main
from apps.studio import gallery
from apps.studio.distill_job import DistillJob
from apps.studio.job_queue import JobQueue
from apps.studio.view_renderer import ViewRenderer
from fields.distill.request import DistillRequest
from fields.distill.stages import Stages
from fields.runs.run import Run
from scenes.errors import BadInput


@pytest.fixture
def teacher(folders, photograph):
    """The folder of a fitted run."""
    path = folders.runs / "teacher"
    options = ["--set", "levels=4", "table_size=1024", "--steps", "20"]
    assert main(["fit", str(photograph), "--out", str(path), *options]) == 0
    return path


def test_lists_the_methods_that_a_teacher_can_be_distilled_into_its_own_last(teacher):
    pytest.importorskip("gradio")
    from apps.studio.tabs.distill import students

    renderer = ViewRenderer()
    try:
        text, methods, kind = renderer.render(teacher, students).result()
    finally:
        renderer.close()
    assert kind == "image" and "hashgrid" in text
    assert "siren" in methods and methods[-1] == "hashgrid" and "nerv" not in methods


def test_a_distillation_ends_as_a_run(folders, queue, teacher):
    path = queue.reserve("teacher-densegrid")
    request = DistillRequest(teacher=teacher, into="densegrid", seconds=2.0)
    job = ended(queue.add(DistillJob(path.name, path, request)))
    assert job.state == "done", job.message
    assert set(job.images) == {"target", "fit", "error"}
    assert Run.open(path).header["teacher"]["method"] == "hashgrid"
    assert {entry["name"] for entry in gallery.entries(folders, queue)} == {"teacher", "teacher-densegrid"}


def test_a_distillation_is_resumed_after_a_restart_with_its_data_and_repeated(folders, teacher, photograph):
    request = DistillRequest(
        teacher=teacher,
        into="densegrid",
        settings={"learning_rate": 0.02},
        params=2000,
        seed=3,
        steps=400,
        bits=16,
        stages=Stages(feature_fraction=0.25),
        data=photograph,
    )
    queue = JobQueue(folders)
    try:
        job = queue.add(DistillJob("student", folders.runs / "student", request))
        until(lambda: job.step > 0 or job.state == "failed")
    finally:
        queue.close()
    assert Run.open(folders.runs / "student").header["status"] == "stopped", job.message
    queue = JobQueue(folders)
    try:
        resumed = ended(gallery.resume(folders, queue, "student"))
        repeated = ended(gallery.repeat(folders, queue, "student"))
        for done in (resumed, repeated):
            assert done.state == "done" and "on the signal: psnr" in done.message, done.message
        first, second = (Run.open(done.path).header for done in (resumed, repeated))
        same = ("teacher", "method", "options", "steps", "seconds", "seed", "bits", "stages", "share_heads")
        assert [first[name] for name in same] == [second[name] for name in same]
        assert first["also_scored_on"] == second["also_scored_on"] == str(photograph)
        assert repeated.path.name == "student-2" and resumed.metrics == repeated.metrics
        gallery.rename(folders, queue, "teacher", "elsewhere")
        with pytest.raises(BadInput, match="no such run folder"):
            gallery.repeat(folders, queue, "student")
        assert not (folders.runs / "student-3").exists() and len(queue.jobs) == 2
    finally:
        queue.close()
