"""Access control: who is answered, and under which policy."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from apps.cli.main import main  # noqa: E402
from apps.studio import access  # noqa: E402
from apps.studio.access import LOOPBACK, AccessControl  # noqa: E402


@pytest.fixture
def app():
    made = FastAPI()

    @made.get("/studio/runs")
    def runs() -> list[str]:
        return []

    return made


def restricted(app, **options):
    return TestClient(
        AccessControl(app, options.get("password"), options.get("hosts", LOOPBACK)), base_url="http://localhost:7860"
    )


def test_refuses_requests_of_other_sites_and_under_other_names(app):
    client = restricted(app)
    assert client.get("/studio/runs").status_code == 200
    assert "default-src 'self'" in client.get("/studio/runs").headers["content-security-policy"]
    assert client.get("/studio/runs", headers={"origin": "http://localhost:7860"}).status_code == 200
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ):
        assert client.get("/studio/runs", headers=headers).status_code == 403, headers
    assert (
        client.get("/studio/runs", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code
        == 200
    )


def test_asks_for_the_password_everywhere(app):
    client = restricted(app, password="correct horse", hosts=None)

    for path in ("/", "/studio/runs", "/studio/static/js/main.js", "/gradio_api/info"):
        answer = client.get(path)
        assert answer.status_code == 401 and "Basic" in answer.headers["www-authenticate"]
    for headers in (
        basic("me:wrong"),
        basic("correct horse"),
        {"authorization": "Basic !!!"},
        {"authorization": "Bearer correct horse"},
    ):
        assert client.get("/studio/runs", headers=headers).status_code == 401
    assert client.get("/studio/runs", headers=basic("anyone:correct horse")).status_code == 200


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_requests_of_pages_that_hide_where_they_are_from_change_nothing(app):
    client = restricted(app)
    null = {"origin": "null"}
    assert client.get("/studio/runs", headers=null).status_code == 200
    form = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    for headers in (null, null | form, form, null | {"sec-fetch-site": "same-site"}):
        assert client.post("/studio/runs", headers=headers).status_code == 403, headers
    # Our own pages hide it too, where the browser says that they are ours.
    for headers in ({}, null | {"sec-fetch-site": "same-origin"}):
        assert client.post("/studio/runs", headers=headers).status_code == 405


def test_wrong_passwords_are_limited_and_the_same_one_is_one_guess(app, monkeypatch):
    client = restricted(app, password="correct horse", hosts=None)
    now = [1000.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now[0])
    for _ in range(3 * access.MAX_GUESSES):
        assert client.get("/studio/runs", headers=basic("me:stale")).status_code == 401
        assert client.get("/studio/runs").status_code == 401
    for index in range(access.MAX_GUESSES - 1):
        assert client.get("/studio/runs", headers=basic(f"me:{index}")).status_code == 401
    refused = client.get("/studio/runs", headers=basic("me:correct horse"))
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) == 60
    now[0] += 61
    assert client.get("/studio/runs", headers=basic("me:correct horse")).status_code == 200


def test_networks_are_counted_and_forgotten():
    guesses = access.Guesses()
    for index in range(access.MAX_ADDRESSES + 5):
        guesses.add(str(index), "x")
    assert len(guesses._tried) == access.MAX_ADDRESSES
    first, same, other = ({"client": (f"2001:db8:0:{n}::{i}", 1)} for n, i in ((1, 1), (1, 2), (2, 1)))
    assert access._address(first) == access._address(same) != access._address(other)
    assert access._address({"client": None}) == ""


def test_large_and_slow_bodies_are_cut_off(app, monkeypatch):
    from fastapi import Request

    monkeypatch.setattr(access, "MAX_BODY_BYTES", 1000)
    monkeypatch.setattr(access, "BODY_SECONDS", 0.05)

    @app.post("/take")
    async def take(request: Request) -> int:
        return len(await request.body())

    client = restricted(app)
    assert client.post("/take", content=b"x" * 1000).json() == 1000
    assert client.post("/take", content=b"x" * 1001).status_code == 413
    assert client.post("/take", content=(b"x" * 400 for _ in range(3))).status_code == 413

    async def slow() -> list[int]:
        told = []
        parts = [{"type": "http.request", "body": b"x", "more_body": True}]

        async def receive():
            return parts.pop() if parts else await asyncio.sleep(60)

        async def send(message):
            told.append(message.get("status"))

        headers = [(b"host", b"localhost"), (b"content-length", b"9")]
        scope = {"type": "http", "method": "POST", "path": "/take", "headers": headers, "query_string": b""}
        await AccessControl(app, None, LOOPBACK)(scope, receive, send)
        return told

    # On a thread of its own: the browser of other tests has a loop on this one.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(asyncio.run, slow()).result(60)[0] == 408


def test_the_command_refuses_other_machines_without_a_password(tmp_path, capsys):
    assert main(["studio", "--host", "0.0.0.0", "--runs", str(tmp_path)]) == 2
    assert "give a --password too" in capsys.readouterr().err
    assert main(["studio", "--password", "short", "--runs", str(tmp_path)]) == 2
    assert "at least 8" in capsys.readouterr().err
