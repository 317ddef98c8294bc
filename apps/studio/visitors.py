"""Which browser asks: each gets a random name of its own in a cookie, so that everybody sees their own jobs first."""

from __future__ import annotations

import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "studio_visitor"
NAME = re.compile(r"[0-9a-f]{32}")
# Seconds for which a browser keeps its name.
KEPT_SECONDS = 365 * 86_400


class Visitors:
    """ASGI middleware that gives a name to every browser that has none. The name grants nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _name_in(scope):
            await self.app(scope, receive, send)
            return
        cookie = f"{COOKIE}={secrets.token_hex(16)}; Path=/; Max-Age={KEPT_SECONDS}; HttpOnly; SameSite=Lax".encode()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), (b"set-cookie", cookie)]}
            await send(message)

        await self.app(scope, receive, send_named)


def visitor_of(request: Any) -> str:
    """The name of the browser that sends a request of FastAPI or of Gradio; empty where it has none.

    Gradio's requests find their attributes at run time.
    """
    name = str(request.cookies.get(COOKIE, ""))
    return name if NAME.fullmatch(name) else ""


def _name_in(scope: Scope) -> str:
    for key, value in scope["headers"]:
        if key == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                continue
            if found is not None and NAME.fullmatch(found.value):
                return found.value
    return ""
