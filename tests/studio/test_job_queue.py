"""The queue of jobs: fits wait, run, pause, resume and end."""

import threading

import pytest
from studio_jobs import ended, fit_request, resume, until

from apps.studio import gallery
from apps.studio.job_queue import JobQueue
from fields.fit.request import FitRequest
from fields.runs.run import Run
from scenes.errors import BadInput


def test_a_fit_ends_as_a_run(queue, photograph):
    job = ended(queue.fit(fit_request(photograph), "photo"))
    assert job.state == "done" and job.step == job.total == 8 and job.metrics["psnr"] > 5
    assert set(job.images) == {"target", "fit", "error"} and job.to_dict()["run"] == "photo"
    assert Run.open(job.path).header["status"] == "finished"


def test_a_fit_gives_the_same_weights_as_the_command(queue, photograph, tmp_path):
    from apps.cli.main import main

    job = ended(queue.fit(fit_request(photograph, seed=3), "photo"))
    call = [
        "fit",
        str(photograph),
        "--method",
        "hashgrid",
        "--set",
        "levels=4",
        "table_size=1024",
        "--steps",
        "8",
        "--seed",
        "3",
        "--out",
        str(tmp_path / "a"),
    ]
    assert main(call) == 0
    assert (job.path / "field.safetensors").read_bytes() == (tmp_path / "a" / "field.safetensors").read_bytes()


def test_a_paused_and_resumed_fit_gives_the_same_weights(queue, photograph):
    whole = ended(queue.fit(fit_request(photograph, 800), "whole"))
    job = queue.fit(fit_request(photograph, 800), "parted")
    until(lambda: job.step > 0)
    job.pause()
    ended(job)
    assert job.state == "paused" and 0 < job.step < 800 and Run.open(job.path).header["status"] == "stopped"
    assert resume(queue, job.path) is job and ended(job).state == "done"
    assert (whole.path / "field.safetensors").read_bytes() == (job.path / "field.safetensors").read_bytes()


def test_concurrent_clicks_on_pause_stop_and_resume_do_no_harm(queue, folders, photograph):
    job = queue.fit(fit_request(photograph, 100_000), "clicked")
    until(lambda: job.step > 0)

    def click():
        for _ in range(50):
            job.pause()
            job.stop()

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    ended(job)
    assert job.state == "paused"
    assert len({id(resume(queue, job.path)) for _ in range(50)}) == 1
    until(lambda: job.state == "running")
    job.stop()
    assert (
        ended(job).state == "stopped"
        and len(queue.jobs) == 1
        and [entry["name"] for entry in gallery.entries(folders, queue)] == ["clicked"]
    )


def test_a_waiting_fit_can_be_removed_and_the_next_one_runs(queue, photograph):
    first = queue.fit(fit_request(photograph, 100_000), "a")
    second, third = queue.fit(fit_request(photograph), "b"), queue.fit(fit_request(photograph), "b")
    assert second.path != third.path
    second.stop()
    assert second.state == "stopped" and not second.path.exists()
    first.stop()
    assert ended(third).state == "done" and ended(first).state == "stopped"


def test_a_waiting_fit_can_be_paused_and_goes_to_the_end_of_the_queue(queue, photograph):
    first = queue.fit(fit_request(photograph, 100_000), "a")
    second, third = queue.fit(fit_request(photograph), "b"), queue.fit(fit_request(photograph), "c")
    until(lambda: first.state == "running")
    assert queue.places() == {second.id: 1, third.id: 2}
    second.pause()
    assert second.state == "paused" and queue.places() == {third.id: 1}
    assert queue.resume(second) is second and queue.places() == {third.id: 1, second.id: 2}
    first.stop()
    assert ended(third).state == ended(second).state == "done"
    assert list(queue.jobs) == [first.id, third.id, second.id]


def test_a_failed_fit_says_why_and_the_next_one_runs(queue, photograph, tmp_path):
    lost = ended(queue.fit(FitRequest(source=tmp_path / "lost.png", kind="image", seconds=1.0), "lost"))
    assert lost.state == "failed" and "no such file" in lost.message
    with pytest.raises(BadInput, match="levels"):
        queue.fit(FitRequest(source=photograph, method="hashgrid", settings={"levels": 0}, steps=2), "wrong")
    assert ended(queue.fit(fit_request(photograph), "right")).state == "done"


def test_closing_the_queue_keeps_the_fit_that_runs(folders, photograph):
    queue = JobQueue(folders)
    job = queue.fit(fit_request(photograph, 1_000_000), "kept")
    until(lambda: job.step > 0)
    queue.close()
    assert Run.open(job.path).checkpoint.is_file() and Run.open(job.path).header["status"] == "stopped"
    again = JobQueue(folders)
    try:
        resumed = resume(again, job.path)
        until(lambda: resumed.step > job.step)
        resumed.stop()
        ended(resumed)
    finally:
        again.close()


def test_a_paused_fit_is_resumed_under_its_new_name(queue, folders, photograph):
    job = queue.fit(fit_request(photograph, 400), "old")
    until(lambda: job.step > 0)
    job.pause()
    ended(job)
    step = job.step
    gallery.rename(folders, queue, "old", "new")
    resumed = ended(resume(queue, folders.run("new")))
    assert resumed is job and job.state == "done" and job.step == 400 > step and not (folders.runs / "old").exists()
    gallery.delete(folders, queue, "new")
    assert not queue.jobs


def test_refuses_jobs_when_too_many_wait(queue, photograph, monkeypatch):
    from apps.studio import job_queue

    monkeypatch.setattr(job_queue, "MAX_WAITING", 3)
    with pytest.raises(BadInput, match="3 jobs wait already"):
        for _ in range(50):
            queue.fit(fit_request(photograph, 1_000_000), "many")
    for job in reversed(list(queue.jobs.values())):
        job.stop()
    until(lambda: all(job.state == "stopped" for job in queue.jobs.values()))
