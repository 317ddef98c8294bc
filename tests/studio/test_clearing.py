"""Uploads go when nothing speaks of them, and not before."""

import json
import os
import time

from apps.studio import cleanup as clearing
from apps.studio import gallery, uploads
from apps.studio.jobs import FitOrder

OLD = time.time() - 2 * clearing.KEPT_SECONDS


def upload(folders, name="photo.png", old=True):
    folders.arriving.mkdir(exist_ok=True)
    (folders.arriving / name).write_bytes(b"something")
    kept = uploads.keep(folders.arriving / name, folders)
    if old:
        os.utime(kept.parent, (OLD, OLD))
    return kept


def run_of(folders, name, source, file="run.json"):
    (folders.runs / name).mkdir()
    (folders.runs / name / file).write_text(json.dumps({"source": {"path": "array"}} | source))


def test_what_runs_comparisons_and_waiting_fits_speak_of_stays(folders):
    fitted, mask, compared, waiting, recent, forgotten = (upload(folders, old=index != 4) for index in range(6))
    run_of(folders, "fit", {"source": {"path": str(fitted), "options": {"mask": str(mask)}}})
    run_of(folders, "comparison", {"source": {"path": str(compared)}}, "comparison.json")
    (folders.uploads / "examples").mkdir()
    (folders.uploads / "examples" / "bells.wav").write_bytes(b"bells")
    os.utime(folders.uploads / "examples", (OLD, OLD))
    assert clearing.clear(folders, [str(waiting)]) == 1
    assert not forgotten.parent.exists() and all(path.is_file() for path in (fitted, mask, compared, waiting, recent))
    assert (folders.uploads / "examples" / "bells.wav").is_file()


def test_a_signal_that_is_looked_at_again_is_in_use(folders, tmp_path):
    path = upload(folders)
    clearing.touch(path, folders)
    clearing.touch("skimage:astronaut", folders)
    clearing.touch(tmp_path, folders)
    assert clearing.clear(folders) == 0 and path.is_file()


def test_what_arrived_long_ago_goes(folders):
    upload(folders)
    (folders.arriving / "export-abc").mkdir()
    (folders.arriving / "export-abc" / "photo.png").write_bytes(b"export")
    for name in ("photo.png", "export-abc"):
        os.utime(folders.arriving / name, (OLD, OLD))
    (folders.arriving / "new.png").write_bytes(b"new")
    clearing.clear(folders)
    assert [path.name for path in folders.arriving.iterdir()] == ["new.png"]


def test_where_a_run_cannot_be_read_nothing_goes(folders):
    path = upload(folders)
    (folders.runs / "odd" / "run.json").mkdir(parents=True)
    assert clearing.clear(folders) == 0 and path.is_file()


def test_an_upload_goes_with_its_last_run(folders, queue, photograph):
    kept = upload(folders, old=False)
    kept.write_bytes(photograph.read_bytes())
    order = FitOrder(str(kept), method="hashgrid", options={"levels": 4, "table_size": 1024}, steps=2)
    jobs = [queue.fit(order, "first"), queue.fit(order, "second")]
    begun = time.monotonic()
    while not all(job.state == "done" for job in jobs):
        assert time.monotonic() - begun < 120 and "failed" not in {job.state for job in jobs}, [
            job.message for job in jobs
        ]
        time.sleep(0.02)
    os.utime(kept.parent, (OLD, OLD))
    gallery.delete(folders, queue, "first")
    assert kept.is_file()
    gallery.delete(folders, queue, "second")
    assert not kept.parent.exists()
