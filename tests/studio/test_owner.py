"""The owner's view: its key, and what it shows."""

import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from apps.studio.job import Job  # noqa: E402
from apps.studio.owner import COOKIE, Owner, owner_routes  # noqa: E402
from apps.studio.shelf import Shelf  # noqa: E402


class Waits(Job):
    """A job that nobody does."""


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def client(folders, queue, owner):
    queue.close()
    app, shelf = FastAPI(), Shelf()
    app.include_router(owner_routes(owner, folders, queue, shelf))
    yield TestClient(app, base_url="http://localhost", follow_redirects=False)
    shelf.close()


def test_only_who_knows_the_key_sees_everybodys_jobs(client, owner, queue, folders):
    for name, visitor in (("cat", "a" * 32), ("dog", "b" * 32), ("bird", "a" * 32)):
        job = Waits(name, folders.runs / name)
        job.owner = visitor
        queue.jobs[job.id] = job
    for path in ("/owner", "/owner?key=wrong", "/owner?key=%C3%A9", "/studio/owner"):
        refused = client.get(path)
        assert refused.status_code == 403 and "cat" not in refused.text, path
    admitted = client.get("/owner", params={"key": owner.key})
    assert admitted.status_code == 303 and admitted.headers["location"] == "/owner"
    cookie = admitted.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.cookies[COOKIE] == owner.key
    assert client.get("/owner").status_code == 200
    seen = client.get("/studio/owner").json()
    assert [(job["name"], job["visitor"]) for job in seen["jobs"]] == [("bird", 1), ("dog", 2), ("cat", 1)]
    assert seen["visitors"] == 2 and seen["active"] == 3 and seen["memory"] > 10e6
    assert "a" * 32 not in str(seen), "the names of visitors stay theirs"
