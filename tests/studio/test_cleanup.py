"""Cleanup of uploads: what nothing refers to is deleted after a day, and nothing else."""

import json
import os
import time

from apps.studio import cleanup, gallery, uploads
from apps.studio.cleanup import delete_unused
from fields.fit.request import FitRequest

OLD = time.time() - 2 * cleanup.KEPT_SECONDS


def upload(folders, name="photo.png", old=True):
    folders.arriving.mkdir(exist_ok=True)
    (folders.arriving / name).write_bytes(b"something")
    kept = uploads.keep_upload(folders.arriving / name, folders)
    if old:
        os.utime(kept.parent, (OLD, OLD))
    return kept


def run_of(folders, name, source, file="run.json"):
    (folders.runs / name).mkdir()
    (folders.runs / name / file).write_text(json.dumps({"source": {"path": "array"}} | source))


def test_keeps_uploads_of_runs_comparisons_and_waiting_fits_and_recent_ones(folders):
    fitted, mask, compared, waiting, recent, forgotten, asked = (upload(folders, old=index != 4) for index in range(7))
    run_of(folders, "fit", {"source": {"path": str(fitted), "options": {"mask": str(mask)}}})
    run_of(folders, "comparison", {"source": {"path": str(compared)}}, "comparison.json")
    run_of(folders, "mesh", {"options": {"source": str(asked)}}, "reconstruct.json")
    (folders.uploads / "examples").mkdir()
    (folders.uploads / "examples" / "bells.wav").write_bytes(b"bells")
    os.utime(folders.uploads / "examples", (OLD, OLD))
    assert cleanup.delete_unused(folders, [str(waiting)]) == 1
    assert not forgotten.parent.exists() and all(
        path.is_file() for path in (fitted, mask, compared, waiting, recent, asked)
    )
    assert (folders.uploads / "examples" / "bells.wav").is_file()


def test_keeps_an_upload_that_was_opened_again(folders, tmp_path):
    path = upload(folders)
    cleanup.mark_used(path, folders)
    cleanup.mark_used("skimage:astronaut", folders)
    cleanup.mark_used(tmp_path, folders)
    assert cleanup.delete_unused(folders) == 0 and path.is_file()


def test_deletes_old_files_that_arrived_or_were_made_for_a_download(folders):
    upload(folders)
    (folders.arriving / "export-abc").mkdir()
    (folders.arriving / "export-abc" / "photo.png").write_bytes(b"export")
    for name in ("photo.png", "export-abc"):
        os.utime(folders.arriving / name, (OLD, OLD))
    (folders.arriving / "new.png").write_bytes(b"new")
    cleanup.delete_unused(folders)
    assert [path.name for path in folders.arriving.iterdir()] == ["new.png"]


def test_deletes_nothing_where_a_run_cannot_be_read(folders):
    path = upload(folders)
    (folders.runs / "odd" / "run.json").mkdir(parents=True)
    assert cleanup.delete_unused(folders) == 0 and path.is_file()


def test_deletes_an_upload_with_its_last_run(folders, queue, photograph):
    kept = upload(folders, old=False)
    kept.write_bytes(photograph.read_bytes())
    request = FitRequest(source=kept, method="hashgrid", settings={"levels": 4, "table_size": 1024}, steps=2)
    jobs = [queue.fit(request, "first"), queue.fit(request, "second")]
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
    delete_unused(folders)
    assert kept.is_file(), "the run can still be brought back"
    for deleted in folders.trash.iterdir():
        os.utime(deleted, (OLD, OLD))
    assert delete_unused(folders) == 2 and not list(folders.trash.iterdir())
    assert delete_unused(folders) == 1 and not kept.parent.exists()
