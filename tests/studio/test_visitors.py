"""Each browser gets a name of its own, once."""

import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI, Request  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

from apps.studio.visitors import COOKIE, NAME, Visitors, visitor_of  # noqa: E402


@pytest.fixture
def app():
    made = FastAPI()

    @made.get("/")
    def who(request: Request) -> str:
        return visitor_of(request)

    return Visitors(made)


def test_a_browser_is_named_once_and_keeps_its_name(app):
    client = TestClient(app, base_url="http://localhost")
    first = client.get("/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and NAME.fullmatch(client.cookies[COOKIE])
    second = client.get("/")
    assert "set-cookie" not in second.headers and second.json() == client.cookies[COOKIE]
    other = TestClient(app, base_url="http://localhost")
    other.get("/")
    assert other.cookies[COOKIE] != client.cookies[COOKIE]


@pytest.mark.parametrize("cookie", [f"{COOKIE}=admin", f"{COOKIE}=", "garbage", f"{COOKIE}={'A' * 32}"])
def test_a_name_that_is_none_is_replaced(app, cookie):
    answer = TestClient(app, base_url="http://localhost").get("/", headers={"cookie": cookie})
    assert answer.json() == "" and COOKIE in answer.headers["set-cookie"]
