"""Access control of the studio: ASGI middleware around everything that is served."""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Names of this machine for itself.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Content security policy of every response: nothing is fetched from another host, even if a library asks for it.
CONTENT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'; form-action 'self'"
)
Headers = list[tuple[bytes, bytes]]
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class AccessControl:
    """Answer only requests that name this host, come from the studio's own pages and bring the password.

    Another site's page that is open in the same browser can send requests here. They carry its Origin and are refused.
    So are requests under another site's name that was made to point to this machine (DNS rebinding).

    `password`: None where none is needed. `hosts`: the names that are answered to; None: any.
    """

    def __init__(self, app: ASGIApp, password: str | None, hosts: tuple[str, ...] | None) -> None:
        self.app = app
        self.password = password
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        host = headers.get("host", "")
        if self.hosts is not None and urlsplit(f"//{host}").hostname not in self.hosts:
            await _refuse(scope, send, 403, f"this studio answers to {', '.join(self.hosts)}")
        elif headers.get("origin", "null") not in ("null", f"http://{host}", f"https://{host}") or _cross_site(headers):
            await _refuse(scope, send, 403, "requests from other sites are not answered")
        elif not self._has_password(headers.get("authorization", "")):
            text = "this studio needs its password (any user name)"
            await _refuse(scope, send, 401, text, [(b"www-authenticate", b'Basic realm="studio"')])
        else:

            async def send_securely(message: Message) -> None:
                await send(_with_security_headers(message))

            await self.app(scope, receive, send_securely)

    def _has_password(self, authorization: str) -> bool:
        if self.password is None:
            return True
        scheme, _, value = authorization.partition(" ")
        try:
            given = base64.b64decode(value, validate=True).partition(b":")[2] if scheme.lower() == "basic" else b""
        except binascii.Error:
            given = b""
        return hmac.compare_digest(given, self.password.encode())


def _cross_site(headers: dict[str, str]) -> bool:
    """Whether a browser says that another site asks for something other than to show the page."""
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"


def _with_security_headers(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message.get("headers", []), *SECURITY_HEADERS]}


async def _refuse(scope: Scope, send: Send, status: int, text: str, headers: Headers | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    plain = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *(headers or [])]})
    await send({"type": "http.response.body", "body": text.encode()})
