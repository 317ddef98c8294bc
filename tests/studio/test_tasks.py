"""Work that a page waits for: it says how far it is, ends where nobody wants it, and says why it has failed."""

import threading

import pytest
from studio_jobs import until

from apps.studio import tasks as module
from apps.studio.tasks import Tasks
from scenes.errors import BadInput


@pytest.fixture
def tasks():
    made = Tasks()
    yield made
    made.close()


def test_a_task_says_how_far_it_is_and_what_it_has_made(tasks):
    half, goes_on = threading.Event(), threading.Event()

    def work(report):
        report(0.5, "Half of it")
        half.set()
        assert goes_on.wait(60)
        return "<p>done</p>"

    task = tasks.start(work)
    assert half.wait(60)
    told = tasks.find(task.id).to_dict()
    assert (told["state"], told["fraction"], told["text"], told["result"]) == ("working", 0.5, "Half of it", "")
    assert told["remaining"] == pytest.approx(told["seconds"], abs=0.2)
    goes_on.set()
    until(lambda: task.state == "done")
    assert tasks.find(task.id).to_dict()["result"] == "<p>done</p>"


def test_a_cancelled_or_forgotten_task_ends(tasks, monkeypatch):
    begun = threading.Event()
    ended = []

    def endless(report):
        try:
            while True:
                begun.set()
                report(0.1)
        finally:
            ended.append(True)

    task = tasks.start(endless)
    waiting = tasks.start(lambda report: "never")
    assert begun.wait(60)
    assert tasks.cancel(waiting.id).state == "cancelled"
    assert tasks.cancel(task.id).state == "cancelled"
    until(lambda: ended == [True])
    assert task.to_dict()["result"] == waiting.to_dict()["result"] == ""
    # A page that is closed asks no more.
    monkeypatch.setattr(module, "FORGOTTEN_SECONDS", 0.05)
    forgotten = tasks.start(endless)
    until(lambda: forgotten.state == "cancelled")


def test_a_task_that_fails_says_why_and_too_many_are_refused(tasks, monkeypatch):
    def fails(report):
        raise BadInput("`params=3`: is too few")

    task = tasks.start(fails)
    until(lambda: task.state == "failed")
    assert "is too few" in task.text and "`" not in task.text
    monkeypatch.setattr(module, "MAX_ACTIVE", 0)
    with pytest.raises(BadInput, match="pages wait"):
        tasks.start(fails)
    with pytest.raises(BadInput, match="ask for it again"):
        tasks.find("0")
