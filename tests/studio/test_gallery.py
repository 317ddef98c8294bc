"""The gallery: runs and comparisons are listed, repeated, continued, renamed and deleted."""

import numpy as np
import pytest
from studio_jobs import ended, fit_request, until

from apps.studio import gallery
from apps.studio.compare_job import CompareJob
from apps.studio.job_queue import JobQueue
from fields.compare.comparison import Comparison
from fields.compare.request import CompareRequest
from fields.fit.request import FitRequest
from fields.runs.run import Run
from scenes.errors import BadInput


def test_lists_repeats_renames_and_deletes_runs(queue, folders, photograph, tmp_path):
    job = ended(queue.fit(fit_request(photograph), "photo"))
    (folders.runs / "letters").mkdir()
    (folders.runs / "letters" / "mine.txt").write_text("keep")
    (folders.runs / "broken").mkdir()
    (folders.runs / "broken" / "run.json").write_text("{")
    (entry,) = gallery.entries(folders, queue)
    assert (
        entry["name"] == "photo"
        and entry["headline"][0] == "psnr"
        and entry["ready"]
        and entry["image"]
        and not entry["busy"]
    )
    again = ended(gallery.repeat(folders, queue, "photo"))
    assert again.path.name == "photo-2" and np.isclose(again.metrics["psnr"], job.metrics["psnr"])
    assert gallery.rename(folders, queue, "photo-2", "second one") == "second one"
    begun = ended(queue.fit(FitRequest(source=photograph, steps=4, start=job.path, keep_fraction=0.5), "begun"))
    once_more = ended(gallery.repeat(folders, queue, "begun"))
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
    assert [entry["name"] for entry in gallery.entries(folders, queue)] == ["photo"] == gallery.names(folders)


def test_a_comparison_is_continued_after_a_restart_and_repeated(folders, photograph):
    request = CompareRequest(
        source=photograph, methods=("hashgrid", "densegrid"), params=2000, steps=60, seeds=2, held_out=0.25
    )
    queue = JobQueue(folders)
    try:
        job = queue.add(CompareJob("pair", folders.runs / "pair", request))
        until(lambda: job.page or job.state in ("failed", "done"))
    finally:
        queue.close()
    assert job.state == "stopped", job.message
    queue = JobQueue(folders)
    try:
        resumed = gallery.resume(folders, queue, "pair")
        assert gallery.resume(folders, queue, "pair") is resumed and len(queue.jobs) == 1
        assert ended(resumed).state == "done", resumed.message
        with pytest.raises(BadInput, match="pair is finished"):
            gallery.resume(folders, queue, "pair")
        repeated = ended(gallery.repeat(folders, queue, "pair"))
        assert repeated.state == "done" and repeated.path.name == "pair-2", repeated.message
        first, second = (Comparison.open(made.path).header for made in (resumed, repeated))
        same = ("source", "kind", "methods", "seeds", "parameters", "steps", "seconds", "held_out", "sizes")
        assert [first[name] for name in same] == [second[name] for name in same]
        assert [row["metrics"] for row in first["rows"]] == [row["metrics"] for row in second["rows"]] and len(
            first["rows"]
        ) == 4
        assert {entry["name"]: entry["status"] for entry in gallery.entries(folders, queue)} == {
            "pair": "finished",
            "pair-2": "finished",
        }
    finally:
        queue.close()


def test_names_lists_runs_of_a_kind(folders):
    for name, kind in (("a", "image"), ("b", "audio"), ("c", "shape")):
        Run.create(folders.runs / name, {"kind": kind, "method": "hashgrid"}).weights.write_bytes(b"")
    assert gallery.names(folders, kind="image") == ["a"] and len(gallery.names(folders)) == 3
