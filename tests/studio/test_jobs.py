"""The queue: fits wait, run, pause, go on and end, whatever is asked of them and how often."""

import threading
import time

import numpy as np
import pytest
from apps.studio.comparing import CompareJob
from apps.studio.jobs import FitOrder, Queue, thinned

from apps.studio import gallery
from fields.compare.comparison import Comparison
from fields.compare.request import CompareRequest
from fields.runs.run import Run
from scenes.errors import BadInput


def order(photograph, steps=8, **changes):
    return FitOrder(
        str(photograph), method="hashgrid", options={"levels": 4, "table_size": 1024}, steps=steps, **changes
    )


def until(condition, seconds=120.0):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.02)


def done(job):
    until(lambda: job.state in ("done", "failed", "paused", "stopped"))
    return job


def test_a_fit_ends_as_a_run(queue, photograph):
    job = done(queue.fit(order(photograph), "photo"))
    assert job.state == "done" and job.step == job.total == 8 and job.metrics["psnr"] > 5
    assert set(job.pictures) == {"target", "fit", "error"} and job.told()["run"] == "photo"
    assert Run.open(job.path).header["status"] == "finished"


def test_the_same_steps_give_the_same_weights_as_the_command(queue, photograph, tmp_path):
    from apps.cli.main import main

    job = done(queue.fit(order(photograph, seed=3), "photo"))
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


def test_pause_and_resume_end_as_if_nothing_had_been(queue, photograph):
    whole = done(queue.fit(order(photograph, 800), "whole"))
    job = queue.fit(order(photograph, 800), "parted")
    until(lambda: job.step > 0)
    job.pause()
    done(job)
    assert job.state == "paused" and 0 < job.step < 800 and Run.open(job.path).header["status"] == "stopped"
    assert queue.resume(job.path) is job and done(job).state == "done"
    assert (whole.path / "field.safetensors").read_bytes() == (job.path / "field.safetensors").read_bytes()


def test_fifty_clicks_on_everything_do_no_harm(queue, folders, photograph):
    job = queue.fit(order(photograph, 100_000), "clicked")
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
    done(job)
    assert job.state == "paused"
    assert len({id(queue.resume(job.path)) for _ in range(50)}) == 1
    until(lambda: job.state == "running")
    job.stop()
    assert (
        done(job).state == "stopped"
        and len(queue.jobs) == 1
        and [entry["name"] for entry in gallery.listed(folders, queue)] == ["clicked"]
    )


def test_what_waits_can_be_taken_back_and_the_next_one_runs(queue, photograph):
    first = queue.fit(order(photograph, 100_000), "a")
    second, third = queue.fit(order(photograph), "b"), queue.fit(order(photograph), "b")
    assert second.path != third.path
    second.stop()
    assert second.state == "stopped" and not second.path.exists()
    first.stop()
    assert done(third).state == "done" and done(first).state == "stopped"


def test_a_fit_that_fails_says_why_and_the_next_one_runs(queue, photograph, tmp_path):
    lost = done(queue.fit(FitOrder(str(tmp_path / "lost.png"), "image", seconds=1.0), "lost"))
    assert lost.state == "failed" and "no such file" in lost.message
    with pytest.raises(BadInput, match="levels"):
        queue.fit(FitOrder(str(photograph), method="hashgrid", options={"levels": 0}, steps=2), "wrong")
    assert done(queue.fit(order(photograph), "right")).state == "done"


def test_closing_keeps_what_runs(folders, photograph):
    queue = Queue(folders)
    job = queue.fit(order(photograph, 1_000_000), "kept")
    until(lambda: job.step > 0)
    queue.close()
    assert Run.open(job.path).checkpoint.is_file() and Run.open(job.path).header["status"] == "stopped"
    again = Queue(folders)
    try:
        resumed = again.resume(job.path)
        until(lambda: resumed.step > job.step)
        resumed.stop()
        done(resumed)
    finally:
        again.close()


def test_live_pictures_are_small_rare_and_only_drawn_while_somebody_looks(queue, photograph, monkeypatch):
    import fields.fit.objectives.image as images

    drawn = []
    original = images.ImageObjective.preview

    def slow(self, field, side=1024):
        drawn.append((time.perf_counter(), side))
        time.sleep(0.05)
        return original(self, field, side)

    monkeypatch.setattr(images.ImageObjective, "preview", slow)
    job = queue.fit(order(photograph, 10_000_000), "live")
    until(lambda: job.step > 0)
    time.sleep(0.5)
    assert not drawn
    for _ in range(25):
        job.watched = time.monotonic()
        time.sleep(0.1)
    assert 1 <= len(drawn) <= 6 and all(side**2 <= 100_000 for _, side in drawn)
    assert all(b - a >= 0.5 for (a, _), (b, _) in zip(drawn, drawn[1:]))
    job.stop()
    done(job)
    assert drawn[-1][1] == 1024


def test_a_paused_fit_goes_on_under_its_new_name(queue, folders, photograph):
    job = queue.fit(order(photograph, 400), "old")
    until(lambda: job.step > 0)
    job.pause()
    done(job)
    step = job.step
    gallery.rename(folders, queue, "old", "new")
    resumed = done(queue.resume(folders.run("new")))
    assert resumed is job and job.state == "done" and job.step == 400 > step and not (folders.runs / "old").exists()
    gallery.delete(folders, queue, "new")
    assert not queue.jobs


def test_only_so_many_wait(queue, photograph, monkeypatch):
    import apps.studio.jobs as jobs

    monkeypatch.setattr(jobs, "MAX_WAITING", 3)
    with pytest.raises(BadInput, match="3 fits wait already"):
        for _ in range(50):
            queue.fit(order(photograph, 1_000_000), "many")
    for job in reversed(list(queue.jobs.values())):
        job.stop()
    until(lambda: all(job.state == "stopped" for job in queue.jobs.values()))


def test_slow_pictures_become_smaller_and_hold_up_nothing(queue, photograph, monkeypatch):
    import fields.fit.objectives.image as images

    sides = []
    original = images.ImageObjective.preview

    def slow(self, field, side=1024):
        sides.append(side)
        time.sleep(1.0 if len(sides) == 1 else 0.3)
        return original(self, field, side)

    monkeypatch.setattr(images.ImageObjective, "preview", slow)
    job = queue.fit(order(photograph, 10_000_000), "slow")
    seen = set()
    begun = time.monotonic()
    while time.monotonic() - begun < 40 and len(sides) < 3:
        job.watched = time.monotonic()
        seen.add(job.step)
        time.sleep(0.1)
    job.stop()
    done(job)
    assert sides[0] == sides[1] == 316 and sides[2] < 230 and len(seen) >= 6


def test_thinned_curves_keep_their_ends():
    points = [(float(i), 0.0) for i in range(1000)]
    kept = []
    for point in points:
        kept = thinned([*kept, point])
    assert len(kept) <= 240 and kept[0] == points[0] and kept[-1] == points[-1] and kept == sorted(kept)


def test_gallery(queue, folders, photograph, tmp_path):
    job = done(queue.fit(order(photograph), "photo"))
    (folders.runs / "letters").mkdir()
    (folders.runs / "letters" / "mine.txt").write_text("keep")
    (folders.runs / "broken").mkdir()
    (folders.runs / "broken" / "run.json").write_text("{")
    (entry,) = gallery.listed(folders, queue)
    assert (
        entry["name"] == "photo"
        and entry["headline"][0] == "psnr"
        and entry["ready"]
        and entry["picture"]
        and not entry["busy"]
    )
    again = done(gallery.repeat(folders, queue, "photo"))
    assert again.path.name == "photo-2" and np.isclose(again.metrics["psnr"], job.metrics["psnr"])
    assert gallery.rename(folders, queue, "photo-2", "second one") == "second one"
    begun = done(queue.fit(FitOrder(str(photograph), steps=4, start=job.path, keep=0.5), "begun"))
    once_more = done(gallery.repeat(folders, queue, "begun"))
    assert once_more.state == "done", once_more.message
    for number in (begun, once_more):
        header = Run.open(number.path).header
        assert header["from"] == str(job.path) and header["keep"] == 0.5 and header["options"]["levels"] == 4
    for name in ("begun", "begun-2"):
        gallery.delete(folders, queue, name)
    for new in ("photo", "../out", "", "letters"):
        with pytest.raises(BadInput):
            gallery.rename(folders, queue, "second one", new)
    for name in ("letters", "..", "second one/..", ".uploads"):
        with pytest.raises(BadInput):
            gallery.delete(folders, queue, name)
    assert (folders.runs / "letters" / "mine.txt").read_text() == "keep"
    gallery.delete(folders, queue, "second one")
    assert [entry["name"] for entry in gallery.listed(folders, queue)] == ["photo"] == gallery.names(folders)


def test_a_comparison_goes_on_after_a_restart_and_is_repeated(folders, photograph):
    plan = CompareRequest(
        source=str(photograph), methods=("hashgrid", "densegrid"), params=2000, steps=60, seeds=2, held_out=0.25
    )
    queue = Queue(folders)
    try:
        job = queue.add(CompareJob("pair", folders.runs / "pair", plan))
        until(lambda: job.page or job.state in ("failed", "done"))
    finally:
        queue.close()
    assert job.state == "stopped", job.message
    queue = Queue(folders)
    try:
        resumed = gallery.resume(folders, queue, "pair")
        assert gallery.resume(folders, queue, "pair") is resumed and len(queue.jobs) == 1
        assert done(resumed).state == "done", resumed.message
        with pytest.raises(BadInput, match="pair is finished"):
            gallery.resume(folders, queue, "pair")
        repeated = done(gallery.repeat(folders, queue, "pair"))
        assert repeated.state == "done" and repeated.path.name == "pair-2", repeated.message
        first, second = (Comparison.open(made.path).header for made in (resumed, repeated))
        same = ("source", "kind", "methods", "seeds", "parameters", "steps", "seconds", "held_out", "sizes")
        assert [first[name] for name in same] == [second[name] for name in same]
        assert [row["metrics"] for row in first["rows"]] == [row["metrics"] for row in second["rows"]] and len(
            first["rows"]
        ) == 4
        assert {entry["name"]: entry["status"] for entry in gallery.listed(folders, queue)} == {
            "pair": "finished",
            "pair-2": "finished",
        }
    finally:
        queue.close()
