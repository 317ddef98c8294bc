"""The queue of jobs, and the worker thread that does them one after another."""

from __future__ import annotations

import threading
import traceback
from collections import OrderedDict, deque
from pathlib import Path

from apps.studio.chosen_signal import OPENED
from apps.studio.fit_job import FitJob, TrainingJob
from apps.studio.folders import Folders
from apps.studio.job import ACTIVE_STATES, Job
from apps.studio.memory import give_back
from apps.studio.messages import message_of, unexpected
from fields.fit.request import FitRequest
from fields.methods.registry import make_method
from fields.runs.run import Run
from scenes.errors import BadInput

# Jobs that are remembered, the newest, and jobs that may wait.
MAX_JOBS = 60
MAX_WAITING = 20
# Jobs that have ended whose images are kept, the newest.
MAX_WITH_IMAGES = 8


class JobQueue:
    """The jobs of a studio by id, oldest first."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders
        self.jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition(threading.RLock())
        self._closed = False
        self._reserved: set[Path] = set()
        self._thread = threading.Thread(target=self._serve, name="studio-worker", daemon=True)
        self._thread.start()

    def fit(self, request: FitRequest, name: str, owner: str = "") -> Job:
        """Queue a new fit into a folder called `name`. Raises BadInput for options of the method that are wrong."""
        if request.method:
            make_method(request.method, request.settings)
        path = self.reserve(name)
        return self.add(FitJob(path.name, path, request), owner)

    def reserve(self, name: str) -> Path:
        """A folder for a new run that neither exists nor is reserved for a job that waits."""
        with self._change:
            taken = {job.path for job in self.jobs.values()} | self._reserved
            path, number = self.folders.new(name), 2
            while path in taken:
                path = self.folders.new(f"{name}-{number}")
                number += 1
            self._reserved.add(path)
            return path

    def resume(self, job: Job, owner: str = "") -> Job:
        """Queue the continuation of the run in the job's folder, and return the job that does it.

        Where the run has a job already, that one is returned, also where it is under way. Raises BadInput where the run
        is finished.
        """
        with self._change:
            for known in reversed(self.jobs.values()):
                if known.path == job.path:
                    if known.state in ACTIVE_STATES:
                        return known
                    if known.requeue():
                        return self.add(known, owner)
            if isinstance(job, TrainingJob) and Run.open(job.path).header["status"] == "finished":
                raise BadInput(f"{job.path.name} is finished; repeat it, or fit anew")
            return self.add(job, owner)

    def remember(self, job: Job) -> Job:
        """List a job that has ended, without doing it."""
        with self._change:
            self.jobs[job.id] = job
            self._forget_old()
        return job

    def add(self, job: Job, owner: str = "") -> Job:
        """Append a job to the queue. Raises BadInput where too many wait.

        owner: name of the browser that asks for it; one that has asked already stays.
        """
        with self._change:
            # Jobs that were paused or stopped while they waited have lost their place.
            self._waiting = deque(known for known in self._waiting if known.state == "queued" and known is not job)
            if len(self._waiting) >= MAX_WAITING:
                job.stop()
                raise BadInput(f"{MAX_WAITING} jobs wait already; let some of them end first")
            job.owner = job.owner or owner
            self.jobs[job.id] = job
            self.jobs.move_to_end(job.id)
            self._waiting.append(job)
            self._forget_old()
            self._change.notify()
        return job

    def _forget_old(self) -> None:
        ended = [known for known in self.jobs.values() if known.state not in ACTIVE_STATES]
        for old in ended[: max(0, len(self.jobs) - MAX_JOBS)]:
            del self.jobs[old.id]
        for old in ended[:-MAX_WITH_IMAGES]:
            if old.images:
                old.release()

    def job(self, job_id: str) -> Job:
        """The job with this id. Raises BadInput where there is none."""
        if job_id not in self.jobs:
            raise BadInput("there is no such job here; its run may be in the gallery")
        return self.jobs[job_id]

    def places(self) -> dict[str, int]:
        """How many jobs are before each one that waits, by id, the one under way included."""
        with self._change:
            working = sum(job.state in ("loading", "running", "stopping") for job in self.jobs.values())
            waiting = [job.id for job in self._waiting if job.state == "queued"]
        return {job_id: working + index for index, job_id in enumerate(waiting)}

    def is_busy(self, path: Path) -> bool:
        """Whether a job waits or works in this folder."""
        return any(job.path == path and job.state in ACTIVE_STATES for job in list(self.jobs.values()))

    def sources(self) -> list[str]:
        """Paths of the files that the jobs open, or may open again."""
        return [source for job in list(self.jobs.values()) for source in job.sources()]

    def update_path(self, old: Path, new: Path | None) -> None:
        """Note that a run that is not under way was moved to another folder, or deleted (`new` is None)."""
        with self._change:
            for job in [job for job in self.jobs.values() if job.path == old]:
                if new is None:
                    del self.jobs[job.id]
                else:
                    job.path, job.name = new, new.name
            self._reserved.discard(old)

    def close(self, seconds: float = 60.0) -> None:
        """Stop the job that is under way, so that it keeps its checkpoint, and wait for that."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            self._change.notify()
        for job in list(self.jobs.values()):
            if job.state in ("loading", "running"):
                job.stop()
        self._thread.join(seconds)

    @property
    def is_open(self) -> bool:
        """Whether the worker thread lives: after `close`, until the job that was under way has ended."""
        return self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
            if job.begin():
                _work(job)
                OPENED.expire()
                give_back()


def _work(job: Job) -> None:
    """Do a job. Errors are reported by the job: the worker thread outlives them."""
    try:
        job.work()
    except BadInput as error:
        job.fail(message_of(error))
    except MemoryError:
        job.fail("there is not enough memory for this; ask for fewer parameters, or a smaller file")
    except Exception as error:
        traceback.print_exc()
        job.fail(unexpected(error))
