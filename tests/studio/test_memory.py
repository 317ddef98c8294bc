"""Finished fits and exports give their memory back."""

import gc
import os
import time

import numpy as np
import psutil
import pytest

from apps.studio import exporting
from apps.studio.shelf import ACTIVE
from fields.fit.request import FitRequest

# Fits and exports after the first ones, and how much the process may grow by them. `STUDIO_FITS=50` is the whole check.
FITS = int(os.environ.get("STUDIO_FITS", "10"))
GROWTH = 0.1
METHODS = ("hashgrid", "densegrid")


def resident():
    gc.collect()
    return psutil.Process().memory_info().rss


@pytest.mark.slow
def test_fits_and_exports_give_their_memory_back(idle_studio, tmp_path):
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)).save(tmp_path / "photo.png")
    levels = []
    for index in range(FITS + len(METHODS)):
        method = METHODS[index % len(METHODS)]
        job = idle_studio.queue.fit(FitRequest(source=tmp_path / "photo.png", method=method, steps=3), "fit")
        begun = time.monotonic()
        while job.state in ("queued", "loading", "running"):
            assert time.monotonic() - begun < 60
            job.watched = time.monotonic()
            time.sleep(0.01)
        assert job.state == "done", job.message
        choice = idle_studio.renderer.render(job.path, exporting.choices).result()[0]
        made = idle_studio.shelf.start(job.path, choice, 2.0, 32)
        while made.state in ACTIVE or idle_studio.shelf.is_busy(job.path):
            assert time.monotonic() - begun < 120
            time.sleep(0.01)
        assert made.state == "done", made.message
        levels.append(resident())
        print(index, levels[-1] >> 20)
    first, last = levels[len(METHODS) - 1], levels[-1]
    assert last < (1 + GROWTH) * first, [level >> 20 for level in levels]


def test_large_values_are_kept_up_to_a_number_of_bytes(monkeypatch):
    from apps.studio import memory

    now, made = [0.0], []
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    cache = memory.LargeCache(max_bytes=1000, seconds=10)

    def get(name, size):
        return cache.get(name, lambda: made.append(name) or [np.zeros(size, np.uint8)])

    for name, size in (("a", 600), ("b", 300), ("a", 600), ("c", 300), ("a", 600), ("b", 300)):
        get(name, size)
    assert made == ["a", "b", "c", "b"], "the one that was used longest ago goes first"
    get("huge", 5000)
    get("huge", 5000)
    assert made.count("huge") == 1, "the newest stays, whatever its size"
    now[0] = 11.0
    cache.expire()
    get("huge", 5000)
    assert made.count("huge") == 2


def test_the_arrays_of_a_signal_are_counted(tmp_path, photograph):
    import scenes
    from apps.studio.memory import array_bytes

    signal = scenes.load(photograph)
    assert signal.pixels.nbytes <= array_bytes(signal) < 2 * signal.pixels.nbytes


def test_images_of_jobs_that_ended_long_ago_are_given_back(folders, photograph, monkeypatch):
    from studio_jobs import ended, fit_request

    from apps.studio import job_queue

    monkeypatch.setattr(job_queue, "MAX_WITH_IMAGES", 1)
    queue = job_queue.JobQueue(folders)
    try:
        jobs = [ended(queue.fit(fit_request(photograph, 2), "fit")) for _ in range(3)]
        assert [bool(job.images) for job in jobs] == [False, True, True] and jobs[0].metrics["psnr"]
    finally:
        queue.close()
