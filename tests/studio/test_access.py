"""Access control: who is answered, and under which policy."""

import base64

import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from apps.cli.main import main  # noqa: E402
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

    def basic(text):
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

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


def test_the_command_refuses_other_machines_without_a_password(tmp_path, capsys):
    assert main(["studio", "--host", "0.0.0.0", "--runs", str(tmp_path)]) == 2
    assert "give a --password too" in capsys.readouterr().err
    assert main(["studio", "--password", "short", "--runs", str(tmp_path)]) == 2
    assert "at least 8" in capsys.readouterr().err
