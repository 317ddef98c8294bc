"""Who may talk to the studio: ASGI middleware around everything it serves."""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Nothing is fetched from elsewhere, whatever a library's page would like to.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'; form-action 'self'"
)


class Guard:
    """Passes a request on if it names this host, comes from its own pages and, where there is a password, brings it along.

    A page of somebody else's that is open in the same browser can send requests here: they carry its Origin, and are refused; and so
    is a name of somebody else's that was made to point to this machine.
    """

    def __init__(self, app, password: str | None, hosts: tuple[str, ...] | None) -> None:
        self.app = app
        self.password = password
        self.hosts = hosts

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host = headers.get("host", "")
        if self.hosts is not None and urlsplit(f"//{host}").hostname not in self.hosts:
            await _refuse(scope, send, 403, f"this studio answers to {', '.join(self.hosts)}")
        elif headers.get("origin", "null") not in ("null", f"http://{host}", f"https://{host}") or _foreign(headers):
            await _refuse(scope, send, 403, "requests from other sites are not answered")
        elif self.password is not None and not self._known(headers.get("authorization", "")):
            await _refuse(
                scope,
                send,
                401,
                "this studio wants its password (any user name)",
                [(b"www-authenticate", b'Basic realm="studio"')],
            )
        else:
            await self.app(scope, receive, lambda message: send(_with_policy(message)))

    def _known(self, authorization: str) -> bool:
        scheme, _, value = authorization.partition(" ")
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        return hmac.compare_digest(given, self.password.encode())


def _foreign(headers: dict[str, str]) -> bool:
    """Whether a browser says that another site asks for something else than to show the page."""
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"


def _with_policy(message: dict) -> dict:
    if message["type"] == "http.response.start":
        message = {
            **message,
            "headers": [
                *message.get("headers", []),
                (b"content-security-policy", POLICY.encode()),
                (b"x-content-type-options", b"nosniff"),
                (b"referrer-policy", b"no-referrer"),
            ],
        }
    return message


async def _refuse(scope, send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"text/plain; charset=utf-8"), *(headers or [])],
        }
    )
    await send({"type": "http.response.body", "body": text.encode()})
