"""Helpers of the tests of jobs."""

import time

from apps.studio.fit_job import FitJob
from fields.fit.request import FitRequest


def fit_request(photograph, steps=8, **changes):
    return FitRequest(
        source=photograph,
        method="hashgrid",
        settings={"levels": 4, "table_size": 1024},
        steps=steps,
        **changes,
    )


def until(condition, seconds=120.0):
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.02)


def ended(job):
    until(lambda: job.state in ("done", "failed", "paused", "stopped"))
    return job


def resume(queue, path):
    """The job that continues the fit in a folder."""
    return queue.resume(FitJob(path.name, path))
